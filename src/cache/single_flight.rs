//! One call for all who ask the same thing at the same time.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::watch;

/// Calls that are under way, by what they ask. A clone shares them.
pub(crate) struct SingleFlight<K, T> {
    under_way: Arc<Mutex<HashMap<K, watch::Receiver<Option<T>>>>>,
    most: usize,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// As many calls as may be are under way already.
    TooMany,
    /// The call was stopped, with the runtime that it ran on.
    Stopped,
}

impl<K, T> SingleFlight<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    pub(crate) fn new(most: usize) -> Self {
        Self { under_way: Arc::default(), most }
    }

    /// Joins the call that asks this, or makes it.
    ///
    /// It runs on a task of its own: whoever waits may give up without harm to the others, and the number of calls is
    /// bounded by their number and not by the callers' patience.
    pub(crate) async fn join<F>(&self, asked: K, call: impl FnOnce() -> F) -> Result<T, NoAnswer>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut answer = self.under_way_or_made(asked, call)?;
        let answered = answer.wait_for(Option::is_some).await;
        answered.ok().and_then(|answer| answer.clone()).ok_or(NoAnswer::Stopped)
    }

    fn under_way_or_made<F>(
        &self,
        asked: K,
        call: impl FnOnce() -> F,
    ) -> Result<watch::Receiver<Option<T>>, NoAnswer>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let runtime = Handle::try_current().map_err(|_| NoAnswer::Stopped)?;
        let mut under_way = self.lock();
        if let Some(answer) = under_way.get(&asked) {
            return Ok(answer.clone());
        }
        if under_way.len() >= self.most {
            return Err(NoAnswer::TooMany);
        }
        let (sender, answer) = watch::channel(None);
        under_way.insert(asked.clone(), answer.clone());
        drop(under_way);
        let landing = Landing { flights: self.clone(), asked };
        let call = call();
        runtime.spawn(async move {
            let answer = call.await;
            // Nobody joins from here on; those who have joined get the answer.
            drop(landing);
            sender.send_replace(Some(answer));
        });
        Ok(answer)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, watch::Receiver<Option<T>>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the call off the list, also when it panics or its runtime is shut down.
struct Landing<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    flights: SingleFlight<K, T>,
    asked: K,
}

impl<K, T> Drop for Landing<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    fn drop(&mut self) {
        self.flights.lock().remove(&self.asked);
    }
}

impl<K, T> Clone for SingleFlight<K, T> {
    fn clone(&self) -> Self {
        Self { under_way: Arc::clone(&self.under_way), most: self.most }
    }
}

impl<K, T> fmt::Debug for SingleFlight<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlight").field("most", &self.most).finish_non_exhaustive()
    }
}
