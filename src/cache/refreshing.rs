//! A cached value with stale-while-revalidate and stale-if-error semantics (RFC 5861).
//!
//! - Concurrent callers share one fetch, and a caller that is cancelled does not stop it.
//! - Past [`RefreshTimes::refresh_after`] the value is still served, and a fetch starts in the
//!   background (RFC 5861 section 3).
//! - Past [`RefreshTimes::max_age`] a caller waits for a fetch, and gets the old value if that
//!   fails.
//! - Past [`RefreshTimes::stale_if_error`] the value is no longer served (RFC 5861 section 4).
//! - A caller that misses something in the value, such as an unknown `kid`, may force a refresh, at
//!   most once per [`RefreshTimes::min_refresh_interval`].
//! - After a failure no fetch starts for a while: twice as long after each further failure, or as
//!   long as the source asked for.

use std::error::Error;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use async_trait::async_trait;

use super::single_flight::{Flight, Interrupted, Key, SingleFlight};
use crate::clock::{Clock, timeout};

/// Where a value comes from.
#[async_trait]
pub(crate) trait Source: Send + Sync + 'static {
    type Value: Send + Sync + 'static;
    type Error: RefreshError;

    async fn fetch(&self) -> Result<Self::Value, Self::Error>;

    /// Returns the value to cache when `new` replaces `old`.
    fn reconcile(&self, old: &Self::Value, new: Self::Value) -> Self::Value {
        let _ = old;
        new
    }
}

/// The error of a fetch, which all callers that wait for it share.
pub(crate) trait RefreshError: Error + Clone + Send + Sync + 'static {
    /// Returns how long the source asked callers to wait.
    fn retry_after(&self) -> Option<Duration>;

    /// Returns the same error with the time until the next fetch.
    fn with_retry_after(self, wait: Duration) -> Self;

    /// Returns the error of a fetch that has no outcome.
    fn interrupted(why: Interrupted) -> Self;
}

/// Ages and intervals, measured on the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RefreshTimes {
    pub(crate) refresh_after: Duration,
    pub(crate) max_age: Duration,
    pub(crate) stale_if_error: Duration,
    /// The minimum time between two refreshes that callers forced.
    pub(crate) min_refresh_interval: Duration,
}

/// The time without a fetch after a first failure. It doubles with each further one.
const MIN_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// The maximum time of a fetch. Longer than a call takes, which has a limit of its own.
const MAX_FETCH_TIME: Duration = Duration::from_secs(10);
/// There is one value, and so one key for its fetches.
const KEY: Key = [0; 32];

/// A value, its source, and the state of the fetches. Clones share them.
pub(crate) struct RefreshingCache<V, E>(Arc<Inner<V, E>>);

struct Inner<V, E> {
    source: Box<dyn Source<Value = V, Error = E>>,
    times: RefreshTimes,
    clock: Arc<dyn Clock>,
    state: RwLock<State<V, E>>,
    fetches: SingleFlight<Result<Arc<V>, E>>,
}

struct State<V, E> {
    cached: Option<Cached<V>>,
    /// The number of fetches that have begun.
    begun: u64,
    failure: Option<Failure<E>>,
    /// When the last refresh that a caller forced brought a value.
    forced_at: Option<Duration>,
}

struct Cached<V> {
    value: Arc<V>,
    fetched_at: Duration,
    /// The number of the fetch that brought the value, counted from 1.
    fetch: u64,
}

struct Failure<E> {
    error: E,
    in_a_row: u32,
    /// No fetch starts before this time.
    not_before: Duration,
}

/// A fetch that is in flight or has ended.
struct Fetch {
    number: u64,
    started_at: Duration,
    reason: RefreshReason,
}

#[derive(Clone, Copy, PartialEq)]
enum RefreshReason {
    /// There is no value, or it is too old.
    Expired,
    /// A caller missed something in the value.
    Miss,
}

/// A point between two fetches. A fetch that starts after it is fresh enough for a request that
/// came at this point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Generation(u64);

