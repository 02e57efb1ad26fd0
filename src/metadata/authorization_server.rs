use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::oauth::{Scopes, check_origin, parse_uri};

/// The metadata of an authorization server (RFC 8414 section 2).
///
/// The members that clients of MCP use are fields; every other one is kept in [`extra`](Self::extra), so that a
/// document passes through unchanged but for the order of its members.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::metadata::AuthorizationServerMetadata;
///
/// let text = r#"{"issuer": "https://clerk.example.com", "token_endpoint": "https://clerk.example.com/oauth/token",
///                "something_new": true}"#;
/// let document: AuthorizationServerMetadata = serde_json::from_str(text).unwrap();
/// assert_eq!(document.token_endpoint.as_deref(), Some("https://clerk.example.com/oauth/token"));
/// assert_eq!(document.extra["something_new"], true);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuthorizationServerMetadata {
    /// The issuer, which must equal the one that was asked (RFC 8414 section 3.3).
    pub issuer: String,
    /// Where the user signs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_endpoint: Option<String>,
    /// Where a code becomes a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint: Option<String>,
    /// Where a token is given back (RFC 7009).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_endpoint: Option<String>,
    /// The keys that tokens are signed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// Where a client registers itself (RFC 7591); absent when the instance does not allow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_endpoint: Option<String>,
    /// Whether a client may name itself by the URL of its own metadata document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id_metadata_document_supported: Option<bool>,
    /// The scopes that a client may ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes_supported: Option<Vec<String>>,
    /// The response types, such as `code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_types_supported: Option<Vec<String>>,
    /// The grant types, such as `authorization_code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant_types_supported: Option<Vec<String>>,
    /// How a client may prove who it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// The PKCE methods (RFC 7636); MCP needs `S256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_challenge_methods_supported: Option<Vec<String>>,
    /// The claims that the instance may state about a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims_supported: Option<Vec<String>>,
    /// Every other member, as it came.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl AuthorizationServerMetadata {
    /// Why this document must not be believed when it comes from `issuer`.
    pub(crate) fn check(&self, issuer: &str) -> Result<(), &'static str> {
        if self.issuer != issuer {
            return Err("it speaks for another issuer (RFC 8414 section 3.3)");
        }
        let endpoints = [
            &self.authorization_endpoint,
            &self.token_endpoint,
            &self.revocation_endpoint,
            &self.jwks_uri,
            &self.registration_endpoint,
        ];
        let is_trustworthy =
            |url: &String| parse_uri(url).is_some_and(|uri| check_origin(&uri).is_ok());
        if !endpoints.into_iter().flatten().all(is_trustworthy) {
            return Err("one of its endpoints is not an https URL");
        }
        Ok(())
    }

    /// The same document with `scopes_supported` narrowed to these, for clients that ask for all they find there.
    #[must_use]
    pub fn with_scopes_restricted_to(mut self, scopes: &Scopes) -> Self {
        let own = self.scopes_supported.as_deref();
        let known = |scope: &str| own.is_none_or(|own| own.iter().any(|known| known == scope));
        let narrowed: Vec<String> =
            scopes.advertisable().iter().filter(|scope| known(scope)).map(str::to_owned).collect();
        // A member without a value is left out (RFC 8414 section 3.2).
        self.scopes_supported = (!narrowed.is_empty()).then_some(narrowed);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(json: Value) -> AuthorizationServerMetadata {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn keeps_what_it_does_not_know() {
        let json = serde_json::json!({
            "issuer": "https://as.example", "scopes_supported": [], "x": {"y": [1, null]}, "z": null,
        });
        assert_eq!(serde_json::to_value(document(json.clone())).unwrap(), json);
    }

    #[test]
    fn believes_only_its_own_issuer_and_safe_endpoints() {
        let good = document(serde_json::json!({
            "issuer": "https://as.example", "token_endpoint": "https://as.example/token",
        }));
        assert_eq!(good.check("https://as.example"), Ok(()));
        for issuer in ["https://as.example/", "https://AS.example", "https://evil.example"] {
            assert!(good.check(issuer).is_err(), "{issuer}");
        }
        for endpoint in [
            "http://as.example/token",
            "javascript:alert(1)",
            "/token",
            "https://u@as.example/token",
        ] {
            let bad = document(
                serde_json::json!({"issuer": "https://as.example", "token_endpoint": endpoint}),
            );
            assert!(bad.check("https://as.example").is_err(), "{endpoint}");
        }
    }

    #[test]
    fn narrows_to_what_both_sides_know() {
        let own = document(
            serde_json::json!({"issuer": "i", "scopes_supported": ["email", "profile", "openid"]}),
        );
        let scopes = Scopes::parse("profile offline_access files:write email").unwrap();
        let narrowed = own.with_scopes_restricted_to(&scopes).scopes_supported.unwrap();
        assert_eq!(narrowed, ["profile", "email"]);
        let own = document(serde_json::json!({"issuer": "i", "scopes_supported": ["email"]}));
        assert_eq!(own.with_scopes_restricted_to(&Scopes::none()).scopes_supported, None);
    }
}
