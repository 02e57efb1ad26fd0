use std::sync::Arc;

use super::{ClerkMcp, Parts};
use crate::clerk::ClerkVerifier;
use crate::error::ConfigError;
use crate::mcp::OperationScopes;
use crate::metadata::{ProtectedResourceMetadata, ProtectedResourceMetadataBuilder};
use crate::oauth::{OFFLINE_ACCESS, ResourceUrl, ScopeHierarchy, Scopes};
use crate::services::{AuthorizationServerService, ProtectedResourceService};

type Describe = Box<dyn FnOnce(ProtectedResourceMetadataBuilder) -> ProtectedResourceMetadataBuilder + Send>;

/// Builds a [`ClerkMcp`].
#[must_use]
pub struct ClerkMcpBuilder {
    resource: Option<String>,
    verifier: Option<ClerkVerifier>,
    scopes: Scopes,
    advertised: Option<Scopes>,
    hierarchy: ScopeHierarchy,
    operations: OperationScopes,
    optional: bool,
    cors: bool,
    narrow: bool,
    describe: Option<Describe>,
    /// The first setting of the environment that cannot be used; `build` reports it.
    problem: Option<ConfigError>,
}

impl ClerkMcpBuilder {
    pub(super) fn new(resource: Option<String>) -> Self {
        Self {
            resource,
            verifier: None,
            scopes: Scopes::none(),
            advertised: None,
            hierarchy: ScopeHierarchy::new(),
            operations: OperationScopes::new(),
            optional: false,
            cors: true,
            narrow: false,
            describe: None,
            problem: None,
        }
    }

    pub(super) fn env(mut self) -> Self {
        let var = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        self.resource = var("MCP_RESOURCE_URL");
        match var("MCP_SCOPES").map_or(Ok(Scopes::none()), |list| Scopes::parse(&list)) {
            Ok(scopes) => self.scopes = scopes,
            Err(problem) => self.problem = Some(problem),
        }
        self
    }

    /// Who verifies the tokens; [`ClerkVerifier::from_env`] unless it is said.
    pub fn verifier(mut self, verifier: ClerkVerifier) -> Self {
        self.verifier = Some(verifier);
        self
    }

