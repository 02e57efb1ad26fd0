//! Exchanged tokens that are used again, bounded by the memory that they take.

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::ExchangedToken;
use crate::cache::Key;
use crate::clock::{Clock, Moment};

/// The weight of an entry in bytes besides its strings: the entry itself, its place in the table,
/// and the overhead of the allocations.
const ENTRY_BYTES: usize = 512;
const SCOPE_BYTES: usize = 32;

pub(super) struct CachedTokens(Cache<Key, CachedToken, ByBytes>);

#[derive(Clone)]
struct CachedToken {
    token: ExchangedToken,
    evict_at: Moment,
}

impl CachedTokens {
    pub(super) fn new(bytes: u64) -> Self {
        let items = usize::try_from(bytes / (2 * ENTRY_BYTES as u64)).unwrap_or(usize::MAX);
        Self(Cache::with_weighter(items.max(1), bytes, ByBytes))
    }

    pub(super) fn get(&self, key: &Key, clock: &dyn Clock) -> Option<ExchangedToken> {
        let cached = self.0.get(key)?;
        (!cached.evict_at.has_come(clock)).then_some(cached.token)
    }

    pub(super) fn insert(&self, key: Key, token: ExchangedToken, evict_at: Moment) {
        self.0.insert(key, CachedToken { token, evict_at });
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, CachedToken> for ByBytes {
    fn weight(&self, _: &Key, cached: &CachedToken) -> u64 {
        let token = &cached.token;
        let scopes: usize = token.scopes().iter().map(|scope| SCOPE_BYTES + scope.len()).sum();
        let bytes =
            ENTRY_BYTES + token.access_token().expose().len() + token.resource().len() + scopes;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}
