//! The pause after failed calls, by the times of the monotonic clock.
//!
//! After a failure no call starts for 1 second, doubled up to 30 with each further one, or for as
//! long as Clerk asked (`Retry-After`, RFC 9110 section 10.2.3). In a longer pause one call in 30
//! seconds is let through, so that Clerk is used again soon after it works again. A success ends
//! the pause.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::ClerkError;

const MIN_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(30);
const PROBE_INTERVAL: Duration = Duration::from_secs(30);

#[derive(Default)]
pub(in crate::clerk) struct Backoff(Mutex<State>);

#[derive(Default)]
struct State {
    /// The number of pauses so far. A call that started before the last one says nothing new.
    pauses: u64,
    pause: Option<Pause>,
}

struct Pause {
    failures_in_a_row: u32,
    until: Duration,
    next_probe: Duration,
    error: ClerkError,
}

/// The permission to make a call, to be given back with its outcome.
#[derive(Clone, Copy)]
pub(in crate::clerk) struct Attempt {
    pauses: u64,
}

impl Backoff {
    /// Returns the error of the last call, with the time that remains, if no call may start now.
    pub(in crate::clerk) fn check(&self, now: Duration) -> Result<(), ClerkError> {
        self.state().check(now)
    }

    /// Starts a call, unless [`check`](Self::check) returns an error.
    pub(in crate::clerk) fn begin(&self, now: Duration) -> Result<Attempt, ClerkError> {
        let mut state = self.state();
        state.check(now)?;
        if let Some(pause) = &mut state.pause {
            pause.next_probe = now.saturating_add(PROBE_INTERVAL);
        }
        Ok(Attempt { pauses: state.pauses })
    }

    /// Ends the pause, unless it began during this call.
    pub(in crate::clerk) fn succeeded(&self, attempt: Attempt) {
        let mut state = self.state();
        if state.pauses == attempt.pauses {
            state.pause = None;
        }
    }

    /// Begins a pause, and returns the error with its length. The failures of calls that ran at
    /// the same time count as one.
    pub(in crate::clerk) fn failed(
        &self,
        attempt: Attempt,
        error: ClerkError,
        now: Duration,
    ) -> ClerkError {
        let mut state = self.state();
        let is_new = state.pauses == attempt.pauses;
        let before = state.pause.as_ref();
        let failures = before.map_or(0, |pause| pause.failures_in_a_row);
        let failures_in_a_row = failures.saturating_add(is_new.into()).max(1);
        let wait = length(failures_in_a_row).max(error.retry_after().unwrap_or_default());
        let until = now.saturating_add(wait);
        let until = before.map_or(until, |pause| until.max(pause.until));
        let error = error.with_retry_after(Some(wait));
        state.pauses = state.pauses.saturating_add(is_new.into());
        state.pause = Some(Pause {
            failures_in_a_row,
            until,
            next_probe: now.saturating_add(PROBE_INTERVAL),
            error: error.clone(),
        });
        error
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn check(&self, now: Duration) -> Result<(), ClerkError> {
        let Some(pause) = &self.pause else { return Ok(()) };
        if now >= pause.until.min(pause.next_probe) {
            return Ok(());
        }
        let wait = pause.until.saturating_sub(now);
        Err(pause.error.clone().with_retry_after(Some(wait)))
    }
}

fn length(failures_in_a_row: u32) -> Duration {
    let factor = 2_u32.saturating_pow(failures_in_a_row.saturating_sub(1));
    MIN_PAUSE.saturating_mul(factor).min(MAX_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ClerkErrorKind;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn error(retry_after: Option<u64>) -> ClerkError {
        ClerkError::new(ClerkErrorKind::Unavailable, "down")
            .with_retry_after(retry_after.map(seconds))
    }

    fn remaining(backoff: &Backoff, now: u64) -> Option<u64> {
        backoff.check(seconds(now)).err().map(|error| error.retry_after().unwrap().as_secs())
    }

    #[test]
    fn pauses_double_up_to_thirty_seconds_and_a_success_ends_them() {
        let backoff = Backoff::default();
        let mut now = 0;
        for pause in [1, 2, 4, 8, 16, 30, 30] {
            let attempt = backoff.begin(seconds(now)).unwrap_or_else(|_| panic!("at {now}"));
            let error = backoff.failed(attempt, error(None), seconds(now));
            assert_eq!(error.retry_after(), Some(seconds(pause)));
            assert_eq!(remaining(&backoff, now), Some(pause));
            now += pause;
            assert_eq!(remaining(&backoff, now), None);
        }
        let attempt = backoff.begin(seconds(now)).ok().unwrap();
        backoff.succeeded(attempt);
        let attempt = backoff.begin(seconds(now)).ok().unwrap();
        let error = backoff.failed(attempt, error(None), seconds(now));
        assert_eq!(error.retry_after(), Some(seconds(1)));
    }

    #[test]
    fn calls_at_the_same_time_count_as_one_failure_and_do_not_end_its_pause() {
        let backoff = Backoff::default();
        let attempts: Vec<_> = (0..5).map(|_| backoff.begin(seconds(0)).ok().unwrap()).collect();
        backoff.failed(attempts[0], error(Some(20)), seconds(1));
        backoff.failed(attempts[1], error(Some(7)), seconds(1));
        backoff.succeeded(attempts[2]);
        assert_eq!(remaining(&backoff, 1), Some(20), "the longest counts");
        backoff.failed(attempts[3], error(None), seconds(20));
        assert_eq!(remaining(&backoff, 20), Some(1));
    }

    #[test]
    fn in_a_long_pause_one_call_in_thirty_seconds_is_let_through() {
        let backoff = Backoff::default();
        let attempt = backoff.begin(seconds(0)).ok().unwrap();
        let error = backoff.failed(attempt, error(Some(300)), seconds(0));
        assert_eq!(error.retry_after(), Some(seconds(300)));
        assert_eq!(remaining(&backoff, 29), Some(271));
        let probe = backoff.begin(seconds(30)).ok().unwrap();
        assert_eq!(remaining(&backoff, 30), Some(270), "one call");
        assert_eq!(remaining(&backoff, 59), Some(241), "one call, whatever becomes of it");
        backoff.succeeded(probe);
        assert_eq!(remaining(&backoff, 30), None);
    }
}
