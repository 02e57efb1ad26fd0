//! The layer and its options.

use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use tower_layer::Layer;

use super::authenticator::{Authenticator, PreparedResource};
use super::credentials::bearer_token;
use super::requirements::Requirements;
use super::service::BearerAuth;
use super::session::SessionKey;
use crate::clock::{Clock, SystemClock};
use crate::mcp::{AccessPolicy, McpHeaders};
use crate::metadata::protected_resource_metadata_url;
use crate::oauth::{
    AuthInfo, ResolveResource, ResourceUrl, Resources, ScopeHierarchy, Scopes, TokenRequest,
    VerifyToken,
};
use crate::response::{
    Decision, DecisionObserver, Rejection, RejectionFormat, ResponseTemplates, browser_page,
};

/// Layer that applies [`BearerAuth`]. See the [module's documentation](crate::bearer_auth) for an
/// example.
#[must_use]
pub struct BearerAuthLayer<V> {
    verifier: Arc<V>,
    resources: Resources<ResourceUrl>,
    resource_metadata: Option<ResourceUrl>,
    requirements: Requirements,
    optional: bool,
    cors: bool,
    session_key: Option<SessionKey>,
    browser_page: bool,
    admission_is_inside: bool,
    observer: DecisionObserver,
}

/// What the service inside does, if it is the one that applies the policy.
#[derive(Clone, Copy, Default)]
struct PolicyInside {
    has_policy: bool,
    rejection_format: RejectionFormat,
}

impl<V: VerifyToken> BearerAuthLayer<V> {
    /// Creates a layer that guards one resource. The verifier gets the resource with each token, to
    /// check that the token was issued for it.
    pub fn new(verifier: V, resource: ResourceUrl) -> Self {
        Self::guarding(verifier, Resources::One(resource))
    }

    /// Creates a layer that guards several resources. A request that is for none of them is
    /// rejected with 421.
    pub fn with_resolver(verifier: V, resolver: impl ResolveResource) -> Self {
        Self::guarding(verifier, Resources::ByRequest(Arc::new(resolver)))
    }

    fn guarding(verifier: V, resources: Resources<ResourceUrl>) -> Self {
        Self {
            verifier: Arc::new(verifier),
            resources,
            resource_metadata: None,
            requirements: Requirements::none(),
            optional: false,
            cors: true,
            session_key: None,
            browser_page: true,
            admission_is_inside: false,
            observer: DecisionObserver::new(Arc::new(SystemClock::new())),
        }
    }

    /// Authenticates a request for this resource by its headers.
    pub(crate) async fn authenticate(
        &self,
        resource: &ResourceUrl,
        headers: &HeaderMap,
    ) -> Result<AuthInfo, Rejection> {
        let name_operation = |rejection: Rejection| {
            let operation = McpHeaders::parse(headers).ok().and_then(McpHeaders::into_operation);
            let rejection = rejection.for_operations(operation.as_slice());
            self.requirements.name_operation(rejection, headers)
        };
        let token = bearer_token(headers).map_err(name_operation)?;
        let request = TokenRequest::new(token).for_resource(resource);
        let verified = match self.verifier.cached(request) {
            Some(cached) => cached,
            None => self.verifier.verify_token(request).await,
        };
        self.requirements.check(verified).map_err(name_operation)
    }
}

impl<V> BearerAuthLayer<V> {
    /// Sets the scopes that every request needs. Defaults to none. Every challenge names them.
    pub fn required_scopes(mut self, scopes: Scopes) -> Self {
        self.requirements.scopes = scopes;
        self
    }

    /// Sets the scopes that a client should ask for at its first sign-in, besides the [required
    /// ones](Self::required_scopes). Defaults to none.
    ///
    /// The challenge of a 401 names them, unless the token has merely expired. No request needs
    /// them: they are for clients that never ask for more scopes later.
    pub fn initial_scopes(mut self, scopes: Scopes) -> Self {
        self.requirements.initial_scopes = scopes;
        self
    }

