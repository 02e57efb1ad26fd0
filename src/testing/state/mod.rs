//! The state of a fake Clerk instance: its settings, keys, users, clients, codes and tokens.

pub(crate) mod claims;
pub(crate) mod ids;
pub(crate) mod issued_token;
pub(crate) mod signing_keys;
pub(crate) mod user;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use serde_json::{Map, Value};

use self::claims::AccessTokenClaims;
use self::ids::Ids;
use self::issued_token::IssuedToken;
use self::signing_keys::{SigningKey, SigningKeys};
use super::faults::Faults;
use super::locked;
use super::request_log::RequestLog;
use super::token_format::TokenFormat;
use crate::clock::Clock;
use crate::instance::{BackendApi, FrontendApi, PublishableKey};

/// A fake instance, shared by its handles and the server's tasks.
pub(crate) struct FakeInstance {
    pub(crate) address: SocketAddr,
    pub(crate) frontend_api: FrontendApi,
    pub(crate) backend_api: BackendApi,
    pub(crate) publishable_key: PublishableKey,
    pub(crate) config: InstanceConfig,
    pub(crate) ids: Ids,
    pub(crate) defaults: DefaultIds,
    /// Fetches client metadata documents, and runs the requests of a sign-in.
    pub(crate) http: reqwest::Client,
    pub(crate) log: RequestLog,
    pub(crate) faults: Faults,
    pub(crate) records: Mutex<Records>,
    /// A key that is never published. `None` if its generation failed.
    pub(crate) foreign_key: OnceLock<Option<SigningKey>>,
}

impl FakeInstance {
    pub(crate) fn issuer(&self) -> &str {
        self.frontend_api.issuer()
    }

    pub(crate) fn records(&self) -> MutexGuard<'_, Records> {
        locked(&self.records)
    }

    pub(crate) fn now(&self) -> Duration {
        self.config.clock.unix_time()
    }

    pub(crate) fn generate_key(&self) -> std::io::Result<SigningKey> {
        SigningKey::generate(self.ids.id("ins_"))
    }

    /// Registers a public client and returns its `client_id`.
    pub(crate) fn register_public_client(&self, redirect_uri: String) -> String {
        let client_id = self.ids.id("client_");
        let client = Client { redirect_uris: vec![redirect_uri], secret: None };
        self.records().clients.insert(client_id.clone(), client);
        client_id
    }

    /// Returns the claims of a new access token.
    pub(crate) fn access_token_claims(
        &self,
        subject: &str,
        client_id: &str,
        scopes: &[String],
        resources: &[String],
    ) -> Map<String, Value> {
        AccessTokenClaims {
            issuer: self.issuer(),
            subject,
            client_id,
            scopes,
            resources,
            organization_id: &self.defaults.organization_id,
            token_id: self.ids.id("oat_"),
            issued_at: self.now().as_secs(),
            lifetime: self.config.token_lifetime,
        }
        .into_json()
    }
}

/// The settings, which do not change after the start.
pub(crate) struct InstanceConfig {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) secret_key: String,
    pub(crate) token_lifetime: Duration,
    pub(crate) scopes_supported: Vec<String>,
    pub(crate) grantable_scopes: Vec<String>,
    pub(crate) dynamic_registration: bool,
}

/// The IDs used where a request or a test names none.
pub(crate) struct DefaultIds {
    pub(crate) user_id: String,
    pub(crate) client_id: String,
    pub(crate) organization_id: String,
}

/// Everything that changes while the instance runs.
pub(crate) struct Records {
    pub(crate) token_format: TokenFormat,
    pub(crate) keys: SigningKeys,
    pub(crate) clients: HashMap<String, Client>,
    pub(crate) users: HashMap<String, Value>,
    pub(crate) codes: HashMap<String, AuthorizationCode>,
    /// By the token itself, JWT or opaque.
    pub(crate) access_tokens: HashMap<String, IssuedToken>,
    pub(crate) refresh_tokens: HashMap<String, Grant>,
}

impl Records {
    pub(crate) fn new(token_format: TokenFormat, key: SigningKey) -> Self {
        Self {
            token_format,
            keys: SigningKeys::new(key),
            clients: HashMap::new(),
            users: HashMap::new(),
            codes: HashMap::new(),
            access_tokens: HashMap::new(),
            refresh_tokens: HashMap::new(),
        }
    }

    /// Revokes an access token, or a refresh token with all access tokens of its grant (RFC 7009
    /// section 2.1). Returns whether the token exists.
    pub(crate) fn revoke(&mut self, token: &str) -> bool {
        if let Some(grant) = self.refresh_tokens.remove(token) {
            let of_grant = |token: &&mut IssuedToken| token.grant_id.as_ref() == Some(&grant.id);
            for token in self.access_tokens.values_mut().filter(of_grant) {
                token.revoked = true;
            }
            return true;
        }
        let Some(token) = self.access_tokens.get_mut(token) else {
            return false;
        };
        token.revoked = true;
        true
    }
}

/// An OAuth client, registered or identified by its metadata document.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) redirect_uris: Vec<String>,
    /// `None` for a public client.
    pub(crate) secret: Option<String>,
}

/// What the user approved.
#[derive(Clone)]
pub(crate) struct Grant {
    pub(crate) id: String,
    pub(crate) client_id: String,
    pub(crate) subject: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) resources: Vec<String>,
}

/// An authorization code that has not been redeemed.
pub(crate) struct AuthorizationCode {
    pub(crate) grant: Grant,
    pub(crate) redirect_uri: String,
    /// Whether the authorization request contained the redirect URI, so that the token request must
    /// repeat it (RFC 6749 section 4.1.3).
    pub(crate) redirect_uri_sent: bool,
    pub(crate) challenge: String,
    pub(crate) nonce: Option<String>,
    pub(crate) expires_at: Duration,
}
