//! A clock that tests set.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Clock;

/// A clock that only moves when a test moves it.
///
/// Clones share their time: pass one to [`FakeClerk`](super::FakeClerk), one to the code under
/// test, and keep one in the test.
///
/// A wait that the clock bounds ends when a test advances the clock by its limit: a call to a
/// `FakeClerk` that hangs fails after five seconds of this clock, and never by itself.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use clerk_mcp_tools::clock::Clock;
/// use clerk_mcp_tools::testing::ManualClock;
///
/// let clock = ManualClock::new(1_767_182_400);
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.unix_time().as_secs(), 1_767_182_460);
/// assert_eq!(clock.monotonic(), Duration::from_secs(60));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock {
    readings: Arc<watch::Sender<Readings>>,
}

#[derive(Debug)]
struct Readings {
    unix_time: Duration,
    monotonic: Duration,
}

impl ManualClock {
    /// Creates a clock whose wall time is `unix_seconds` after 1970-01-01T00:00:00Z and whose
    /// monotonic reading is zero.
    #[must_use]
    pub fn new(unix_seconds: u64) -> Self {
        Self {
            readings: Arc::new(watch::Sender::new(Readings {
                unix_time: Duration::from_secs(unix_seconds),
                monotonic: Duration::ZERO,
            })),
        }
    }

    /// Advances both readings by `by`, and ends the [sleeps](Clock::sleep) that are over then.
    pub fn advance(&self, by: Duration) {
        self.readings.send_modify(|readings| {
            readings.unix_time = readings.unix_time.saturating_add(by);
            readings.monotonic = readings.monotonic.saturating_add(by);
        });
    }

    /// Sets the wall clock, as when an operator or NTP corrects it. The monotonic reading does not
    /// change.
    pub fn set_unix_time(&self, since_1970: Duration) {
        self.readings.send_modify(|readings| readings.unix_time = since_1970);
    }
}

impl Clock for ManualClock {
    fn unix_time(&self) -> Duration {
        self.readings.borrow().unix_time
    }

    fn monotonic(&self) -> Duration {
        self.readings.borrow().monotonic
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut readings = self.readings.subscribe();
        let start = self.monotonic();
        Box::pin(async move {
            // Fails without a clock, whose time nobody could advance.
            let _ = readings
                .wait_for(|readings| readings.monotonic.saturating_sub(start) >= duration)
                .await;
        })
    }
}
