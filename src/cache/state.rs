//! The state behind a value that is refreshed: what is cached, the last failure, and when a fetch
//! may start. Its rules are functions of this state and of the time.

use std::sync::Arc;
use std::time::Duration;

use super::refreshing::{Newer, RefreshError, RefreshTimes};
use crate::clock::Moment;

/// The time without a fetch after a first failure. It doubles with each further one.
const MIN_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// How long a failure excuses a value that is past its maximum age. Longer than the backoff, so
/// that a server with a request a minute does not wait for a fetch with each of them.
const RECENT_FAILURE: Duration = Duration::from_secs(120);

pub(super) struct State<V, E> {
    times: RefreshTimes,
    cached: Option<Cached<V>>,
    /// The number of fetches that have begun.
    begun: u64,
    failure: Option<Failure<E>>,
    /// When the last refresh that a caller forced brought a value.
    forced_at: Option<Moment>,
}

struct Cached<V> {
    value: Arc<V>,
    fetched_at: Moment,
    /// The number of the fetch that brought the value, counted from 1.
    fetch: u64,
}

struct Failure<E> {
    error: E,
    in_a_row: u32,
    at: Moment,
}

/// A fetch that is in flight or has ended.
pub(super) struct Fetch {
    number: u64,
    started_at: Moment,
    reason: RefreshReason,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum RefreshReason {
    /// There is no value, or it is too old.
    Expired,
    /// A caller missed something in the value.
    Miss,
}

/// The cached value, and what a caller does about its age.
pub(super) enum LookUp<V> {
    /// Use it.
    Fresh(Arc<V>),
    /// Use it, and refresh it in the background.
    Stale(Arc<V>),
    /// Wait for a fetch, and use it if that fails.
    Expired(Arc<V>),
    /// Wait for a fetch.
    Unusable(Option<Arc<V>>),
}

/// A point between two fetches. A fetch that starts after it is fresh enough for a request that
/// came at this point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Generation(pub(super) u64);

impl<V, E: RefreshError> State<V, E> {
    pub(super) fn new(times: RefreshTimes) -> Self {
        Self { times, cached: None, begun: 0, failure: None, forced_at: None }
    }

    pub(super) fn generation(&self) -> Generation {
        Generation(self.begun)
    }

    pub(super) fn age(&self, now: Moment) -> Option<Duration> {
        self.cached.as_ref().map(|cached| cached.fetched_at.age(now))
    }

    pub(super) fn look_up(&self, now: Moment) -> LookUp<V> {
        let Some(cached) = &self.cached else {
            return LookUp::Unusable(None);
        };
        let (age, times) = (cached.fetched_at.age(now), self.times);
        let value = Arc::clone(&cached.value);
        if age < times.refresh_after {
            LookUp::Fresh(value)
        } else if age >= times.stale_if_error {
            LookUp::Unusable(Some(value))
        // A failure of long ago is no excuse: the source may have recovered since.
        } else if age < times.max_age || self.has_just_failed(now) {
            LookUp::Stale(value)
        } else {
            LookUp::Expired(value)
        }
    }

    /// Returns the wall-clock time at which the fetch of `seen` started, unless `seen` was replaced
    /// since.
    pub(super) fn fetched_at(&self, seen: &Arc<V>, now: Moment) -> Option<Duration> {
        let cached = self.cached.as_ref().filter(|cached| Arc::ptr_eq(&cached.value, seen))?;
        Some(cached.fetched_at.corrected_unix_time(now))
    }

    /// Returns what a caller that has `seen` gets without a fetch: a newer value, or the last error
    /// while no fetch may start.
    pub(super) fn settled(&self, seen: Option<&Arc<V>>, now: Moment) -> Option<Result<Arc<V>, E>> {
        self.newer(seen).map(Ok).or_else(|| self.failure(now).map(Err))
    }

    /// Returns what is known, without a fetch, about a newer value than `seen`.
    pub(super) fn known(
        &self,
        seen: &Arc<V>,
        generation: Generation,
        now: Moment,
    ) -> Option<Newer<V, E>> {
        if let Some(value) = self.newer(Some(seen)) {
            return Some(Newer::Value(value));
        }
        if self.cached.as_ref().is_some_and(|cached| cached.fetch > generation.0) {
            return Some(Newer::None);
        }
        let failed = self.failure(now).map(Newer::Failed);
        failed.or_else(|| self.forced_recently(now).map(Newer::TooEarly))
    }

