//! Both layers of an endpoint, in their order.

use std::fmt;

use tower_layer::Layer;

use crate::access_policy::{AccessPolicyLayer, AccessPolicyService};
use crate::bearer_auth::{BearerAuth, BearerAuthLayer};
use crate::clerk::ClerkVerifier;

/// Layer that authenticates each request and then applies the access policy.
///
/// [`ClerkMcp::auth_layer`](crate::ClerkMcp::auth_layer) makes it for an endpoint;
/// [`AuthLayer::new`] joins two layers for any [`VerifyToken`](crate::bearer_auth::VerifyToken).
/// Joined, they name the scopes of the operation also in the challenge for a token that has
/// expired: clients that sign in again request exactly those. Joined, they also answer rejected
/// tool calls in the [format](AccessPolicyLayer::rejection_format) of the second layer.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::access_policy::AccessPolicyLayer;
/// use clerk_mcp_tools::bearer_auth::{AccessToken, BearerAuthLayer};
/// use clerk_mcp_tools::{
///     AccessPolicy, AuthInfo, AuthLayer, ResourceUrl, Scopes, VerifyError, VerifyErrorKind,
/// };
///
/// let verify = |token: AccessToken| async move {
///     match token.expose() {
///         "let-me-in" => Ok(AuthInfo::for_user("user_1", token).build()),
///         _ => Err(VerifyError::new(VerifyErrorKind::UnknownToken)),
///     }
/// };
/// let resource = ResourceUrl::parse("https://mcp.example.com/mcp")?;
/// let policy = AccessPolicy::deny_by_default()
///     .tool("list_files", Scopes::none())
///     .tool("delete_file", Scopes::parse("files:write")?)
///     .build()?;
/// let layer = AuthLayer::new(
///     BearerAuthLayer::new(verify, resource.clone()),
///     AccessPolicyLayer::new(policy, resource),
/// );
/// # let _ = layer;
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[must_use]
pub struct AuthLayer<V = ClerkVerifier> {
    bearer_auth: BearerAuthLayer<V>,
    access_policy: AccessPolicyLayer,
}

impl<V> AuthLayer<V> {
    /// Joins the two layers of a resource, the second one inside the first.
    ///
    /// The scopes that every request needs, the hierarchy and the CORS setting have to be set on
    /// both.
    pub fn new(bearer_auth: BearerAuthLayer<V>, access_policy: AccessPolicyLayer) -> Self {
        let policy = access_policy.policy().clone();
        let bearer_auth = bearer_auth.access_policy(policy, access_policy.steps_up());
        let access_policy = access_policy.with_optional_tokens(bearer_auth.is_optional());
        Self { bearer_auth, access_policy }
    }

    pub(super) fn bearer_auth(&self) -> &BearerAuthLayer<V> {
        &self.bearer_auth
    }

    pub(super) fn access_policy(&self) -> &AccessPolicyLayer {
        &self.access_policy
    }

    /// Returns both layers, for a stack that puts another layer between them. **Apply both**: the
    /// first one alone does not apply the access policy. Applied one by one, the first one answers
    /// every rejected request by status.
    ///
    /// A handler behind the first one alone can tell, by
    /// [`AuthInfo::from_guarded_parts`](crate::AuthInfo::from_guarded_parts).
    pub fn into_parts(self) -> (BearerAuthLayer<V>, AccessPolicyLayer) {
        (self.bearer_auth, self.access_policy)
    }
}

impl<S, V> Layer<S> for AuthLayer<V> {
    type Service = BearerAuth<AccessPolicyService<S>, V>;

    fn layer(&self, inner: S) -> Self::Service {
        let format = self.access_policy.format();
        self.bearer_auth.around_policy(self.access_policy.layer(inner), format)
    }
}

impl<V> Clone for AuthLayer<V> {
    fn clone(&self) -> Self {
        Self { bearer_auth: self.bearer_auth.clone(), access_policy: self.access_policy.clone() }
    }
}

impl<V> fmt::Debug for AuthLayer<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthLayer")
            .field("bearer_auth", &self.bearer_auth)
            .field("access_policy", &self.access_policy)
            .finish()
    }
}
