//! The scopes that a request needs besides a valid token.

use http::HeaderMap;

use crate::error::VerifyError;
use crate::mcp::{AccessPolicy, McpHeaders};
use crate::oauth::{AuthInfo, ScopeHierarchy, Scopes};
use crate::response::{ChallengeContext, Rejection, RejectionReason};

/// What a layer requires of the token of a request.
#[derive(Clone, Debug)]
pub(super) struct Requirements {
    pub(super) scopes: Scopes,
    /// For the challenges only: what a first sign-in should ask for besides `scopes`.
    pub(super) initial_scopes: Scopes,
    pub(super) hierarchy: ScopeHierarchy,
    /// For the challenges only; the layer inside applies it.
    policy: AccessPolicy,
    /// The scopes that the policy names.
    policy_scopes: Scopes,
    /// Handlers may require scopes that the policy does not name.
    step_up_from_handlers: bool,
}

impl Requirements {
    pub(super) fn none() -> Self {
        Self {
            scopes: Scopes::none(),
            initial_scopes: Scopes::none(),
            hierarchy: ScopeHierarchy::new(),
            policy: AccessPolicy::empty(),
            policy_scopes: Scopes::none(),
            step_up_from_handlers: false,
        }
    }

    pub(super) fn set_policy(&mut self, policy: AccessPolicy, step_up_from_handlers: bool) {
        self.step_up_from_handlers = step_up_from_handlers;
        self.policy_scopes = policy.scopes();
        self.policy = policy;
    }

    /// Returns whether there is an access policy.
    pub(super) fn have_policy(&self) -> bool {
        !self.policy.is_empty()
    }

    /// Returns the caller if the token is valid and has every required scope.
    pub(super) fn check(
        &self,
        verified: Result<AuthInfo, VerifyError>,
    ) -> Result<AuthInfo, Rejection> {
        let rejection = match verified {
            Ok(caller) if self.hierarchy.grants_all(caller.scopes(), &self.scopes) => {
                return Ok(caller);
            }
            Ok(caller) => Rejection::new(RejectionReason::InsufficientScope)
                .granted(caller.scopes().clone())
                .lacking(&self.scopes, caller.scopes(), &self.hierarchy)
                .of_caller(Some(&caller)),
            Err(error) => Rejection::from(error),
        };
        Err(if self.step_up_from_handlers {
            rejection.keep_all_granted()
        } else {
            rejection.keep_granted(&self.policy_scopes)
        })
    }

    /// Returns the contents of the challenges of a resource.
    pub(super) fn challenge_context(
        &self,
        resource_metadata: String,
        cors: bool,
    ) -> ChallengeContext {
        ChallengeContext {
            resource_metadata,
            scopes: self.scopes.clone(),
            initial_scopes: self.initial_scopes.clone(),
            cors,
        }
    }

    /// Adds the scopes of the operation that the headers name, so that one consent covers it.
    pub(super) fn name_operation(&self, rejection: Rejection, headers: &HeaderMap) -> Rejection {
        if self.policy.is_empty() {
            return rejection;
        }
        let operation = McpHeaders::parse(headers).ok().and_then(McpHeaders::into_operation);
        match operation {
            Some(operation) => rejection.needing(&self.policy.scopes_by_headers(&operation)),
            None => rejection,
        }
    }
}
