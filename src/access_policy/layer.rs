use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use super::enforcer::{Enforcer, Guarded};
use super::service::AccessPolicyService;
use crate::mcp::AccessPolicy;
use crate::metadata::protected_resource_metadata_url;
use crate::oauth::{ResolveResource, ResourceUrl, ScopeHierarchy, Scopes};

/// In bytes: 4 MiB.
const DEFAULT_MAX_BODY: usize = 4 * 1024 * 1024;

/// Layer that applies [`AccessPolicyService`]. See the [module's documentation](crate::access_policy) for an
/// example. [`ClerkMcp::access_policy_layer`](crate::ClerkMcp::access_policy_layer) makes one that agrees with the
/// bearer layer.
#[derive(Clone)]
#[must_use]
pub struct AccessPolicyLayer {
    enforcer: Enforcer,
}

impl AccessPolicyLayer {
    /// Applies these rules to the service of one resource.
    pub fn new(rules: AccessPolicy, resource: ResourceUrl) -> Self {
        Self::guarding(rules, Guarded::One(protected_resource_metadata_url(&resource)))
    }

    /// Applies these rules to the service of several resources. The resolver is the bearer layer's.
    pub fn with_resolver(rules: AccessPolicy, resolver: impl ResolveResource) -> Self {
        Self::guarding(rules, Guarded::Several(Arc::new(resolver)))
    }

    fn guarding(rules: AccessPolicy, guarded: Guarded) -> Self {
        let (baseline, hierarchy) = (Scopes::none(), ScopeHierarchy::new());
        Self {
            enforcer: Enforcer {
                rules,
                guarded,
                baseline,
                hierarchy,
                max_body_bytes: DEFAULT_MAX_BODY,
                cors: true,
            },
        }
    }

    /// The scopes that every request needs. The bearer layer asks for them; here they are only named, before those of
    /// the operation, so that one consent is enough.
    pub fn required_scopes(mut self, scopes: Scopes) -> Self {
        self.enforcer.baseline = scopes;
        self
    }

    /// Which scopes imply others; none unless it is said.
    pub fn scope_hierarchy(mut self, hierarchy: ScopeHierarchy) -> Self {
        self.enforcer.hierarchy = hierarchy;
        self
    }

    /// Where the resource's metadata stands, if not at [its well-known place](crate::metadata::protected_resource_metadata_url).
    /// With a resolver, that place is always taken.
    pub fn resource_metadata(mut self, url: ResourceUrl) -> Self {
        if let Guarded::One(resource_metadata) = &mut self.enforcer.guarded {
            *resource_metadata = url.to_string();
        }
        self
    }

    /// Leaves CORS to a layer of your own, as
    /// [`BearerAuthLayer::without_cors`](crate::bearer_auth::BearerAuthLayer::without_cors) does: refusals get no CORS headers.
    pub fn without_cors(mut self) -> Self {
        self.enforcer.cors = false;
        self
    }

    /// How long the body of a `POST` may be, in bytes; 4 MiB unless it is said. A longer one is answered with 413.
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.enforcer.max_body_bytes = bytes;
        self
    }
}

impl<S> Layer<S> for AccessPolicyLayer {
    type Service = AccessPolicyService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AccessPolicyService::new(inner, Arc::new(self.enforcer.clone()))
    }
}

impl fmt::Debug for AccessPolicyLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessPolicyLayer").field("enforcer", &self.enforcer).finish()
    }
}
