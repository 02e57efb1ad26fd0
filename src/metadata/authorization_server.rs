//! The metadata document of an authorization server (RFC 8414).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::oauth::{Scopes, check_origin, parse_uri};

/// The metadata of an authorization server (RFC 8414 section 2).
///
/// The members that MCP clients use are fields. Every other member is kept in
/// [`extra`](Self::extra), so that only the order of members changes when a document is parsed and
/// serialized.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::metadata::AuthorizationServerMetadata;
///
/// let json = r#"{"issuer": "https://clerk.example.com", "something_new": true}"#;
/// let document: AuthorizationServerMetadata = serde_json::from_str(json)?;
/// assert_eq!(document.issuer, "https://clerk.example.com");
/// assert_eq!(document.extra["something_new"], true);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuthorizationServerMetadata {
    /// The issuer. It must equal the one that the document was requested from (RFC 8414 section
    /// 3.3).
    pub issuer: String,
    /// The URL at which users sign in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_endpoint: Option<String>,
    /// The URL at which clients exchange a code for tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint: Option<String>,
    /// The URL at which clients revoke tokens (RFC 7009).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_endpoint: Option<String>,
    /// The URL of the key set that tokens are signed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// The URL at which clients register (RFC 7591). Absent if the instance does not allow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_endpoint: Option<String>,
    /// Whether the URL of a client's metadata document may be its client id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id_metadata_document_supported: Option<bool>,
    /// The scopes that clients may request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes_supported: Option<Vec<String>>,
    /// The supported response types, such as `code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_types_supported: Option<Vec<String>>,
    /// The supported grant types, such as `authorization_code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant_types_supported: Option<Vec<String>>,
    /// The supported methods of client authentication, such as `client_secret_basic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// The supported PKCE methods (RFC 7636). MCP requires `S256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_challenge_methods_supported: Option<Vec<String>>,
    /// The claims about users that the instance may supply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims_supported: Option<Vec<String>>,
    /// Every other member, unchanged.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl AuthorizationServerMetadata {
    /// Checks the issuer and the endpoints. Returns why a document from `issuer` must not be
    /// trusted.
    pub(crate) fn check(&self, issuer: &str) -> Result<(), &'static str> {
        if self.issuer != issuer {
            return Err("it names another issuer (RFC 8414 section 3.3)");
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

    /// Restricts `scopes_supported` to these scopes, for clients that request all that it lists.
    #[must_use]
    pub fn with_scopes_restricted_to(mut self, scopes: &Scopes) -> Self {
        let supported = self.scopes_supported.as_deref();
        let is_supported = |scope: &&str| {
            supported.is_none_or(|supported| supported.iter().any(|known| known == scope))
        };
        let restricted: Vec<String> =
            scopes.advertisable().iter().filter(is_supported).map(str::to_owned).collect();
        // A member without a value is left out (RFC 8414 section 3.2).
        self.scopes_supported = (!restricted.is_empty()).then_some(restricted);
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
    fn keeps_unknown_members() {
        let json = serde_json::json!({
            "issuer": "https://as.example", "scopes_supported": [], "x": {"y": [1, null]}, "z": null,
        });
        assert_eq!(serde_json::to_value(document(json.clone())).unwrap(), json);
    }

    #[test]
    fn trusts_only_the_expected_issuer_and_https_endpoints() {
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
    fn restricts_scopes_to_those_that_both_sides_support() {
        let own = document(
            serde_json::json!({"issuer": "i", "scopes_supported": ["email", "profile", "openid"]}),
        );
        let scopes = Scopes::parse("profile offline_access files:write email").unwrap();
        let restricted = own.with_scopes_restricted_to(&scopes).scopes_supported.unwrap();
        assert_eq!(restricted, ["profile", "email"]);
        let own = document(serde_json::json!({"issuer": "i", "scopes_supported": ["email"]}));
        assert_eq!(own.with_scopes_restricted_to(&Scopes::none()).scopes_supported, None);
    }
}
