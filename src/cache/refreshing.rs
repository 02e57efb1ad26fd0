//! A cached value with stale-while-revalidate and stale-if-error semantics (RFC 5861).
//!
//! - Concurrent callers share one fetch, and a caller that is cancelled does not stop it.
//! - Past [`RefreshTimes::refresh_after`] the value is still served, and a fetch starts in the
//!   background (RFC 5861 section 3).
//! - Past [`RefreshTimes::max_age`] a caller waits for a fetch, and gets the old value if that
//!   fails, or at once if a fetch has just failed.
//! - Past [`RefreshTimes::stale_if_error`] the value is no longer served (RFC 5861 section 4).
//! - A caller that misses something in the value, such as an unknown `kid`, may force a refresh, at
//!   most once per [`RefreshTimes::min_refresh_interval`].
//! - After a failure no fetch starts for a while: twice as long after each further failure, or as
//!   long as the source asked for, which is cut to 30 seconds without a value that can be served. A
//!   success ends this.

use std::error::Error;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use async_trait::async_trait;

use super::single_flight::{Flight, Interrupted, Key, SingleFlight};
use super::state::{Fetch, Generation, LookUp, RefreshReason, State};
use crate::clock::{Clock, Moment, timeout};

/// Where a value comes from.
#[async_trait]
pub(crate) trait Source: Send + Sync + 'static {
    type Value: Send + Sync + 'static;
    type Error: RefreshError;

    async fn fetch(&self) -> Result<Self::Value, Self::Error>;

    /// Called when the outcome of a fetch is known to the cache.
    fn recorded(&self, failed: bool) {
        let _ = failed;
    }

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

/// Ages, by the clock that says more, and intervals, by the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RefreshTimes {
    pub(crate) refresh_after: Duration,
    pub(crate) max_age: Duration,
    pub(crate) stale_if_error: Duration,
    /// The minimum time between two refreshes that callers forced.
    pub(crate) min_refresh_interval: Duration,
}

/// The maximum time of a fetch. Longer than a call takes, which has a limit of its own.
const MAX_FETCH_TIME: Duration = Duration::from_secs(10);
/// There is one value, and so one key for its fetches.
const KEY: Key = [0; 32];

/// A value, its source, and the state of the fetches. Clones share them.
pub(crate) struct RefreshingCache<V, E>(Arc<Inner<V, E>>);

struct Inner<V, E> {
    source: Box<dyn Source<Value = V, Error = E>>,
    clock: Arc<dyn Clock>,
    state: RwLock<State<V, E>>,
    fetches: SingleFlight<Result<Arc<V>, E>>,
}

/// Whether there is a newer value than the one that a caller has seen.
pub(crate) enum Newer<V, E> {
    Value(Arc<V>),
    /// The seen value is the newest one: its fetch started after the caller came.
    None,
    /// Not known: a refresh was forced a short time ago, and the next one may be after this time.
    TooEarly(Duration),
    /// Not known: it could not be fetched.
    Failed(E),
}

impl<V: Send + Sync + 'static, E: RefreshError> RefreshingCache<V, E> {
    pub(crate) fn new(
        source: impl Source<Value = V, Error = E>,
        times: RefreshTimes,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self(Arc::new(Inner {
            source: Box::new(source),
            clock,
            state: RwLock::new(State::new(times)),
            fetches: SingleFlight::new(1),
        }))
    }

    /// Returns the age of the cached value.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.0.read().age(self.0.now())
    }

    /// Returns the wall-clock time at which the fetch of `seen` started, unless `seen` was replaced
    /// since.
    pub(crate) fn fetched_at(&self, seen: &Arc<V>) -> Option<Duration> {
        self.0.read().fetched_at(seen, self.0.now())
    }

    pub(crate) fn generation(&self) -> Generation {
        self.0.read().generation()
    }

    /// Returns the value, fetched anew if it is too old.
    pub(crate) async fn get(&self) -> Result<Arc<V>, E> {
        let found = self.0.read().look_up(self.0.now());
        match found {
            LookUp::Fresh(value) => Ok(value),
            LookUp::Stale(value) => {
                self.0.spawn_refresh(&value);
                Ok(value)
            }
            LookUp::Expired(value) => {
                let fetched = self.0.fetch(Some(&value), RefreshReason::Expired).await;
                Ok(fetched.unwrap_or(value))
            }
            LookUp::Unusable(value) => self.0.fetch(value.as_ref(), RefreshReason::Expired).await,
        }
    }

    /// Returns a newer value than `seen`, in which the caller missed something, or why there is
    /// none. The caller came at `generation`.
    pub(crate) async fn newer_than(&self, seen: &Arc<V>, generation: Generation) -> Newer<V, E> {
        let known = self.0.read().known(seen, generation, self.0.now());
        match known {
            Some(known) => known,
            None => self
                .0
                .fetch(Some(seen), RefreshReason::Miss)
                .await
                .map_or_else(Newer::Failed, Newer::Value),
        }
    }
}

impl<V: Send + Sync + 'static, E: RefreshError> Inner<V, E> {
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
        let fetch = self.write().begin(reason, self.now());
        let fetched = timeout(&*self.clock, MAX_FETCH_TIME, self.source.fetch()).await;
        let outcome = fetched.unwrap_or_else(|| Err(E::interrupted(Interrupted::TimedOut)));
        let failed = outcome.is_err();
        let outcome = self.record(outcome, &fetch);
        self.source.recorded(failed);
        outcome
    }

    fn settled(&self, seen: Option<&Arc<V>>) -> Option<Result<Arc<V>, E>> {
        self.read().settled(seen, self.now())
    }

    fn record(&self, outcome: Result<V, E>, fetch: &Fetch) -> Result<Arc<V>, E> {
        let now = self.now();
        let mut state = self.write();
        if let Some(newer) = state.overtaken(fetch) {
            return Ok(newer);
        }
        let value = outcome.map_err(|error| state.fail(error, now))?;
        let value = Arc::new(match state.value() {
            Some(old) => self.source.reconcile(old, value),
            None => value,
        });
        state.succeed(Arc::clone(&value), fetch, now);
        Ok(value)
    }

    fn now(&self) -> Moment {
        Moment::now(&*self.clock)
    }

    fn read(&self) -> RwLockReadGuard<'_, State<V, E>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<V, E>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
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

    async fn newer_than(cache: &TestCache, seen: &Arc<u32>, generation: Generation) -> Outcome {
        match cache.newer_than(seen, generation).await {
            Newer::Value(value) => Ok(*value),
            Newer::Failed(error) => Err(error),
            Newer::None | Newer::TooEarly(_) => panic!("no fetch"),
        }
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
            let fetch = inner.write().begin(RefreshReason::Expired, inner.now());
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
            async move { newer_than(&cache, &seen, generation).await }
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
        let newer = cache.newer_than(&seen, generation).await;
        assert!(matches!(newer, Newer::None), "the fetch was fresh");
        clock.advance(20);
        third.send(Ok(2)).unwrap();
        assert_eq!(get(&cache).await, Ok(2), "waits for a value in place of one that is too old");
        clock.advance(20);
        fourth.send(Err(TestError::Failed)).unwrap();
        assert_eq!(get(&cache).await, Ok(2));
        let seen = cache.get().await.unwrap();
        let has_failed = || cache.0.settled(Some(&seen)).is_some();
        assert!(has_failed());
        clock.advance(1);
        assert!(!has_failed(), "the backoff starts anew");
    }
}
