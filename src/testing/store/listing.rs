//! The rules of lists and scans.

use std::collections::BTreeSet;

use super::conformance::{Failure, Held, StoreViolation, expect, expect_records};
use super::lifetimes;
use super::sample::Sample;
use crate::client::{Expect, OwnerTag, Record, RecordKey, Saved};

/// The connections of one owner, more than a page.
const CONNECTIONS: usize = 25;
const PAGE: usize = 10;

/// The bound on the pages of a scan.
const MAX_PAGES: usize = 1_000_000;

pub(super) async fn check(sample: &Sample) -> Result<(), StoreViolation> {
    list(sample).await.map_err(|f| f.of("a list has the records of its owner, in order"))?;
    scan(sample).await.map_err(|f| f.of("a scan finds every record"))
}

async fn saved(sample: &Sample, key: RecordKey) -> Result<(RecordKey, Record), Failure> {
    let record = sample.record(&key, key.as_str().as_bytes())?;
    let saved = sample.store().save(&key, &record, Expect::Absent, None).await?;
    expect("save", saved, Saved::Yes)?;
    Ok((key, record))
}

/// Saves connections of an owner, and returns them in the order of their keys.
async fn connections(
    sample: &Sample,
    owner: &OwnerTag,
    number: usize,
) -> Result<Vec<(RecordKey, Record)>, Failure> {
    let mut records = Vec::new();
    for n in 0..number {
        records.push(saved(sample, sample.connection(owner, &n.to_string())).await?);
    }
    records.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(records)
}

async fn list(sample: &Sample) -> Held {
    let (alice, bob) = (sample.owner("alice"), sample.owner("bob"));
    let nobody = sample.owner("nobody");
    let of_alice = connections(sample, &alice, CONNECTIONS).await?;
    let of_bob = connections(sample, &bob, 3).await?;
    saved(sample, sample.login("in no list")).await?;
    for (key, _) in of_alice.iter().chain(&of_bob) {
        saved(sample, sample.lease(key)).await?;
    }
    let pages = pages(sample, &alice).await?;
    let lengths: Vec<_> = pages.iter().map(Vec::len).collect();
    expect("the length of the pages", lengths, vec![PAGE, PAGE, CONNECTIONS - 2 * PAGE])?;
    expect_records("the list", &pages.concat(), &of_alice)?;
    let whole = sample.store().list(&bob, None, usize::MAX).await?;
    expect_records("the list of another owner", &whole, &of_bob)?;
    let none = sample.store().list(&nobody, None, PAGE).await?;
    expect_records("the list of an owner of nothing", &none, &[])?;
    let none = sample.store().list(&alice, None, 0).await?;
    expect_records("a list of no record", &none, &[])?;
    behind_a_key_that_is_gone(sample, &alice, of_alice).await?;
    behind_a_key_of_another_owner(sample, &alice, &bob).await
}

async fn pages(
    sample: &Sample,
    owner: &OwnerTag,
) -> Result<Vec<Vec<(RecordKey, Record)>>, Failure> {
    let mut pages: Vec<Vec<_>> = Vec::new();
    // One more than there are, for a store that never ends its list.
    while pages.len() <= CONNECTIONS.div_ceil(PAGE) {
        let after = pages.last().and_then(|page| page.last()).map(|(key, _)| key);
        let page = sample.store().list(owner, after, PAGE).await?;
        let is_last = page.len() < PAGE;
        pages.push(page);
        if is_last {
            break;
        }
    }
    Ok(pages)
}

/// A caller who removes what it lists goes on behind what it has removed.
async fn behind_a_key_that_is_gone(
    sample: &Sample,
    owner: &OwnerTag,
    mut records: Vec<(RecordKey, Record)>,
) -> Held {
    let rest = records.split_off(PAGE);
    for (key, _) in &records {
        expect("delete", sample.store().delete(key, Expect::Any).await?, true)?;
    }
    let after = records.last().map(|(key, _)| key);
    let listed = sample.store().list(owner, after, CONNECTIONS).await?;
    expect_records("the list behind a key that is gone", &listed, &rest)?;
    let whole = sample.store().list(owner, None, CONNECTIONS).await?;
    expect_records("the list after a delete", &whole, &rest)
}

async fn behind_a_key_of_another_owner(sample: &Sample, alice: &OwnerTag, bob: &OwnerTag) -> Held {
    let (first, second) = if alice < bob { (alice, bob) } else { (bob, alice) };
    let (one, two) = (sample.connection(first, "0"), sample.connection(second, "0"));
    let whole = sample.store().list(second, None, usize::MAX).await?;
    let listed = sample.store().list(second, Some(&one), usize::MAX).await?;
    expect_records("the list behind a key of an owner before", &listed, &whole)?;
    let listed = sample.store().list(first, Some(&two), usize::MAX).await?;
    expect_records("the list behind a key of an owner after", &listed, &[])
}

async fn scan(sample: &Sample) -> Held {
    let owner = sample.owner("scanned");
    let mut left: BTreeSet<RecordKey> =
        connections(sample, &owner, CONNECTIONS).await?.into_iter().map(|(key, _)| key).collect();
    for key in [sample.login("scanned"), sample.registration("scanned")] {
        left.insert(saved(sample, key).await?.0);
    }
    let over = sample.connection(&owner, "over");
    lifetimes::ended(sample, &over).await?;
    let mut cursor = None;
    for _ in 0..MAX_PAGES {
        let page = sample.store().scan(cursor.as_ref(), PAGE).await?;
        for (key, record) in page.records() {
            expect("a record that is over", *key == over, false)?;
            if left.remove(key) {
                let value = sample.value(key, record)?;
                expect("a value", value, key.as_str().as_bytes().to_vec())?;
            }
        }
        cursor = page.next().cloned();
        if cursor.is_none() {
            return expect("the number of records that are missing", left.len(), 0);
        }
    }
    Err(Failure::Broken(format!("there is a page behind {MAX_PAGES} others")))
}
