//! Which API keys a server accepts.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::error::{ConfigError, VerifyError, VerifyErrorKind};
use crate::oauth::{ScopeHierarchy, Scopes};

/// The rules for API keys (`ak_…`), for
/// [`accept_api_keys`](crate::ClerkVerifierBuilder::accept_api_keys).
///
/// An API key names no server: **every key of the instance verifies**, and users can make keys by
/// themselves, even where the page for it is hidden. What binds a key to this server is a scope or a
/// claim, which only a backend can put into a key. A valid key that lacks a required scope is
/// rejected with 403, and one without a required claim with 401.
///
/// # Costs
///
/// Clerk charges for the verification of API keys: at the time of writing 100,000 a month are free,
/// and each further one costs $0.00001. A key that is in constant use is verified once in
/// [`opaque_token_cache_ttl`](crate::ClerkVerifierBuilder::opaque_token_cache_ttl) by each process.
/// At the default of 60 seconds, 1,000 such keys cost one process 1,000 × 60 × 24 × 30 =
/// 43,200,000 verifications in a month of 30 days, of which 43,100,000 are charged: **$431**. With 5
/// minutes it is 8,640,000 verifications and $85.40, and a revocation takes as long to be seen. Two
/// processes cost twice as much. Unknown keys are verified as well, at most as often as
/// [`max_calls_per_ten_seconds`](crate::ClerkVerifierBuilder::max_calls_per_ten_seconds) allows.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::clerk::ApiKeys;
/// use clerk_mcp_tools::instance::FrontendApi;
/// use clerk_mcp_tools::{ClerkVerifier, Scopes, SecretKey};
///
/// let verifier = ClerkVerifier::builder()
///     .frontend_api(FrontendApi::parse("https://clerk.example.com")?)
///     .secret_key(SecretKey::parse("sk_test_0123456789")?)
///     .accept_api_keys(ApiKeys::requiring_scopes(Scopes::parse("mcp")?)?)
///     .build()?;
/// # let _ = verifier;
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ApiKeys {
    scopes: Scopes,
    hierarchy: ScopeHierarchy,
    claims: Arc<Map<String, Value>>,
}

impl ApiKeys {
    /// Accepts keys that have all of these scopes.
    ///
    /// # Errors
    ///
    /// Returns an error if there are no scopes: every user of the application could make a key for
    /// this server. [`any_key_of_the_instance`](Self::any_key_of_the_instance) allows that.
    pub fn requiring_scopes(scopes: Scopes) -> Result<Self, ConfigError> {
        if scopes.is_empty() {
            return Err(no_scopes());
        }
        Ok(Self { scopes, ..Self::any_key_of_the_instance() })
    }

    /// Accepts keys whose claims have a member of this name and value, such as the URL of this
    /// server under `resource`.
    ///
    /// # Errors
    ///
    /// Returns an error if the name is empty or the value is `null`.
    pub fn requiring_claim(
        name: impl Into<String>,
        value: impl Into<Value>,
    ) -> Result<Self, ConfigError> {
        Self::any_key_of_the_instance().and_claim(name, value)
    }

    /// Accepts every valid key of the instance, also those that users make by themselves, which have
    /// neither scopes nor claims.
    ///
    /// **Every user of the application gets in**, with a key that lives as long as the user wants.
    pub fn any_key_of_the_instance() -> Self {
        Self { scopes: Scopes::none(), hierarchy: ScopeHierarchy::new(), claims: Arc::default() }
    }

    /// Requires a claim as well; see [`requiring_claim`](Self::requiring_claim).
    ///
    /// # Errors
    ///
    /// Returns an error if the name is empty or the value is `null`.
    pub fn and_claim(
        mut self,
        name: impl Into<String>,
        value: impl Into<Value>,
    ) -> Result<Self, ConfigError> {
        let (name, value) = (name.into(), value.into());
        if name.is_empty() || value.is_null() {
            return Err(ConfigError::invalid(
                "ApiKeys",
                "requires a claim without a name or without a value: set both",
            ));
        }
        Arc::make_mut(&mut self.claims).insert(name, value);
        Ok(self)
    }

