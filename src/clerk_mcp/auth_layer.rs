//! Both layers of an endpoint, in their order.

use tower_layer::Layer;

use crate::access_policy::{AccessPolicyLayer, AccessPolicyService};
use crate::bearer_auth::{BearerAuth, BearerAuthLayer};
use crate::clerk::ClerkVerifier;

/// Layer that authenticates each request and then applies the access policy. Made by
/// [`ClerkMcp::auth_layer`](crate::ClerkMcp::auth_layer).
#[derive(Clone, Debug)]
#[must_use]
pub struct AuthLayer {
    bearer_auth: BearerAuthLayer<ClerkVerifier>,
    access_policy: AccessPolicyLayer,
}

impl AuthLayer {
    pub(super) fn new(
        bearer_auth: BearerAuthLayer<ClerkVerifier>,
        access_policy: AccessPolicyLayer,
    ) -> Self {
        Self { bearer_auth, access_policy }
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = BearerAuth<AccessPolicyService<S>, ClerkVerifier>;

    fn layer(&self, inner: S) -> Self::Service {
        self.bearer_auth.layer(self.access_policy.layer(inner))
    }
}
