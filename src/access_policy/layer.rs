//! The layer and its options.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};
use tower_layer::Layer;

use super::body::{BodyBudget, BodyLimits};
use super::enforcer::{CheckedRequest, Enforcer, operations_of, to_owned};
use super::membership::MembershipSource;
use super::service::AccessPolicyService;
use crate::clock::{Clock, Deadlines, SystemClock};
use crate::mcp::{AccessPolicy, Lacking, Requirement};
use crate::metadata::protected_resource_metadata_url;
use crate::oauth::{
    AuthInfo, LookUpMembership, ResolveResource, ResourceUrl, Resources, ScopeHierarchy, Scopes,
};
use crate::response::{
    Decision, DecisionObserver, MessageError, Rejection, RejectionFormat, RejectionReason,
};

/// 4 MiB.
const DEFAULT_MAX_BODY_BYTES: usize = 4 * 1024 * 1024;
const DEFAULT_BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// 64 MiB.
const DEFAULT_MAX_TOTAL_BODY_BYTES: usize = 64 * 1024 * 1024;

/// Layer that applies [`AccessPolicyService`]. See the [module's
/// documentation](crate::access_policy) for an example.
/// It belongs inside a bearer layer, best by [`AuthLayer::new`](crate::AuthLayer::new);
/// [`ClerkMcp::auth_layer`](crate::ClerkMcp::auth_layer) contains both.
#[derive(Clone, Debug)]
#[must_use]
pub struct AccessPolicyLayer {
    enforcer: Enforcer,
}

impl AccessPolicyLayer {
    /// Creates a layer that enforces a policy for one resource.
    pub fn new(policy: AccessPolicy, resource: ResourceUrl) -> Self {
        let resource_metadata = protected_resource_metadata_url(&resource);
        Self::guarding(policy, Resources::One(resource_metadata), Some(resource))
    }

    /// Creates a layer that enforces a policy for several resources. The resolver must be that of
    /// the bearer layer.
    pub fn with_resolver(policy: AccessPolicy, resolver: impl ResolveResource) -> Self {
        Self::guarding(policy, Resources::ByRequest(Arc::new(resolver)), None)
    }

