//! The usual entry point: every part that guards one MCP endpoint, built from one value.

mod auth_layer;
mod authorization_server;
mod builder;
#[cfg(feature = "axum")]
mod mount;
mod organizations;
mod token_exchange;

use std::sync::Arc;

use http::{HeaderMap, Method, Response};

use crate::clerk::{ClerkVerifier, TokenExchange};
use crate::error::ConfigError;
use crate::metadata::{
    AUTHORIZATION_SERVER_WELL_KNOWN, PROTECTED_RESOURCE_WELL_KNOWN, ProtectedResourceMetadata,
    protected_resource_metadata_url, well_known_paths,
};
use crate::oauth::{AuthInfo, ResourceUrl, ScopeHierarchy, Scopes};
use crate::response::{ChallengeContext, Rejection, ResponseBody};
use crate::services::{
    AuthorizationServerService, ProtectedResourceService, WellKnownLayer, WellKnownService,
};

pub use auth_layer::AuthLayer;
pub use builder::ClerkMcpBuilder;

/// The guard of one MCP endpoint, for the tokens of one Clerk instance.
///
/// All parts (the layer, the metadata services, their paths) are built from one endpoint URL and
/// one list of scopes, so the challenge, the metadata document and the audience of the tokens
/// cannot disagree. A clone is cheap.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::{ClerkMcp, ClerkVerifier, PublishableKey, Scopes};
///
/// let verifier = ClerkVerifier::builder()
///     .publishable_key(PublishableKey::parse("pk_test_Zm9vLWJhci0xMy5jbGVyay5hY2NvdW50cy5kZXYk")?)
///     .build()?;
/// let clerk = ClerkMcp::builder()
///     .resource("https://mcp.example.com/mcp".parse()?)
///     .verifier(verifier)
///     .scopes(Scopes::parse("profile email")?)
///     .build()?;
///
/// // Put this around the MCP service:
/// let guard = clerk.auth_layer();
/// // And serve the metadata documents, from a router or without one:
/// let paths: Vec<String> = clerk.well_known_routes().into_iter().map(|(path, _)| path).collect();
/// assert!(paths.contains(&"/.well-known/oauth-protected-resource/mcp".to_owned()));
/// let without_router = clerk.well_known_layer();
/// # let _ = (guard, without_router);
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClerkMcp(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    resource: ResourceUrl,
    verifier: ClerkVerifier,
    scopes: Scopes,
    initial_scopes: Scopes,
    hierarchy: ScopeHierarchy,
    exchange: Option<TokenExchange>,
    auth_layer: AuthLayer,
    cors: bool,
    root_metadata: bool,
    authorization_server_metadata: bool,
    metadata: ProtectedResourceMetadata,
    protected_resource: ProtectedResourceService,
    authorization_server: AuthorizationServerService,
}

impl ClerkMcp {
    /// Returns a builder. A [resource](ClerkMcpBuilder::resource) is required, and so is either a
    /// [verifier](ClerkMcpBuilder::verifier) or the [environment](ClerkMcpBuilder::env).
    pub fn builder() -> ClerkMcpBuilder {
        ClerkMcpBuilder::new()
    }