    pub(super) fn begin(&mut self, reason: RefreshReason, now: Moment) -> Fetch {
        self.begun += 1;
        Fetch { number: self.begun, started_at: now, reason }
    }

    /// Returns the value of a fetch that began later and has ended earlier than this one, whose
    /// outcome is then outdated.
    pub(super) fn overtaken(&self, fetch: &Fetch) -> Option<Arc<V>> {
        let newer = self.cached.as_ref().filter(|cached| cached.fetch > fetch.number)?;
        Some(Arc::clone(&newer.value))
    }

    pub(super) fn value(&self) -> Option<&V> {
        self.cached.as_ref().map(|cached| &*cached.value)
    }

    pub(super) fn succeed(&mut self, value: Arc<V>, fetch: &Fetch, now: Moment) {
        if fetch.reason == RefreshReason::Miss {
            self.forced_at = Some(now);
        }
        let (fetched_at, fetch) = (fetch.started_at, fetch.number);
        self.cached = Some(Cached { value, fetched_at, fetch });
        self.failure = None;
    }

    /// Returns the error, with the time until the next fetch.
    pub(super) fn fail(&mut self, error: E, now: Moment) -> E {
        let before = self.failure.as_ref().map_or(0, |failure| failure.in_a_row);
        let failure = Failure { error, in_a_row: before.saturating_add(1), at: now };
        let error = failure.error.clone().with_retry_after(self.pause(&failure, now));
        self.failure = Some(failure);
        error
    }

    fn newer(&self, seen: Option<&Arc<V>>) -> Option<Arc<V>> {
        let value = &self.cached.as_ref()?.value;
        (!seen.is_some_and(|seen| Arc::ptr_eq(value, seen))).then(|| Arc::clone(value))
    }

    /// Returns the last error while no fetch may start, with the time until one may.
    fn failure(&self, now: Moment) -> Option<E> {
        let failure = self.failure.as_ref()?;
        let wait = self.pause(failure, now).saturating_sub(failure.at.monotonic_age(now));
        (!wait.is_zero()).then(|| failure.error.clone().with_retry_after(wait))
    }

    /// Returns how long no fetch may start after this failure: the backoff, or what the source asked
    /// for. Without a value to serve every caller is rejected for that time, and the source is
    /// asked again sooner than it wants.
    fn pause(&self, failure: &Failure<E>, now: Moment) -> Duration {
        let asked = failure.error.retry_after().unwrap_or_default();
        let has_value = self.age(now).is_some_and(|age| age < self.times.stale_if_error);
        let asked = if has_value { asked } else { asked.min(MAX_BACKOFF) };
        backoff(failure.in_a_row).max(asked)
    }

    /// Returns whether the last fetch failed, and not long ago.
    fn has_just_failed(&self, now: Moment) -> bool {
        self.failure.as_ref().is_some_and(|failure| {
            failure.at.age(now) < self.pause(failure, now).max(RECENT_FAILURE)
        })
    }

    /// Returns how long no refresh may be forced, because one was.
    fn forced_recently(&self, now: Moment) -> Option<Duration> {
        let since = self.forced_at?.monotonic_age(now);
        Some(self.times.min_refresh_interval.saturating_sub(since)).filter(|wait| !wait.is_zero())
    }
}

fn backoff(failures_in_a_row: u32) -> Duration {
    let factor = 2_u32.saturating_pow(failures_in_a_row.saturating_sub(1));
    MIN_BACKOFF.saturating_mul(factor).min(MAX_BACKOFF)
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::fmt;

    use super::super::single_flight::Interrupted;
    use super::*;

    const TIMES: RefreshTimes = RefreshTimes {
        refresh_after: Duration::from_secs(300),
        max_age: Duration::from_secs(3600),
        stale_if_error: Duration::from_secs(86_400),
        min_refresh_interval: Duration::from_secs(30),
    };

    /// An error, and how long the source asked callers to wait, in seconds.
    #[derive(Clone, Debug, PartialEq)]
    struct Busy(u64);

    impl fmt::Display for Busy {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            fmt::Debug::fmt(self, f)
        }
    }

    impl Error for Busy {}

    impl RefreshError for Busy {
        fn retry_after(&self) -> Option<Duration> {
            Some(Duration::from_secs(self.0))
        }

        fn with_retry_after(self, wait: Duration) -> Self {
            Self(wait.as_secs())
        }

        fn interrupted(_: Interrupted) -> Self {
            Self(0)
        }
    }

    fn at(seconds: u64) -> Moment {
        let monotonic = Duration::from_secs(seconds);
        Moment { unix_time: Duration::from_secs(1_800_000_000) + monotonic, monotonic }
    }

