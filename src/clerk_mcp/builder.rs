use std::sync::Arc;

use super::{ClerkMcp, Parts};
use crate::clerk::env::Env;
use crate::clerk::{ClerkVerifier, ClerkVerifierBuilder};
use crate::error::ConfigError;
use crate::mcp::AccessPolicy;
use crate::metadata::{ProtectedResourceMetadata, ProtectedResourceMetadataBuilder};
use crate::oauth::{OFFLINE_ACCESS, ResourceUrl, ScopeHierarchy, Scopes};
use crate::services::{AuthorizationServerService, ProtectedResourceService};

type Customize =
    Arc<dyn Fn(ProtectedResourceMetadataBuilder) -> ProtectedResourceMetadataBuilder + Send + Sync>;

/// Builds a [`ClerkMcp`].
#[derive(Clone)]
#[must_use]
pub struct ClerkMcpBuilder {
    resource: Option<ResourceUrl>,
    verifier: Verifier,
    scopes: Scopes,
    advertised: Option<Scopes>,
    hierarchy: ScopeHierarchy,
    operations: AccessPolicy,
    optional: bool,
    cors: bool,
    narrow: bool,
    customize: Option<Customize>,
    /// The first setting of the environment that cannot be used; `build` reports it.
    problem: Option<ConfigError>,
}

impl ClerkMcpBuilder {
    pub(super) fn new() -> Self {
        Self {
            resource: None,
            verifier: Verifier::None,
            scopes: Scopes::none(),
            advertised: None,
            hierarchy: ScopeHierarchy::new(),
            operations: AccessPolicy::empty(),
            optional: false,
            cors: true,
            narrow: false,
            customize: None,
            problem: None,
        }
    }

    /// Reads the settings from the environment: `MCP_RESOURCE_URL` for the endpoint's URL, `MCP_SCOPES` for the scopes,
    /// separated by spaces, and the variables of [`ClerkVerifierBuilder::env`](crate::ClerkVerifierBuilder::env) for the verifier.
    ///
    /// A variable that is empty counts as not set. [`build`](Self::build) reports an invalid value.
    pub fn env(self) -> Self {
        self.env_from(|name| std::env::var(name).ok())
    }

    /// Reads the variables of [`env`](Self::env) from `var`, such as a file or a test's own list.
    pub fn env_from(mut self, var: impl Fn(&str) -> Option<String>) -> Self {
        if let Err(problem) = self.read_env(&Env::new(&var)) {
            self.problem.get_or_insert(problem);
        }
        self.verifier = Verifier::FromEnv(Box::new(ClerkVerifier::builder().env_from(var)));
        self
    }

    fn read_env(&mut self, env: &Env<'_>) -> Result<(), ConfigError> {
        self.resource = env.resource()?.or(self.resource.take());
        if let Some(scopes) = env.scopes()? {
            self.scopes = scopes;
        }
        Ok(())
    }

    /// Sets the public URL of the MCP endpoint, such as `https://mcp.example.com/mcp`.
    pub fn resource(mut self, resource: ResourceUrl) -> Self {
        self.resource = Some(resource);
        self
    }

    /// Sets the verifier of the tokens.
    pub fn verifier(mut self, verifier: ClerkVerifier) -> Self {
        self.verifier = Verifier::Given(verifier);
        self
    }

    /// The scopes that every request needs (the baseline), which are named in every challenge and, unless
    /// [`scopes_supported`](Self::scopes_supported) says otherwise, in the metadata.
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = scopes;
        self
    }

    /// What single operations need besides; nothing unless it is said. The rules are applied by
    /// [`ClerkMcp::access_policy_layer`], which has to stand around the MCP service, inside the bearer layer.
    pub fn access_policy(mut self, rules: AccessPolicy) -> Self {
        self.operations = rules;
        self
    }

    /// The scopes that the metadata names, which clients ask for at their first sign-in: those that every request needs
    /// unless it is said. Clients that step up ask for those of single operations when one of them needs more; for clients
    /// that do not, name here what [`access_policy`](Self::access_policy) needs as well.
    pub fn scopes_supported(mut self, scopes: Scopes) -> Self {
        self.advertised = Some(scopes);
        self
    }

    /// Which scopes imply others.
    pub fn scope_hierarchy(mut self, hierarchy: ScopeHierarchy) -> Self {
        self.hierarchy = hierarchy;
        self
    }

    /// Lets requests without a token pass; see [`BearerAuthLayer::optional`](crate::bearer_auth::BearerAuthLayer::optional).
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// Leaves CORS to a layer of your own; see [`BearerAuthLayer::without_cors`](crate::bearer_auth::BearerAuthLayer::without_cors).
    pub fn without_cors(mut self) -> Self {
        self.cors = false;
        self
    }

    /// Narrows `scopes_supported` in the authorization server's metadata to this server's, for clients that ask for all
    /// they find there and are then refused by Clerk (`invalid_scope`).
    pub fn restrict_advertised_scopes(mut self) -> Self {
        self.narrow = true;
        self
    }

    /// Adds to the protected resource's metadata, such as a name for users to see. The resource, its authorization
    /// server and its scopes stay those of the guard.
    ///
    /// ```
    /// # use clerk_mcp_tools::ClerkMcp;
    /// let builder = ClerkMcp::builder()
    ///     .customize_metadata(|document| document.resource_name("Example").resource_tos_uri("https://example.com/tos"));
    /// # let _ = builder;
    /// ```
    pub fn customize_metadata<F>(mut self, customize: F) -> Self
    where
        F: Fn(ProtectedResourceMetadataBuilder) -> ProtectedResourceMetadataBuilder
            + Send
            + Sync
            + 'static,
    {
        self.customize = Some(Arc::new(customize));
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
            ConfigError::missing(
                "MCP_RESOURCE_URL",
                "is not set: it is the public URL of the MCP endpoint",
            )
        })?;
        let verifier = self.verifier.build(&resource)?;
        check_resource(&resource, &verifier)?;
        let advertised = self.advertised.unwrap_or_else(|| self.scopes.clone());
        check_grantable(&self.scopes.union(&self.operations.scopes()))?;
        check_advertised(&self.scopes, &advertised, &self.hierarchy)?;
        let document = ProtectedResourceMetadata::for_clerk(verifier.frontend_api(), &resource)
            .scopes_supported(&advertised);
        let mut document = match self.customize {
            Some(customize) => customize(document).build()?,
            None => document.build()?,
        };
        // Whatever `customize_metadata` did: what is guarded and what is said must be the same.
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

/// Where the verifier comes from.
#[derive(Clone, Debug)]
enum Verifier {
    None,
    Given(ClerkVerifier),
    FromEnv(Box<ClerkVerifierBuilder>),
}

impl Verifier {
    fn build(self, resource: &ResourceUrl) -> Result<ClerkVerifier, ConfigError> {
        match self {
            Self::Given(verifier) => Ok(verifier),
            Self::FromEnv(builder) => builder.resource(resource.clone()).build(),
            Self::None => Err(ConfigError::missing(
                "verifier",
                "is not set: pass a ClerkVerifier, or read Clerk's settings from the environment with env()",
            )),
        }
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
