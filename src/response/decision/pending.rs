//! The decision about a request whose handler may still have it rejected.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Decision, DecisionObserver};
use crate::mcp::Operation;
use crate::oauth::{AuthInfo, ResourceUrl};
use crate::response::Rejection;

/// A decision that is made when the response begins. If that never happens, since the client went
/// away or the handler panicked, the request counts as admitted: the handler may have run.
pub(crate) struct PendingDecision {
    observer: DecisionObserver,
    caller: Option<AuthInfo>,
    operations: Vec<Operation<'static>>,
    resource: Option<ResourceUrl>,
    /// Whether the handler may run, and the decision is not made.
    is_open: bool,
}

impl PendingDecision {
    pub(crate) fn new(
        observer: DecisionObserver,
        caller: Option<&AuthInfo>,
        operations: &[Operation<'_>],
        resource: Option<ResourceUrl>,
    ) -> Self {
        let operations = operations.iter().map(|one| one.to_bounded(usize::MAX)).collect();
        Self { observer, caller: caller.cloned(), operations, resource, is_open: false }
    }

    /// The request is passed to its handler. Until then, nothing is decided here.
    pub(crate) fn leave_to_handler(&mut self) {
        self.is_open = true;
    }

    pub(crate) fn admit(&mut self) {
        self.is_open = false;
        let decision = Decision::admitted(self.caller.as_ref(), &self.operations);
        self.observer.observe(&decision.at(self.resource.as_ref()));
    }

    /// Returns the rejection with what is known of the request.
    pub(crate) fn reject(&mut self, rejection: Rejection) -> Rejection {
        self.is_open = false;
        let rejection = rejection.of_caller(self.caller.as_ref()).for_operations(&self.operations);
        self.observer.observe(&Decision::rejected(&rejection).at(self.resource.as_ref()));
        rejection
    }
}

impl Drop for PendingDecision {
    fn drop(&mut self) {
        if self.is_open {
            // A second panic, of the hook, would abort the process.
            let _ = catch_unwind(AssertUnwindSafe(|| self.admit()));
        }
    }
}
