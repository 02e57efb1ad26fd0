//! One value that is fetched now and then, and served while nobody can fetch it.
//!
//! The key set and the authorization server's metadata both live by these rules:
//!
//! - One fetch serves all who wait for it; whoever gives up waiting harms nobody.
//! - Past [`RefreshTimes::refresh_after`] the value at hand is still served, and a fetch starts beside the request.
//! - Past [`RefreshTimes::max_age`] a request waits for a fetch, and takes the value at hand if that fails.
//! - Past [`RefreshTimes::stale_if_error`] the value at hand is gone.
//! - Who misses something in the value has it fetched anew, once per [`RefreshTimes::min_refresh_interval`].
//! - After a failure nobody asks again for a while: twice as long each time, or as long as Clerk says.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::clock::Clock;
use crate::error::{ClerkError, ClerkErrorKind};

/// Where a value comes from.
#[async_trait]
pub(crate) trait Source: Send + Sync + 'static {
    type Value: Send + Sync + 'static;

    async fn fetch(&self) -> Result<Self::Value, ClerkError>;

    /// What takes the place of `old` when `new` has come.
    fn succeed(&self, old: &Self::Value, new: Self::Value) -> Self::Value {
        let _ = old;
        new
    }
}

/// Ages, all by the clock that cannot be set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RefreshTimes {
    pub(crate) refresh_after: Duration,
    pub(crate) max_age: Duration,
    pub(crate) stale_if_error: Duration,
    /// How long nobody asks again on behalf of those who miss something in the value.
    pub(crate) min_refresh_interval: Duration,
}

/// The first pause after a failure; it doubles with each further one.
const MIN_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// How long somebody waits for a fetch that others started: longer than a fetch takes, and not for ever, should the
/// runtime that it was started on not be driven any more.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// A value, its source, and what has become of the attempts to fetch it. A clone shares all of that.
pub(crate) struct RefreshingCache<S: Source>(Arc<Inner<S>>);

struct Inner<S: Source> {
    source: S,
    limits: RefreshTimes,
    clock: Arc<dyn Clock>,
    state: RwLock<State<S::Value>>,
    /// Held while somebody fetches.
    flight: Arc<Mutex<()>>,
}

struct State<T> {
    held: Option<Held<T>>,
    /// How many attempts have begun.
    begun: u64,
    /// How many attempts have ended.
    ended: u64,
    failure: Option<Failure>,
    /// When the last fetch that was made because somebody missed something brought a value.
    demanded_at: Option<Duration>,
}

struct Held<T> {
    value: Arc<T>,
    fetched_at: Duration,
    /// Which attempt brought it, counted from 1.
    attempt: u64,
}

struct Failure {
    error: ClerkError,
    in_a_row: u32,
    not_before: Duration,
}

/// A fetch that has ended.
struct Attempt {
    number: u64,
    started: Duration,
    cause: Cause,
}

/// Why a fetch is made.
#[derive(Clone, Copy, PartialEq)]
enum Cause {
    Age,
    /// Somebody missed something in the value at hand.
    Demand,
}

/// How many attempts had begun when a request came. What a later one brings is as new as that request can want it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(u64);

impl<S: Source> RefreshingCache<S> {
    pub(crate) fn new(source: S, limits: RefreshTimes, clock: Arc<dyn Clock>) -> Self {
        let state = State { held: None, begun: 0, ended: 0, failure: None, demanded_at: None };
        Self(Arc::new(Inner {
            source,
            limits,
            clock,
            state: RwLock::new(state),
            flight: Arc::default(),
        }))
    }

    /// How old the value at hand is.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.0.held().map(|(_, age)| age)
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark(self.0.read().begun)
    }

    /// The value, new enough to be used.
    pub(crate) async fn get(&self) -> Result<Arc<S::Value>, ClerkError> {
        let Some((value, age)) = self.0.held() else {
            return self.0.fetch(Cause::Age).await;
        };
        let limits = self.0.limits;
        if age < limits.refresh_after {
            return Ok(value);
        }
        // Who has just been let down need not make every request wait for the next time.
        let is_usable = age < limits.stale_if_error;
        if age < limits.max_age || is_usable && self.0.read().failure.is_some() {
            self.0.fetch_beside();
            return Ok(value);
        }
        let fetched = self.0.fetch(Cause::Age).await;
        if is_usable { Ok(fetched.unwrap_or(value)) } else { fetched }
    }

    /// A value newer than one in which something was missed. The same one again where its fetch began after the request
    /// came, or where it is too early to ask.
    pub(crate) async fn newer_than(
        &self,
        seen: &Arc<S::Value>,
        mark: Mark,
    ) -> Result<Arc<S::Value>, ClerkError> {
        if let Some(answer) = self.0.answer_to_demand(seen, mark) {
            return answer;
        }
        let flight = self.0.flight().await?;
        // What somebody else fetched while we waited may be all that we need.
        if let Some(answer) = self.0.answer_to_demand(seen, mark) {
            return answer;
        }
        self.0.launch(flight, Cause::Demand).await
    }
}

impl<S: Source> Inner<S> {
    fn held(&self) -> Option<(Arc<S::Value>, Duration)> {
        let state = self.read();
        let held = state.held.as_ref()?;
        Some((Arc::clone(&held.value), self.clock.monotonic().saturating_sub(held.fetched_at)))
    }

    /// Fetches, or shares the outcome of the fetch that is under way.
    async fn fetch(self: &Arc<Self>, cause: Cause) -> Result<Arc<S::Value>, ClerkError> {
        if let Some(error) = self.failure_in_pause() {
            return Err(error);
        }
        let ended = self.read().ended;
        let flight = self.flight().await?;
        match self.outcome_since(ended) {
            Some(outcome) => outcome,
            None => self.launch(flight, cause).await,
        }
    }

