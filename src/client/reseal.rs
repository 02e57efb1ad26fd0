//! Seals records anew after the key was replaced.

use std::time::Duration;

use super::engine::Engine;
use super::error::VaultError;
use super::record::{ConnectionRecord, Form, RegistrationRecord, StoredState};
use super::seal::SealingKeys;
use super::store::{Expect, Record, RecordKey, ScanCursor};

/// What became of a page of records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resealed {
    /// Where the next page begins, `None` after the last one.
    pub next: Option<ScanCursor>,
    /// The records that are now sealed with the current key.
    pub resealed: usize,
    /// The records that are still sealed with a retired key: those that another process was changing,
    /// and sign-ins in progress, which end by themselves.
    pub left: usize,
    /// The records that cannot be opened with the keys at hand.
    pub unreadable: usize,
}

enum Outcome {
    Resealed,
    Left,
    Unreadable,
}

/// Seals the records of a page with the current key, except those that are.
pub(super) async fn reseal(
    engine: &Engine,
    from: Option<&ScanCursor>,
    most: usize,
) -> Result<Resealed, VaultError> {
    let page = engine.vault.store().scan(from, most).await?;
    let mut done = Resealed { next: page.next().cloned(), ..Resealed::default() };
    for (key, record) in page.records() {
        if SealingKeys::key_of(record).as_ref() == Some(engine.vault.keys().current()) {
            continue;
        }
        match reseal_one(engine, key, record).await? {
            Outcome::Resealed => done.resealed += 1,
            Outcome::Left => done.left += 1,
            Outcome::Unreadable => done.unreadable += 1,
        }
    }
    Ok(done)
}

async fn reseal_one(
    engine: &Engine,
    key: &RecordKey,
    record: &Record,
) -> Result<Outcome, VaultError> {
    if let Ok(stored) = engine.vault.open::<ConnectionRecord>(key, record) {
        // The process that refreshes will store new tokens in place of this revision.
        if matches!(stored.value.state, StoredState::Refreshing { .. }) {
            return Ok(Outcome::Left);
        }
        let lifetime = engine.settings.idle_lifetime;
        return write(engine, key, record, &stored.value, lifetime).await;
    }
    if let Ok(stored) = engine.vault.open::<RegistrationRecord>(key, record) {
        let now = engine.unix_seconds();
        let rest = stored.value.ends.map(|end| Duration::from_secs(end.saturating_sub(now)));
        return write(engine, key, record, &stored.value, rest).await;
    }
    let is_readable = engine.vault.keys().open(key, record).is_ok();
    Ok(if is_readable { Outcome::Left } else { Outcome::Unreadable })
}

async fn write<T: Form>(
    engine: &Engine,
    key: &RecordKey,
    record: &Record,
    value: &T,
    lifetime: Option<Duration>,
) -> Result<Outcome, VaultError> {
    let expect = Expect::Revision(record.revision());
    let saved = engine.vault.save(key, value, expect, lifetime).await?;
    Ok(if saved.is_some() { Outcome::Resealed } else { Outcome::Left })
}
