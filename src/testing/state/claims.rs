//! Header and claims of Clerk's JWTs: OAuth access tokens (RFC 9068 section 2), machine tokens and
//! session tokens.

use std::time::Duration;

use serde_json::{Map, Value, json};

/// The values from which the claims of an access token are made.
pub(crate) struct AccessTokenClaims<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) scopes: &'a [String],
    pub(crate) resources: &'a [String],
    /// The organization that the user chose.
    pub(crate) organization_id: Option<&'a str>,
    pub(crate) token_id: String,
    /// Seconds since 1970.
    pub(crate) issued_at: u64,
    pub(crate) lifetime: Duration,
}

impl AccessTokenClaims<'_> {
    /// Returns the claims as Clerk sets them (RFC 9068 section 2.2).
    pub(crate) fn into_json(self) -> Map<String, Value> {
        let expires_at = self.issued_at.saturating_add(self.lifetime.as_secs());
        let mut claims = Map::from_iter([
            ("iss".to_owned(), json!(self.issuer)),
            ("sub".to_owned(), json!(self.subject)),
            ("client_id".to_owned(), json!(self.client_id)),
            ("scope".to_owned(), json!(self.scopes.join(" "))),
            ("jti".to_owned(), json!(self.token_id)),
            ("iat".to_owned(), json!(self.issued_at)),
            ("nbf".to_owned(), json!(self.issued_at)),
            ("exp".to_owned(), json!(expires_at)),
        ]);
        if let Some(audience) = audience(self.resources) {
            claims.insert("aud".into(), audience);
        }
        let may_read_organization = self.scopes.iter().any(|scope| scope == "user:org:read");
        if let (true, Some(id)) = (may_read_organization, self.organization_id) {
            claims.insert("org_id".into(), json!(id));
        }
        claims
    }
}

/// Returns a string for one resource, an array for several, `None` for none.
fn audience(resources: &[String]) -> Option<Value> {
    match resources {
        [] => None,
        [one] => Some(json!(one)),
        several => Some(json!(several)),
    }
}

/// The values that the claims of machine tokens and of session tokens have in common.
pub(crate) struct CommonClaims<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) token_id: String,
    /// Seconds since 1970.
    pub(crate) issued_at: u64,
    pub(crate) lifetime: Duration,
}

impl CommonClaims<'_> {
    /// Returns the claims of a machine token, with the ids of the machines that may be called.
    pub(crate) fn of_machine_token(self, may_call: &[String]) -> Map<String, Value> {
        let mut claims = self.into_json();
        if !may_call.is_empty() {
            claims.insert("scopes".into(), json!(may_call.join(" ")));
        }
        claims
    }

    /// Returns the claims of a session token of version 2, without an organization.
    pub(crate) fn of_session_token(
        self,
        session_id: String,
        authorized_party: &str,
    ) -> Map<String, Value> {
        let mut claims = self.into_json();
        claims.extend([
            ("sid".to_owned(), json!(session_id)),
            ("sts".to_owned(), json!("active")),
            ("azp".to_owned(), json!(authorized_party)),
            // Minutes since the first and the second factor were verified; -1 without a second one.
            ("fva".to_owned(), json!([0, -1])),
            ("v".to_owned(), json!(2)),
        ]);
        claims
    }

    fn into_json(self) -> Map<String, Value> {
        Map::from_iter([
            ("iss".to_owned(), json!(self.issuer)),
            ("sub".to_owned(), json!(self.subject)),
            ("jti".to_owned(), json!(self.token_id)),
            ("iat".to_owned(), json!(self.issued_at)),
            ("nbf".to_owned(), json!(self.issued_at)),
            ("exp".to_owned(), json!(self.issued_at.saturating_add(self.lifetime.as_secs()))),
        ])
    }
}

/// Returns the JOSE header of a Clerk access token (RFC 9068 section 2.1).
pub(crate) fn header(key_id: &str) -> Map<String, Value> {
    typed_header(key_id, "at+jwt")
}

/// Returns the JOSE header of another JWT of Clerk, with its category.
pub(crate) fn category_header(key_id: &str, category: &str) -> Map<String, Value> {
    let mut header = typed_header(key_id, "JWT");
    header.insert("cat".into(), json!(category));
    header
}

fn typed_header(key_id: &str, media_type: &str) -> Map<String, Value> {
    Map::from_iter([
        ("alg".to_owned(), json!("RS256")),
        ("kid".to_owned(), json!(key_id)),
        ("typ".to_owned(), json!(media_type)),
    ])
}
