//! The backoff deadline that Clerk asked for with `Retry-After` (RFC 9110 section 10.2.3).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The time before which no call is made, measured on the monotonic clock.
#[derive(Default)]
pub(super) struct Backoff(Mutex<Duration>);

impl Backoff {
    /// Moves the deadline to `until`, unless it is later already: concurrent calls may be given
    /// different deadlines.
    pub(super) fn extend_to(&self, until: Duration) {
        let mut deadline = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *deadline = until.max(*deadline);
    }

    /// Returns the time until the deadline, or `None` if it has passed.
    pub(super) fn remaining(&self, now: Duration) -> Option<Duration> {
        let deadline = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        deadline.checked_sub(now).filter(|remaining| !remaining.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_deadline_counts() {
        let second = Duration::from_secs;
        let backoff = Backoff::default();
        assert_eq!(backoff.remaining(second(0)), None);
        backoff.extend_to(second(20));
        backoff.extend_to(second(7));
        assert_eq!(backoff.remaining(second(5)), Some(second(15)));
        assert_eq!((backoff.remaining(second(20)), backoff.remaining(second(21))), (None, None));
    }
}
