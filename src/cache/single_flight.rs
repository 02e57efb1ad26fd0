//! Single flight: concurrent callers with the same key share one call.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::clock::background;

/// Identifies what a call asks for, such as a digest of its arguments.
pub(crate) type Key = [u8; 32];

/// The calls that are in flight.
pub(crate) struct SingleFlight<T> {
    in_flight: Arc<Mutex<InFlight<T>>>,
    max_in_flight: usize,
}

/// The calls by their keys. A receiver holds `None` until its call has ended.
type InFlight<T> = HashMap<Key, watch::Receiver<Option<T>>>;

/// Why a shared call has no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interrupted {
    /// As many calls as are allowed are already in flight.
    TooMany,
    /// The background thread cannot be started.
    NotStarted,
    /// The call panicked.
    Stopped,
    /// The call took too long.
    TimedOut,
}

/// The outcome of a call, now or later.
pub(crate) enum Flight<T> {
    /// No call is needed.
    Settled(T),
    InFlight(watch::Receiver<Option<T>>),
}

impl<T: Clone + Send + Sync + 'static> SingleFlight<T> {
    pub(crate) fn new(max_in_flight: usize) -> Self {
        Self { in_flight: Arc::default(), max_in_flight }
    }

    /// Joins the call in flight for this key, or starts it, and waits for its outcome.
    ///
    /// The call runs on a task of its own, on the background thread. A caller that is cancelled, or
    /// whose runtime ends or is busy, therefore does not stop it for the others, and the number of
    /// calls in flight stays bounded even when callers are cancelled. A call has to end by itself:
    /// the callers have no timer.
    pub(crate) async fn join<F>(&self, key: Key, call: impl FnOnce() -> F) -> Result<T, Interrupted>
    where
        F: Future<Output = T> + Send + 'static,
    {
        self.join_or_start(key, || None, call)?.outcome().await
    }

    /// Joins the call in flight for this key, or starts it, unless `settled` returns an outcome.
    ///
    /// `settled` runs under the lock: no call can end between its look-up and the start of another.
    pub(crate) fn join_or_start<F>(
        &self,
        key: Key,
        settled: impl FnOnce() -> Option<T>,
        call: impl FnOnce() -> F,
    ) -> Result<Flight<T>, Interrupted>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut in_flight = lock(&self.in_flight);
        if let Some(outcome) = settled() {
            return Ok(Flight::Settled(outcome));
        }
        if let Some(receiver) = in_flight.get(&key) {
            return Ok(Flight::InFlight(receiver.clone()));
        }
        if in_flight.len() >= self.max_in_flight {
            return Err(Interrupted::TooMany);
        }
        let (sender, receiver) = watch::channel(None);
        in_flight.insert(key, receiver.clone());
        drop(in_flight);
        let entry = RemoveOnDrop { in_flight: Arc::clone(&self.in_flight), key };
        let running = RunningCall { entry, sender };
        let call = call();
        let task = async move {
            let outcome = call.await;
            running.end(outcome);
        };
        background::spawn(task).map_err(|error| {
            tracing::error!(cause = ?error, "failed to start a call");
            Interrupted::NotStarted
        })?;
        Ok(Flight::InFlight(receiver))
    }
}

impl<T: Clone> Flight<T> {
    /// Waits for the outcome.
    pub(crate) async fn outcome(self) -> Result<T, Interrupted> {
        match self {
            Self::Settled(outcome) => Ok(outcome),
            Self::InFlight(mut receiver) => {
                let outcome = receiver.wait_for(Option::is_some).await;
                outcome.ok().and_then(|outcome| outcome.clone()).ok_or(Interrupted::Stopped)
            }
        }
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooMany => "too many calls are in flight",
            Self::NotStarted => "the background thread for calls cannot be started",
            Self::Stopped => "the call was stopped by a panic",
            Self::TimedOut => "the call took too long",
        })
    }
}

/// A call in flight. The entry is the first field, and so dropped first: a caller that learns of the
/// end of a stopped call can start another one.
struct RunningCall<T> {
    entry: RemoveOnDrop<T>,
    sender: watch::Sender<Option<T>>,
}

impl<T> RunningCall<T> {
    fn end(self, outcome: T) {
        // From here on nobody can join; those who have joined get the outcome.
        drop(self.entry);
        self.sender.send_replace(Some(outcome));
    }
}

/// Removes the call from the map, also when it panics or cannot be started.
struct RemoveOnDrop<T> {
    in_flight: Arc<Mutex<InFlight<T>>>,
    key: Key,
}

impl<T> Drop for RemoveOnDrop<T> {
    fn drop(&mut self) {
        lock(&self.in_flight).remove(&self.key);
    }
}

fn lock<T>(in_flight: &Mutex<InFlight<T>>) -> MutexGuard<'_, InFlight<T>> {
    in_flight.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::mpsc;
    use std::task::{Context, Wake, Waker};

    use tokio::sync::oneshot;

    use super::*;
    use crate::clock::tests::block_on;

    const KEY: Key = [1; 32];

    /// Sends the number of calls in flight at the time of each wake-up.
    struct CountOnWake {
        in_flight: Arc<Mutex<InFlight<()>>>,
        counts: mpsc::Sender<usize>,
    }

    impl Wake for CountOnWake {
        fn wake(self: Arc<Self>) {
            let count = lock(&self.in_flight).len();
            self.counts.send(count).unwrap();
        }
    }

    /// A caller that starts the call again must not join the one that has ended.
    #[test]
    fn a_call_is_removed_before_its_callers_wake_up() {
        for (panics, expected) in [(true, Err(Interrupted::Stopped)), (false, Ok(()))] {
            let calls = SingleFlight::new(1);
            let (end, ended) = oneshot::channel();
            let call = || async move {
                ended.await.unwrap();
                assert!(!panics, "a panic that a test expects");
            };
            let flight = calls.join_or_start(KEY, || None, call).unwrap();
            let (sender, counts) = mpsc::channel();
            let in_flight = Arc::clone(&calls.in_flight);
            let waker = Waker::from(Arc::new(CountOnWake { in_flight, counts: sender }));
            let mut outcome = pin!(flight.outcome());
            assert!(outcome.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            end.send(()).unwrap();
            assert_eq!(counts.recv(), Ok(0), "{expected:?}");
            assert_eq!(block_on(outcome), expected);
        }
    }

    #[test]
    fn calls_with_one_key_are_shared_and_others_are_bounded() {
        let calls = SingleFlight::new(1);
        let (end, ended) = oneshot::channel();
        let first = calls.join_or_start(KEY, || None, || async { ended.await.unwrap() }).unwrap();
        let second = calls.join_or_start(KEY, || None, || async { 2 }).unwrap();
        let other = calls.join_or_start([2; 32], || None, || async { 3 });
        assert_eq!(other.err(), Some(Interrupted::TooMany));
        end.send(1).unwrap();
        assert_eq!((block_on(first.outcome()), block_on(second.outcome())), (Ok(1), Ok(1)));
        assert_eq!(block_on(calls.join([2; 32], || async { 3 })), Ok(3));
    }
}
