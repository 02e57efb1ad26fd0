//! A limit on calls per time, with a share that is kept for calls of value.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The window of the limit.
const WINDOW: Duration = Duration::from_secs(10);

/// Who makes a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// May use the whole limit.
    Whole,
    /// May use half of the burst, so that the others never have to wait for these.
    Limited,
}

/// At most so many calls in any ten seconds, by the monotonic clock.
///
/// A token bucket, in the form of the generic cell rate algorithm (ITU-T I.371): one time instead
/// of a number of tokens. Half of the limit may come at once, and the other half is spread evenly.
pub(crate) struct RateLimit {
    /// The time that one call takes up.
    interval: Duration,
    burst: u32,
    /// When the bucket will be full again.
    full_at: Mutex<Duration>,
}

impl RateLimit {
    /// At least 4 calls.
    pub(crate) fn new(calls: u32) -> Self {
        let calls = calls.max(4);
        let burst = calls / 2;
        Self { interval: WINDOW / (calls - burst), burst, full_at: Mutex::default() }
    }

    /// Counts a call, or returns the time until it may be made.
    pub(crate) fn take(&self, share: Share, now: Duration) -> Result<(), Duration> {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = now.saturating_add(self.interval * self.burst);
        // Later than with an empty bucket is only possible if the clock went back.
        let from = if *full_at > latest { now } else { now.max(*full_at) };
        let allowed = match share {
            Share::Whole => self.burst,
            Share::Limited => self.burst / 2,
        };
        let wait = from.saturating_sub(now.saturating_add(self.interval * (allowed - 1)));
        if !wait.is_zero() {
            return Err(wait);
        }
        *full_at = from.saturating_add(self.interval);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how many calls are allowed now.
    fn take_all(limit: &RateLimit, share: Share, now: Duration) -> usize {
        std::iter::repeat_with(|| limit.take(share, now)).take_while(Result::is_ok).count()
    }

    #[test]
    fn any_ten_seconds_have_no_more_calls_than_the_limit() {
        for calls in [4, 5, 80, 800, 10_000] {
            let limit = RateLimit::new(calls);
            let mut taken = Vec::new();
            for tenth in 0..300 {
                taken.push(take_all(&limit, Share::Whole, Duration::from_millis(tenth * 100)));
            }
            assert_eq!(taken[0], calls as usize / 2, "{calls}");
            for window in taken.windows(100) {
                assert!(window.iter().sum::<usize>() <= calls as usize, "{calls}");
            }
            let steady: usize = taken[100..200].iter().sum();
            assert!(steady.abs_diff(calls as usize - calls as usize / 2) <= 1, "{calls}: {steady}");
        }
    }

    #[test]
    fn half_of_the_burst_is_kept_for_calls_of_value() {
        let limit = RateLimit::new(80);
        let now = Duration::from_secs(3);
        assert_eq!(take_all(&limit, Share::Limited, now), 20);
        assert_eq!(limit.take(Share::Limited, now), Err(Duration::from_millis(250)));
        assert_eq!(take_all(&limit, Share::Whole, now), 20);
        assert_eq!(limit.take(Share::Whole, now), Err(Duration::from_millis(250)));
        assert_eq!(limit.take(Share::Limited, now), Err(Duration::from_millis(250 * 21)));
        let later = now + Duration::from_millis(250);
        assert_eq!(take_all(&limit, Share::Limited, later), 0);
        assert_eq!(take_all(&limit, Share::Whole, later), 1);
    }

    #[test]
    fn a_clock_that_goes_back_or_ends_does_not_block_for_long() {
        let limit = RateLimit::new(80);
        assert_eq!(take_all(&limit, Share::Whole, Duration::from_secs(1_000_000)), 40);
        assert_eq!(take_all(&limit, Share::Whole, Duration::ZERO), 40);
        assert_eq!(limit.take(Share::Whole, Duration::MAX), Ok(()));
    }
}
