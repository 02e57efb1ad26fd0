//! The time, as something that is handed in.
//!
//! Expiry, cool-downs and limits on staleness all ask a [`Clock`], so that tests move the time by hand and
//! never sleep.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Where this crate takes the time from.
///
/// Two readings, since they answer different questions: a token's `exp` is compared with the wall clock, while
/// the age of something fetched must not jump when somebody sets the machine's clock.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use clerk_mcp_tools::clock::Clock;
///
/// /// A clock that stands still, for a test.
/// #[derive(Debug)]
/// struct Noon;
///
/// impl Clock for Noon {
///     fn unix_time(&self) -> Duration {
///         Duration::from_secs(1_767_182_400)
///     }
///     fn monotonic(&self) -> Duration {
///         Duration::ZERO
///     }
/// }
/// ```
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The wall clock: time since 1970-01-01T00:00:00Z, leap seconds not counted (RFC 7519 section 2, `NumericDate`).
    fn unix_time(&self) -> Duration;

    /// Time since an arbitrary, fixed moment. Never goes back.
    fn monotonic(&self) -> Duration;
}

/// The machine's own clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose [`monotonic`](Clock::monotonic) reading starts at zero now.
    #[must_use]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn unix_time(&self) -> Duration {
        // On a machine whose clock stands before 1970 every token counts as expired: the safe side.
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn unix_time(&self) -> Duration {
        (**self).unix_time()
    }

    fn monotonic(&self) -> Duration {
        (**self).monotonic()
    }
}
