//! A store that fails where a test wants it to.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use crate::client::{
    Expect, OwnerTag, Record, RecordKey, Saved, ScanCursor, ScanPage, Store, StoreError,
    StoreErrorKind,
};
use crate::testing::gate::{Gate, Latch, gate};
use crate::testing::locked;

/// How a call of a [`FaultyStore`] fails.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StoreFault {
    /// Does not happen, and fails as [`StoreErrorKind::Unavailable`].
    FailBefore,
    /// Happens, and fails as [`StoreErrorKind::Unavailable`] all the same: as if the connection had
    /// ended before the response came.
    FailAfter,
    /// Does not happen and never returns: as if the process had been killed before the call.
    StopBefore,
    /// Happens and never returns: as if the process had been killed after the call.
    StopAfter,
    /// Waits before it happens until the gate is open. Created by [`StoreFault::hold_before`].
    HeldBefore(Latch),
    /// Waits after it has happened until the gate is open. Created by [`StoreFault::hold_after`].
    HeldAfter(Latch),
}

impl StoreFault {
    /// Returns a fault that makes a call wait before it happens, and the gate that lets it go on.
    #[must_use]
    pub fn hold_before() -> (Self, Gate) {
        let (latch, gate) = gate();
        (Self::HeldBefore(latch), gate)
    }

    /// Returns a fault that makes a call wait after it has happened, and the gate that lets it
    /// return.
    #[must_use]
    pub fn hold_after() -> (Self, Gate) {
        let (latch, gate) = gate();
        (Self::HeldAfter(latch), gate)
    }

    async fn before(&self) -> Result<(), StoreError> {
        match self {
            Self::FailBefore => Err(failed()),
            Self::StopBefore => pending().await,
            Self::HeldBefore(latch) => {
                latch.pass().await;
                Ok(())
            }
            Self::FailAfter | Self::StopAfter | Self::HeldAfter(_) => Ok(()),
        }
    }

    async fn after(&self) -> Result<(), StoreError> {
        match self {
            Self::FailAfter => Err(failed()),
            Self::StopAfter => pending().await,
            Self::HeldAfter(latch) => {
                latch.pass().await;
                Ok(())
            }
            Self::FailBefore | Self::StopBefore | Self::HeldBefore(_) => Ok(()),
        }
    }
}

/// The methods of a [`Store`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreOperation {
    /// [`Store::load`].
    Load,
    /// [`Store::save`].
    Save,
    /// [`Store::take`].
    Take,
    /// [`Store::delete`].
    Delete,
    /// [`Store::list`].
    List,
    /// [`Store::scan`].
    Scan,
    /// [`Store::sweep`].
    Sweep,
}

/// A call that a [`FaultyStore`] was asked for, whether it happened or not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreCall {
    /// The method.
    pub operation: StoreOperation,
    /// The key of the record, if the method has one.
    pub key: Option<RecordKey>,
}

/// A store around another one that fails at the calls that a test chooses, and records all of
/// them.
///
/// Clones share the faults and the record. A fault is used up by the call that it applies to.
///
/// # Example
///
/// A process that dies after the second call:
///
/// ```
/// use clerk_mcp_tools::client::MemoryStore;
/// use clerk_mcp_tools::testing::{FaultyStore, StoreFault};
///
/// let store = FaultyStore::new(MemoryStore::new(10_000));
/// store.at_call(2, StoreFault::StopAfter);
/// assert_eq!(store.calls(), []);
/// ```
#[derive(Clone, Debug)]
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    calls: Vec<StoreCall>,
    is_down: bool,
    rules: Vec<(When, StoreFault)>,
}

#[derive(Debug)]
enum When {
    /// The call of this number, from 1 on.
    Number(usize),
    /// The next call of this method for a key that begins so.
    Operation(StoreOperation, String),
}

impl When {
    fn applies_to(&self, number: usize, call: &StoreCall) -> bool {
        match self {
            Self::Number(expected) => *expected == number,
            Self::Operation(operation, prefix) => {
                let key = call.key.as_ref().map_or("", RecordKey::as_str);
                *operation == call.operation && key.starts_with(prefix.as_str())
            }
        }
    }
}

impl FaultyStore {
    /// Creates a store that does what another one does, until a fault is set.
    #[must_use]
    pub fn new(inner: impl Store) -> Self {
        Self { inner: Arc::new(inner), state: Arc::default() }
    }

    /// Sets the fault of one call: 1 is the next one.
    pub fn at_call(&self, number: usize, fault: StoreFault) {
        let mut state = locked(&self.state);
        let number = state.calls.len().saturating_add(number);
        state.rules.push((When::Number(number), fault));
    }

    /// Sets the fault of the next call of this method for a key that begins so, such as
    /// `connection/`. With an empty string it is any call of the method.
    pub fn at_operation(&self, operation: StoreOperation, prefix: &str, fault: StoreFault) {
        let when = When::Operation(operation, prefix.to_owned());
        locked(&self.state).rules.push((when, fault));
    }

    /// Makes every call fail without happening, or ends that. Faults that are set apply first.
    pub fn set_down(&self, is_down: bool) {
        locked(&self.state).is_down = is_down;
    }

    /// Removes the faults that were not used.
    pub fn clear_faults(&self) {
        locked(&self.state).rules.clear();
    }

    /// Returns the calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<StoreCall> {
        locked(&self.state).calls.clone()
    }

    /// Records a call and returns its fault.
    fn arrives(&self, operation: StoreOperation, key: Option<&RecordKey>) -> Option<StoreFault> {
        let call = StoreCall { operation, key: key.cloned() };
        let mut state = locked(&self.state);
        let number = state.calls.len().saturating_add(1);
        let rule = state.rules.iter().position(|(when, _)| when.applies_to(number, &call));
        let down = state.is_down.then_some(StoreFault::FailBefore);
        state.calls.push(call);
        rule.map(|rule| state.rules.remove(rule).1).or(down)
    }

    async fn call<T>(
        &self,
        operation: StoreOperation,
        key: Option<&RecordKey>,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let Some(fault) = self.arrives(operation, key) else {
            return call.await;
        };
        fault.before().await?;
        let output = call.await;
        fault.after().await?;
        output
    }
}

fn failed() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "a test made this call fail")
}

#[async_trait]
impl Store for FaultyStore {
    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        self.call(StoreOperation::Load, Some(key), self.inner.load(key)).await
    }

    async fn save(
        &self,
        key: &RecordKey,
        record: &Record,
        expect: Expect,
        lifetime: Option<Duration>,
    ) -> Result<Saved, StoreError> {
        let call = self.inner.save(key, record, expect, lifetime);
        self.call(StoreOperation::Save, Some(key), call).await
    }

    async fn take(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        self.call(StoreOperation::Take, Some(key), self.inner.take(key)).await
    }

    async fn delete(&self, key: &RecordKey, expect: Expect) -> Result<bool, StoreError> {
        self.call(StoreOperation::Delete, Some(key), self.inner.delete(key, expect)).await
    }

    async fn list(
        &self,
        owner: &OwnerTag,
        after: Option<&RecordKey>,
        most: usize,
    ) -> Result<Vec<(RecordKey, Record)>, StoreError> {
        self.call(StoreOperation::List, after, self.inner.list(owner, after, most)).await
    }

    async fn scan(&self, from: Option<&ScanCursor>, most: usize) -> Result<ScanPage, StoreError> {
        self.call(StoreOperation::Scan, None, self.inner.scan(from, most)).await
    }

    async fn sweep(&self, most: usize) -> Result<u64, StoreError> {
        self.call(StoreOperation::Sweep, None, self.inner.sweep(most)).await
    }
}