    /// A state with a value that was fetched at zero.
    fn with_value() -> State<u32, Busy> {
        let mut state = State::new(TIMES);
        let fetch = state.begin(RefreshReason::Expired, at(0));
        state.succeed(Arc::new(1), &fetch, at(0));
        state
    }

    #[test]
    fn the_age_decides_what_a_caller_does() {
        // The age, whether a fetch has failed a minute ago, and the result.
        for (age, has_failed, expected) in [
            (0_u64, false, "fresh"),
            (299, true, "fresh"),
            (300, false, "stale"),
            (3599, true, "stale"),
            (3600, false, "expired"),
            (3600, true, "stale"),
            (86_399, false, "expired"),
            (86_399, true, "stale"),
            (86_400, false, "unusable"),
            (86_400, true, "unusable"),
        ] {
            let mut state = with_value();
            if has_failed {
                state.fail(Busy(0), at(age.saturating_sub(60)));
            }
            let found = match state.look_up(at(age)) {
                LookUp::Fresh(_) => "fresh",
                LookUp::Stale(_) => "stale",
                LookUp::Expired(_) => "expired",
                LookUp::Unusable(_) => "unusable",
            };
            assert_eq!(found, expected, "{age} s, failed: {has_failed}");
        }
    }

    #[test]
    fn a_failure_is_an_excuse_for_two_minutes_or_as_long_as_the_source_asked_for() {
        for (asked, passed, is_excused) in
            [(0, 119, true), (0, 120, false), (300, 299, true), (300, 300, false)]
        {
            let mut state = with_value();
            state.fail(Busy(asked), at(3600));
            let found = state.look_up(at(3600 + passed));
            assert_eq!(matches!(found, LookUp::Stale(_)), is_excused, "{asked} s, {passed} s");
        }
    }

    #[test]
    fn the_pause_after_a_failure_depends_on_whether_there_is_a_value() {
        let pauses = |mut state: State<u32, Busy>, asked: u64| {
            [0; 7].map(|_| state.fail(Busy(asked), at(3600)).0)
        };
        for (asked, expected) in
            [(0, [1, 2, 4, 8, 16, 30, 30]), (7, [7, 7, 7, 8, 16, 30, 30]), (300, [300; 7])]
        {
            assert_eq!(pauses(with_value(), asked), expected, "{asked} s");
            let expected = expected.map(|pause| pause.min(30));
            assert_eq!(pauses(State::new(TIMES), asked), expected, "{asked} s, no value");
        }
    }

    #[test]
    fn what_is_known_about_a_newer_value() {
        let mut state = with_value();
        let before = Generation(0);
        let after = state.generation();
        let (seen, other) = (state.newer(None).unwrap(), Arc::new(1));
        let known = |state: &State<u32, Busy>, seen, generation, seconds| match state.known(
            seen,
            generation,
            at(seconds),
        ) {
            None => "fetch".to_owned(),
            Some(Newer::Value(value)) => format!("value {value}"),
            Some(Newer::None) => "none".to_owned(),
            Some(Newer::TooEarly(wait)) => format!("too early by {} s", wait.as_secs()),
            Some(Newer::Failed(Busy(wait))) => format!("failed, {wait} s"),
        };
        assert_eq!(known(&state, &other, after, 1), "value 1");
        assert_eq!(known(&state, &seen, before, 1), "none");
        assert_eq!(known(&state, &seen, after, 1), "fetch");
        state.forced_at = Some(at(1));
        assert_eq!(known(&state, &seen, after, 30), "too early by 1 s");
        assert_eq!(known(&state, &seen, after, 31), "fetch");
        state.fail(Busy(50), at(10));
        assert_eq!(known(&state, &seen, after, 20), "failed, 40 s");
        assert_eq!(known(&state, &seen, before, 20), "none", "was fetched for this caller");
        assert_eq!(known(&state, &seen, after, 60), "fetch");
    }

    #[test]
    fn the_outcome_of_a_fetch_that_was_overtaken_is_dropped() {
        let mut state = State::<u32, Busy>::new(TIMES);
        let [first, second] = [0, 1].map(|time| state.begin(RefreshReason::Expired, at(time)));
        state.succeed(Arc::new(2), &second, at(2));
        assert_eq!(state.overtaken(&first).as_deref(), Some(&2));
        assert_eq!(state.overtaken(&second), None);
        let third = state.begin(RefreshReason::Expired, at(3));
        assert_eq!(state.overtaken(&third), None);
    }
}
