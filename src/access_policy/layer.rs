use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use super::gate::{Gate, Guarded};
use super::service::OperationScopesService;
use crate::mcp::OperationScopes;
use crate::metadata::protected_resource_metadata_url;
use crate::oauth::{ResolveResource, ResourceUrl, ScopeHierarchy, Scopes};

/// In bytes: 4 MiB.
const DEFAULT_MAX_BODY: usize = 4 * 1024 * 1024;

/// Layer that applies [`OperationScopesService`]. See the [module's documentation](crate::access_policy) for an
/// example. [`ClerkMcp::operation_scopes_layer`](crate::ClerkMcp::operation_scopes_layer) makes one that agrees with the
/// bearer layer.
#[derive(Clone)]
#[must_use]
pub struct OperationScopesLayer {
    gate: Gate,
}

impl OperationScopesLayer {
    /// Applies these rules to the service of one resource.
    pub fn new(rules: OperationScopes, resource: ResourceUrl) -> Self {
        Self::guarding(rules, Guarded::One(protected_resource_metadata_url(&resource)))
    }

    /// Applies these rules to the service of several resources. The resolver is the bearer layer's.
    pub fn with_resolver(rules: OperationScopes, resolver: impl ResolveResource) -> Self {
        Self::guarding(rules, Guarded::Several(Arc::new(resolver)))
    }

    fn guarding(rules: OperationScopes, guarded: Guarded) -> Self {
        let (baseline, hierarchy) = (Scopes::none(), ScopeHierarchy::new());
        Self {
            gate: Gate { rules, guarded, baseline, hierarchy, max_body_bytes: DEFAULT_MAX_BODY, cors: true },
        }
    }

    /// The scopes that every request needs. The bearer layer asks for them; here they are only named, before those of
    /// the operation, so that one consent is enough.
    pub fn required_scopes(mut self, scopes: Scopes) -> Self {
        self.gate.baseline = scopes;
        self
    }

    /// Which scopes imply others; none unless it is said.
    pub fn scope_hierarchy(mut self, hierarchy: ScopeHierarchy) -> Self {
        self.gate.hierarchy = hierarchy;
        self
    }

    /// Where the resource's metadata stands, if not at [its well-known place](crate::protected_resource_metadata_url).
    /// With a resolver, that place is always taken.
    pub fn resource_metadata(mut self, url: ResourceUrl) -> Self {
        if let Guarded::One(resource_metadata) = &mut self.gate.guarded {
            *resource_metadata = url.to_string();
        }
        self
    }

    /// Leaves CORS to a layer of your own, as
    /// [`BearerAuthLayer::without_cors`](crate::BearerAuthLayer::without_cors) does: refusals get no CORS headers.
    pub fn without_cors(mut self) -> Self {
        self.gate.cors = false;
        self
    }

    /// How long the body of a `POST` may be, in bytes; 4 MiB unless it is said. A longer one is answered with 413.
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.gate.max_body_bytes = bytes;
        self
    }
}

impl<S> Layer<S> for OperationScopesLayer {
    type Service = OperationScopesService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        OperationScopesService::new(inner, Arc::new(self.gate.clone()))
    }
}

impl fmt::Debug for OperationScopesLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperationScopesLayer").field("gate", &self.gate).finish()
    }
}
