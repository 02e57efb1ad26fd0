//! API keys that a test makes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::state::FakeInstance;
use super::state::api_key::ApiKey;
use super::state::issued_token::ResponseOverrides;

/// Builds an API key. Created by [`FakeClerk::create_api_key`](super::FakeClerk::create_api_key).
///
/// The defaults are those of a key that the default user makes: no scopes, no claims, no expiry.
/// Only a backend can make a key with scopes or claims. Each setter changes one thing, to a valid or
/// an invalid value.
///
/// # Example
///
/// ```
/// use std::time::Duration;
///
/// use clerk_mcp_tools::testing::FakeClerk;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let clerk = FakeClerk::start().await?;
/// let key = clerk
///     .create_api_key()
///     .subject(clerk.default_organization_id())
///     .scopes(["profile", "email"])
///     .expires_in(Duration::from_secs(60))
///     .secret();
/// assert!(clerk.revoke(&key));
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use]
pub struct ApiKeyBuilder {
    instance: Arc<FakeInstance>,
    key: ApiKey,
}

impl ApiKeyBuilder {
    pub(super) fn new(instance: Arc<FakeInstance>) -> Self {
        let key = ApiKey {
            id: instance.ids.hex_id("ak_"),
            name: "API key".to_owned(),
            subject: instance.defaults.user_id.clone(),
            scopes: Vec::new(),
            claims: None,
            created_at: instance.now(),
            expires_at: None,
            revoked: false,
            overrides: ResponseOverrides::default(),
        };
        Self { instance, key }
    }

    /// Sets the id, which is not the secret. Defaults to a random `ak_…` of 32 hexadecimal digits.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.key.id = id.into();
        self
    }

    /// Sets the name. Defaults to `API key`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.key.name = name.into();
        self
    }

    /// Sets the id of the owner: a user (`user_…`), an organization (`org_…`) or a machine
    /// (`mch_…`). Defaults to the default user.
    pub fn subject(mut self, id: impl Into<String>) -> Self {
        self.key.subject = id.into();
        self
    }

    /// Sets the scopes. Defaults to none.
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.key.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Sets a claim. Defaults to no claims, which the Backend API reports as `null`.
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.key.claims.get_or_insert_with(Map::new).insert(name.into(), value.into());
        self
    }

    /// Sets the expiry relative to the instance's clock. Defaults to none.
    pub fn expires_in(mut self, lifetime: Duration) -> Self {
        self.key.expires_at = Some(self.instance.now().saturating_add(lifetime));
        self
    }

    /// Sets `revoked` in the Backend API's response. Defaults to `false`.
    pub fn revoked(mut self, revoked: bool) -> Self {
        self.key.revoked = revoked;
        self
    }

    /// Sets `expired` in the Backend API's response. Defaults to whether the expiry has passed by
    /// the instance's clock.
    pub fn expired(self, expired: bool) -> Self {
        self.record_member("expired", expired)
    }

    /// Sets any member of the Backend API's response.
    pub fn record_member(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.key.overrides.set(name, value);
        self
    }

    /// Removes a member of the Backend API's response.
    pub fn without_record_member(mut self, name: impl Into<String>) -> Self {
        self.key.overrides.omitted.push(name.into());
        self
    }

    /// Creates the key and returns its secret: `ak_…`.
    pub fn secret(self) -> String {
        let secret = format!("ak_{}", self.instance.ids.secret());
        self.instance.records().api_keys.insert(secret.clone(), self.key);
        secret
    }
}

impl fmt::Debug for ApiKeyBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeyBuilder")
            .field("id", &self.key.id)
            .field("name", &self.key.name)
            .field("subject", &self.key.subject)
            .field("scopes", &self.key.scopes)
            .finish_non_exhaustive()
    }
}
