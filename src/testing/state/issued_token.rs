//! Access tokens as the Backend API reports them.

use serde_json::{Map, Value, json};

/// The record of an issued access token.
pub(crate) struct IssuedToken {
    pub(crate) claims: Map<String, Value>,
    pub(crate) grant_id: Option<String>,
    pub(crate) revoked: bool,
    pub(crate) overrides: ResponseOverrides,
}

/// Members of the Backend API's response that a test sets independently of the record.
#[derive(Clone, Default)]
pub(crate) struct ResponseOverrides {
    pub(crate) members: Map<String, Value>,
    pub(crate) omitted: Vec<String>,
}

impl ResponseOverrides {
    pub(crate) fn set(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.members.insert(name.into(), value.into());
    }

    /// Returns the response with the members of the test.
    pub(crate) fn apply(&self, mut response: Value) -> Value {
        if let Value::Object(members) = &mut response {
            members.extend(self.members.clone());
            members.retain(|name, _| !self.omitted.contains(name));
        }
        response
    }
}

impl IssuedToken {
    /// Returns whether the token is neither revoked nor expired.
    pub(crate) fn is_active(&self, now: u64) -> bool {
        !self.revoked && !self.is_expired(now)
    }

    fn is_expired(&self, now: u64) -> bool {
        let expires_at = self.claims.get("exp").and_then(Value::as_u64);
        expires_at.is_some_and(|expires_at| expires_at <= now)
    }

    /// Returns whether the audience of the token names the resource.
    pub(crate) fn is_for(&self, resource: &str) -> bool {
        let audience = self.claims.get("aud").map(to_array);
        let audience = audience.as_ref().and_then(Value::as_array);
        audience.is_some_and(|audience| audience.iter().any(|one| one == resource))
    }

    /// Returns the object that the Backend API responds with.
    pub(crate) fn to_json(&self, now: u64) -> Value {
        let mut members = self.members(now);
        if let Some(audience) = self.claims.get("aud") {
            members.insert("aud".into(), to_array(audience));
        }
        if let Some(actor) = self.claims.get("act") {
            members.insert("act".into(), actor.clone());
        }
        self.overrides.apply(Value::Object(members))
    }

    fn members(&self, now: u64) -> Map<String, Value> {
        let members = json!({
            "object": "clerk_idp_oauth_access_token",
            "id": self.claim("jti"),
            "client_id": self.claim("client_id"),
            "type": "oauth:access_token",
            "subject": self.claim("sub"),
            "scopes": self.scopes(),
            "revoked": self.revoked,
            "revocation_reason": null,
            "expired": self.is_expired(now),
            "expiration": self.claim("exp"),
            "created_at": self.claim("iat"),
            "updated_at": self.claim("iat"),
        });
        match members {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }

    fn claim(&self, name: &str) -> Value {
        self.claims.get(name).cloned().unwrap_or(Value::Null)
    }

    /// Returns the granted scopes. `scp` takes precedence over `scope` if both are present.
    pub(crate) fn scopes(&self) -> Vec<String> {
        match (self.claims.get("scp"), self.claims.get("scope")) {
            (Some(Value::Array(scp)), _) => {
                scp.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            (Some(Value::String(scope)), _) | (None, Some(Value::String(scope))) => {
                scope.split_whitespace().map(str::to_owned).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn to_array(value: &Value) -> Value {
    match value {
        Value::Array(_) => value.clone(),
        one => json!([one]),
    }
}