    fn guarding(
        policy: AccessPolicy,
        resources: Resources<String>,
        resource: Option<ResourceUrl>,
    ) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        Self {
            enforcer: Enforcer {
                policy,
                resources,
                resource,
                observer: DecisionObserver::new(Arc::clone(&clock)),
                required_scopes: Scopes::none(),
                initial_scopes: Scopes::none(),
                hierarchy: ScopeHierarchy::new(),
                max_body_bytes: DEFAULT_MAX_BODY_BYTES,
                body_limits: BodyLimits {
                    budget: Arc::new(BodyBudget::new(DEFAULT_MAX_TOTAL_BODY_BYTES)),
                    timeouts: Deadlines::new(clock, DEFAULT_BODY_TIMEOUT),
                },
                allow_upgrades: false,
                rejection_format: RejectionFormat::HttpStatus,
                step_up: false,
                memberships: MembershipSource::default(),
                filter_lists: false,
                security_schemes: false,
                optional: false,
                cors: true,
            },
        }
    }

    pub(crate) fn policy(&self) -> &AccessPolicy {
        &self.enforcer.policy
    }

    /// Sets whether the bearer layer passes requests without a token.
    pub(crate) fn with_optional_tokens(mut self, optional: bool) -> Self {
        self.enforcer.optional = optional;
        self
    }

    pub(crate) fn steps_up(&self) -> bool {
        self.enforcer.step_up
    }

    pub(crate) fn format(&self) -> RejectionFormat {
        self.enforcer.rejection_format
    }

    /// Returns an error unless the caller may do what the body asks for.
    pub(crate) async fn check(
        &self,
        method: &Method,
        headers: &HeaderMap,
        body: &[u8],
        caller: Option<&AuthInfo>,
    ) -> Result<(), Rejection> {
        if !self.enforcer.has_rules() {
            return Ok(());
        }
        if body.len() > self.enforcer.max_body_bytes {
            return Err(MessageError::TooLarge.into());
        }
        let checked = self.enforcer.check(method, headers, body, caller);
        let CheckedRequest { message, member } =
            checked.map_err(|rejection| rejection.of_caller(caller))?;
        let Some(member) = member else { return Ok(()) };
        // Not reached without a caller, who does not meet such a requirement.
        let caller = caller.ok_or_else(|| Rejection::new(RejectionReason::MissingToken))?;
        let operations = to_owned(operations_of(message.as_ref()));
        let request_id = message.and_then(|message| message.id);
        let checked = self.enforcer.memberships.check(&member, caller).await;
        checked.map_err(|rejection| {
            let rejection = rejection.about_request(request_id).of_caller(Some(caller));
            rejection.for_operations(&operations)
        })
    }

    /// Returns an error unless the caller meets the requirement.
    pub(crate) async fn require(
        &self,
        caller: &AuthInfo,
        requirement: &Requirement,
    ) -> Result<(), Rejection> {
        let enforcer = &self.enforcer;
        let checked = match requirement.check(Some(caller), &enforcer.hierarchy) {
            Ok(None) => Ok(()),
            Ok(Some((member, caller))) => enforcer.memberships.check(member, caller).await,
            Err(Lacking::Denied) => Err(Rejection::new(RejectionReason::OperationDenied)),
            Err(Lacking::Scopes(needed)) => Err(enforcer.lacking(needed, Some(caller))),
        };
        checked.map_err(|rejection| rejection.of_caller(Some(caller)))
    }

    /// Lets both layers share the limits of the log.
    pub(crate) fn share_log(mut self, observer: &DecisionObserver) -> Self {
        self.enforcer.observer.share_log(observer);
        self
    }

    /// Sets a function that is called with each decision of this layer, such as for an audit log.
    /// Defaults to none. The body of every `POST` is then read, as with rules.
    ///
    /// [`AuthLayer::on_decision`](crate::AuthLayer::on_decision) sets it for both layers, and says
    /// what the function must not do.
    pub fn on_decision(mut self, hook: impl Fn(&Decision<'_>) + Send + Sync + 'static) -> Self {
        self.enforcer.observer.set_hook(Arc::new(hook));
        self
    }

    /// Sets the scopes that every request needs. Defaults to none.
    ///
    /// The bearer layer requires them. This layer only names them in challenges, before those of
    /// the operation, so that one consent is enough.
    pub fn required_scopes(mut self, scopes: Scopes) -> Self {
        self.enforcer.required_scopes = scopes;
        self
    }

    /// Sets the scopes that a client should ask for at its first sign-in, for the challenge of a
    /// request without a token where tokens are optional; see
    /// [`BearerAuthLayer::initial_scopes`](crate::bearer_auth::BearerAuthLayer::initial_scopes).
    /// Defaults to none.
    pub fn initial_scopes(mut self, scopes: Scopes) -> Self {
        self.enforcer.initial_scopes = scopes;
        self
    }

    /// Sets how rejected tool calls are answered. Defaults to
    /// [`HttpStatus`](RejectionFormat::HttpStatus).
    ///
    /// Joined by [`AuthLayer::new`](crate::AuthLayer::new), it also applies to calls whose token is
    /// missing or not valid. Their bodies are then read where the answer is a tool result: up to 16
    /// KiB, and within [`body_timeout`](Self::body_timeout). A longer one is answered by status.
    pub fn rejection_format(mut self, format: RejectionFormat) -> Self {
        self.enforcer.rejection_format = format;
        self
    }

    /// Lets handlers ask for further scopes while they run, by [`StepUp`](super::StepUp) in the
    /// request's extensions. Defaults to not doing so.
    ///
    /// The body of every `POST` is then read, as with rules. A challenge names every scope that the
    /// token has, besides those that are needed: the layer does not know which of them the handlers
    /// require.
    pub fn step_up_from_handlers(mut self) -> Self {
        self.enforcer.step_up = true;
        self
    }

    /// Sets where memberships of organizations are looked up, for the rules about
    /// [members](crate::access_policy::Requirement::member). Defaults to nowhere: what has such a
    /// rule is then answered with 500.
    ///
    /// Only requests with such a rule wait for it, and those for lists that are
    /// [filtered](Self::filter_lists) by one. [`ClerkVerifier`](crate::ClerkVerifier) looks them up
    /// at Clerk.
    pub fn look_up_memberships(mut self, source: impl LookUpMembership) -> Self {
        self.enforcer.memberships = MembershipSource::new(source);
        self
    }

    /// Writes into `tools/list` what each tool needs by the policy, as `securitySchemes` of the
    /// tool and again under its `_meta`. Defaults to leaving lists as they are.
    ///
    /// ```json
    /// "securitySchemes": [{"type": "oauth2", "scopes": ["profile", "files:write"]}]
    /// ```
    ///
    /// ChatGPT asks its user only for tools that have it (OpenAI Apps SDK, "Authentication"). Where
    /// tokens are optional (known if the layers are joined by
    /// [`AuthLayer::new`](crate::AuthLayer::new)), a tool that needs no scopes of its own begins
    /// with `{"type": "noauth"}`. A `securitySchemes` that the server wrote itself stays, and so
    /// does a tool that the policy denies.
    ///
    /// The rest of the body stays as it is, byte for byte. `Content-Length`, `ETag` and digests are
    /// removed. A response passes unchanged if it is not HTTP 200 with JSON or an event stream, if it
    /// is compressed, malformed or larger than 4 MiB (of an event stream, the event), if an object
    /// that has to be read has duplicate members, or if it responds to a batch. Without rules, the
    /// body of every `POST` is then read, as with rules.
    pub fn security_schemes_in_lists(mut self) -> Self {
        self.enforcer.security_schemes = true;
        self
    }

    /// Leaves out of `tools/list`, `prompts/list`, `resources/list` and `resources/templates/list`
    /// what the policy does not allow the caller. Defaults to leaving lists as they are.
    ///
    /// **This hides names, and protects nothing**: every call is judged by the policy, whether or
    /// not a list has its target. A client that would step up does not learn of the tools that it
    /// could ask scopes for.
    ///
    /// Responses get `Vary: Authorization` and, if the version of MCP has it, `"cacheScope":
    /// "private"`. A page of a list may become empty; its `nextCursor` stays. A response that is
    /// not read passes unfiltered; [`security_schemes_in_lists`](Self::security_schemes_in_lists)
    /// says which those are. So does an element without a name or URI, and one whose URI would take
    /// too long to compare. A template stays if some rule may allow a resource that it expands to.
    /// What is for members stays while the membership of the caller cannot be looked up.
    pub fn filter_lists(mut self) -> Self {
        self.enforcer.filter_lists = true;
        self
    }

    /// Sets which scopes imply others. Defaults to none.
    pub fn scope_hierarchy(mut self, hierarchy: ScopeHierarchy) -> Self {
        self.enforcer.hierarchy = hierarchy;
        self
    }

    /// Sets the URL of the resource's metadata. Defaults to [its well-known
    /// URL](crate::metadata::protected_resource_metadata_url), which is always used with a
    /// resolver.
    pub fn resource_metadata(mut self, url: ResourceUrl) -> Self {
        if let Resources::One(resource_metadata) = &mut self.enforcer.resources {
            *resource_metadata = url.to_string();
        }
        self
    }

    /// Leaves CORS to another layer, as
    /// [`BearerAuthLayer::without_cors`](crate::bearer_auth::BearerAuthLayer::without_cors) does:
    /// rejections get no CORS headers.
    pub fn without_cors(mut self) -> Self {
        self.enforcer.cors = false;
        self
    }

    /// Lets requests pass that upgrade the connection, such as to a WebSocket, and `CONNECT`.
    /// Defaults to rejecting them with 403.
    ///
    /// **Weaker**: no call on an upgraded connection is seen by this layer. A server that allows it
    /// has to enforce its rules itself.
    pub fn allow_unchecked_upgrades(mut self) -> Self {
        self.enforcer.allow_upgrades = true;
        self
    }

    /// Sets the maximum length of a body, in bytes. Defaults to 4 MiB. A longer body
    /// is rejected with 413.
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.enforcer.max_body_bytes = bytes;
        self
    }

    /// Sets how long a body may take to arrive, from the moment at which the layer starts to read it.
    /// Defaults to 30 seconds. A slower one is rejected with 408.
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        let limits = &mut self.enforcer.body_limits;
        limits.timeouts = limits.timeouts.with_length(timeout);
        self
    }

    /// Sets the clock that measures the [timeout](Self::body_timeout) and bounds the number of log
    /// events. Defaults to that of the operating system.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let limits = &mut self.enforcer.body_limits;
        limits.timeouts = limits.timeouts.with_clock(Arc::clone(&clock));
        self.enforcer.observer.set_clock(clock);
        self
    }

    /// Sets the memory for all bodies that are being read, in bytes. Defaults to 64 MiB. A body
    /// that does not fit is rejected with 503.
    ///
    /// The first 16 KiB of each body do not count, so that ordinary messages are read even while
    /// large ones use up the budget. The services that one layer makes share it.
    pub fn max_total_body_bytes(mut self, bytes: usize) -> Self {
        self.enforcer.body_limits.budget = Arc::new(BodyBudget::new(bytes));
        self
    }
}

impl<S> Layer<S> for AccessPolicyLayer {
    type Service = AccessPolicyService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AccessPolicyService::new(inner, Arc::new(self.enforcer.clone()))
    }
}
