//! Machines, and their opaque tokens as the Backend API reports them.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::issued_token::ResponseOverrides;

/// The claims that are members of their own in the Backend API's response.
const REGISTERED_CLAIMS: [&str; 7] = ["iss", "sub", "iat", "nbf", "exp", "jti", "scopes"];

/// A machine. It authenticates itself with its secret key.
pub(crate) struct Machine {
    pub(crate) id: String,
    pub(crate) secret_key: String,
    /// The machines that this one may call, by id.
    pub(crate) may_call: Vec<String>,
}

/// The record of an opaque machine token.
pub(crate) struct MachineToken {
    pub(crate) claims: Map<String, Value>,
    pub(crate) revoked: bool,
    pub(crate) overrides: ResponseOverrides,
}

impl MachineToken {
    /// Returns whether the machine with this id may be called with the token.
    pub(crate) fn may_call(&self, machine_id: &str) -> bool {
        self.scopes().contains(&machine_id)
    }

    /// Returns the object that the Backend API responds with. Its times are in milliseconds.
    pub(crate) fn to_json(&self, now: Duration) -> Value {
        let expires_at = self.claims.get("exp").and_then(Value::as_u64);
        let created_at = self.claims.get("iat").and_then(Value::as_u64).map(milliseconds);
        self.overrides.apply(json!({
            "object": "machine_to_machine_token",
            "id": self.claims.get("jti"),
            "subject": self.claims.get("sub"),
            "claims": self.custom_claims(),
            "scopes": self.scopes(),
            "revoked": self.revoked,
            "revocation_reason": null,
            "expired": expires_at.is_some_and(|expires_at| expires_at <= now.as_secs()),
            "expiration": expires_at.map(milliseconds),
            "last_used_at": null,
            "created_at": created_at,
            "updated_at": created_at,
        }))
    }

    /// Returns the machines that may be called. The claim has the form of a JWT: separated by
    /// spaces.
    fn scopes(&self) -> Vec<&str> {
        let scopes = self.claims.get("scopes").and_then(Value::as_str);
        scopes.unwrap_or_default().split_whitespace().collect()
    }

    fn custom_claims(&self) -> Option<Map<String, Value>> {
        let is_custom = |(name, _): &(&String, &Value)| !REGISTERED_CLAIMS.contains(&name.as_str());
        let claims = self.claims.iter().filter(is_custom);
        let claims: Map<_, _> = claims.map(|(name, value)| (name.clone(), value.clone())).collect();
        (!claims.is_empty()).then_some(claims)
    }
}

fn milliseconds(seconds: u64) -> u64 {
    seconds.saturating_mul(1000)
}
