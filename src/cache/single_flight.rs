//! Single flight: concurrent callers with the same key share one call.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::watch;

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
    /// The caller is not on a tokio runtime.
    NoRuntime,
    /// The call panicked, or the runtime that it ran on was shut down.
    Stopped,
    /// The caller has waited as long as it may.
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
    /// The call runs on a task of its own. A caller that is cancelled therefore does not stop it
    /// for the others, and the number of calls in flight stays bounded even when callers are
    /// cancelled.
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
        let runtime = Handle::try_current().map_err(|_| Interrupted::NoRuntime)?;
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
        runtime.spawn(async move {
            let outcome = call.await;
            running.end(outcome);
        });
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
            Self::NoRuntime => "calls need a tokio runtime",
            Self::Stopped => "the call was stopped",
            Self::TimedOut => "a call that another caller started takes too long",
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

/// Removes the call from the map, also when it panics or its runtime is shut down.
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
    use std::task::{Context, Wake, Waker};

    use tokio::runtime::Builder;

    use super::*;

    const KEY: Key = [1; 32];

    /// Counts the calls in flight at the time of each wake-up.
    struct CountOnWake {
        in_flight: Arc<Mutex<InFlight<()>>>,
        counts: Mutex<Vec<usize>>,
    }

    impl Wake for CountOnWake {
        fn wake(self: Arc<Self>) {
            let count = lock(&self.in_flight).len();
            self.counts.lock().unwrap().push(count);
        }
    }

    /// A caller that starts the call again must not join the one that was stopped.
    #[test]
    fn a_stopped_call_is_removed_before_its_callers_wake_up() {
        for has_begun in [false, true] {
            let runtime = Builder::new_current_thread().build().unwrap();
            let calls = SingleFlight::new(1);
            let start = async { calls.join_or_start(KEY, || None, std::future::pending::<()>) };
            let flight = runtime.block_on(start).unwrap();
            if has_begun {
                runtime.block_on(tokio::task::yield_now());
            }
            let wakes = Arc::new(CountOnWake {
                in_flight: Arc::clone(&calls.in_flight),
                counts: Mutex::default(),
            });
            let mut outcome = pin!(flight.outcome());
            let waker = Waker::from(Arc::clone(&wakes));
            assert!(outcome.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            drop(runtime);
            assert_eq!(*wakes.counts.lock().unwrap(), [0], "has begun: {has_begun}");
        }
    }
}
