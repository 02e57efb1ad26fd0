//! A store that fails, or stops, at a chosen call.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use clerk_mcp_tools::client::{
    Expect, OwnerTag, Record, RecordKey, Saved, ScanCursor, ScanPage, Store, StoreError,
    StoreErrorKind,
};
use tokio::sync::watch;

/// What becomes of a call.
#[derive(Clone)]
pub(super) enum Effect {
    /// It fails and has not happened.
    Before,
    /// It fails and has happened.
    After,
    /// It happens once [`FaultyStore::resume`] is called.
    Hold,
}

/// A store in front of another one. Clones share their faults.
#[derive(Clone)]
pub(super) struct FaultyStore {
    inner: Arc<dyn Store>,
    state: Arc<Mutex<State>>,
    held: Arc<watch::Sender<Held>>,
}

#[derive(Default)]
struct State {
    calls: usize,
    at: HashMap<usize, Effect>,
    /// From this call on, all fail.
    down_from: Option<usize>,
}

#[derive(Default)]
struct Held {
    waiting: usize,
    resumed: bool,
}

impl FaultyStore {
    pub(super) fn new(inner: impl Store) -> Self {
        Self { inner: Arc::new(inner), state: Arc::default(), held: Arc::default() }
    }

    /// Sets the effect on the n-th call from now, counted from 0.
    pub(super) fn at(&self, call: usize, effect: Effect) {
        let mut state = self.state.lock().unwrap();
        let call = state.calls + call;
        state.at.insert(call, effect);
    }

    /// All calls fail from the n-th on.
    pub(super) fn down_from(&self, call: usize) {
        let mut state = self.state.lock().unwrap();
        state.down_from = Some(state.calls + call);
    }

    pub(super) fn heal(&self) {
        let mut state = self.state.lock().unwrap();
        state.down_from = None;
        state.at.clear();
    }

    pub(super) fn calls(&self) -> usize {
        self.state.lock().unwrap().calls
    }

    /// Waits until a call is held.
    pub(super) async fn is_held(&self) {
        self.held.subscribe().wait_for(|held| held.waiting > 0).await.unwrap();
    }

    pub(super) fn resume(&self) {
        self.held.send_modify(|held| held.resumed = true);
    }

    async fn run<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let effect = {
            let mut state = self.state.lock().unwrap();
            let number = state.calls;
            state.calls += 1;
            let is_down = state.down_from.is_some_and(|from| number >= from);
            if is_down { Some(Effect::Before) } else { state.at.remove(&number) }
        };
        let error = || StoreError::new(StoreErrorKind::Unavailable, "a fault of the test");
        match effect {
            None => call.await,
            Some(Effect::Before) => Err(error()),
            Some(Effect::After) => {
                call.await?;
                Err(error())
            }
            Some(Effect::Hold) => {
                self.held.send_modify(|held| held.waiting += 1);
                self.held.subscribe().wait_for(|held| held.resumed).await.unwrap();
                call.await
            }
        }
    }
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        self.run(self.inner.load(key)).await
    }

    async fn save(
        &self,
        key: &RecordKey,
        record: &Record,
        expect: Expect,
        lifetime: Option<Duration>,
    ) -> Result<Saved, StoreError> {
        self.run(self.inner.save(key, record, expect, lifetime)).await
    }

    async fn take(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        self.run(self.inner.take(key)).await
    }

    async fn delete(&self, key: &RecordKey, expect: Expect) -> Result<bool, StoreError> {
        self.run(self.inner.delete(key, expect)).await
    }

    async fn list(
        &self,
        owner: &OwnerTag,
        after: Option<&RecordKey>,
        most: usize,
    ) -> Result<Vec<(RecordKey, Record)>, StoreError> {
        self.run(self.inner.list(owner, after, most)).await
    }

    async fn scan(&self, from: Option<&ScanCursor>, most: usize) -> Result<ScanPage, StoreError> {
        self.run(self.inner.scan(from, most)).await
    }
}
