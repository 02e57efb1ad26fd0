//! The metadata document of a protected resource (RFC 9728).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::ConfigError;
use crate::instance::FrontendApi;
use crate::oauth::{ResourceUrl, Scopes};

/// The metadata of a protected resource (RFC 9728 section 2), from which an MCP client learns where
/// to sign in and which scopes to request.
///
/// Members without a value are left out, never `null`.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::metadata::ProtectedResourceMetadata;
/// use clerk_mcp_tools::{PublishableKey, ResourceUrl, Scopes};
///
/// let key = PublishableKey::parse("pk_test_Zm9vLWJhci0xMy5jbGVyay5hY2NvdW50cy5kZXYk")?;
/// let resource = ResourceUrl::parse("https://mcp.example.com/mcp")?;
/// let document = ProtectedResourceMetadata::for_clerk(&key, &resource)
///     .scopes_supported(&Scopes::parse("profile email")?)
///     .build()?;
/// assert_eq!(
///     serde_json::to_value(&document).unwrap(),
///     serde_json::json!({
///         "resource": "https://mcp.example.com/mcp",
///         "authorization_servers": ["https://foo-bar-13.clerk.accounts.dev"],
///         "scopes_supported": ["profile", "email"],
///         "bearer_methods_supported": ["header"],
///     }),
/// );
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProtectedResourceMetadata {
    /// The resource identifier: exactly the URL that clients use.
    pub resource: String,
    /// The issuers that clients may obtain tokens from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorization_servers: Vec<String>,
    /// The URL of the *resource's own* key set, such as for signed responses. It is not that of the
    /// authorization server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// The scopes that clients may request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes_supported: Vec<String>,
    /// How a token may be presented. MCP allows only `header`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bearer_methods_supported: Vec<String>,
    /// The algorithms with which the resource signs responses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resource_signing_alg_values_supported: Vec<String>,
    /// The name to show to users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_name: Option<String>,
    /// The URL of a page for developers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_documentation: Option<String>,
    /// The URL of a page about how data may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_policy_uri: Option<String>,
    /// The URL of the terms of service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_tos_uri: Option<String>,
    /// Whether tokens bound to a client certificate are supported (RFC 8705).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_certificate_bound_access_tokens: Option<bool>,
    /// The supported types of authorization details (RFC 9396).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorization_details_types_supported: Vec<String>,
    /// The supported algorithms of DPoP proofs (RFC 9449).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dpop_signing_alg_values_supported: Vec<String>,
    /// Whether only DPoP-bound tokens are accepted (RFC 9449).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dpop_bound_access_tokens_required: Option<bool>,
    /// The metadata as a signed JWT (RFC 9728 section 2.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_metadata: Option<String>,
    /// Every other member, such as `resource_name#de` (RFC 9728 section 2.1).
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ProtectedResourceMetadata {
    /// Returns a builder for the document of a resource.
    pub fn builder(resource: &ResourceUrl) -> ProtectedResourceMetadataBuilder {
        ProtectedResourceMetadataBuilder {
            document: Self {
                resource: resource.as_str().to_owned(),
                authorization_servers: Vec::new(),
                jwks_uri: None,
                scopes_supported: Vec::new(),
                bearer_methods_supported: vec!["header".to_owned()],
                resource_signing_alg_values_supported: Vec::new(),
                resource_name: None,
                resource_documentation: None,
                resource_policy_uri: None,
                resource_tos_uri: None,
                tls_client_certificate_bound_access_tokens: None,
                authorization_details_types_supported: Vec::new(),
                dpop_signing_alg_values_supported: Vec::new(),
                dpop_bound_access_tokens_required: None,
                signed_metadata: None,
                extra: Map::new(),
            },
        }
    }

    /// Returns a builder for the document of a resource whose tokens are issued by a Clerk
    /// instance, given by its publishable key or its [`FrontendApi`].
    pub fn for_clerk(
        instance: impl Into<FrontendApi>,
        resource: &ResourceUrl,
    ) -> ProtectedResourceMetadataBuilder {
        Self::builder(resource).authorization_server(instance.into().issuer())
    }
}

/// A builder of a [`ProtectedResourceMetadata`].
#[derive(Clone, Debug)]
#[must_use]
pub struct ProtectedResourceMetadataBuilder {
    document: ProtectedResourceMetadata,
}

macro_rules! string_members {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        pub fn $name(mut self, value: impl Into<String>) -> Self {
            self.document.$name = Some(value.into());
            self
        }
    )*};
}

macro_rules! list_members {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        pub fn $name<I>(mut self, values: I) -> Self
        where
            I: IntoIterator,
            I::Item: Into<String>,
        {
            self.document.$name = values.into_iter().map(Into::into).collect();
            self
        }
    )*};
}

impl ProtectedResourceMetadataBuilder {
    /// Adds an issuer that clients may obtain tokens from.
    pub fn authorization_server(mut self, issuer: impl Into<String>) -> Self {
        self.document.authorization_servers.push(issuer.into());
        self
    }

    /// Sets the scopes that clients may request. Defaults to none. `offline_access` is left out,
    /// since it concerns only the client and the authorization server (MCP 2026-07-28).
    pub fn scopes_supported(mut self, scopes: &Scopes) -> Self {
        self.document.scopes_supported = scopes.advertisable().iter().map(str::to_owned).collect();
        self
    }

