//! Until when Clerk wants no calls.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// By the clock that cannot be set.
#[derive(Debug, Default)]
pub(crate) struct Backoff(Mutex<Duration>);

impl Backoff {
    /// Makes the pause last until then. Of calls that were under way together each may have been told another time: the
    /// latest counts.
    pub(crate) fn extend_to(&self, until: Duration) {
        let mut own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *own = until.max(*own);
    }

    /// How much of it is left; `None` once it is over.
    pub(crate) fn left(&self, now: Duration) -> Option<Duration> {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.checked_sub(now).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_pause_counts() {
        let second = Duration::from_secs;
        let pause = Backoff::default();
        assert_eq!(pause.left(second(0)), None);
        pause.extend_to(second(20));
        pause.extend_to(second(7));
        assert_eq!(pause.left(second(5)), Some(second(15)));
        assert_eq!((pause.left(second(20)), pause.left(second(21))), (None, None));
    }
}
