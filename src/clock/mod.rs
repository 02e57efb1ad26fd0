//! The source of time: the `Clock` trait and the system clock.
//!
//! Expiry, backoff and cache lifetimes all read a [`Clock`], so that tests can set the time
//! instead of sleeping. The waits for Clerk are bounded by [`Clock::sleep`].

pub(crate) mod background;
mod deadlines;
mod http_client;
mod limit;
mod moment;
mod retry_after;

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

pub(crate) use deadlines::{Deadline, Deadlines};
pub(crate) use http_client::{CONNECT_TIMEOUT, http_client};
pub(crate) use limit::Limit;
pub(crate) use moment::Moment;
pub(crate) use retry_after::retry_after;

/// A source of the current time.
///
/// There are two readings because each can be wrong in its way: the wall clock may be set back, and
/// the monotonic clock may stand still while the machine is suspended, as on Linux. The `exp` of a
/// token is compared with the wall clock; a cached value is too old as soon as one of the two says
/// so.
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

    /// Returns a future that ends after this time, which counts from the call.
    ///
    /// It bounds the waits for Clerk and for request bodies. The provided one is a timer of the
    /// operating system on a thread of this crate, and works on any executor. Override it in a
    /// clock whose time tests set, so that they do not wait; see
    /// [`ManualClock`](crate::testing::ManualClock).
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(background::sleep(duration))
    }
}

/// Returns the output of a future, or `None` if it takes longer than this.
pub(crate) async fn timeout<F: Future>(
    clock: &dyn Clock,
    duration: Duration,
    future: F,
) -> Option<F::Output> {
    let mut limit = clock.sleep(duration);
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => limit.as_mut().poll(context).map(|()| None),
    })
    .await
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

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        (**self).sleep(duration)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::task::{Context, Wake, Waker};
    use std::thread::{self, Thread};

    use super::*;

    /// Runs a future on this thread, without a runtime.
    pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
        struct Unpark(Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
            thread::park();
        }
    }

    #[test]
    fn a_timeout_ends_a_future_that_takes_longer() {
        let clock = SystemClock::new();
        let (short, long) = (Duration::from_nanos(1), Duration::from_secs(3600));
        assert_eq!(block_on(timeout(&clock, short, std::future::pending::<()>())), None);
        assert_eq!(block_on(timeout(&clock, long, std::future::ready(1))), Some(1));
    }
}