    /// The right to fetch, once nobody else does.
    async fn flight(&self) -> Result<OwnedMutexGuard<()>, ClerkError> {
        if Handle::try_current().is_err() {
            return Err(ClerkError::new(
                ClerkErrorKind::InvalidRequest,
                "calls need a tokio runtime",
            ));
        }
        let turn = Arc::clone(&self.flight).lock_owned();
        tokio::time::timeout(MAX_WAIT, turn).await.map_err(|_| {
            ClerkError::new(ClerkErrorKind::Unavailable, "a fetch that others started does not end")
        })
    }

    /// Starts a fetch that no request waits for, unless one is under way or it is too early.
    fn fetch_beside(self: &Arc<Self>) {
        if self.failure_in_pause().is_some() {
            return;
        }
        let Ok(flight) = Arc::clone(&self.flight).try_lock_owned() else {
            return;
        };
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(Arc::clone(self).run(flight, Cause::Age));
        }
    }

    /// Fetches on a task of its own: whoever waits may give up without harm to the others, and nobody can make the
    /// server ask again and again by giving up again and again.
    async fn launch(
        self: &Arc<Self>,
        flight: OwnedMutexGuard<()>,
        cause: Cause,
    ) -> Result<Arc<S::Value>, ClerkError> {
        tokio::spawn(Arc::clone(self).run(flight, cause)).await.unwrap_or_else(|error| {
            Err(ClerkError::new(ClerkErrorKind::Unavailable, "the fetch was stopped")
                .with_source(error))
        })
    }

    async fn run(
        self: Arc<Self>,
        flight: OwnedMutexGuard<()>,
        cause: Cause,
    ) -> Result<Arc<S::Value>, ClerkError> {
        let started = self.clock.monotonic();
        let attempt = self.begin();
        let outcome = self.source.fetch().await;
        let outcome = self.record(outcome, Attempt { number: attempt, started, cause });
        drop(flight);
        outcome
    }

    fn begin(&self) -> u64 {
        let mut state = self.write();
        state.begun += 1;
        state.begun
    }

    /// What other attempts came to since this many had ended.
    fn outcome_since(&self, ended: u64) -> Option<Result<Arc<S::Value>, ClerkError>> {
        let state = self.read();
        if state.ended == ended {
            return None;
        }
        match (&state.failure, &state.held) {
            (Some(failure), _) => Some(Err(failure.error.clone())),
            (None, Some(held)) => Some(Ok(Arc::clone(&held.value))),
            (None, None) => None,
        }
    }

    /// The answer to somebody who misses something, where no fetch is needed for it or none is due.
    fn answer_to_demand(
        &self,
        seen: &Arc<S::Value>,
        mark: Mark,
    ) -> Option<Result<Arc<S::Value>, ClerkError>> {
        if let Some((value, _)) = self.held().filter(|(value, _)| !Arc::ptr_eq(value, seen)) {
            return Some(Ok(value));
        }
        if let Some(error) = self.failure_in_pause() {
            return Some(Err(error));
        }
        let now = self.clock.monotonic();
        let state = self.read();
        let too_early = state
            .demanded_at
            .is_some_and(|at| now.saturating_sub(at) < self.limits.min_refresh_interval);
        let is_newest = state.held.as_ref().is_some_and(|held| held.attempt > mark.0);
        if !is_newest && !too_early {
            return None;
        }
        Some(
            state
                .failure
                .as_ref()
                .map_or_else(|| Ok(Arc::clone(seen)), |failure| Err(failure.error.clone())),
        )
    }

    fn record(
        &self,
        outcome: Result<S::Value, ClerkError>,
        attempt: Attempt,
    ) -> Result<Arc<S::Value>, ClerkError> {
        let now = self.clock.monotonic();
        let mut state = self.write();
        state.ended += 1;
        match outcome {
            Ok(value) => {
                if attempt.cause == Cause::Demand {
                    state.demanded_at = Some(now);
                }
                let value = Arc::new(match &state.held {
                    Some(held) => self.source.succeed(&held.value, value),
                    None => value,
                });
                let (fetched_at, attempt) = (attempt.started, attempt.number);
                state.held = Some(Held { value: Arc::clone(&value), fetched_at, attempt });
                state.failure = None;
                Ok(value)
            }
            Err(error) => {
                let in_a_row =
                    state.failure.as_ref().map_or(0, |failure| failure.in_a_row).saturating_add(1);
                let pause = pause_after(in_a_row, error.retry_after());
                let error = error.with_retry_after(Some(pause));
                let not_before = now.saturating_add(pause);
                state.failure = Some(Failure { error: error.clone(), in_a_row, not_before });
                Err(error)
            }
        }
    }

    fn failure_in_pause(&self) -> Option<ClerkError> {
        let state = self.read();
        let failure = state.failure.as_ref()?;
        let left = failure
            .not_before
            .checked_sub(self.clock.monotonic())
            .filter(|left| !left.is_zero())?;
        Some(failure.error.clone().with_retry_after(Some(left)))
    }

    fn read(&self) -> RwLockReadGuard<'_, State<S::Value>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<S::Value>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pause_after(failures_in_a_row: u32, retry_after: Option<Duration>) -> Duration {
    let doubled =
        MIN_BACKOFF.saturating_mul(2_u32.saturating_pow(failures_in_a_row.saturating_sub(1)));
    doubled.min(MAX_BACKOFF).max(retry_after.unwrap_or_default())
}

impl<S: Source> Clone for RefreshingCache<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Source> fmt::Debug for RefreshingCache<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshingCache").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}