impl<V: Send + Sync + 'static, E: RefreshError> RefreshingCache<V, E> {
    pub(crate) fn new(
        source: impl Source<Value = V, Error = E>,
        times: RefreshTimes,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let state = State { cached: None, begun: 0, failure: None, forced_at: None };
        Self(Arc::new(Inner {
            source: Box::new(source),
            times,
            clock,
            state: RwLock::new(state),
            fetches: SingleFlight::new(1),
        }))
    }

    /// Returns the age of the cached value.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.0.cached().map(|(_, age)| age)
    }

    pub(crate) fn generation(&self) -> Generation {
        Generation(self.0.read().begun)
    }

    /// Returns the value, fetched anew if it is too old.
    pub(crate) async fn get(&self) -> Result<Arc<V>, E> {
        let Some((value, age)) = self.0.cached() else {
            return self.0.fetch(None, RefreshReason::Expired).await;
        };
        let times = self.0.times;
        if age < times.refresh_after {
            return Ok(value);
        }
        let is_servable = age < times.stale_if_error;
        // After a failed refresh, serve the stale value at once instead of making every caller wait
        // for the next attempt.
        if age < times.max_age || is_servable && self.0.has_failed() {
            self.0.spawn_refresh(&value);
            return Ok(value);
        }
        let fetched = self.0.fetch(Some(&value), RefreshReason::Expired).await;
        if is_servable { Ok(fetched.unwrap_or(value)) } else { fetched }
    }

    /// Returns a newer value than `seen`, in which the caller missed something.
    ///
    /// Returns `seen` itself if its fetch started after `generation`, or if the last forced refresh
    /// is too recent.
    pub(crate) async fn newer_than(
        &self,
        seen: &Arc<V>,
        generation: Generation,
    ) -> Result<Arc<V>, E> {
        if let Some(outcome) = self.0.settled(Some(seen)) {
            return outcome;
        }
        if !self.0.may_force_refresh(generation) {
            return self.0.last_error().map_or_else(|| Ok(Arc::clone(seen)), Err);
        }
        self.0.fetch(Some(seen), RefreshReason::Miss).await
    }
}

impl<V: Send + Sync + 'static, E: RefreshError> Inner<V, E> {
    fn cached(&self) -> Option<(Arc<V>, Duration)> {
        let state = self.read();
        let cached = state.cached.as_ref()?;
        let age = self.clock.monotonic().saturating_sub(cached.fetched_at);
        Some((Arc::clone(&cached.value), age))
    }

    /// Fetches the value, or shares the outcome of the fetch in flight.
    async fn fetch(
        self: &Arc<Self>,
        seen: Option<&Arc<V>>,
        reason: RefreshReason,
    ) -> Result<Arc<V>, E> {
        let fetched = async {
            match self.join_or_start(seen, reason)?.outcome().await? {
                // It was the end of the very fetch that brought `seen`.
                Ok(value) if seen.is_some_and(|seen| Arc::ptr_eq(&value, seen)) => {
                    self.join_or_start(Some(&value), reason)?.outcome().await
                }
                outcome => Ok(outcome),
            }
        };
        fetched.await.unwrap_or_else(|why| Err(E::interrupted(why)))
    }

    /// Starts a fetch in the background, unless one is in flight or it is too early for one.
    fn spawn_refresh(self: &Arc<Self>, seen: &Arc<V>) {
        // If it cannot be started, a later caller tries again.
        let _ = self.join_or_start(Some(seen), RefreshReason::Expired);
    }

    fn join_or_start(
        self: &Arc<Self>,
        seen: Option<&Arc<V>>,
        reason: RefreshReason,
    ) -> Result<Flight<Result<Arc<V>, E>>, Interrupted> {
        let run = || Arc::clone(self).run(reason);
        self.fetches.join_or_start(KEY, || self.settled(seen), run)
    }

    async fn run(self: Arc<Self>, reason: RefreshReason) -> Result<Arc<V>, E> {
        let started_at = self.clock.monotonic();
        let fetch = Fetch { number: self.begin(), started_at, reason };
        let fetched = timeout(&*self.clock, MAX_FETCH_TIME, self.source.fetch()).await;
        let outcome = fetched.unwrap_or_else(|| Err(E::interrupted(Interrupted::TimedOut)));
        self.record(outcome, &fetch)
    }

    fn begin(&self) -> u64 {
        let mut state = self.write();
        state.begun += 1;
        state.begun
    }

    /// Returns what a caller that has `seen` gets without a fetch: a newer value, or the last error
    /// while no fetch may start.
    fn settled(&self, seen: Option<&Arc<V>>) -> Option<Result<Arc<V>, E>> {
        let state = self.read();
        let newer = state.cached.as_ref().map(|cached| &cached.value);
        let newer = newer.filter(|value| !seen.is_some_and(|seen| Arc::ptr_eq(value, seen)));
        if let Some(value) = newer {
            return Some(Ok(Arc::clone(value)));
        }
        let failure = state.failure.as_ref()?;
        let wait = failure.not_before.saturating_sub(self.clock.monotonic());
        (!wait.is_zero()).then(|| Err(failure.error.clone().with_retry_after(wait)))
    }

    /// Returns whether a refresh could bring something new to a request of this generation, and is
    /// due.
    fn may_force_refresh(&self, generation: Generation) -> bool {
        let now = self.clock.monotonic();
        let state = self.read();
        let is_fresh = state.cached.as_ref().is_some_and(|cached| cached.fetch > generation.0);
        let is_too_early = state
            .forced_at
            .is_some_and(|at| now.saturating_sub(at) < self.times.min_refresh_interval);
        !is_fresh && !is_too_early
    }

    fn record(&self, outcome: Result<V, E>, fetch: &Fetch) -> Result<Arc<V>, E> {
        let now = self.clock.monotonic();
        let mut state = self.write();
        match outcome {
            Ok(value) => {
                if fetch.reason == RefreshReason::Miss {
                    state.forced_at = Some(now);
                }
                let value = Arc::new(match &state.cached {
                    Some(old) => self.source.reconcile(&old.value, value),
                    None => value,
                });
                state.cached = Some(Cached {
                    value: Arc::clone(&value),
                    fetched_at: fetch.started_at,
                    fetch: fetch.number,
                });
                state.failure = None;
                Ok(value)
            }
            Err(error) => {
                let before = state.failure.as_ref().map_or(0, |failure| failure.in_a_row);
                let in_a_row = before.saturating_add(1);
                let wait = backoff(in_a_row).max(error.retry_after().unwrap_or_default());
                let error = error.with_retry_after(wait);
                let not_before = now.saturating_add(wait);
                state.failure = Some(Failure { error: error.clone(), in_a_row, not_before });
                Err(error)
            }
        }
    }

    fn has_failed(&self) -> bool {
        self.read().failure.is_some()
    }

    fn last_error(&self) -> Option<E> {
        self.read().failure.as_ref().map(|failure| failure.error.clone())
    }

    fn read(&self) -> RwLockReadGuard<'_, State<V, E>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<V, E>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn backoff(failures_in_a_row: u32) -> Duration {
    let factor = 2_u32.saturating_pow(failures_in_a_row.saturating_sub(1));
    MIN_BACKOFF.saturating_mul(factor).min(MAX_BACKOFF)
}

