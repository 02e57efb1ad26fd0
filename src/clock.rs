//! The source of time: the `Clock` trait and the system clock.
//!
//! Expiry, backoff and cache lifetimes all read a [`Clock`], so that tests can set the time
//! instead of sleeping.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// A source of the current time.
///
/// There are two readings because they serve different purposes: the `exp` of a token is compared
/// with the wall clock, while the age of a cached value must not change when the wall clock is set.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use clerk_mcp_tools::clock::Clock;
///
/// /// A clock for tests that always shows the same time.
/// #[derive(Debug)]
/// struct FixedClock;
///
/// impl Clock for FixedClock {
///     fn unix_time(&self) -> Duration {
///         Duration::from_secs(1_767_182_400)
///     }
///     fn monotonic(&self) -> Duration {
///         Duration::ZERO
///     }
/// }
/// ```
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Returns the wall-clock time since 1970-01-01T00:00:00Z, without leap seconds (`NumericDate`
    /// of RFC 7519 section 2).
    fn unix_time(&self) -> Duration;

    /// Returns the time since an arbitrary but fixed moment. Must never decrease.
    fn monotonic(&self) -> Duration;
}

/// The clocks of the operating system.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Creates a clock whose [`monotonic`](Clock::monotonic) reading starts at zero.
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
        // With a wall clock before 1970 every token counts as expired, which is the safe default.
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
