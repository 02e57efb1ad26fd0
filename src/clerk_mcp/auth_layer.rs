//! Both layers of an endpoint, in their order.

use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use crate::access_policy::{AccessPolicyLayer, AccessPolicyService};
use crate::bearer_auth::{BearerAuth, BearerAuthLayer};
use crate::clerk::ClerkVerifier;
use crate::response::Decision;

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
        let access_policy = access_policy
            .with_optional_tokens(bearer_auth.is_optional())
            .share_log(bearer_auth.observer());
        Self { bearer_auth, access_policy }
    }

    /// Sets a function that is called with the decision about each request, such as for an audit log.
    /// Defaults to none.
    ///
    /// It is called exactly once for each request but CORS preflights, whichever layer decides, and
    /// **on the path of the request**: before the request reaches the service or, if it is rejected,
    /// before the response is sent. So it must be quick: hand what it needs to a channel or a buffer
    /// and do not wait for a disk or a network. It must not panic either; a panic ends the request
    /// without a response. The body of every `POST` is read, as with rules, so that the decision has
    /// the operations.
    ///
    /// With [`step_up_from_handlers`](crate::ClerkMcpBuilder::step_up_from_handlers), the decision
    /// about a `POST` is made when its response begins. If it never begins, since the client went
    /// away or the handler panicked, the request counts as admitted, since the handler may have run.
    /// A rejection that a handler sends by itself is not a decision of the layers.
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::mpsc;
    ///
    /// use clerk_mcp_tools::ClerkMcp;
    ///
    /// // A thread of its own writes what arrives. What does not fit is counted, not waited for.
    /// let (sender, receiver) = mpsc::sync_channel::<String>(1024);
    /// let builder = ClerkMcp::builder().env().on_decision(move |decision| {
    ///     let user = decision.caller().and_then(|caller| caller.user_id()).unwrap_or("-");
    ///     let verdict = decision.reason().map_or("admitted", |reason| reason.as_str());
    ///     if sender.try_send(format!("{user} {verdict}")).is_err() {
    ///         tracing::warn!("the audit log is full");
    ///     }
    /// });
    /// # let _ = (builder, receiver);
    /// ```
    pub fn on_decision(self, hook: impl Fn(&Decision<'_>) + Send + Sync + 'static) -> Self {
        let hook: Arc<dyn Fn(&Decision<'_>) + Send + Sync> = Arc::new(hook);
        let of_policy = Arc::clone(&hook);
        Self {
            bearer_auth: self.bearer_auth.on_decision(move |decision| hook(decision)),
            access_policy: self.access_policy.on_decision(move |decision| of_policy(decision)),
        }
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
