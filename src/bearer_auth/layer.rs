use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use super::authenticator::{Authenticator, Guarded, challenge_context};
use super::service::BearerAuth;
use crate::mcp::AccessPolicy;
use crate::oauth::{ResolveResource, ResourceUrl, ScopeHierarchy, Scopes, VerifyToken};
use crate::response::{ChallengeContext, ResponseTemplates};

/// Layer that applies [`BearerAuth`]. See the [module's documentation](crate::bearer_auth) for an example.
#[must_use]
pub struct BearerAuthLayer<V> {
    verifier: Arc<V>,
    guarded: Target,
    resource_metadata: Option<ResourceUrl>,
    required: Scopes,
    hierarchy: ScopeHierarchy,
    optional: bool,
    cors: bool,
    operations: AccessPolicy,
}

#[derive(Clone)]
enum Target {
    One(ResourceUrl),
    Several(Arc<dyn ResolveResource>),
}

impl<V: VerifyToken> BearerAuthLayer<V> {
    /// Guards one resource with this verifier, which is told with each token that it has to be issued for this resource.
    pub fn new(verifier: V, resource: ResourceUrl) -> Self {
        Self::guarding(verifier, Target::One(resource))
    }

    /// Guards several resources with this verifier; a request for none of them is answered with 421.
    pub fn with_resolver(verifier: V, resolver: impl ResolveResource) -> Self {
        Self::guarding(verifier, Target::Several(Arc::new(resolver)))
    }

    fn guarding(verifier: V, guarded: Target) -> Self {
        Self {
            verifier: Arc::new(verifier),
            guarded,
            resource_metadata: None,
            required: Scopes::none(),
            hierarchy: ScopeHierarchy::new(),
            optional: false,
            cors: true,
            operations: AccessPolicy::empty(),
        }
    }
}

impl<V> BearerAuthLayer<V> {
    /// The scopes that every request needs; none unless it is said. Every challenge names them.
    pub fn required_scopes(mut self, scopes: Scopes) -> Self {
        self.required = scopes;
        self
    }

    /// Which scopes imply others; none unless it is said.
    pub fn scope_hierarchy(mut self, hierarchy: ScopeHierarchy) -> Self {
        self.hierarchy = hierarchy;
        self
    }

    /// Lets requests without a token pass, without [`AuthInfo`](crate::AuthInfo). A token that is not good is still
    /// refused, and so is one without the required scopes. CORS preflights are left to the service.
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// Leaves CORS to a layer of your own around this one: preflights are not answered, and neither refusals nor answers
    /// get CORS headers.
    ///
    /// Without this any page may send requests and read what it is answered, which is safe as long as it is the token
    /// that opens the server and not where the request comes from. A CORS layer of your own that lets only some origins
    /// in needs this, since such layers do not take away what they find.
    pub fn without_cors(mut self) -> Self {
        self.cors = false;
        self
    }

    /// The rules of the [`AccessPolicyLayer`](crate::access_policy::AccessPolicyLayer) inside this one, for what the challenges
    /// name: where the headers `Mcp-Method` and `Mcp-Name` tell the operation (MCP 2026-07-28), its scopes too, so that
    /// one consent is enough. Nothing is decided by them.
    ///
    /// The body is not looked at. Who has not shown a good token does not get to have one read and kept.
    pub fn access_policy(mut self, rules: AccessPolicy) -> Self {
        self.operations = rules;
        self
    }

    /// Where the resource's metadata stands, if not at [its well-known place](crate::metadata::protected_resource_metadata_url).
    /// With a resolver, that place is always taken.
    pub fn resource_metadata(mut self, url: ResourceUrl) -> Self {
        self.resource_metadata = Some(url);
        self
    }

    fn authenticator(&self) -> Authenticator {
        let guarded = match &self.guarded {
            Target::Several(resolver) => Guarded::Several(Arc::clone(resolver)),
            Target::One(resource) => {
                let challenge_context = match &self.resource_metadata {
                    Some(url) => ChallengeContext {
                        resource_metadata: url.to_string(),
                        scopes: self.required.clone(),
                    },
                    None => challenge_context(resource, &self.required),
                };
                Guarded::One {
                    resource: resource.clone(),
                    refusals: ResponseTemplates::new(challenge_context),
                }
            }
        };
        Authenticator {
            guarded,
            required: self.required.clone(),
            hierarchy: self.hierarchy.clone(),
            optional: self.optional,
            cors: self.cors,
            operations: self.operations.clone(),
        }
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
            guarded: self.guarded.clone(),
            resource_metadata: self.resource_metadata.clone(),
            required: self.required.clone(),
            hierarchy: self.hierarchy.clone(),
            optional: self.optional,
            cors: self.cors,
            operations: self.operations.clone(),
        }
    }
}

impl<V> fmt::Debug for BearerAuthLayer<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuthLayer")
            .field("required", &self.required)
            .field("hierarchy", &self.hierarchy)
            .field("optional", &self.optional)
            .finish_non_exhaustive()
    }
}
