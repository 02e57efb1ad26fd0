//! Keys and records that no other user of the store has, and the handles to call it by.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::conformance::Failure;
use crate::client::{Expect, KeyId, OwnerTag, Record, RecordKey, SealError, SealingKeys, Store};
use crate::testing::locked;

pub(super) struct Sample {
    first: Arc<dyn Store>,
    others: Vec<Arc<dyn Store>>,
    next: AtomicUsize,
    keys: SealingKeys,
    used: Mutex<Vec<RecordKey>>,
}

impl Sample {
    pub(super) fn new(handles: Vec<Arc<dyn Store>>) -> Result<Self, Failure> {
        let mut others = handles.into_iter();
        let first =
            others.next().ok_or_else(|| Failure::Broken("there is no handle".to_owned()))?;
        let others = others.collect();
        let (mut lookup, mut key) = ([0; 32], [0; 32]);
        let keys = aws_lc_rs::rand::fill(&mut lookup)
            .and_then(|()| aws_lc_rs::rand::fill(&mut key))
            .ok()
            .and_then(|()| SealingKeys::new(lookup, KeyId::parse("suite").ok()?, key).ok())
            .ok_or_else(|| Failure::Broken("there is no randomness".to_owned()))?;
        let (next, used) = (AtomicUsize::new(0), Mutex::default());
        Ok(Self { first, others, next, keys, used })
    }

    /// The next handle, in turn.
    pub(super) fn store(&self) -> Arc<dyn Store> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % (self.others.len() + 1);
        Arc::clone(self.others.get(turn).unwrap_or(&self.first))
    }

    pub(super) fn login(&self, name: &str) -> RecordKey {
        self.used(self.keys.login_key(name))
    }

    pub(super) fn registration(&self, name: &str) -> RecordKey {
        self.used(self.keys.registration_key(&[name.as_bytes()]))
    }

    pub(super) fn lease(&self, key: &RecordKey) -> RecordKey {
        self.used(key.lease())
    }

    pub(super) fn owner(&self, name: &str) -> OwnerTag {
        self.keys.owner_tag(name.as_bytes())
    }

    pub(super) fn connection(&self, owner: &OwnerTag, server: &str) -> RecordKey {
        self.used(self.keys.connection_key(owner, server, ""))
    }

    /// A record of a revision of its own.
    pub(super) fn record(&self, key: &RecordKey, value: &[u8]) -> Result<Record, Failure> {
        self.keys.seal(key, value).map_err(unsealed)
    }

    pub(super) fn value(&self, key: &RecordKey, record: &Record) -> Result<Vec<u8>, Failure> {
        self.keys.open(key, record).map_err(unsealed)
    }

    fn used(&self, key: RecordKey) -> RecordKey {
        locked(&self.used).push(key.clone());
        key
    }

    /// Removes what is left of every key that was handed out.
    pub(super) async fn clean_up(&self) -> Result<(), Failure> {
        let used = std::mem::take(&mut *locked(&self.used));
        for key in used {
            self.store().delete(&key, Expect::Any).await?;
        }
        Ok(())
    }
}

fn unsealed(error: SealError) -> Failure {
    Failure::Broken(format!("a record that was stored: {error}"))
}
