//! Scopes that a handler requires while it runs, such as by the arguments of a tool.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::request::Parts;

use crate::oauth::{AuthInfo, InsufficientScope, ScopeHierarchy, Scopes};
use crate::response::{Rejection, RejectionLog, RejectionReason};

/// Lets a tool ask for further scopes while it runs, where only its arguments say what it needs
/// (MCP 2026-07-28, authorization: scopes "may be determined dynamically").
///
/// It is in the extensions of each `POST` if [`AccessPolicyLayer::step_up_from_handlers`] is set.
/// If [`require_scopes`](Self::require_scopes) fails before the response begins, the layer drops
/// that response and sends the 403 `insufficient_scope` in its place, on which a client asks its
/// user for the scopes and repeats the call. So check before the tool does anything.
///
/// The client is not asked, a warning is logged (at most one in 10 seconds), and what the handler returns goes out as it is
///
/// - if the response has begun, such as an event stream that the server opens before it runs the
///   tool. In rmcp, set `with_json_response(true)`;
/// - if the request is a batch, since the other calls of it may have run.
///
/// A clone belongs to the same request. [`AuthInfo::require_scopes`] is the check without any
/// effect.
///
/// # Example
///
/// A tool of rmcp. Its server is guarded by a layer that was built with
/// [`step_up_from_handlers`](crate::ClerkMcpBuilder::step_up_from_handlers):
///
/// ```
/// use clerk_mcp_tools::Scopes;
/// use clerk_mcp_tools::access_policy::StepUp;
/// use http::request::Parts;
/// use rmcp::ErrorData;
///
/// fn delete(parts: &Parts, path: &str) -> Result<String, ErrorData> {
///     let error = |text: String| ErrorData::invalid_request(text, None);
///     let step_up = StepUp::from_parts(parts).ok_or_else(|| error("not guarded".into()))?;
///     if path.starts_with("/shared/") {
///         let needed = Scopes::parse("files:shared").map_err(|e| error(e.to_string()))?;
///         // On an error the client gets a 403, whatever is returned here.
///         step_up.require_scopes(&needed).map_err(|e| error(e.to_string()))?;
///     }
///     Ok(format!("deleted {path}"))
/// }
/// # let _ = delete;
/// ```
///
/// [`AccessPolicyLayer::step_up_from_handlers`]: super::AccessPolicyLayer::step_up_from_handlers
#[derive(Clone)]
pub struct StepUp(Arc<Inner>);

struct Inner {
    caller: Option<AuthInfo>,
    hierarchy: ScopeHierarchy,
    log: Arc<RejectionLog>,
    state: Mutex<StepUpState>,
}

enum StepUpState {
    /// The response has not begun.
    Open,
    /// Handlers require these scopes.
    Requested(Scopes),
    /// It is too late, or not possible, for this reason.
    Closed(&'static str),
}

impl StepUp {
    /// Creates one for a request of this caller, or of a caller without a token.
    pub(super) fn new(
        caller: Option<AuthInfo>,
        hierarchy: ScopeHierarchy,
        log: Arc<RejectionLog>,
    ) -> Self {
        Self::in_state(caller, hierarchy, log, StepUpState::Open)
    }

    /// Creates one for a request with several messages.
    pub(super) fn for_several(
        caller: Option<AuthInfo>,
        hierarchy: ScopeHierarchy,
        log: Arc<RejectionLog>,
    ) -> Self {
        let state = StepUpState::Closed("the request is not a single message");
        Self::in_state(caller, hierarchy, log, state)
    }

    fn in_state(
        caller: Option<AuthInfo>,
        hierarchy: ScopeHierarchy,
        log: Arc<RejectionLog>,
        state: StepUpState,
    ) -> Self {
        Self(Arc::new(Inner { caller, hierarchy, log, state: Mutex::new(state) }))
    }

    /// Returns that of a request. `None` if the layer does not set it: check that
    /// [`step_up_from_handlers`](crate::ClerkMcpBuilder::step_up_from_handlers) is on and that the
    /// layer is around the handler.
    #[must_use]
    pub fn from_parts(parts: &Parts) -> Option<&Self> {
        parts.extensions.get()
    }

    /// Returns `Ok(())` if the caller has every scope, directly or by the hierarchy of the layer.
    /// Otherwise the client is asked for them.
    ///
    /// `required` are all scopes that the operation needs; those of every request are added. Where
    /// tokens are optional, a caller without one is asked to sign in.
    ///
    /// # Errors
    ///
    /// Returns an error if a scope is missing. The handler should return at once; what it returns
    /// is dropped, unless the response has begun.
    pub fn require_scopes(&self, required: &Scopes) -> Result<(), InsufficientScope> {
        let caller = self.0.caller.as_ref();
        let is_granted = match caller {
            Some(caller) => self.0.hierarchy.grants_all(caller.scopes(), required),
            None => required.is_empty(),
        };
        if is_granted {
            return Ok(());
        }
        self.request(required);
        Err(InsufficientScope::new(required.clone()))
    }

    fn request(&self, required: &Scopes) {
        let mut state = self.state();
        match &mut *state {
            StepUpState::Open => *state = StepUpState::Requested(required.clone()),
            // One consent for everything that is missing.
            StepUpState::Requested(others) => *others = others.union(required),
            StepUpState::Closed(problem) => self.0.log.warn_of_late_step_up(required, problem),
        }
    }

    /// Returns the rejection that takes the place of the response, if a handler asked for scopes.
    /// From now on it is too late.
    pub(super) fn close(&self) -> Option<Rejection> {
        let mut state = self.state();
        match &*state {
            StepUpState::Open => {
                *state = StepUpState::Closed("the response has begun");
                None
            }
            StepUpState::Requested(required) => Some(self.rejection(required)),
            StepUpState::Closed(_) => None,
        }
    }

    fn rejection(&self, required: &Scopes) -> Rejection {
        let rejection = match &self.0.caller {
            Some(caller) => Rejection::new(RejectionReason::InsufficientScope)
                .granted(caller.scopes().clone())
                .lacking(required, caller.scopes(), &self.0.hierarchy)
                .keep_all_granted(),
            None => Rejection::new(RejectionReason::MissingToken),
        };
        rejection.needing(required)
    }

    fn state(&self) -> MutexGuard<'_, StepUpState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for StepUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepUp").field("caller", &self.0.caller).finish_non_exhaustive()
    }
}
