//! A store in the memory of one process.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::error::{StoreError, StoreErrorKind};
use super::key::{OwnerTag, RecordKey};
use super::record::{Record, ScanCursor, ScanPage};
use super::{Expect, Saved, Store};
use crate::clock::{Clock, Moment, SystemClock};

/// A [`Store`] in the memory of one process, for tests and for applications of one process whose
/// users may sign in again after a restart.
///
/// A clone is cheap and has the same records. A full store rejects new records
/// ([`StoreErrorKind::Full`]); it never removes one whose lifetime has not ended.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::client::MemoryStore;
///
/// // At most 10,000 records; a connection is one, and a sign-in in progress is one.
/// let store = MemoryStore::new(10_000);
/// ```
#[derive(Clone)]
pub struct MemoryStore {
    records: Arc<Mutex<BTreeMap<RecordKey, Stored>>>,
    most: usize,
    clock: Arc<dyn Clock>,
}

#[derive(Clone)]
struct Stored {
    record: Record,
    end: Option<Moment>,
}

impl Stored {
    fn is_over(&self, clock: &dyn Clock) -> bool {
        self.end.is_some_and(|end| end.has_come(clock))
    }
}

impl MemoryStore {
    /// Creates a store of at most this many records.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { records: Arc::default(), most, clock: Arc::new(SystemClock::new()) }
    }

    /// Sets the clock that ends lifetimes. Defaults to [`SystemClock`].
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    /// A poisoned lock is used as it is: no change under it can panic halfway.
    fn records(&self) -> MutexGuard<'_, BTreeMap<RecordKey, Stored>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The records, without that of this key if its lifetime has ended.
    fn current(&self, key: &RecordKey) -> MutexGuard<'_, BTreeMap<RecordKey, Stored>> {
        let mut records = self.records();
        if records.get(key).is_some_and(|stored| stored.is_over(&*self.clock)) {
            records.remove(key);
        }
        records
    }

    /// Makes room for one more record.
    fn make_room(&self, records: &mut BTreeMap<RecordKey, Stored>) -> Result<(), StoreError> {
        if records.len() < self.most {
            return Ok(());
        }
        records.retain(|_, stored| !stored.is_over(&*self.clock));
        if records.len() < self.most {
            return Ok(());
        }
        Err(StoreError::new(StoreErrorKind::Full, "all of its records are in use"))
    }

    /// The records of keys with this prefix behind `after` that are not over, at most `most`.
    fn page(&self, prefix: &str, after: Option<&str>, most: usize) -> Vec<(RecordKey, Record)> {
        let start = match after.filter(|after| *after >= prefix) {
            Some(after) => Bound::Excluded(after),
            None => Bound::Included(prefix),
        };
        self.records()
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(|(key, _)| key.as_str().starts_with(prefix))
            .filter(|(_, stored)| !stored.is_over(&*self.clock))
            .take(most)
            .map(|(key, stored)| (key.clone(), stored.record.clone()))
            .collect()
    }
}

impl Expect {
    fn is_met_by(self, stored: Option<&Stored>) -> bool {
        match self {
            Self::Absent => stored.is_none(),
            Self::Revision(revision) => {
                stored.is_some_and(|stored| stored.record.revision() == revision)
            }
            Self::Any => true,
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        Ok(self.current(key).get(key).map(|stored| stored.record.clone()))
    }

    async fn save(
        &self,
        key: &RecordKey,
        record: &Record,
        expect: Expect,
        lifetime: Option<Duration>,
    ) -> Result<Saved, StoreError> {
        let end = lifetime.map(|lifetime| Moment::now(&*self.clock).after(lifetime));
        let mut records = self.current(key);
        let stored = records.get(key);
        if !expect.is_met_by(stored) {
            return Ok(Saved::Conflict);
        }
        if stored.is_none() {
            self.make_room(&mut records)?;
        }
        records.insert(key.clone(), Stored { record: record.clone(), end });
        Ok(Saved::Yes)
    }

    async fn take(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        Ok(self.current(key).remove(key).map(|stored| stored.record))
    }

    async fn delete(&self, key: &RecordKey, expect: Expect) -> Result<bool, StoreError> {
        let mut records = self.current(key);
        let is_met = expect != Expect::Absent && expect.is_met_by(records.get(key));
        Ok(is_met && records.remove(key).is_some())
    }

    async fn list(
        &self,
        owner: &OwnerTag,
        after: Option<&RecordKey>,
        most: usize,
    ) -> Result<Vec<(RecordKey, Record)>, StoreError> {
        Ok(self.page(&owner.prefix(), after.map(RecordKey::as_str), most))
    }

    async fn scan(&self, from: Option<&ScanCursor>, most: usize) -> Result<ScanPage, StoreError> {
        let records = self.page("", from.map(ScanCursor::as_str), most.max(1));
        Ok(ScanPage::in_order_of_keys(records, most.max(1)))
    }

    async fn sweep(&self, most: usize) -> Result<u64, StoreError> {
        let mut records = self.records();
        let over = records.iter().filter(|(_, stored)| stored.is_over(&*self.clock));
        let keys: Vec<_> = over.take(most).map(|(key, _)| key.clone()).collect();
        let removed = keys.iter().filter(|key| records.remove(key.as_str()).is_some()).count();
        Ok(removed as u64)
    }
}

/// Shows the number of records.
impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("records", &self.records().len())
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}
