//! The rules of lifetimes. They end by the clock of the store, so the suite waits until it says so.

use std::time::Duration;

use super::conformance::{Failure, Held, StoreViolation, expect, expect_records};
use super::sample::Sample;
use crate::client::{Expect, Record, RecordKey, Saved};
use crate::clock::{Clock, SystemClock};

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(3600);

/// How often a record is looked at, and how many times: for ten seconds.
const INTERVAL: Duration = Duration::from_millis(5);
const LOOKS: usize = 2000;

pub(super) async fn check(sample: &Sample) -> Result<(), StoreViolation> {
    absent(sample).await.map_err(|f| f.of("a record whose lifetime has ended is absent"))?;
    replaced(sample).await.map_err(|f| f.of("a save replaces the lifetime"))?;
    swept(sample).await.map_err(|f| f.of("a sweep removes only what has ended"))
}

/// Saves a record and waits until its lifetime has ended.
pub(super) async fn ended(sample: &Sample, key: &RecordKey) -> Result<Record, Failure> {
    let record = sample.record(key, b"ended")?;
    let saved = sample.store().save(key, &record, Expect::Any, Some(SHORT)).await?;
    expect("save", saved, Saved::Yes)?;
    wait(sample, key).await?;
    Ok(record)
}

async fn wait(sample: &Sample, key: &RecordKey) -> Held {
    for _ in 0..LOOKS {
        if sample.store().load(key).await?.is_none() {
            return Ok(());
        }
        SystemClock::new().sleep(INTERVAL).await;
    }
    Err(Failure::Broken(format!("a record with a lifetime of {SHORT:?} is there after 10 s")))
}

async fn absent(sample: &Sample) -> Held {
    let owner = sample.owner("absent");
    let (key, lasting) = (sample.connection(&owner, "1"), sample.connection(&owner, "2"));
    let record = sample.record(&lasting, b"1")?;
    let saved = sample.store().save(&lasting, &record, Expect::Absent, Some(LONG)).await?;
    expect("save", saved, Saved::Yes)?;

    let revision = Expect::Revision(ended(sample, &key).await?.revision());
    expect("take", sample.store().take(&key).await?, None)?;
    expect("load after take", sample.store().load(&key).await?, None)?;
    ended(sample, &key).await?;
    expect("delete", sample.store().delete(&key, Expect::Any).await?, false)?;
    let again = ended(sample, &key).await?;
    let by_revision = Expect::Revision(again.revision());
    expect("delete by revision", sample.store().delete(&key, by_revision).await?, false)?;
    let again = ended(sample, &key).await?;
    let new = sample.record(&key, b"new")?;
    for expected in [revision, Expect::Revision(again.revision())] {
        let saved = sample.store().save(&key, &new, expected, None).await?;
        expect("save by revision", saved, Saved::Conflict)?;
    }
    let listed = sample.store().list(&owner, None, 10).await?;
    expect_records("the list of its owner", &listed, &[(lasting.clone(), record.clone())])?;
    let saved = sample.store().save(&key, &new, Expect::Absent, Some(LONG)).await?;
    expect("a new first save", saved, Saved::Yes)?;
    expect("what is stored", sample.store().load(&key).await?, Some(new))?;
    expect("a longer lifetime", sample.store().load(&lasting).await?, Some(record))?;
    let listed = sample.store().list(&owner, None, 10).await?.len();
    expect("the list of its owner after that", listed, 2)
}

async fn replaced(sample: &Sample) -> Held {
    let (kept, longer) = (sample.login("kept"), sample.login("longer"));
    let (shorter, probe) = (sample.login("shorter"), sample.login("probe"));
    for (key, lifetime) in [(&kept, SHORT), (&longer, SHORT), (&shorter, LONG)] {
        let record = sample.record(key, b"1")?;
        let saved = sample.store().save(key, &record, Expect::Any, Some(lifetime)).await?;
        expect("save", saved, Saved::Yes)?;
    }
    for (key, lifetime) in [(&kept, None), (&longer, Some(LONG)), (&shorter, Some(SHORT))] {
        let record = sample.record(key, b"2")?;
        // Over anything: on a slow machine a short lifetime may have ended already.
        let saved = sample.store().save(key, &record, Expect::Any, lifetime).await?;
        expect("save", saved, Saved::Yes)?;
    }
    wait(sample, &shorter).await?;
    // Saved after the others, so what ends by the lifetime before has ended when this has.
    ended(sample, &probe).await?;
    for (what, key) in [("without one", &kept), ("with a longer one", &longer)] {
        let is_there = sample.store().load(key).await?.is_some();
        expect(&format!("a record that was saved again {what}"), is_there, true)?;
    }
    Ok(())
}

async fn swept(sample: &Sample) -> Held {
    let (over, lasting, kept) = (sample.login("over"), sample.login("lasting"), sample.login("k"));
    for (key, lifetime) in [(&lasting, Some(LONG)), (&kept, None)] {
        let record = sample.record(key, b"1")?;
        let saved = sample.store().save(key, &record, Expect::Absent, lifetime).await?;
        expect("save", saved, Saved::Yes)?;
    }
    ended(sample, &over).await?;
    // A full sweep has another one behind it. Others may have filled the store.
    for _ in 0..LOOKS {
        if sample.store().sweep(1000).await? < 1000 {
            break;
        }
    }
    for (what, key) in [("a long lifetime", &lasting), ("no lifetime", &kept)] {
        let is_there = sample.store().load(key).await?.is_some();
        expect(&format!("a record with {what}"), is_there, true)?;
    }
    expect("a record that is over", sample.store().load(&over).await?, None)
}