    /// Sets which scopes imply others. Defaults to none.
    pub fn scope_hierarchy(mut self, hierarchy: ScopeHierarchy) -> Self {
        self.requirements.hierarchy = hierarchy;
        self
    }

    /// Passes requests without a token, without [`AuthInfo`](crate::AuthInfo). Defaults to
    /// rejecting them.
    ///
    /// A token that is not valid, or lacks required scopes, is still rejected, and so is an
    /// `Authorization` header with another scheme.
    ///
    /// A CORS preflight is answered only if it announces an `Authorization` header, and responses to
    /// requests without a token get no CORS headers. Otherwise every page that a user visits could
    /// call a server on the user's machine or network. A server that pages may use without a token
    /// needs a CORS layer of its own with the origins that it trusts:
    ///
    /// ```
    /// use clerk_mcp_tools::{ClerkMcp, ClerkVerifier};
    /// use http::{HeaderName, HeaderValue, Method, header};
    /// use tower_http::cors::CorsLayer;
    ///
    /// # fn example(builder: clerk_mcp_tools::ClerkMcpBuilder)
    /// # -> Result<(), clerk_mcp_tools::ConfigError> {
    /// let clerk = builder.optional().without_cors().build()?;
    /// // Around `clerk.auth_layer()`:
    /// let cors = CorsLayer::new()
    ///     .allow_origin(HeaderValue::from_static("https://app.example.com"))
    ///     .allow_methods([Method::GET, Method::POST, Method::DELETE])
    ///     .allow_headers([
    ///         header::AUTHORIZATION,
    ///         header::CONTENT_TYPE,
    ///         HeaderName::from_static("mcp-protocol-version"),
    ///         HeaderName::from_static("mcp-session-id"),
    ///         HeaderName::from_static("mcp-method"),
    ///         HeaderName::from_static("mcp-name"),
    ///     ])
    ///     .expose_headers([
    ///         header::WWW_AUTHENTICATE,
    ///         HeaderName::from_static("mcp-session-id"),
    ///     ]);
    /// # let _ = (clerk, cors);
    /// # Ok(())
    /// # }
    /// ```
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// Leaves CORS to another layer around this one: preflights are not answered, and responses get
    /// no CORS headers.
    ///
    /// By default responses are readable from any origin. That is safe because access depends on
    /// the bearer token, never on cookies or the caller's address. A CORS layer that allows only
    /// some origins needs this option, since such layers do not remove existing headers.
    pub fn without_cors(mut self) -> Self {
        self.cors = false;
        self
    }

    /// Sets the policy of the layer inside this one, for challenges only: they name the scopes of
    /// the operation as well, so that one consent is enough. The body is not read before the token
    /// has been verified; until then the headers `Mcp-Method` and `Mcp-Name` name the operation
    /// (MCP 2026-07-28).
    pub(crate) fn access_policy(
        mut self,
        policy: AccessPolicy,
        step_up_from_handlers: bool,
    ) -> Self {
        self.requirements.set_policy(policy, step_up_from_handlers);
        self.admission_is_inside = true;
        self
    }

    /// Binds the `Mcp-Session-Id`s that the service hands out to the caller that gets them. Defaults
    /// to not binding them.
    ///
    /// A request with the session id of another caller is rejected with 404, also a `GET` that
    /// resumes a stream and a `DELETE`. Clients then start a new session (MCP 2025-11-25, session
    /// management). The service sees its own ids.
    pub fn bind_sessions(mut self, key: SessionKey) -> Self {
        self.session_key = Some(key);
        self
    }

    /// Sets the URL of the resource's metadata. Defaults to [its well-known
    /// URL](crate::metadata::protected_resource_metadata_url), which is always used with a
    /// resolver.
    pub fn resource_metadata(mut self, url: ResourceUrl) -> Self {
        self.resource_metadata = Some(url);
        self
    }