    /// The scopes that every request needs (the baseline), which are named in every challenge and, unless
    /// [`scopes_supported`](Self::scopes_supported) says otherwise, in the metadata.
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = scopes;
        self
    }

    /// What single operations need besides; nothing unless it is said. The rules are applied by
    /// [`ClerkMcp::operation_scopes_layer`], which has to stand around the MCP service, inside the bearer layer.
    pub fn operation_scopes(mut self, rules: OperationScopes) -> Self {
        self.operations = rules;
        self
    }

    /// The scopes that the metadata names, which clients ask for at their first sign-in: those that every request needs
    /// unless it is said. Clients that step up ask for those of single operations when one of them needs more; for clients
    /// that do not, name here what [`operation_scopes`](Self::operation_scopes) needs as well.
    pub fn scopes_supported(mut self, scopes: Scopes) -> Self {
        self.advertised = Some(scopes);
        self
    }

    /// Which scopes imply others.
    pub fn scope_hierarchy(mut self, hierarchy: ScopeHierarchy) -> Self {
        self.hierarchy = hierarchy;
        self
    }

    /// Lets requests without a token pass; see [`BearerAuthLayer::optional`](crate::BearerAuthLayer::optional).
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// Leaves CORS to a layer of your own; see [`BearerAuthLayer::without_cors`](crate::BearerAuthLayer::without_cors).
    pub fn without_cors(mut self) -> Self {
        self.cors = false;
        self
    }

    /// Narrows `scopes_supported` in the authorization server's metadata to this server's, for clients that ask for all
    /// they find there and are then refused by Clerk (`invalid_scope`).
    pub fn narrow_authorization_server_scopes(mut self) -> Self {
        self.narrow = true;
        self
    }

    /// Adds to the protected resource's metadata, such as a name for users to see. The resource, its authorization
    /// server and its scopes stay those of the guard.
    ///
    /// ```
    /// # use clerk_mcp_tools::ClerkMcp;
    /// let builder = ClerkMcp::builder("https://mcp.example.com/mcp")
    ///     .describe(|document| document.resource_name("Example").resource_tos_uri("https://example.com/tos"));
    /// # let _ = builder;
    /// ```
    pub fn describe<F>(mut self, describe: F) -> Self
    where
        F: FnOnce(ProtectedResourceMetadataBuilder) -> ProtectedResourceMetadataBuilder + Send + 'static,
    {
        self.describe = Some(Box::new(describe));
        self
    }

    /// All parts.
    ///
    /// # Errors
    ///
    /// When the URL cannot be a resource's, when the verifier is set up for another one, when a needed scope is not
    /// among the advertised ones, or when the settings of the environment make no verifier.
    pub fn build(self) -> Result<ClerkMcp, ConfigError> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let resource = self.resource.ok_or_else(|| {
            ConfigError::missing("MCP_RESOURCE_URL", "is not set: it is the public URL of the MCP endpoint")
        })?;
        let resource = ResourceUrl::parse(&resource)?;
        let verifier = self.verifier.map_or_else(ClerkVerifier::from_env, Ok)?;
        check_resource(&resource, &verifier)?;
        let advertised = self.advertised.unwrap_or_else(|| self.scopes.clone());
        check_grantable(&self.scopes.union(&self.operations.scopes()))?;
        check_advertised(&self.scopes, &advertised, &self.hierarchy)?;
        let document = ProtectedResourceMetadata::for_clerk(verifier.frontend_api(), &resource)
            .scopes_supported(&advertised);
        let mut document = match self.describe {
            Some(describe) => describe(document).build()?,
            None => document.build()?,
        };
        // Whatever `describe` did: what is guarded and what is said must be the same.
        document.authorization_servers = vec![verifier.frontend_api().issuer().to_owned()];
        document.scopes_supported = advertised.advertisable().iter().map(str::to_owned).collect();
        let narrowed_to = self.narrow.then_some(advertised);
        Ok(ClerkMcp(Arc::new(Parts {
            protected_resource: ProtectedResourceService::new(&document),
            authorization_server: AuthorizationServerService::narrowed(&verifier, narrowed_to),
            resource,
            verifier,
            scopes: self.scopes,
            hierarchy: self.hierarchy,
            operations: self.operations,
            optional: self.optional,
            cors: self.cors,
            document,
        })))
    }
}

fn check_resource(resource: &ResourceUrl, verifier: &ClerkVerifier) -> Result<(), ConfigError> {
    match verifier.resource() {
        Some(other) if other != resource => Err(ConfigError::conflict(
            "MCP_RESOURCE_URL",
            format!(
                "is {other} for the verifier and {resource} for the endpoint: name the same URL, or only the endpoint's"
            ),
        )),
        _ => Ok(()),
    }
}

fn check_grantable(needed: &Scopes) -> Result<(), ConfigError> {
    if !needed.contains(OFFLINE_ACCESS) {
        return Ok(());
    }
    Err(ConfigError::invalid(
        "scopes",
        "cannot hold offline_access: it is between client and authorization server, and no client would be told to \
         ask for it (MCP 2026-07-28)",
    ))
}

/// A scope that every request needs and that is not advertised is one that no client asks for at first.
fn check_advertised(
    needed: &Scopes,
    advertised: &Scopes,
    hierarchy: &ScopeHierarchy,
) -> Result<(), ConfigError> {
    match needed.iter().find(|scope| !hierarchy.grants(advertised, scope)) {
        Some(scope) => Err(ConfigError::conflict(
            "scopes_supported",
            format!("does not have {scope}, which every request needs: add it"),
        )),
        None => Ok(()),
    }
}

impl std::fmt::Debug for ClerkMcpBuilder {
    /// Without the resource: as long as it is not checked, it may be a key in the wrong place.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClerkMcpBuilder")
            .field("verifier", &self.verifier)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}