impl<V, E> Clone for RefreshingCache<V, E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::fmt;
    use std::pin::Pin;
    use std::sync::Mutex;

    use tokio::sync::{oneshot, watch};
    use tokio::task::yield_now;

    use super::*;

    const TIMES: RefreshTimes = RefreshTimes {
        refresh_after: Duration::from_secs(10),
        max_age: Duration::from_secs(20),
        stale_if_error: Duration::from_secs(1000),
        min_refresh_interval: Duration::from_secs(5),
    };

    type TestCache = RefreshingCache<u32, TestError>;
    type Outcome = Result<u32, TestError>;

    /// Its fetches end in turn with these outcomes, once each is sent.
    struct TestSource(Mutex<VecDeque<oneshot::Receiver<Outcome>>>);

    #[async_trait]
    impl Source for TestSource {
        type Value = u32;
        type Error = TestError;

        async fn fetch(&self) -> Outcome {
            let next = self.0.lock().unwrap().pop_front().unwrap();
            next.await.unwrap()
        }
    }

    #[derive(Clone, Debug, PartialEq)]
    enum TestError {
        Failed,
        Interrupted(Interrupted),
    }

    impl fmt::Display for TestError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            fmt::Debug::fmt(self, f)
        }
    }

    impl Error for TestError {}

    impl RefreshError for TestError {
        fn retry_after(&self) -> Option<Duration> {
            None
        }

        fn with_retry_after(self, _: Duration) -> Self {
            self
        }

        fn interrupted(why: Interrupted) -> Self {
            Self::Interrupted(why)
        }
    }

    /// A clock in seconds.
    #[derive(Clone, Debug, Default)]
    struct TestClock(Arc<watch::Sender<u64>>);

    impl TestClock {
        fn advance(&self, seconds: u64) {
            self.0.send_modify(|now| *now += seconds);
        }

        async fn has_sleeper(&self) {
            while self.0.receiver_count() == 0 {
                yield_now().await;
            }
        }
    }

    impl Clock for TestClock {
        fn unix_time(&self) -> Duration {
            self.monotonic()
        }

        fn monotonic(&self) -> Duration {
            Duration::from_secs(*self.0.borrow())
        }

        fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
            let end = self.monotonic() + duration;
            let mut now = self.0.subscribe();
            Box::pin(async move {
                now.wait_for(|now| Duration::from_secs(*now) >= end).await.unwrap();
            })
        }
    }

    /// Returns a cache whose first `N` fetches wait for these senders.
    fn cache<const N: usize>() -> (TestCache, TestClock, [oneshot::Sender<Outcome>; N]) {
        let mut fetches = VecDeque::new();
        let senders = std::array::from_fn(|_| {
            let (sender, receiver) = oneshot::channel();
            fetches.push_back(receiver);
            sender
        });
        let clock = TestClock::default();
        let source = TestSource(Mutex::new(fetches));
        (RefreshingCache::new(source, TIMES, Arc::new(clock.clone())), clock, senders)
    }

    async fn get(cache: &TestCache) -> Outcome {
        cache.get().await.map(|value| *value)
    }

    /// Waits until the first fetch has begun.
    async fn begun(cache: &TestCache) {
        while cache.generation().0 == 0 {
            yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_fetch_that_takes_ten_seconds_has_failed() {
        let (cache, clock, [_never, second]) = cache();
        let waiting = tokio::spawn({
            let cache = cache.clone();
            async move { get(&cache).await }
        });
        clock.has_sleeper().await;
        clock.advance(10);
        let timed_out = Err(TestError::Interrupted(Interrupted::TimedOut));
        assert_eq!(waiting.await.unwrap(), timed_out);
        assert_eq!(get(&cache).await, timed_out, "the backoff has begun");
        clock.advance(1);
        second.send(Ok(2)).unwrap();
        assert_eq!(get(&cache).await, Ok(2));
    }

    /// Between storing its value and leaving the calls in flight, a fetch can still be joined.
    #[tokio::test]
    async fn a_caller_that_joins_the_fetch_of_the_value_it_has_seen_fetches_again() {
        let (cache, _, [sender]) = cache();
        let (end, ended) = oneshot::channel::<()>();
        let (stored, is_stored) = oneshot::channel::<()>();
        let inner = Arc::clone(&cache.0);
        let ending = || async move {
            let reason = RefreshReason::Expired;
            let fetch = Fetch { number: inner.begin(), started_at: Duration::ZERO, reason };
            let outcome = inner.record(Ok(1), &fetch);
            stored.send(()).unwrap();
            ended.await.unwrap();
            outcome
        };
        assert!(cache.0.fetches.join_or_start(KEY, || None, ending).is_ok());
        is_stored.await.unwrap();
        let generation = cache.generation();
        let seen = cache.get().await.unwrap();
        assert_eq!(*seen, 1);
        let waiting = tokio::spawn({
            let cache = cache.clone();
            async move { cache.newer_than(&seen, generation).await.map(|value| *value) }
        });
        yield_now().await;
        end.send(()).unwrap();
        sender.send(Ok(2)).unwrap();
        assert_eq!(waiting.await.unwrap(), Ok(2));
    }

    #[tokio::test]
    async fn the_age_counts_from_the_start_of_the_fetch() {
        let (cache, clock, [sender]) = cache();
        let waiting = tokio::spawn({
            let cache = cache.clone();
            async move { get(&cache).await }
        });
        begun(&cache).await;
        clock.advance(7);
        sender.send(Ok(1)).unwrap();
        assert_eq!(waiting.await.unwrap(), Ok(1));
        assert_eq!(cache.age(), Some(Duration::from_secs(7)));
    }

    #[tokio::test]
    async fn a_success_ends_the_effects_of_a_failure() {
        let (cache, clock, [first, second, third, fourth]) = cache();
        first.send(Err(TestError::Failed)).unwrap();
        assert_eq!(get(&cache).await, Err(TestError::Failed));
        clock.advance(1);
        second.send(Ok(1)).unwrap();
        let generation = cache.generation();
        let seen = cache.get().await.unwrap();
        let same = cache.newer_than(&seen, generation).await;
        assert_eq!(same.map(|value| *value), Ok(1), "the fetch was fresh");
        clock.advance(20);
        third.send(Ok(2)).unwrap();
        assert_eq!(get(&cache).await, Ok(2), "waits for a value in place of one that is too old");
        clock.advance(20);
        fourth.send(Err(TestError::Failed)).unwrap();
        assert_eq!(get(&cache).await, Ok(2));
        let failure_ends = cache.0.read().failure.as_ref().map(|failure| failure.not_before);
        assert_eq!(failure_ends, Some(Duration::from_secs(42)), "the backoff starts anew");
    }
}