    /// Answers browsers as every other client without a token. Defaults to a short page in HTML as
    /// the body of the 401, for a `GET` or `HEAD` without a token whose `Accept` prefers `text/html`:
    /// it says that this is an MCP server, and how to connect a client.
    pub fn without_browser_page(mut self) -> Self {
        self.browser_page = false;
        self
    }

    /// Sets a function that is called with each decision of this layer, such as for an audit log.
    /// Defaults to none.
    ///
    /// It is called once for each request, before the request reaches the service, and for a CORS
    /// preflight not at all. Joined with an access policy by
    /// [`AuthLayer::new`](crate::AuthLayer::new), this layer does not decide about the requests that
    /// it passes on; [`AuthLayer::on_decision`](crate::AuthLayer::on_decision) sets the function for
    /// both layers and says what it must not do.
    pub fn on_decision(mut self, hook: impl Fn(&Decision<'_>) + Send + Sync + 'static) -> Self {
        self.observer.set_hook(Arc::new(hook));
        self
    }

    /// Sets the clock that bounds the number of log events. Defaults to that of the operating system.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.observer.set_clock(Arc::new(clock));
        self
    }

    pub(crate) fn observer(&self) -> &DecisionObserver {
        &self.observer
    }

    pub(crate) fn is_optional(&self) -> bool {
        self.optional
    }

    fn authenticator(&self, inside: PolicyInside) -> Authenticator {
        let resources = match &self.resources {
            Resources::One(resource) => Resources::One(self.prepare(resource)),
            Resources::ByRequest(resolver) => Resources::ByRequest(Arc::clone(resolver)),
        };
        Authenticator {
            resources,
            requirements: self.requirements.clone(),
            optional: self.optional,
            cors: self.cors,
            policy_is_inside: inside.has_policy,
            rejection_format: inside.rejection_format,
            session_key: self.session_key.clone(),
            admission_is_inside: self.admission_is_inside,
            browser_page: self.browser_page,
            observer: self.observer.clone(),
        }
    }

    /// Puts the layer around the service that applies the policy, and around no other one. That
    /// service responds to the rejections that depend on the operation.
    pub(crate) fn around_policy<S>(
        &self,
        inner: S,
        rejection_format: RejectionFormat,
    ) -> BearerAuth<S, V> {
        let has_policy = self.requirements.have_policy();
        self.service(inner, PolicyInside { has_policy, rejection_format })
    }

    fn service<S>(&self, inner: S, inside: PolicyInside) -> BearerAuth<S, V> {
        let authenticator = Arc::new(self.authenticator(inside));
        BearerAuth::new(inner, Arc::clone(&self.verifier), authenticator)
    }

    fn prepare(&self, resource: &ResourceUrl) -> PreparedResource {
        let resource_metadata = match &self.resource_metadata {
            Some(url) => url.to_string(),
            None => protected_resource_metadata_url(resource),
        };
        let context = self.requirements.challenge_context(resource_metadata, self.cors);
        PreparedResource {
            resource: resource.clone(),
            templates: ResponseTemplates::new(context),
            page: browser_page(resource),
        }
    }
}

impl<S, V> Layer<S> for BearerAuthLayer<V> {
    type Service = BearerAuth<S, V>;

    fn layer(&self, inner: S) -> Self::Service {
        self.service(inner, PolicyInside::default())
    }
}

impl<V> Clone for BearerAuthLayer<V> {
    fn clone(&self) -> Self {
        Self {
            verifier: Arc::clone(&self.verifier),
            resources: self.resources.clone(),
            resource_metadata: self.resource_metadata.clone(),
            requirements: self.requirements.clone(),
            optional: self.optional,
            cors: self.cors,
            session_key: self.session_key.clone(),
            browser_page: self.browser_page,
            admission_is_inside: self.admission_is_inside,
            observer: self.observer.clone(),
        }
    }
}

impl<V> fmt::Debug for BearerAuthLayer<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuthLayer")
            .field("requirements", &self.requirements)
            .field("optional", &self.optional)
            .finish_non_exhaustive()
    }
}
