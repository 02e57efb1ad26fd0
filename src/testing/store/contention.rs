//! The rules of many callers at once.

use std::future::Future;
use std::sync::Arc;

use super::conformance::{Failure, Held, StoreViolation, expect};
use super::lifetimes;
use super::sample::Sample;
use crate::client::{Expect, Record, RecordKey, Saved, Store, StoreError};

const CALLERS: usize = 64;

/// Who count in turn, and how far each.
const COUNTERS: usize = 8;
const STEPS: usize = 8;
/// The tries of one step. Of all who try at once one succeeds, so no step needs more.
const TRIES: usize = COUNTERS * STEPS + 1;

pub(super) async fn check(sample: &Arc<Sample>) -> Result<(), StoreViolation> {
    first(sample).await.map_err(|f| f.of("of all who save first, one does"))?;
    by_revision(sample).await.map_err(|f| f.of("of all who replace a revision, one does"))?;
    take(sample).await.map_err(|f| f.of("of all who take a record, one gets it"))?;
    delete(sample).await.map_err(|f| f.of("of all who take or delete a record, one does"))?;
    over(sample).await.map_err(|f| f.of("of all who replace what is over, one does"))?;
    count(sample).await.map_err(|f| f.of("no update is lost"))
}

/// Runs all calls at once and returns their outcomes.
async fn all<T, F>(calls: impl IntoIterator<Item = F>) -> Result<Vec<T>, Failure>
where
    T: Send + 'static,
    F: Future<Output = Result<T, StoreError>> + Send + 'static,
{
    let tasks: Vec<_> = calls.into_iter().map(tokio::spawn).collect();
    let mut outcomes = Vec::with_capacity(tasks.len());
    for task in tasks {
        let outcome = task.await.map_err(|_| Failure::Broken("a call panicked".to_owned()))?;
        outcomes.push(outcome?);
    }
    Ok(outcomes)
}

async fn save(
    store: Arc<dyn Store>,
    key: RecordKey,
    record: Record,
    expected: Expect,
) -> Result<Option<Record>, StoreError> {
    let saved = store.save(&key, &record, expected, None).await?;
    Ok((saved == Saved::Yes).then_some(record))
}

/// Has many save at once with one expectation, and checks that the one who succeeded is stored.
async fn one_saves(sample: &Sample, key: &RecordKey, expected: Expect) -> Held {
    let mut calls = Vec::new();
    for n in 0..CALLERS {
        let record = sample.record(key, n.to_string().as_bytes())?;
        calls.push(save(sample.store(), key.clone(), record, expected));
    }
    let winners: Vec<_> = all(calls).await?.into_iter().flatten().collect();
    expect("the number of those who did", winners.len(), 1)?;
    expect("what is stored", sample.store().load(key).await?.as_ref(), winners.first())
}

async fn first(sample: &Sample) -> Held {
    let key = sample.login("many first");
    one_saves(sample, &key, Expect::Absent).await?;
    // Again, where a record was before: a lease that was given back.
    expect("delete", sample.store().delete(&key, Expect::Any).await?, true)?;
    one_saves(sample, &key, Expect::Absent).await
}

async fn by_revision(sample: &Sample) -> Held {
    let owner = sample.owner("many by revision");
    let key = sample.connection(&owner, "1");
    let record = sample.record(&key, b"first")?;
    let saved = sample.store().save(&key, &record, Expect::Absent, None).await?;
    expect("save", saved, Saved::Yes)?;
    one_saves(sample, &key, Expect::Revision(record.revision())).await?;
    expect("the list", sample.store().list(&owner, None, 10).await?.len(), 1)
}

async fn over(sample: &Sample) -> Held {
    let key = sample.login("many over");
    lifetimes::ended(sample, &key).await?;
    one_saves(sample, &key, Expect::Absent).await
}

async fn take(sample: &Sample) -> Held {
    let key = sample.login("many take");
    let record = sample.record(&key, b"1")?;
    let saved = sample.store().save(&key, &record, Expect::Absent, None).await?;
    expect("save", saved, Saved::Yes)?;
    let taken = all((0..CALLERS).map(|_| {
        let (store, key) = (sample.store(), key.clone());
        async move { store.take(&key).await }
    }))
    .await?;
    let taken: Vec<_> = taken.into_iter().flatten().collect();
    expect("what was taken", taken, vec![record])?;
    expect("what is stored", sample.store().load(&key).await?, None)
}

async fn delete(sample: &Sample) -> Held {
    let key = sample.login("many delete");
    let record = sample.record(&key, b"1")?;
    let saved = sample.store().save(&key, &record, Expect::Absent, None).await?;
    expect("save", saved, Saved::Yes)?;
    let revision = Expect::Revision(record.revision());
    let done = all((0..CALLERS).map(|n| {
        let (store, key) = (sample.store(), key.clone());
        async move {
            match n % 3 {
                0 => store.delete(&key, revision).await,
                1 => store.delete(&key, Expect::Any).await,
                _ => store.take(&key).await.map(|taken| taken.is_some()),
            }
        }
    }))
    .await?;
    expect("the number of those who did", done.into_iter().filter(|done| *done).count(), 1)
}

/// Counts up in one record, each step by load and compare-and-set.
async fn count(sample: &Arc<Sample>) -> Held {
    let key = sample.login("count");
    let zero = sample.record(&key, b"0")?;
    let saved = sample.store().save(&key, &zero, Expect::Absent, None).await?;
    expect("save", saved, Saved::Yes)?;
    let tasks: Vec<_> = (0..COUNTERS)
        .map(|_| {
            let (sample, key) = (Arc::clone(sample), key.clone());
            tokio::spawn(async move { steps(&sample, &key).await })
        })
        .collect();
    for task in tasks {
        task.await.map_err(|_| Failure::Broken("a call panicked".to_owned()))??;
    }
    let (_, counted) = loaded(sample, &key).await?;
    expect("the count", counted, COUNTERS * STEPS)
}

async fn steps(sample: &Sample, key: &RecordKey) -> Held {
    for _ in 0..STEPS {
        step(sample, key).await?;
    }
    Ok(())
}

async fn step(sample: &Sample, key: &RecordKey) -> Held {
    for _ in 0..TRIES {
        let (record, counted) = loaded(sample, key).await?;
        let next = sample.record(key, (counted + 1).to_string().as_bytes())?;
        let expected = Expect::Revision(record.revision());
        if sample.store().save(key, &next, expected, None).await? == Saved::Yes {
            return Ok(());
        }
    }
    Err(Failure::Broken(format!("a save failed {TRIES} times, more often than others saved")))
}

async fn loaded(sample: &Sample, key: &RecordKey) -> Result<(Record, usize), Failure> {
    let gone = || Failure::Broken("the record is gone".to_owned());
    let record = sample.store().load(key).await?.ok_or_else(gone)?;
    let value = String::from_utf8(sample.value(key, &record)?).map_err(|_| gone())?;
    Ok((record, value.parse().map_err(|_| gone())?))
}