    string_members! {
        /// Sets the URL of the *resource's own* key set, not of the authorization server's.
        /// Defaults to none.
        jwks_uri,
        /// Sets the name to show to users. Defaults to none.
        resource_name,
        /// Sets the URL of a page for developers. Defaults to none.
        resource_documentation,
        /// Sets the URL of a page about how data may be used. Defaults to none.
        resource_policy_uri,
        /// Sets the URL of the terms of service. Defaults to none.
        resource_tos_uri,
        /// Sets the metadata as a signed JWT (RFC 9728 section 2.2), which is not checked. Defaults
        /// to none.
        signed_metadata,
    }

    list_members! {
        /// Sets how a token may be presented. Defaults to `header`.
        bearer_methods_supported,
        /// Sets the algorithms with which the resource signs responses. Defaults to none.
        resource_signing_alg_values_supported,
        /// Sets the supported types of authorization details (RFC 9396). Defaults to none.
        authorization_details_types_supported,
        /// Sets the supported algorithms of DPoP proofs (RFC 9449). Defaults to none.
        dpop_signing_alg_values_supported,
    }

    /// Sets whether tokens bound to a client certificate are supported (RFC 8705). Defaults to no
    /// value. This crate does not check the binding.
    pub fn tls_client_certificate_bound_access_tokens(mut self, supported: bool) -> Self {
        self.document.tls_client_certificate_bound_access_tokens = Some(supported);
        self
    }

    /// Sets whether only DPoP-bound tokens are accepted (RFC 9449). Defaults to no value. This
    /// crate does not check the binding.
    pub fn dpop_bound_access_tokens_required(mut self, required: bool) -> Self {
        self.document.dpop_bound_access_tokens_required = Some(required);
        self
    }

    /// Adds another member, such as `resource_name#de` (RFC 9728 section 2.1).
    pub fn extra(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.document.extra.insert(name.into(), value.into());
        self
    }

    /// Builds the document.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no authorization server, of which MCP requires one, or if a
    /// member added with [`extra`](Self::extra) has a name that RFC 9728 defines, or is `null` or
    /// an empty list.
    pub fn build(self) -> Result<ProtectedResourceMetadata, ConfigError> {
        if self.document.authorization_servers.is_empty() {
            return Err(ConfigError::missing(
                "authorization_servers",
                "is empty: add the issuer that clients obtain their tokens from",
            ));
        }
        for (name, value) in &self.document.extra {
            if DEFINED_MEMBERS.contains(&name.as_str()) {
                let problem =
                    "is a member that RFC 9728 defines: set it with the method of that name";
                return Err(ConfigError::invalid(name.clone(), problem));
            }
            if value.is_null() || value.as_array().is_some_and(Vec::is_empty) {
                let problem = "has no value: leave it out (RFC 9728 section 3.2)";
                return Err(ConfigError::invalid(name.clone(), problem));
            }
        }
        Ok(self.document)
    }
}

/// The members that RFC 9728 section 2 defines.
const DEFINED_MEMBERS: [&str; 15] = [
    "resource",
    "authorization_servers",
    "jwks_uri",
    "scopes_supported",
    "bearer_methods_supported",
    "resource_signing_alg_values_supported",
    "resource_name",
    "resource_documentation",
    "resource_policy_uri",
    "resource_tos_uri",
    "tls_client_certificate_bound_access_tokens",
    "authorization_details_types_supported",
    "dpop_signing_alg_values_supported",
    "dpop_bound_access_tokens_required",
    "signed_metadata",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> ProtectedResourceMetadataBuilder {
        let resource = ResourceUrl::parse("https://h.example/mcp").unwrap();
        ProtectedResourceMetadata::builder(&resource).authorization_server("https://as.example")
    }

    #[test]
    fn serializes_every_member_under_its_name_and_parses_it_again() {
        let document = builder()
            .jwks_uri("https://h.example/jwks")
            .scopes_supported(&Scopes::parse("a offline_access b").unwrap())
            .resource_signing_alg_values_supported(["RS256"])
            .resource_name("Name")
            .resource_documentation("https://h.example/doc")
            .resource_policy_uri("https://h.example/policy")
            .resource_tos_uri("https://h.example/tos")
            .tls_client_certificate_bound_access_tokens(false)
            .authorization_details_types_supported(["t"])
            .dpop_signing_alg_values_supported(["ES256"])
            .dpop_bound_access_tokens_required(false)
            .signed_metadata("a.b.c")
            .extra("resource_name#de", "Name")
            .build()
            .unwrap();
        let json = serde_json::to_value(&document).unwrap();
        let names: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(DEFINED_MEMBERS.iter().all(|name| names.contains(name)), "{names:?}");
        assert_eq!(names.len(), DEFINED_MEMBERS.len() + 1);
        assert_eq!(json["scopes_supported"], serde_json::json!(["a", "b"]));
        assert_eq!(serde_json::from_value::<ProtectedResourceMetadata>(json).unwrap(), document);
    }

    #[test]
    fn rejects_extra_members_that_would_break_the_document() {
        assert_eq!(
            builder().extra("resource", "https://evil").build().unwrap_err().setting(),
            "resource"
        );
        assert_eq!(builder().extra("x", Value::Null).build().unwrap_err().setting(), "x");
        assert_eq!(builder().extra("x", Value::Array(vec![])).build().unwrap_err().setting(), "x");
        let resource = ResourceUrl::parse("https://h.example/mcp").unwrap();
        assert!(ProtectedResourceMetadata::builder(&resource).build().is_err());
    }
}
