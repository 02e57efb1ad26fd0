//! One event for each rejected request, bounded where strangers can cause it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::Level;

use super::{Decision, Shown, ShownOperation};
use crate::clock::{Clock, Limit};
use crate::oauth::{AuthInfo, Scopes, TokenType};
use crate::response::RejectionReason;

const TARGET: &str = "clerk_mcp_tools::decision";

/// The events of one reason in ten seconds.
const MAX_EVENTS: u32 = 10;

/// Logs rejections, with the target `clerk_mcp_tools::decision`.
///
/// Each has one event: at `info`, or at `debug` if the token is missing, as in the first request of
/// every client. Of each reason there are at most ten at `info` in ten seconds; the others are at
/// `debug`, and the next one at `info` counts them.
pub(crate) struct RejectionLog {
    clock: Arc<dyn Clock>,
    /// There is a fixed number of reasons.
    reasons: Mutex<HashMap<RejectionReason, Limit>>,
    upgrades: Limit,
    late_step_ups: Limit,
    late_rejections: Limit,
}

impl RejectionLog {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            reasons: Mutex::default(),
            upgrades: Limit::per_ten_seconds(1),
            late_step_ups: Limit::per_ten_seconds(1),
            late_rejections: Limit::per_ten_seconds(1),
        }
    }

    pub(super) fn record(&self, decision: &Decision<'_>) {
        let Some(reason) = decision.reason() else { return };
        if !tracing::enabled!(target: TARGET, Level::INFO) {
            return;
        }
        match self.admit(reason) {
            Some(omitted) => Event::new(decision, reason, omitted).at_info(),
            None if tracing::enabled!(target: TARGET, Level::DEBUG) => {
                Event::new(decision, reason, 0).at_debug();
            }
            None => {}
        }
    }

    /// Returns the number of events of this reason that were left out, if there may be one at `info`.
    fn admit(&self, reason: RejectionReason) -> Option<u64> {
        if reason == RejectionReason::MissingToken {
            return None;
        }
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = reasons.entry(reason).or_insert_with(|| Limit::per_ten_seconds(MAX_EVENTS));
        limit.admit(self.clock.monotonic())
    }

    /// Warns of an upgrade that was rejected.
    pub(crate) fn warn_of_upgrade(&self) {
        let Some(omitted) = self.upgrades.admit(self.clock.monotonic()) else { return };
        tracing::warn!(
            omitted = some(omitted),
            "rejected an upgrade: the access policy could not see the calls on it"
        );
    }

    /// Warns of a handler that asks for scopes although its client cannot be asked.
    pub(crate) fn warn_of_late_step_up(&self, required: &Scopes, problem: &'static str) {
        let Some(omitted) = self.late_step_ups.admit(self.clock.monotonic()) else { return };
        tracing::warn!(
            %required,
            problem,
            omitted = some(omitted),
            "a handler requires scopes that the caller lacks, but the client cannot be asked"
        );
    }

    /// Warns of a handler that rejects a request although its response has begun.
    pub(crate) fn warn_of_late_rejection(&self, reason: RejectionReason, problem: &'static str) {
        let Some(omitted) = self.late_rejections.admit(self.clock.monotonic()) else { return };
        tracing::warn!(
            ?reason,
            problem,
            omitted = some(omitted),
            "a handler rejects a request, but the response cannot say so"
        );
    }
}

fn some(omitted: u64) -> Option<u64> {
    (omitted > 0).then_some(omitted)
}

/// The fields of an event.
struct Event<'a> {
    reason: &'static str,
    token_type: Option<&'static str>,
    client_id: Option<String>,
    principal: Option<String>,
    method: Option<String>,
    name: Option<String>,
    /// If there are several.
    operations: Option<usize>,
    missing_scopes: Option<String>,
    detail: Option<String>,
    audience: Option<&'a [String]>,
    resource: Option<&'a str>,
    omitted: Option<u64>,
}

/// With a literal level, as `tracing` needs it.
macro_rules! emit {
    ($event:expr, $level:expr) => {{
        let event = $event;
        tracing::event!(
            target: TARGET,
            $level,
            reason = event.reason,
            token_type = event.token_type,
            principal = event.principal.as_deref(),
            client_id = event.client_id.as_deref(),
            method = event.method.as_deref(),
            name = event.name.as_deref(),
            operations = event.operations,
            missing_scopes = event.missing_scopes.as_deref(),
            detail = event.detail.as_deref(),
            audience = event.audience.map(tracing::field::debug),
            resource = event.resource,
            omitted = event.omitted,
            "rejected a request"
        )
    }};
}

impl<'a> Event<'a> {
    fn new(decision: &Decision<'a>, reason: RejectionReason, omitted: u64) -> Self {
        let shown = |text: &str| Shown::text(text).to_string();
        let (rejection, caller) = (decision.rejection(), decision.caller());
        let error = rejection.and_then(|rejection| rejection.error());
        let mismatch = rejection.and_then(|rejection| rejection.audience_mismatch());
        let operations = decision.operations();
        let operation = operations.first().map(|one| ShownOperation::new(one, caller));
        Self {
            reason: reason.as_str(),
            token_type: decision.token_type().map(TokenType::as_str),
            client_id: caller.and_then(AuthInfo::client_id).map(shown),
            principal: caller.map(|caller| shown(caller.principal().id())),
            method: operation.as_ref().map(ShownOperation::method),
            name: operation.as_ref().and_then(ShownOperation::name),
            operations: Some(operations.len()).filter(|count| *count > 1),
            missing_scopes: decision.missing_scopes().map(|scopes| shown(&scopes.to_string())),
            detail: error.and_then(|error| error.detail()).map(|d| Shown::detail(d).to_string()),
            audience: mismatch.map(|mismatch| mismatch.audience.as_slice()),
            resource: mismatch.map(|mismatch| mismatch.resource.as_str()),
            omitted: some(omitted),
        }
    }

    fn at_info(&self) {
        emit!(self, Level::INFO);
    }

    fn at_debug(&self) {
        emit!(self, Level::DEBUG);
    }
}
