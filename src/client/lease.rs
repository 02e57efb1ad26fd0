//! The right of one process to change a record for a while.

use std::time::Duration;

use aws_lc_rs::rand;

use super::engine::Engine;
use super::error::VaultError;
use super::http::CALL_TIMEOUT;
use super::record::LeaseRecord;
use super::store::{Expect, RecordKey, Revision};
use crate::clock::Moment;

/// How long a lease lasts if its holder does not release it.
pub(super) const LEASE_TIME: Duration = Duration::from_secs(30);
/// A holder that comes later than this may be too late when its call ends.
const MAX_PREPARATION: Duration = LEASE_TIME.saturating_sub(CALL_TIMEOUT.saturating_mul(3));
/// How long to wait for a lease of another holder: until it has ended, and a little.
pub(super) const MAX_WAIT: Duration = LEASE_TIME.saturating_add(CALL_TIMEOUT);
const MIN_PAUSE: u64 = 50;
const MAX_PAUSE: u64 = 250;

pub(super) struct Lease {
    key: RecordKey,
    revision: Revision,
    since: Moment,
}

impl Lease {
    /// Returns `None` if another one holds it.
    pub(super) async fn acquire(
        engine: &Engine,
        record: &RecordKey,
    ) -> Result<Option<Self>, VaultError> {
        let (key, since) = (record.lease(), engine.now());
        let lease = LeaseRecord {};
        let saved = engine.vault.save(&key, &lease, Expect::Absent, Some(LEASE_TIME)).await?;
        Ok(saved.map(|revision| Self { key, revision, since }))
    }

    /// Returns whether a call that begins now ends before the lease does.
    pub(super) fn has_time(&self, engine: &Engine) -> bool {
        !self.since.after(MAX_PREPARATION).has_come(&*engine.clock)
    }

    /// Lets others have it at once. If this fails they wait until it ends.
    pub(super) async fn release(self, engine: &Engine) {
        if let Err(error) = engine.vault.delete(&self.key, Expect::Revision(self.revision)).await {
            tracing::debug!(cause = %error, "failed to release a lease");
        }
    }
}

/// Waits for the holder of a lease. The time is random, so that those who wait spread.
pub(super) async fn pause(engine: &Engine) {
    let mut random = [0; 2];
    // Without randomness the pause is the shortest.
    let _ = rand::fill(&mut random);
    let by = u64::from(u16::from_be_bytes(random)) % (MAX_PAUSE - MIN_PAUSE);
    engine.clock.sleep(Duration::from_millis(MIN_PAUSE + by)).await;
}
