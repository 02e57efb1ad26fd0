//! Where every decision of a layer arrives, once.

use std::fmt;
use std::sync::Arc;

use super::Decision;
use super::log::RejectionLog;
use crate::clock::Clock;
use crate::response::Rejection;

type Hook = dyn Fn(&Decision<'_>) + Send + Sync;

/// Tells the audit hook, the log and the metrics about decisions. A clone shares all of them.
#[derive(Clone)]
pub(crate) struct DecisionObserver {
    log: Arc<RejectionLog>,
    hook: Option<Arc<Hook>>,
}

impl DecisionObserver {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { log: Arc::new(RejectionLog::new(clock)), hook: None }
    }

    pub(crate) fn set_clock(&mut self, clock: Arc<dyn Clock>) {
        self.log = Arc::new(RejectionLog::new(clock));
    }

    pub(crate) fn set_hook(&mut self, hook: Arc<Hook>) {
        self.hook = Some(hook);
    }

    /// Shares the limits of the log with those of another layer.
    pub(crate) fn share_log(&mut self, other: &Self) {
        self.log = Arc::clone(&other.log);
    }

    pub(crate) fn has_hook(&self) -> bool {
        self.hook.is_some()
    }

    /// Returns the log, for its warnings.
    pub(crate) fn log(&self) -> &Arc<RejectionLog> {
        &self.log
    }

    /// Takes the decision about one request.
    pub(crate) fn observe(&self, decision: &Decision<'_>) {
        #[cfg(feature = "metrics")]
        super::metrics::count(decision);
        if let Some(hook) = &self.hook {
            hook(decision);
        }
        if decision.rejection().is_some() {
            self.log.record(decision);
        }
    }

    /// Logs a rejection by a handler, of a request that the layers may have admitted.
    pub(crate) fn log_rejection(&self, rejection: &Rejection) {
        self.log.record(&Decision::rejected(rejection));
    }
}

impl fmt::Debug for DecisionObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecisionObserver").field("hook", &self.has_hook()).finish_non_exhaustive()
    }
}
