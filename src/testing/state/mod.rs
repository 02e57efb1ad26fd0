//! The state of a fake Clerk instance: its settings, keys, users, clients, codes and tokens.

pub(crate) mod api_key;
pub(crate) mod claims;
pub(crate) mod client;
pub(crate) mod grant;
pub(crate) mod ids;
pub(crate) mod issued_token;
pub(crate) mod machine;
pub(crate) mod organization;
pub(crate) mod records;
pub(crate) mod resources;
pub(crate) mod signing_keys;
pub(crate) mod user;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use serde_json::{Map, Value};

use self::claims::AccessTokenClaims;
use self::client::Client;
use self::ids::Ids;
use self::records::Records;
use self::signing_keys::SigningKey;
use super::faults::Faults;
use super::locked;
use super::request_log::RequestLog;
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
        self.records().add_client(Client::public(client_id.clone(), redirect_uri));
        client_id
    }

    /// Returns the claims of a new access token.
    pub(crate) fn access_token_claims(
        &self,
        subject: &str,
        client_id: &str,
        scopes: &[String],
        resources: &[String],
        organization: Option<&str>,
    ) -> Map<String, Value> {
        AccessTokenClaims {
            issuer: self.issuer(),
            subject,
            client_id,
            scopes,
            resources,
            organization_id: organization,
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
    pub(crate) registration_limits_scopes: bool,
    pub(crate) redirect_schemes: Vec<String>,
    pub(crate) require_offline_access: bool,
    pub(crate) refresh_token_lifetime: Duration,
    pub(crate) revoke_on_refresh_token_reuse: bool,
    /// Whether users are asked for their consent.
    pub(crate) interactive: bool,
    /// Whether API keys are enabled.
    pub(crate) api_keys: bool,
    /// Whether machine tokens are enabled.
    pub(crate) machine_tokens: bool,
}

/// The IDs used where a request or a test names none.
pub(crate) struct DefaultIds {
    pub(crate) user_id: String,
    pub(crate) client_id: String,
    pub(crate) organization_id: String,
}