    /// Builds everything from the environment; see [`ClerkMcpBuilder::env`] for the variables.
    ///
    /// # Errors
    ///
    /// Returns an error if `MCP_RESOURCE_URL` or the name of the Clerk instance is missing, or if
    /// a variable is invalid.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::builder().env().build()
    }

    /// Returns the layer that guards the MCP service: it authenticates each request, then applies
    /// the [access policy](ClerkMcpBuilder::access_policy) if there is one.
    ///
    /// The service gets a request whose body is a
    /// [`RequestBody`](crate::access_policy::RequestBody), which axum and rmcp accept as any other.
    pub fn auth_layer(&self) -> AuthLayer {
        self.0.auth_layer.clone()
    }

    /// Authenticates a request by its headers, for a server without tower: what
    /// [`auth_layer`](Self::auth_layer) does before it applies the access policy, for which
    /// [`authorize`](Self::authorize) is.
    ///
    /// # Errors
    ///
    /// Returns a rejection for every request that the layer rejects; [`reject`](Self::reject) makes
    /// the response of it. A request without a token is rejected in any case. Where tokens are
    /// optional, look for the header `Authorization` first: any request that has it must be
    /// authenticated.
    ///
    /// # Example
    ///
    /// ```
    /// use clerk_mcp_tools::response::ResponseBody;
    /// use clerk_mcp_tools::{ClerkMcp, Rejection};
    /// use http::{Request, Response};
    ///
    /// /// A handler that has read the body already.
    /// async fn handle(
    ///     clerk: &ClerkMcp,
    ///     request: &Request<Vec<u8>>,
    /// ) -> Result<String, Response<ResponseBody>> {
    ///     let reject = |rejection: Rejection| clerk.reject(rejection);
    ///     let caller = clerk.authenticate(request.headers()).await.map_err(reject)?;
    ///     clerk
    ///         .authorize(request.method(), request.headers(), request.body(), Some(&caller))
    ///         .await
    ///         .map_err(reject)?;
    ///     Ok(format!("hello {}", caller.principal().id()))
    /// }
    /// ```
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<AuthInfo, Rejection> {
        self.0.auth_layer.bearer_auth().authenticate(&self.0.resource, headers).await
    }

    /// Applies the [access policy](ClerkMcpBuilder::access_policy) to a request whose body was read,
    /// for a server without tower. It waits only for rules about the members of an organization.
    /// `caller` is the one that [`authenticate`](Self::authenticate)
    /// returned, or `None` for a request without a token where tokens are optional.
    ///
    /// The body must be complete, and must not have been changed or decoded. A server that lets
    /// connections be upgraded must reject those requests itself.
    ///
    /// # Errors
    ///
    /// Returns a rejection for every request that the layer rejects.
    pub async fn authorize(
        &self,
        method: &Method,
        headers: &HeaderMap,
        body: &[u8],
        caller: Option<&AuthInfo>,
    ) -> Result<(), Rejection> {
        self.0.auth_layer.access_policy().check(method, headers, body, caller).await
    }

    /// Returns the response to a request that a handler rejects, such as for an
    /// [`InsufficientScope`](crate::InsufficientScope): the one that the layers would send by HTTP
    /// status, with this resource and its scopes. The rejection is logged as theirs are.
    #[must_use]
    pub fn reject(&self, rejection: impl Into<Rejection>) -> Response<ResponseBody> {
        let context = ChallengeContext {
            resource_metadata: protected_resource_metadata_url(&self.0.resource),
            scopes: self.0.scopes.clone(),
            initial_scopes: self.0.initial_scopes.clone(),
            cors: self.0.cors,
        };
        let rejection = rejection.into();
        self.0.auth_layer.bearer_auth().observer().log_rejection(&rejection);
        context.respond(rejection)
    }

    /// Returns every well-known path with the service that answers there, for a router. For axum,
    /// `mount` (feature `axum`) adds them together with the guarded service.
    #[must_use]
    pub fn well_known_routes(&self) -> Vec<(String, WellKnownService)> {
        let protected_resource = (
            PROTECTED_RESOURCE_WELL_KNOWN,
            WellKnownService::ProtectedResource(self.protected_resource_service()),
        );
        let authorization_server = self.0.authorization_server_metadata.then(|| {
            let service =
                WellKnownService::AuthorizationServer(self.authorization_server_service());
            (AUTHORIZATION_SERVER_WELL_KNOWN, service)
        });
        let documents = [Some(protected_resource), authorization_server].into_iter().flatten();
        let routes = documents.flat_map(|(well_known, service)| {
            let is_root = move |path: &str| path.trim_end_matches('/') == well_known;
            let paths = well_known_paths(well_known, &self.0.resource).into_iter();
            let paths = paths.filter(move |path| self.0.root_metadata || !is_root(path));
            paths.map(move |path| (path, service.clone()))
        });
        routes.collect()
    }

    /// Returns a layer that answers every well-known path, for a stack without a router. It belongs
    /// outside of [`auth_layer`](Self::auth_layer): clients read the documents without a token.
    pub fn well_known_layer(&self) -> WellKnownLayer {
        WellKnownLayer::new(self.well_known_routes())
    }

    /// Returns the service that answers with the protected resource metadata (RFC 9728).
    #[must_use]
    pub fn protected_resource_service(&self) -> ProtectedResourceService {
        self.0.protected_resource.clone()
    }

    /// Returns the service that answers with the authorization server metadata (RFC 8414).
    #[must_use]
    pub fn authorization_server_service(&self) -> AuthorizationServerService {
        self.0.authorization_server.clone()
    }

    /// Returns the protected resource metadata.
    #[must_use]
    pub fn metadata(&self) -> &ProtectedResourceMetadata {
        &self.0.metadata
    }

    /// Returns the public URL of the endpoint.
    #[must_use]
    pub fn resource(&self) -> &ResourceUrl {
        &self.0.resource
    }

    /// Returns the scope hierarchy, for
    /// [`AuthInfo::require_scopes`](crate::AuthInfo::require_scopes).
    #[must_use]
    pub fn scope_hierarchy(&self) -> &ScopeHierarchy {
        &self.0.hierarchy
    }

    /// Returns the scopes that every request needs.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &self.0.scopes
    }

    /// Returns the verifier of the tokens.
    #[must_use]
    pub fn verifier(&self) -> &ClerkVerifier {
        &self.0.verifier
    }
}
