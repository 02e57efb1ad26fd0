use serde_json::{Map, Value, json};

use super::state::Shared;

/// What an instance knows of an access token: its claims, and what became of it since.
pub(super) struct AccessToken {
    pub(super) claims: Map<String, Value>,
    pub(super) grant_id: Option<String>,
    pub(super) revoked: bool,
    pub(super) shape: Shape,
}

/// Where a test wants the answer of the Backend API to differ from the claims.
#[derive(Clone, Default)]
pub(super) struct Shape {
    pub(super) expired: Option<bool>,
    pub(super) expiration: Option<Value>,
    pub(super) members: Map<String, Value>,
    pub(super) without: Vec<String>,
}

impl AccessToken {
    /// The object that the Backend API answers.
    pub(super) fn to_json(&self, now: u64) -> Value {
        let mut members = self.plain(now);
        if let Some(audience) = self.claims.get("aud") {
            members.insert("aud".into(), listed(audience));
        }
        if let Some(actor) = self.claims.get("act") {
            members.insert("act".into(), actor.clone());
        }
        members.extend(self.shape.members.clone());
        for name in &self.shape.without {
            members.remove(name);
        }
        Value::Object(members)
    }

    fn plain(&self, now: u64) -> Map<String, Value> {
        let expires_at = self.claims.get("exp").and_then(Value::as_u64);
        let expired = expires_at.is_some_and(|expires_at| expires_at <= now);
        let expiration = self.shape.expiration.clone().unwrap_or_else(|| json!(expires_at));
        let members = json!({
            "object": "clerk_idp_oauth_access_token",
            "id": self.claim("jti"),
            "client_id": self.claim("client_id"),
            "type": "oauth:access_token",
            "subject": self.claim("sub"),
            "scopes": self.scopes(),
            "revoked": self.revoked,
            "revocation_reason": null,
            "expired": self.shape.expired.unwrap_or(expired),
            "expiration": expiration,
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

    /// `scp` wins over `scope` where both stand.
    fn scopes(&self) -> Value {
        match (self.claims.get("scp"), self.claims.get("scope")) {
            (Some(scp), _) => listed(scp),
            (None, Some(Value::String(scope))) => {
                json!(scope.split_whitespace().collect::<Vec<_>>())
            }
            _ => json!([]),
        }
    }
}

fn listed(value: &Value) -> Value {
    match value {
        Value::Array(_) => value.clone(),
        one => json!([one]),
    }
}

/// The claims of an OAuth access token as Clerk sets them (RFC 9068 section 2.2).
pub(super) fn claims(
    shared: &Shared,
    subject: &str,
    client_id: &str,
    scopes: &[String],
    resources: &[String],
) -> Map<String, Value> {
    let now = shared.now().as_secs();
    let expires_at = now.saturating_add(shared.config.token_lifetime.as_secs());
    let mut claims = Map::from_iter([
        ("iss".to_owned(), json!(shared.issuer)),
        ("sub".to_owned(), json!(subject)),
        ("client_id".to_owned(), json!(client_id)),
        ("scope".to_owned(), json!(scopes.join(" "))),
        ("jti".to_owned(), json!(shared.ids.id("oat_"))),
        ("iat".to_owned(), json!(now)),
        ("nbf".to_owned(), json!(now)),
        ("exp".to_owned(), json!(expires_at)),
    ]);
    if let Some(audience) = audience(resources) {
        claims.insert("aud".into(), audience);
    }
    if scopes.iter().any(|scope| scope == "user:org:read") {
        claims.insert("org_id".into(), json!(shared.defaults.organization_id));
    }
    claims
}

/// A string for one resource, an array for several, nothing for none.
pub(super) fn audience(resources: &[String]) -> Option<Value> {
    match resources {
        [] => None,
        [one] => Some(json!(one)),
        several => Some(json!(several)),
    }
}

/// The header of a Clerk access token.
pub(super) fn header(kid: &str) -> Map<String, Value> {
    Map::from_iter([
        ("alg".to_owned(), json!("RS256")),
        ("kid".to_owned(), json!(kid)),
        ("typ".to_owned(), json!("at+jwt")),
    ])
}
