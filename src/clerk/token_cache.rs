//! Verified tokens: a client's next request costs a look-up, and neither a signature nor a call.
//!
//! The cache belongs to one verifier, and the resource that a token was presented to is part of the
//! look-up: a hit never comes from other settings. Its expiry is still checked at each look-up.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::time::Duration;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::clock::Clock;
use crate::jwt::VerificationKey;
use crate::oauth::{AuthInfo, ResourceUrl, TokenRequest};

/// The weight of an entry in bytes besides its token and its [`AuthInfo`]: the entry itself, its
/// place in the table, and the overhead of the allocations.
const ENTRY_BYTES: u64 = 1024;

/// How many bytes of a token are hashed, from its end. In a JWT these belong to the signature, and
/// no two valid tokens have the same one; an opaque token is about this long.
const HASHED_BYTES: usize = 32;

/// Verified tokens, bounded by the memory that they take.
pub(super) struct TokenCache {
    /// By a keyed hash (SipHash, with a key of this process). Hash collisions are harmless: a hit
    /// is compared with the full token.
    entries: Cache<u64, Arc<CachedToken>, ByBytes>,
    hasher: RandomState,
    clock: Arc<dyn Clock>,
}

struct CachedToken {
    caller: AuthInfo,
    resource: Option<ResourceUrl>,
    /// Measured on the monotonic clock.
    evict_at: Duration,
    /// The first second, since 1970-01-01T00:00:00Z, at which the token is expired.
    expires_at: Option<u64>,
    /// The key that verified it; an opaque token has none.
    key: Option<Arc<VerificationKey>>,
    weight: u64,
}

/// How long a verified token is served from the cache.
pub(super) struct Lifetime {
    /// The maximum time, whatever the token says.
    pub(super) ttl: Duration,
    pub(super) expires_at: Option<u64>,
    pub(super) key: Option<Arc<VerificationKey>>,
}

impl TokenCache {
    pub(super) fn new(bytes: u64, clock: Arc<dyn Clock>) -> Self {
        let items = usize::try_from(bytes / (2 * ENTRY_BYTES)).unwrap_or(usize::MAX).max(1);
        Self {
            entries: Cache::with_weighter(items, bytes, ByBytes),
            hasher: RandomState::new(),
            clock,
        }
    }

    /// Returns the entry of a token at the resource that it is presented to.
    pub(super) fn entry<'a>(&'a self, request: TokenRequest<'a>) -> Entry<'a> {
        Entry { cache: self, request, hash: self.hasher.hash_one(Presented(request)) }
    }

    /// Returns the number of cached tokens. Expired ones count until they are evicted.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// The entry of one token at one resource, occupied or not.
pub(super) struct Entry<'a> {
    cache: &'a TokenCache,
    request: TokenRequest<'a>,
    hash: u64,
}

impl Entry<'_> {
    /// Returns the caller if the token is cached. Never blocks: a concurrent insert is a miss.
    pub(super) fn try_get(&self) -> Option<AuthInfo> {
        self.valid_caller(&*self.cache.entries.try_get(&self.hash).ok()??)
    }

    /// Like [`try_get`](Self::try_get), but may block briefly on a concurrent insert.
    pub(super) fn get(&self) -> Option<AuthInfo> {
        self.valid_caller(&*self.cache.entries.get(&self.hash)?)
    }

    pub(super) fn insert(&self, caller: &AuthInfo, lifetime: Lifetime) {
        if lifetime.ttl.is_zero() {
            return;
        }
        let bytes = caller.token().expose().len().saturating_add(caller.approximate_size());
        let token = CachedToken {
            weight: u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(ENTRY_BYTES),
            caller: caller.clone(),
            resource: self.request.resource().cloned(),
            evict_at: self.cache.clock.monotonic().saturating_add(lifetime.ttl),
            expires_at: lifetime.expires_at,
            key: lifetime.key,
        };
        self.cache.entries.insert(self.hash, Arc::new(token));
    }

    pub(super) fn remove(&self) {
        self.cache.entries.remove(&self.hash);
    }

    fn valid_caller(&self, token: &CachedToken) -> Option<AuthInfo> {
        let (request, clock) = (self.request, &self.cache.clock);
        let is_the_same = token.caller.token().expose() == request.token()
            && token.resource.as_ref() == request.resource();
        let is_over = clock.monotonic() >= token.evict_at
            || token.expires_at.is_some_and(|expires_at| clock.unix_time().as_secs() >= expires_at)
            || token.key.as_ref().is_some_and(|key| key.is_retired());
        (is_the_same && !is_over).then(|| token.caller.clone())
    }
}

/// What is hashed for a look-up.
struct Presented<'a>(TokenRequest<'a>);

impl Hash for Presented<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let token = self.0.token().as_bytes();
        token.get(token.len().saturating_sub(HASHED_BYTES)..).hash(state);
        self.0.resource().map(ResourceUrl::as_str).hash(state);
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<u64, Arc<CachedToken>> for ByBytes {
    fn weight(&self, _: &u64, token: &Arc<CachedToken>) -> u64 {
        token.weight
    }
}
