//! Sealed records in a store.

use std::sync::Arc;
use std::time::Duration;

use super::error::VaultError;
use super::record::{self, Form};
use super::seal::SealingKeys;
use super::store::{Expect, OwnerTag, Record, RecordKey, Revision, Saved, Store, StoreError};

/// The store, with the keys that open what is in it.
#[derive(Debug)]
pub(super) struct Vault {
    store: Arc<dyn Store>,
    keys: SealingKeys,
}

/// A record as it was loaded.
pub(super) struct Stored<T> {
    pub(super) value: T,
    pub(super) revision: Revision,
}

impl Vault {
    pub(super) fn new(store: Arc<dyn Store>, keys: SealingKeys) -> Self {
        Self { store, keys }
    }

    pub(super) fn store(&self) -> &dyn Store {
        &*self.store
    }

    pub(super) fn keys(&self) -> &SealingKeys {
        &self.keys
    }

    pub(super) async fn load<T: Form>(
        &self,
        key: &RecordKey,
    ) -> Result<Option<Stored<T>>, VaultError> {
        self.store.load(key).await?.map(|record| self.open(key, &record)).transpose()
    }

    /// Loads and removes a record: for one caller, of any number.
    pub(super) async fn take<T: Form>(
        &self,
        key: &RecordKey,
    ) -> Result<Option<Stored<T>>, VaultError> {
        self.store.take(key).await?.map(|record| self.open(key, &record)).transpose()
    }

    /// Returns the revision of what was stored, or `None` if something else was stored than
    /// expected.
    pub(super) async fn save<T: Form>(
        &self,
        key: &RecordKey,
        value: &T,
        expect: Expect,
        lifetime: Option<Duration>,
    ) -> Result<Option<Revision>, VaultError> {
        let record = self.seal(key, value)?;
        let saved = self.store.save(key, &record, expect, lifetime).await?;
        Ok((saved == Saved::Yes).then(|| record.revision()))
    }

    pub(super) async fn delete(&self, key: &RecordKey, expect: Expect) -> Result<bool, StoreError> {
        self.store.delete(key, expect).await
    }

    pub(super) async fn list(
        &self,
        owner: &OwnerTag,
        after: Option<&RecordKey>,
        most: usize,
    ) -> Result<Vec<(RecordKey, Record)>, StoreError> {
        self.store.list(owner, after, most).await
    }

    pub(super) fn seal<T: Form>(&self, key: &RecordKey, value: &T) -> Result<Record, VaultError> {
        let bytes = record::to_bytes(value).ok_or(VaultError::Form)?;
        self.keys.seal(key, &bytes).map_err(VaultError::Seal)
    }

    pub(super) fn open<T: Form>(
        &self,
        key: &RecordKey,
        record: &Record,
    ) -> Result<Stored<T>, VaultError> {
        let bytes = self.keys.open(key, record).map_err(VaultError::Seal)?;
        let value = record::from_bytes(&bytes).ok_or(VaultError::Form)?;
        Ok(Stored { value, revision: record.revision() })
    }
}
