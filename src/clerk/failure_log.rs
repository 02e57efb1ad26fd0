//! The log of tokens that were not accepted, bounded where a stranger can cause it.

use std::sync::Arc;

use super::jwks::REFRESHED_RECENTLY;
use crate::clock::{Clock, Limit};
use crate::error::{ClerkError, VerifyError, VerifyErrorKind};
use crate::oauth::AudienceMismatch;

/// Logs why tokens were not accepted. The caller only gets a fixed description.
///
/// What an operator should act on is logged as `warn` or `error`: of each kind at most one line in
/// ten seconds, and the next line counts those that were left out (`omitted`), since each request can
/// cause one, and anybody can send requests. `debug` has an event for each token.
pub(super) struct FailureLog {
    clock: Arc<dyn Clock>,
    misconfigured: Limit,
    unavailable: Limit,
    audience: Limit,
    issuer: Limit,
    membership: Limit,
}

impl FailureLog {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            misconfigured: Limit::per_ten_seconds(1),
            unavailable: Limit::per_ten_seconds(1),
            audience: Limit::per_ten_seconds(1),
            issuer: Limit::per_ten_seconds(1),
            membership: Limit::per_ten_seconds(1),
        }
    }

    pub(super) fn record(&self, error: &VerifyError) {
        let (kind, detail) = (error.kind(), error.detail());
        let Some(omitted) = self.admit(error) else {
            if kind.is_verdict() {
                tracing::debug!(?kind, detail, "rejected an access token");
            } else {
                tracing::debug!(?kind, cause = ?error, "failed to verify an access token");
            }
            return;
        };
        let omitted = (omitted > 0).then_some(omitted);
        match kind {
            VerifyErrorKind::Misconfigured => {
                tracing::error!(?kind, cause = ?error, omitted, "failed to verify an access token");
            }
            VerifyErrorKind::Unavailable => {
                tracing::warn!(?kind, cause = ?error, omitted, "failed to verify an access token");
            }
            _ => {
                let mismatch = error.context::<AudienceMismatch>();
                tracing::warn!(
                    ?kind,
                    detail,
                    audience = mismatch.map(|mismatch| tracing::field::debug(&mismatch.audience)),
                    resource = mismatch.map(|mismatch| mismatch.resource.as_str()),
                    omitted,
                    "rejected an access token"
                );
            }
        }
    }

    /// Logs that a membership could not be looked up.
    pub(super) fn membership_failed(&self, error: &ClerkError) {
        let Some(omitted) = self.membership.admit(self.clock.monotonic()) else {
            tracing::debug!(cause = ?error, "failed to look up a membership");
            return;
        };
        let omitted = (omitted > 0).then_some(omitted);
        tracing::warn!(cause = ?error, omitted, "failed to look up a membership");
    }

    /// Returns the number of lines of this kind that were left out before, if one may be written
    /// now. `None` for kinds that are only logged as `debug`.
    fn admit(&self, error: &VerifyError) -> Option<u64> {
        let limit = match error.kind() {
            // No fault of Clerk's: a stranger can cause it at any time.
            VerifyErrorKind::Unavailable if error.detail() == Some(REFRESHED_RECENTLY) => {
                return None;
            }
            VerifyErrorKind::Misconfigured => &self.misconfigured,
            VerifyErrorKind::Unavailable => &self.unavailable,
            // These often point to a mistake in the settings of Clerk, the client or this server.
            VerifyErrorKind::InvalidAudience => &self.audience,
            VerifyErrorKind::InvalidIssuer => &self.issuer,
            _ => return None,
        };
        limit.admit(self.clock.monotonic())
    }
}