    /// Sets which scopes imply others. Defaults to none.
    pub fn scope_hierarchy(mut self, hierarchy: ScopeHierarchy) -> Self {
        self.hierarchy = hierarchy;
        self
    }

    /// Checks a valid key's scopes and claims.
    pub(in crate::clerk) fn check(
        &self,
        scopes: &Scopes,
        claims: &Map<String, Value>,
    ) -> Result<(), VerifyError> {
        if self.claims.iter().any(|(name, value)| claims.get(name) != Some(value)) {
            return Err(VerifyError::new(VerifyErrorKind::InvalidAudience).with_detail(
                "the API key does not have the claim by which it is for this server \
                 (ApiKeys::requiring_claim)",
            ));
        }
        if !self.hierarchy.grants_all(scopes, &self.scopes) {
            return Err(VerifyError::insufficient_scope(&self.scopes, scopes));
        }
        Ok(())
    }
}

pub(in crate::clerk) fn no_scopes() -> ConfigError {
    ConfigError::missing(
        "MCP_SCOPES",
        "is not set, or no scopes are: API keys are accepted only with scopes, since every user of \
         the application can make keys without any; set the scopes of the endpoint, or use \
         ApiKeys::requiring_claim or ApiKeys::any_key_of_the_instance",
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scopes_and_claims_bind_a_key() {
        let hierarchy = ScopeHierarchy::new().implies("admin", ["mcp"]).unwrap();
        let scopes = ApiKeys::requiring_scopes(Scopes::parse("mcp").unwrap()).unwrap();
        let scopes = scopes.scope_hierarchy(hierarchy);
        let claim = ApiKeys::requiring_claim("for", "mcp").unwrap();
        let both = scopes.clone().and_claim("n", 1).unwrap();
        let any = ApiKeys::any_key_of_the_instance();
        let (missing, foreign) =
            (Some(VerifyErrorKind::InsufficientScope), Some(VerifyErrorKind::InvalidAudience));
        let rows = [
            (&scopes, "mcp", json!({}), None),
            (&scopes, "a mcp", json!({"x": 1}), None),
            (&scopes, "admin", json!({}), None),
            (&scopes, "", json!({"scopes": "mcp"}), missing),
            (&scopes, "MCP mcp:read", json!({}), missing),
            (&claim, "", json!({"for": "mcp"}), None),
            (&claim, "mcp", json!({}), foreign),
            (&claim, "", json!({"for": ["mcp"]}), foreign),
            (&claim, "", json!({"for": "MCP"}), foreign),
            (&claim, "", json!({"For": "mcp"}), foreign),
            (&claim, "", json!({"for": null}), foreign),
            (&both, "mcp", json!({"n": 1}), None),
            (&both, "mcp", json!({"n": "1"}), foreign),
            (&both, "", json!({"n": 1}), missing),
            (&both, "", json!({}), foreign),
            (&any, "", json!({}), None),
        ];
        for (rules, granted, claims, expected) in rows {
            let granted = Scopes::parse(granted).unwrap();
            let outcome = rules.check(&granted, claims.as_object().unwrap());
            let kind = outcome.err().map(|error| error.kind());
            assert_eq!(kind, expected, "{rules:?} {granted} {claims}");
        }
    }

    #[test]
    fn rules_that_bind_nothing_are_errors() {
        let error = ApiKeys::requiring_scopes(Scopes::none()).unwrap_err().to_string();
        assert!(error.contains("every user of the application"), "{error}");
        assert!(ApiKeys::requiring_claim("", 1).is_err());
        assert!(ApiKeys::requiring_claim("a", Value::Null).is_err());
    }
}
