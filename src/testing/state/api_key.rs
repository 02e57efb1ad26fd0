//! API keys as the Backend API reports them.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::issued_token::ResponseOverrides;

/// The record of an API key.
#[derive(Clone)]
pub(crate) struct ApiKey {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) subject: String,
    pub(crate) scopes: Vec<String>,
    /// `None` for keys that were made without claims, as users make them.
    pub(crate) claims: Option<Map<String, Value>>,
    pub(crate) created_at: Duration,
    /// `None` if the key does not expire.
    pub(crate) expires_at: Option<Duration>,
    pub(crate) revoked: bool,
    pub(crate) overrides: ResponseOverrides,
}

impl ApiKey {
    /// Returns the object that the Backend API responds with. Its times are in milliseconds.
    pub(crate) fn to_json(&self, now: Duration) -> Value {
        let expired = self.expires_at.is_some_and(|expires_at| expires_at <= now);
        let expiration = self.expires_at.map(milliseconds);
        let created_at = milliseconds(self.created_at);
        // A key is made by a user, or with the secret key by nobody.
        let created_by = self.subject.starts_with("user_").then_some(&self.subject);
        self.overrides.apply(json!({
            "object": "api_key",
            "id": self.id,
            "type": "api_key",
            "subject": self.subject,
            "name": self.name,
            "description": null,
            "claims": self.claims,
            "scopes": self.scopes,
            "revoked": self.revoked,
            "revocation_reason": null,
            "expired": expired,
            "expiration": expiration,
            "created_by": created_by,
            "last_used_at": null,
            "created_at": created_at,
            "updated_at": created_at,
        }))
    }
}

pub(crate) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
