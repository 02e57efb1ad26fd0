//! Stores that break one rule each, as people have written them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clerk_mcp_tools::client::{
    Expect, MemoryStore, OwnerTag, Record, RecordKey, Saved, ScanCursor, ScanPage, Store,
    StoreError,
};
use clerk_mcp_tools::testing::check_store;

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mistake {
    /// Looks first and writes then.
    LooksThenSaves,
    LooksThenTakes,
    LooksThenDeletes,
    IgnoresExpectations,
    ChangesRevisions,
    IgnoresLifetimes,
    KeepsTheFirstLifetime,
    ListsEverything,
    ListsOnePage,
    ListsFromTheBeginning,
    ListsBackwards,
    ScansOnePage,
    SweepsEverything,
    DeletesWithoutLooking,
    TakesWithoutRemoving,
}

#[derive(Debug)]
struct Broken {
    mistake: Mistake,
    inner: MemoryStore,
}

impl Broken {
    fn is(&self, mistake: Mistake) -> bool {
        self.mistake == mistake
    }

    async fn meets(&self, key: &RecordKey, expect: Expect) -> Result<bool, StoreError> {
        let stored = self.inner.load(key).await?;
        tokio::task::yield_now().await;
        Ok(match expect {
            Expect::Absent => stored.is_none(),
            Expect::Revision(revision) => stored.is_some_and(|it| it.revision() == revision),
            Expect::Any => true,
        })
    }

    async fn everything(&self) -> Result<Vec<(RecordKey, Record)>, StoreError> {
        Ok(self.inner.scan(None, usize::MAX).await?.records().to_vec())
    }
}

#[async_trait]
impl Store for Broken {
    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        self.inner.load(key).await
    }

    async fn save(
        &self,
        key: &RecordKey,
        record: &Record,
        mut expect: Expect,
        mut lifetime: Option<Duration>,
    ) -> Result<Saved, StoreError> {
        let mut record = record.clone();
        match self.mistake {
            Mistake::LooksThenSaves if !self.meets(key, expect).await? => {
                return Ok(Saved::Conflict);
            }
            Mistake::LooksThenSaves | Mistake::IgnoresExpectations => expect = Expect::Any,
            Mistake::ChangesRevisions => {
                let revision = [9; 16];
                record = Record::new(
                    clerk_mcp_tools::client::Revision::from_bytes(revision),
                    record.sealed().clone(),
                );
            }
            Mistake::IgnoresLifetimes => lifetime = None,
            Mistake::KeepsTheFirstLifetime if self.inner.load(key).await?.is_some() => {
                lifetime = Some(Duration::from_millis(20));
            }
            _ => {}
        }
        self.inner.save(key, &record, expect, lifetime).await
    }

    async fn take(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        match self.mistake {
            Mistake::LooksThenTakes => {
                let record = self.inner.load(key).await?;
                tokio::task::yield_now().await;
                self.inner.delete(key, Expect::Any).await?;
                Ok(record)
            }
            Mistake::TakesWithoutRemoving => self.inner.load(key).await,
            _ => self.inner.take(key).await,
        }
    }

    async fn delete(&self, key: &RecordKey, expect: Expect) -> Result<bool, StoreError> {
        match self.mistake {
            Mistake::LooksThenDeletes => {
                let is_met = expect != Expect::Absent
                    && self.inner.load(key).await?.is_some()
                    && self.meets(key, expect).await?;
                if is_met {
                    self.inner.delete(key, Expect::Any).await?;
                }
                Ok(is_met)
            }
            Mistake::DeletesWithoutLooking => self.inner.delete(key, Expect::Any).await,
            _ => self.inner.delete(key, expect).await,
        }
    }

    async fn list(
        &self,
        owner: &OwnerTag,
        after: Option<&RecordKey>,
        most: usize,
    ) -> Result<Vec<(RecordKey, Record)>, StoreError> {
        match self.mistake {
            Mistake::ListsEverything => self.everything().await,
            Mistake::ListsOnePage if after.is_some() => Ok(Vec::new()),
            Mistake::ListsFromTheBeginning => self.inner.list(owner, None, most).await,
            Mistake::ListsBackwards => {
                let mut records = self.inner.list(owner, after, most).await?;
                records.reverse();
                Ok(records)
            }
            _ => self.inner.list(owner, after, most).await,
        }
    }

    async fn scan(&self, from: Option<&ScanCursor>, most: usize) -> Result<ScanPage, StoreError> {
        let page = self.inner.scan(from, most).await?;
        if self.is(Mistake::ScansOnePage) {
            return Ok(ScanPage::new(page.records().to_vec(), None));
        }
        Ok(page)
    }

    async fn sweep(&self, most: usize) -> Result<u64, StoreError> {
        if !self.is(Mistake::SweepsEverything) {
            return self.inner.sweep(most).await;
        }
        for (key, _) in self.everything().await? {
            self.inner.delete(&key, Expect::Any).await?;
        }
        Ok(0)
    }
}

#[tokio::test]
async fn the_suite_finds_every_mistake() {
    for (mistake, rule) in [
        (Mistake::LooksThenSaves, "of all who save first, one does"),
        (Mistake::LooksThenTakes, "of all who take a record, one gets it"),
        (Mistake::LooksThenDeletes, "of all who take or delete a record, one does"),
        (Mistake::IgnoresExpectations, "what was never saved is absent"),
        (Mistake::ChangesRevisions, "a record comes back as it was saved"),
        (Mistake::IgnoresLifetimes, "a record whose lifetime has ended is absent"),
        (Mistake::KeepsTheFirstLifetime, "a save replaces the lifetime"),
        (Mistake::ListsEverything, "a record whose lifetime has ended is absent"),
        (Mistake::ListsOnePage, "a list has the records of its owner, in order"),
        (Mistake::ListsFromTheBeginning, "a list has the records of its owner, in order"),
        (Mistake::ListsBackwards, "a list has the records of its owner, in order"),
        (Mistake::ScansOnePage, "a scan finds every record"),
        (Mistake::SweepsEverything, "a sweep removes only what has ended"),
        (Mistake::DeletesWithoutLooking, "a delete happens only as expected"),
        (Mistake::TakesWithoutRemoving, "a record is taken once"),
    ] {
        let store = Broken { mistake, inner: MemoryStore::new(1000) };
        let Err(violation) = check_store(vec![Arc::new(store)]).await else {
            panic!("{mistake:?} is not found");
        };
        assert_eq!(violation.rule(), rule, "{mistake:?}: {violation}");
    }
}
