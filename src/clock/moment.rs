//! Moments that are read from both clocks.

use std::time::Duration;

use super::Clock;

/// A moment, on both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) unix_time: Duration,
    pub(crate) monotonic: Duration,
}

impl Moment {
    pub(crate) fn now(clock: &dyn Clock) -> Self {
        Self { unix_time: clock.unix_time(), monotonic: clock.monotonic() }
    }

    /// Returns the moment this long after this one.
    pub(crate) fn after(self, wait: Duration) -> Self {
        Self {
            unix_time: self.unix_time.saturating_add(wait),
            monotonic: self.monotonic.saturating_add(wait),
        }
    }

    /// Returns whether one of the clocks has reached this moment.
    pub(crate) fn has_come(self, clock: &dyn Clock) -> bool {
        self.has_come_at(Self::now(clock))
    }

    /// As [`has_come`](Self::has_come), for several moments and one look at the clocks.
    pub(crate) fn has_come_at(self, now: Self) -> bool {
        now.monotonic >= self.monotonic || now.unix_time >= self.unix_time
    }

    /// Returns the time from this moment to `now`, by the clock that says more.
    pub(crate) fn age(self, now: Self) -> Duration {
        let by_wall_clock = now.unix_time.saturating_sub(self.unix_time);
        self.monotonic_age(now).max(by_wall_clock)
    }

    /// Returns the time from this moment to `now`, by the monotonic clock.
    pub(crate) fn monotonic_age(self, now: Self) -> Duration {
        now.monotonic.saturating_sub(self.monotonic)
    }

    /// Returns the wall-clock time of this moment. If the wall clock was set back since, this is
    /// the time that the corrected clock would have shown.
    pub(crate) fn corrected_unix_time(self, now: Self) -> Duration {
        self.unix_time.min(now.unix_time.saturating_sub(self.monotonic_age(now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(unix_time: u64, monotonic: u64) -> Moment {
        Moment {
            unix_time: Duration::from_secs(unix_time),
            monotonic: Duration::from_secs(monotonic),
        }
    }

    /// A clock that shows this moment.
    impl Clock for Moment {
        fn unix_time(&self) -> Duration {
            self.unix_time
        }

        fn monotonic(&self) -> Duration {
            self.monotonic
        }
    }

    #[test]
    fn the_clock_that_says_more_decides() {
        let then = moment(1000, 100);
        // Now, the age, and the wall-clock time of `then`.
        for (now, age, unix_time) in [
            (moment(1000, 100), 0, 1000),
            (moment(1007, 107), 7, 1000),
            // The machine was suspended, or the wall clock was slow.
            (moment(9000, 107), 8000, 1000),
            // The wall clock was fast.
            (moment(500, 107), 7, 493),
            (moment(0, 107), 7, 0),
            // A monotonic clock that breaks its promise.
            (moment(1007, 0), 7, 1000),
        ] {
            assert_eq!(then.age(now).as_secs(), age, "{now:?}");
            assert_eq!(then.corrected_unix_time(now).as_secs(), unix_time, "{now:?}");
        }
    }

    #[test]
    fn a_moment_has_come_when_either_clock_has_reached_it() {
        let end = moment(1000, 100).after(Duration::from_secs(10));
        for (now, has_come) in [
            (moment(1009, 109), false),
            (moment(1009, 110), true),
            (moment(1010, 109), true),
            (moment(0, 109), false),
            (moment(0, 110), true),
            (moment(1010, 0), true),
        ] {
            assert_eq!(end.has_come(&now), has_come, "{now:?}");
        }
        assert!(!moment(u64::MAX, u64::MAX).after(Duration::MAX).has_come(&moment(0, 0)));
    }
}
