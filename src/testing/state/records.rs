//! Everything that changes while an instance runs.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::api_key::ApiKey;
use super::client::Client;
use super::grant::{AuthorizationCode, ConsentRequest, RefreshToken, UsedCode};
use super::issued_token::IssuedToken;
use super::machine::{Machine, MachineToken};
use super::organization::Organization;
use super::resources::Resources;
use super::signing_keys::{SigningKey, SigningKeys};
use crate::testing::token_format::TokenFormat;

/// Everything that changes while the instance runs.
pub(crate) struct Records {
    pub(crate) token_format: TokenFormat,
    pub(crate) resources: Resources,
    pub(crate) keys: SigningKeys,
    pub(crate) clients: HashMap<String, Client>,
    pub(crate) users: HashMap<String, Value>,
    pub(crate) codes: HashMap<String, AuthorizationCode>,
    /// By the id in the form.
    pub(crate) consents: HashMap<String, ConsentRequest>,
    pub(crate) used_codes: HashMap<String, UsedCode>,
    /// By the token itself, JWT or opaque.
    pub(crate) access_tokens: HashMap<String, IssuedToken>,
    pub(crate) refresh_tokens: HashMap<String, RefreshToken>,
    /// By the secret.
    pub(crate) api_keys: HashMap<String, ApiKey>,
    /// By id.
    pub(crate) machines: HashMap<String, Machine>,
    /// The opaque ones, by the token itself.
    pub(crate) machine_tokens: HashMap<String, MachineToken>,
    /// The id of the machine that stands for the server under test.
    pub(crate) server_machine: Option<String>,
    /// The id of the application that stands for the server under test.
    pub(crate) server_application: Option<String>,
    /// By id.
    pub(crate) organizations: BTreeMap<String, Organization>,
    /// The id of the organization that the user chooses.
    pub(crate) chosen_organization: Option<String>,
}

impl Records {
    pub(crate) fn new(token_format: TokenFormat, resources: Resources, key: SigningKey) -> Self {
        Self {
            token_format,
            resources,
            keys: SigningKeys::new(key),
            clients: HashMap::new(),
            users: HashMap::new(),
            codes: HashMap::new(),
            consents: HashMap::new(),
            used_codes: HashMap::new(),
            access_tokens: HashMap::new(),
            refresh_tokens: HashMap::new(),
            api_keys: HashMap::new(),
            machines: HashMap::new(),
            machine_tokens: HashMap::new(),
            server_machine: None,
            server_application: None,
            organizations: BTreeMap::new(),
            chosen_organization: None,
        }
    }

    pub(crate) fn add_client(&mut self, client: Client) {
        self.clients.insert(client.id.clone(), client);
    }

    /// Revokes an API key, a machine token, an access token, or a refresh token with its whole
    /// grant (RFC 7009 section 2.1). Returns whether it exists.
    pub(crate) fn revoke(&mut self, token: &str) -> bool {
        let refresh_token = self.refresh_tokens.get(token).filter(|token| !token.used);
        if let Some(grant_id) = refresh_token.map(|token| token.grant.id.clone()) {
            self.end_grant(&grant_id);
            return true;
        }
        let access_token = self.access_tokens.get_mut(token).map(|token| &mut token.revoked);
        let api_key = self.api_keys.get_mut(token).map(|key| &mut key.revoked);
        let machine_token = self.machine_tokens.get_mut(token).map(|token| &mut token.revoked);
        let Some(revoked) = access_token.or(api_key).or(machine_token) else {
            return false;
        };
        *revoked = true;
        true
    }

    /// Revokes all tokens of a grant.
    pub(crate) fn end_grant(&mut self, grant_id: &str) {
        self.refresh_tokens.retain(|_, token| token.grant.id != grant_id);
        let of_grant = |token: &&mut IssuedToken| token.grant_id.as_deref() == Some(grant_id);
        for token in self.access_tokens.values_mut().filter(of_grant) {
            token.revoked = true;
        }
    }
}
