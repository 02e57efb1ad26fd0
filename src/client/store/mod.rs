//! Where records are kept: the trait, and the stores that come with the crate.

mod error;
mod key;
mod memory;
#[cfg(feature = "client-postgres")]
mod postgres;
mod record;
#[cfg(feature = "client-redis")]
mod redis;
#[cfg(any(feature = "client-postgres", feature = "client-sqlite"))]
mod sql;
#[cfg(feature = "client-sqlite")]
mod sqlite;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use error::{StoreError, StoreErrorKind};
pub use key::{OwnerTag, RecordKey};
pub use memory::MemoryStore;
#[cfg(feature = "client-postgres")]
pub use postgres::PostgresStore;
pub use record::{Record, Revision, ScanCursor, ScanPage};
#[cfg(feature = "client-redis")]
pub use redis::RedisStore;
#[cfg(feature = "client-sqlite")]
pub use sqlite::SqliteStore;

/// What has to be stored under a key for a write to happen. A record whose lifetime has ended is
/// absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Absent,
    /// A record of this revision.
    Revision(Revision),
    /// Anything, or nothing.
    Any,
}

/// What became of a [`Store::save`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Saved {
    /// The record is stored.
    Yes,
    /// Something else is stored than was expected, or nothing. Nothing was changed.
    Conflict,
}

/// A store of records, shared by every process of an application.
///
/// The values are sealed before a store gets them ([`SealingKeys`](super::SealingKeys)) and mean
/// nothing to it. What it must provide:
///
/// - Each call is atomic: of any number of callers in any number of processes who `save` with the
///   same expectation, or `take` the same record, one succeeds.
/// - A call that succeeded is seen by every later call of every process. A replica that lags
///   behind does not do.
/// - A record whose lifetime has ended is absent for every call, whether it was removed or not.
/// - What cannot be decided is an error, never "absent" and never [`Saved::Conflict`]: a record
///   that is missing by mistake signs a user out.
///
/// A call that fails may have happened or not, as when the connection ends before the response
/// comes. Revisions are random and new for every write, so a caller can tell by loading the record.
///
/// A call that is dropped before it ends may have happened or not as well, and leaves the store
/// usable. Every call ends within a bounded time.
///
/// # Example
///
/// A store around another one, which counts what is loaded:
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use std::time::Duration;
///
/// use async_trait::async_trait;
/// use clerk_mcp_tools::client::{
///     Expect, OwnerTag, Record, RecordKey, Saved, ScanCursor, ScanPage, Store, StoreError,
/// };
///
/// #[derive(Debug)]
/// struct Counted<S> {
///     inner: S,
///     loads: AtomicU64,
/// }
///
/// #[async_trait]
/// impl<S: Store> Store for Counted<S> {
///     async fn load(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
///         self.loads.fetch_add(1, Ordering::Relaxed);
///         self.inner.load(key).await
///     }
///
///     async fn save(
///         &self,
///         key: &RecordKey,
///         record: &Record,
///         expect: Expect,
///         lifetime: Option<Duration>,
///     ) -> Result<Saved, StoreError> {
///         self.inner.save(key, record, expect, lifetime).await
///     }
///
///     async fn take(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
///         self.inner.take(key).await
///     }
///
///     async fn delete(&self, key: &RecordKey, expect: Expect) -> Result<bool, StoreError> {
///         self.inner.delete(key, expect).await
///     }
///
///     async fn list(
///         &self,
///         owner: &OwnerTag,
///         after: Option<&RecordKey>,
///         most: usize,
///     ) -> Result<Vec<(RecordKey, Record)>, StoreError> {
///         self.inner.list(owner, after, most).await
///     }
///
///     async fn scan(
///         &self,
///         from: Option<&ScanCursor>,
///         most: usize,
///     ) -> Result<ScanPage, StoreError> {
///         self.inner.scan(from, most).await
///     }
///
///     async fn sweep(&self, most: usize) -> Result<u64, StoreError> {
///         self.inner.sweep(most).await
///     }
/// }
/// ```
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Returns the record under a key, as it was last stored: a replica that lags behind must not be
    /// asked. With an old record no token can be refreshed.
    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, StoreError>;

    /// Stores a record, with its revision, if what is stored is as expected.
    ///
    /// The lifetime counts from this call and replaces that of the record before: `None` keeps
    /// the record until it is deleted. A store may round a lifetime up to a whole millisecond. It
    /// may be judged by the clock of the database, which should be right to a second.
    async fn save(
        &self,
        key: &RecordKey,
        record: &Record,
        expect: Expect,
        lifetime: Option<Duration>,
    ) -> Result<Saved, StoreError>;

    /// Removes a record and returns it: to one caller, however many there are.
    async fn take(&self, key: &RecordKey) -> Result<Option<Record>, StoreError>;

    /// Removes a record if it is as expected, and returns whether there was one to remove.
    /// [`Expect::Absent`] removes nothing.
    async fn delete(&self, key: &RecordKey, expect: Expect) -> Result<bool, StoreError>;

    /// Returns records of one owner in the order of their keys' bytes: at most `most`, those
    /// behind the key `after`.
    ///
    /// Fewer than `most` mean that there are no more. A record that is written or removed in the
    /// meantime may be in the list or not.
    async fn list(
        &self,
        owner: &OwnerTag,
        after: Option<&RecordKey>,
        most: usize,
    ) -> Result<Vec<(RecordKey, Record)>, StoreError>;

    /// Returns a page of all records, in any order, beginning at the cursor of the page before.
    ///
    /// `most` is a hint: a page may be empty or longer although more pages follow. A record that
    /// is there from the first page to the last one is in at least one of them.
    async fn scan(&self, from: Option<&ScanCursor>, most: usize) -> Result<ScanPage, StoreError>;

    /// Removes at most `most` records whose lifetime has ended, and returns how many it removed.
    /// Does nothing where the database does this by itself.
    async fn sweep(&self, most: usize) -> Result<u64, StoreError> {
        let _ = most;
        Ok(0)
    }
}

#[async_trait]
impl<S: Store + ?Sized> Store for Arc<S> {
    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        (**self).load(key).await
    }

    async fn save(
        &self,
        key: &RecordKey,
        record: &Record,
        expect: Expect,
        lifetime: Option<Duration>,
    ) -> Result<Saved, StoreError> {
        (**self).save(key, record, expect, lifetime).await
    }

    async fn take(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        (**self).take(key).await
    }

    async fn delete(&self, key: &RecordKey, expect: Expect) -> Result<bool, StoreError> {
        (**self).delete(key, expect).await
    }

    async fn list(
        &self,
        owner: &OwnerTag,
        after: Option<&RecordKey>,
        most: usize,
    ) -> Result<Vec<(RecordKey, Record)>, StoreError> {
        (**self).list(owner, after, most).await
    }

    async fn scan(&self, from: Option<&ScanCursor>, most: usize) -> Result<ScanPage, StoreError> {
        (**self).scan(from, most).await
    }

    async fn sweep(&self, most: usize) -> Result<u64, StoreError> {
        (**self).sweep(most).await
    }
}
