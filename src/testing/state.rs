use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use serde_json::Value;

use super::access_token::AccessToken;
use super::builder::TokenFormat;
use super::fault::Faults;
use super::ids::Ids;
use super::keys::{KeySet, SigningKey};
use super::locked;
use super::route::RequestLog;
use crate::clock::Clock;
use crate::instance::PublishableKey;

/// What the handle and the server's tasks share.
pub(super) struct Shared {
    pub(super) address: SocketAddr,
    pub(super) issuer: String,
    pub(super) publishable_key: PublishableKey,
    pub(super) config: InstanceConfig,
    pub(super) ids: Ids,
    pub(super) defaults: Defaults,
    /// For client metadata documents and for signing in.
    pub(super) http: reqwest::Client,
    pub(super) log: RequestLog,
    pub(super) faults: Faults,
    pub(super) state: Mutex<State>,
    /// A key that is never published.
    pub(super) foreign_key: OnceLock<Option<SigningKey>>,
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    pub(super) fn now(&self) -> Duration {
        self.config.clock.unix_time()
    }

    pub(super) fn new_key(&self) -> std::io::Result<SigningKey> {
        SigningKey::generate(self.ids.id("ins_"))
    }
}

/// What stays as it was built.
pub(super) struct InstanceConfig {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) secret_key: String,
    pub(super) token_lifetime: Duration,
    pub(super) scopes_supported: Vec<String>,
    pub(super) grantable_scopes: Vec<String>,
    pub(super) dynamic_registration: bool,
}

/// Who is meant where nobody is named.
pub(super) struct Defaults {
    pub(super) user_id: String,
    pub(super) client_id: String,
    pub(super) organization_id: String,
}

pub(super) struct State {
    pub(super) token_format: TokenFormat,
    pub(super) keys: KeySet,
    pub(super) clients: HashMap<String, Client>,
    pub(super) users: HashMap<String, Value>,
    pub(super) codes: HashMap<String, Code>,
    /// Access tokens by their text, JWT or opaque.
    pub(super) access_tokens: HashMap<String, AccessToken>,
    pub(super) refresh_tokens: HashMap<String, Grant>,
}

impl State {
    pub(super) fn new(token_format: TokenFormat, key: SigningKey) -> Self {
        Self {
            token_format,
            keys: KeySet::new(key),
            clients: HashMap::new(),
            users: HashMap::new(),
            codes: HashMap::new(),
            access_tokens: HashMap::new(),
            refresh_tokens: HashMap::new(),
        }
    }

    /// Revokes an access or a refresh token; with a refresh token go the access tokens of the same grant (RFC 7009
    /// section 2.1). Tells whether there was such a token.
    pub(super) fn revoke(&mut self, token: &str) -> bool {
        if let Some(grant) = self.refresh_tokens.remove(token) {
            let of_grant = |token: &&mut AccessToken| token.grant_id.as_ref() == Some(&grant.id);
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

/// An OAuth client: registered, or known by its metadata document.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) redirect_uris: Vec<String>,
    /// None for a public client.
    pub(super) secret: Option<String>,
}

/// What the user has approved.
#[derive(Clone)]
pub(super) struct Grant {
    pub(super) id: String,
    pub(super) client_id: String,
    pub(super) subject: String,
    pub(super) scopes: Vec<String>,
    pub(super) resources: Vec<String>,
}

/// An authorization code that waits for its one use.
pub(super) struct Code {
    pub(super) grant: Grant,
    pub(super) redirect_uri: String,
    /// Whether the client named the redirect URI and so must repeat it (RFC 6749 section 4.1.3).
    pub(super) redirect_uri_sent: bool,
    pub(super) challenge: String,
    pub(super) nonce: Option<String>,
    pub(super) expires_at: Duration,
}
