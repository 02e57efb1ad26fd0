//! Connections as this process last saw them: a token that is fresh costs no call to the store.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;

use super::error::TokenError;
use super::record::{ConnectionRecord, StoredState, Tokens};
use super::store::{Expect, Record, RecordKey};
use crate::clock::{Clock, Moment};
use crate::oauth::AccessToken;

/// How many connections are held at most. One that is not held is loaded from the store.
const MAX_HELD: usize = 10_000;
/// How long a token is served without a look at the store, where another process may have ended the
/// connection.
const RECHECK_AFTER: Duration = Duration::from_secs(60);
/// An access token is refreshed this long before it expires, or at half of its lifetime.
const REFRESH_BEFORE: Duration = Duration::from_secs(30);

pub(super) struct Memory {
    held: Cache<RecordKey, Arc<Held>>,
    /// The tokens that a server has rejected although they were just renewed, until it accepts them.
    rejected: Cache<RecordKey, AccessToken>,
    clock: Arc<dyn Clock>,
}

/// A connection as it was loaded or stored.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) record: ConnectionRecord,
    seen: Moment,
    /// `None` if the authorization server did not say when the access token expires.
    times: Option<Times>,
    /// The outcome of the last refresh, if it failed, and when to try again.
    pub(super) failure: Option<(Moment, TokenError)>,
    /// Set while new tokens are not stored.
    pub(super) unsaved: Option<Unsaved>,
    /// Whether the tokens are those of a refresh that has just ended.
    pub(super) is_issued: bool,
}

#[derive(Clone, Copy)]
struct Times {
    refresh_at: Moment,
    expires_at: Moment,
}

/// A sealed record that has to be stored, and the tokens that it replaces.
#[derive(Clone)]
pub(super) struct Unsaved {
    pub(super) record: Record,
    pub(super) expect: Expect,
    pub(super) before: Tokens,
}

impl Memory {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { held: Cache::new(MAX_HELD), rejected: Cache::new(MAX_HELD), clock }
    }

    /// Returns the access token if it needs neither a refresh nor a look at the store.
    pub(super) fn fresh_token(&self, key: &RecordKey) -> Option<AccessToken> {
        let held = self.held.get(key)?;
        let now = Moment::now(&*self.clock);
        let is_recent = !held.seen.after(RECHECK_AFTER).has_come_at(now);
        (is_recent && held.is_fresh_at(now)).then(|| held.record.tokens.access.clone())
    }

    pub(super) fn get(&self, key: &RecordKey) -> Option<Arc<Held>> {
        self.held.get(key)
    }

    /// Holds a connection as it was just loaded or stored. How the last refresh failed is kept, and
    /// so are tokens that are not stored yet.
    pub(super) fn put(&self, key: &RecordKey, record: ConnectionRecord) -> Arc<Held> {
        let before = self.held.get(key);
        if let Some(before) = before.as_ref().filter(|before| before.unsaved.is_some()) {
            return Arc::clone(before);
        }
        let mut held = Held::new(record, &*self.clock);
        let failure = before.and_then(|before| before.failure.clone());
        held.failure = failure.filter(|(retry_at, _)| !retry_at.has_come(&*self.clock));
        self.replace(key, held)
    }

    pub(super) fn replace(&self, key: &RecordKey, held: Held) -> Arc<Held> {
        let held = Arc::new(held);
        self.held.insert(key.clone(), Arc::clone(&held));
        held
    }

    pub(super) fn remove(&self, key: &RecordKey) {
        self.held.remove(key);
        self.rejected.remove(key);
    }

    pub(super) fn is_rejected(&self, key: &RecordKey, token: &AccessToken) -> bool {
        self.rejected.get(key).as_ref() == Some(token)
    }

    pub(super) fn set_rejected(&self, key: &RecordKey, token: AccessToken) {
        self.rejected.insert(key.clone(), token);
    }

    pub(super) fn forget_rejected(&self, key: &RecordKey) {
        self.rejected.remove(key);
    }
}

impl Held {
    pub(super) fn new(record: ConnectionRecord, clock: &dyn Clock) -> Self {
        let seen = Moment::now(clock);
        let times = record.tokens.remaining(seen.unix_time).map(|remaining| {
            let lifetime = Duration::from_secs(record.tokens.expires_in.unwrap_or_default());
            let before = REFRESH_BEFORE.min(lifetime / 2);
            Times {
                refresh_at: seen.after(remaining.saturating_sub(before)),
                expires_at: seen.after(remaining),
            }
        });
        Self { record, seen, times, failure: None, unsaved: None, is_issued: false }
    }

    /// Returns whether the access token can be used and need not be refreshed yet.
    pub(super) fn is_fresh(&self, clock: &dyn Clock) -> bool {
        self.is_fresh_at(Moment::now(clock))
    }

    fn is_fresh_at(&self, now: Moment) -> bool {
        self.is_signed_in() && self.times.is_none_or(|times| !times.refresh_at.has_come_at(now))
    }

    /// Returns whether the access token can be used.
    pub(super) fn is_alive(&self, clock: &dyn Clock) -> bool {
        self.is_signed_in() && self.times.is_none_or(|times| !times.expires_at.has_come(clock))
    }

    pub(super) fn is_signed_in(&self) -> bool {
        !matches!(self.record.state, StoredState::NeedsLogin(_))
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("held", &self.held.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn a_connection_that_is_forgotten_leaves_no_token_behind() {
        let memory = Memory::new(Arc::new(SystemClock::new()));
        let key = RecordKey::login("tag");
        let token = AccessToken::from("token");
        memory.set_rejected(&key, token.clone());
        assert!(memory.is_rejected(&key, &token));
        memory.remove(&key);
        assert!(!memory.is_rejected(&key, &token));
    }
}
