//! The rules of one caller: compare and set, take and delete.

use super::conformance::{Held, StoreViolation, expect};
use super::sample::Sample;
use crate::client::{Expect, Saved};

/// The longest record that connections seal.
const LONGEST: usize = 64 * 1024;

pub(super) async fn check(sample: &Sample) -> Result<(), StoreViolation> {
    nothing_is_there(sample).await.map_err(|f| f.of("what was never saved is absent"))?;
    values(sample).await.map_err(|f| f.of("a record comes back as it was saved"))?;
    compare_and_set(sample).await.map_err(|f| f.of("a save happens only as expected"))?;
    take(sample).await.map_err(|f| f.of("a record is taken once"))?;
    delete(sample).await.map_err(|f| f.of("a delete happens only as expected"))
}

async fn nothing_is_there(sample: &Sample) -> Held {
    let key = sample.login("nothing");
    let record = sample.record(&key, b"1")?;
    let revision = Expect::Revision(record.revision());
    expect("load", sample.store().load(&key).await?, None)?;
    expect("take", sample.store().take(&key).await?, None)?;
    expect("delete", sample.store().delete(&key, Expect::Any).await?, false)?;
    expect("delete by revision", sample.store().delete(&key, revision).await?, false)?;
    let saved = sample.store().save(&key, &record, revision, None).await?;
    expect("save by revision", saved, Saved::Conflict)?;
    expect("load after it", sample.store().load(&key).await?, None)
}

async fn values(sample: &Sample) -> Held {
    let longest = vec![7; LONGEST];
    for (name, value) in [("empty", &b""[..]), ("short", b"1"), ("longest", &longest)] {
        let owner = sample.owner("values");
        for key in [sample.registration(name), sample.connection(&owner, name)] {
            let record = sample.record(&key, value)?;
            let saved = sample.store().save(&key, &record, Expect::Absent, None).await?;
            expect("save", saved, Saved::Yes)?;
            let loaded = sample.store().load(&key).await?;
            let is_same = loaded.as_ref() == Some(&record);
            expect("a record with the same bytes and revision", is_same, true)?;
        }
    }
    Ok(())
}

async fn compare_and_set(sample: &Sample) -> Held {
    let key = sample.login("compare and set");
    let (one, two) = (sample.record(&key, b"1")?, sample.record(&key, b"2")?);
    let (three, lost) = (sample.record(&key, b"3")?, sample.record(&key, b"lost")?);
    let (is_one, is_two) = (Expect::Revision(one.revision()), Expect::Revision(two.revision()));
    for (what, record, expected, outcome, stored) in [
        ("the first save", &one, Expect::Absent, Saved::Yes, &one),
        ("a second first save", &lost, Expect::Absent, Saved::Conflict, &one),
        ("a save by another revision", &lost, is_two, Saved::Conflict, &one),
        ("a save by the revision", &two, is_one, Saved::Yes, &two),
        ("a save by the revision before", &lost, is_one, Saved::Conflict, &two),
        ("a save over anything", &three, Expect::Any, Saved::Yes, &three),
        ("a save by a revision that was replaced", &lost, is_two, Saved::Conflict, &three),
    ] {
        let saved = sample.store().save(&key, record, expected, None).await?;
        expect(what, saved, outcome)?;
        expect("what is stored", sample.store().load(&key).await?.as_ref(), Some(stored))?;
    }
    let other = sample.login("another key");
    expect("another key", sample.store().load(&other).await?, None)
}

async fn take(sample: &Sample) -> Held {
    let key = sample.login("take");
    for value in [b"1", b"2"] {
        let record = sample.record(&key, value)?;
        let saved = sample.store().save(&key, &record, Expect::Absent, None).await?;
        expect("save", saved, Saved::Yes)?;
        expect("the first take", sample.store().take(&key).await?, Some(record))?;
        expect("the second take", sample.store().take(&key).await?, None)?;
        expect("load", sample.store().load(&key).await?, None)?;
    }
    Ok(())
}

async fn delete(sample: &Sample) -> Held {
    let key = sample.login("delete");
    let (one, other) = (sample.record(&key, b"1")?, sample.record(&key, b"2")?);
    for (what, expected, outcome) in [
        ("a delete of nothing", Expect::Absent, false),
        ("a delete by another revision", Expect::Revision(other.revision()), false),
        ("a delete by the revision", Expect::Revision(one.revision()), true),
        ("a delete of anything", Expect::Any, true),
    ] {
        let saved = sample.store().save(&key, &one, Expect::Any, None).await?;
        expect("save", saved, Saved::Yes)?;
        expect(what, sample.store().delete(&key, expected).await?, outcome)?;
        let is_left = sample.store().load(&key).await?.is_some();
        expect("what is left after it", is_left, !outcome)?;
        expect("a second delete", sample.store().delete(&key, expected).await?, false)?;
    }
    Ok(())
}
