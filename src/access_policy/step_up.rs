//! Scopes that a handler requires while it runs, such as by the arguments of a tool.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::request::Parts;

use super::membership::MembershipSource;
use crate::mcp::{Lacking, Requirement};
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
/// [`require`](Self::require) is the same for a [`Requirement`] of any kind, such as a permission
/// in the caller's organization: a role that does not suffice is answered with 403 and no
/// challenge.
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
    memberships: MembershipSource,
    log: Arc<RejectionLog>,
    state: Mutex<StepUpState>,
}

enum StepUpState {
    /// The response has not begun.
    Open,
    /// Handlers require these scopes.
    Requested(Scopes),
    /// A handler requires something else that the caller lacks.
    Rejected(Box<Rejection>),
    /// It is too late, or not possible, for this reason.
    Closed(&'static str),
}

impl StepUp {
    /// Creates one for a request of this caller, or of a caller without a token. One with several
    /// messages gets no other response.
    pub(super) fn new(
        caller: Option<AuthInfo>,
        hierarchy: ScopeHierarchy,
        memberships: MembershipSource,
        log: Arc<RejectionLog>,
        is_single: bool,
    ) -> Self {
        let state = if is_single {
            StepUpState::Open
        } else {
            StepUpState::Closed("the request is not a single message")
        };
        Self(Arc::new(Inner { caller, hierarchy, memberships, log, state: Mutex::new(state) }))
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

    /// Returns `Ok(())` if the caller meets the requirement, such as a
    /// [permission](Requirement::permission) in its organization, which is looked up if it is not
    /// known. Otherwise the response is the one that a rule of the access policy would get.
    ///
    /// ```
    /// use clerk_mcp_tools::Rejection;
    /// use clerk_mcp_tools::access_policy::{Requirement, StepUp};
    ///
    /// async fn publish(step_up: &StepUp) -> Result<String, Rejection> {
    ///     step_up.require(Requirement::permission("org:posts:publish")).await?;
    ///     Ok("published".to_owned())
    /// }
    /// # let _ = publish;
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the rejection if the requirement is not met, or if that is not known at the moment.
    /// The handler should return at once; what it returns is dropped, unless the response has
    /// begun.
    pub async fn require(&self, requirement: impl Into<Requirement>) -> Result<(), Rejection> {
        let requirement = requirement.into();
        let rejection = match requirement.check(self.0.caller.as_ref(), &self.0.hierarchy) {
            Ok(None) => return Ok(()),
            Ok(Some((member, caller))) => match self.0.memberships.check(member, caller).await {
                Ok(()) => return Ok(()),
                Err(rejection) => rejection,
            },
            Err(Lacking::Denied) => Rejection::new(RejectionReason::OperationDenied),
            Err(Lacking::Scopes(required)) => {
                self.request(required);
                return Err(self.rejection(required));
            }
        };
        self.set_rejection(&rejection);
        Err(rejection)
    }

    /// Sends this rejection in place of the response, such as for a token that could not be
    /// [exchanged](crate::ClerkMcp::exchange_token). The first one counts. The handler should
    /// return at once; what it returns is dropped, unless the response has begun.
    ///
    /// ```
    /// use clerk_mcp_tools::access_policy::StepUp;
    /// use clerk_mcp_tools::clerk::ExchangedToken;
    /// use clerk_mcp_tools::{AuthInfo, ClerkMcp, Rejection, Scopes};
    ///
    /// async fn token_for_notes(
    ///     clerk: &ClerkMcp,
    ///     caller: &AuthInfo,
    ///     step_up: &StepUp,
    /// ) -> Result<ExchangedToken, Rejection> {
    ///     let (notes, scopes) = ("https://notes.example.com", Scopes::none());
    ///     let exchanged = clerk.exchange_token(caller, notes, &scopes).await;
    ///     exchanged.map_err(|error| step_up.reject(error))
    /// }
    /// # let _ = token_for_notes;
    /// ```
    pub fn reject(&self, rejection: impl Into<Rejection>) -> Rejection {
        let rejection = rejection.into();
        let rejection = match &self.0.caller {
            Some(caller) if rejection.reason() == RejectionReason::InsufficientScope => {
                rejection.granted(caller.scopes().clone()).keep_all_granted()
            }
            Some(_) | None => rejection,
        };
        self.set_rejection(&rejection);
        rejection
    }

    fn set_rejection(&self, rejection: &Rejection) {
        let mut state = self.state();
        match &*state {
            StepUpState::Open => *state = StepUpState::Rejected(Box::new(rejection.clone())),
            // The first one counts.
            StepUpState::Requested(_) | StepUpState::Rejected(_) => {}
            StepUpState::Closed(problem) => {
                self.0.log.warn_of_late_rejection(rejection.reason(), problem);
            }
        }
    }

    fn request(&self, required: &Scopes) {
        let mut state = self.state();
        match &mut *state {
            StepUpState::Open => *state = StepUpState::Requested(required.clone()),
            // One consent for everything that is missing.
            StepUpState::Requested(others) => *others = others.union(required),
            StepUpState::Rejected(_) => {}
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
            StepUpState::Rejected(rejection) => Some((**rejection).clone()),
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
