//! The layer and its options.

use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use super::authenticator::{Authenticator, PreparedResource};
use super::service::BearerAuth;
use super::session::SessionKey;
use crate::mcp::AccessPolicy;
use crate::metadata::protected_resource_metadata_url;
use crate::oauth::{ResolveResource, ResourceUrl, Resources, ScopeHierarchy, Scopes, VerifyToken};
use crate::response::{ChallengeContext, ResponseTemplates};

/// Layer that applies [`BearerAuth`]. See the [module's documentation](crate::bearer_auth) for an
/// example.
#[must_use]
pub struct BearerAuthLayer<V> {
    verifier: Arc<V>,
    resources: Resources<ResourceUrl>,
    resource_metadata: Option<ResourceUrl>,
    required_scopes: Scopes,
    hierarchy: ScopeHierarchy,
    optional: bool,
    cors: bool,
    access_policy: AccessPolicy,
    session_key: Option<SessionKey>,
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
            required_scopes: Scopes::none(),
            hierarchy: ScopeHierarchy::new(),
            optional: false,
            cors: true,
            access_policy: AccessPolicy::empty(),
            session_key: None,
        }
    }
}

impl<V> BearerAuthLayer<V> {
    /// Sets the scopes that every request needs. Defaults to none. Every challenge names them.
    pub fn required_scopes(mut self, scopes: Scopes) -> Self {
        self.required_scopes = scopes;
        self
    }

    /// Sets which scopes imply others. Defaults to none.
    pub fn scope_hierarchy(mut self, hierarchy: ScopeHierarchy) -> Self {
        self.hierarchy = hierarchy;
        self
    }

    /// Passes requests without a token, without [`AuthInfo`](crate::AuthInfo). Defaults to
    /// rejecting them.
    ///
    /// A token that is not valid, or lacks required scopes, is still rejected. CORS preflights are
    /// left to the service.
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

    /// Sets the policy of the [`AccessPolicyLayer`](crate::access_policy::AccessPolicyLayer) inside
    /// this layer. Defaults to none.
    ///
    /// It is used for challenges only: if the headers `Mcp-Method` and `Mcp-Name` name the
    /// operation (MCP 2026-07-28), a challenge names its scopes as well, so that one consent is
    /// enough. The body is not read before the token has been verified.
    pub fn access_policy(mut self, policy: AccessPolicy) -> Self {
        self.access_policy = policy;
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

    fn authenticator(&self) -> Authenticator {
        let resources = match &self.resources {
            Resources::One(resource) => Resources::One(self.prepare(resource)),
            Resources::ByRequest(resolver) => Resources::ByRequest(Arc::clone(resolver)),
        };
        Authenticator {
            resources,
            required_scopes: self.required_scopes.clone(),
            hierarchy: self.hierarchy.clone(),
            optional: self.optional,
            cors: self.cors,
            access_policy: self.access_policy.clone(),
            session_key: self.session_key.clone(),
        }
    }

    fn prepare(&self, resource: &ResourceUrl) -> PreparedResource {
        let resource_metadata = match &self.resource_metadata {
            Some(url) => url.to_string(),
            None => protected_resource_metadata_url(resource),
        };
        let scopes = self.required_scopes.clone();
        let context = ChallengeContext { resource_metadata, scopes, cors: self.cors };
        PreparedResource { resource: resource.clone(), templates: ResponseTemplates::new(context) }
    }
}

impl<S, V> Layer<S> for BearerAuthLayer<V> {
    type Service = BearerAuth<S, V>;

    fn layer(&self, inner: S) -> Self::Service {
        BearerAuth::new(inner, Arc::clone(&self.verifier), Arc::new(self.authenticator()))
    }
}

impl<V> Clone for BearerAuthLayer<V> {
    fn clone(&self) -> Self {
        Self {
            verifier: Arc::clone(&self.verifier),
            resources: self.resources.clone(),
            resource_metadata: self.resource_metadata.clone(),
            required_scopes: self.required_scopes.clone(),
            hierarchy: self.hierarchy.clone(),
            optional: self.optional,
            cors: self.cors,
            access_policy: self.access_policy.clone(),
            session_key: self.session_key.clone(),
        }
    }
}

impl<V> fmt::Debug for BearerAuthLayer<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuthLayer")
            .field("required_scopes", &self.required_scopes)
            .field("hierarchy", &self.hierarchy)
            .field("optional", &self.optional)
            .finish_non_exhaustive()
    }
}
