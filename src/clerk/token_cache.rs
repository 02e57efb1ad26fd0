//! Verified tokens: a client's next request costs a look-up, and neither a signature nor a call.
//!
//! The cache belongs to one verifier, and the resource that a token was presented to is part of the
//! look-up: a hit never comes from other settings. Its expiry is checked at each look-up, on both
//! clocks: the monotonic one may stand still while the machine is suspended, and the wall clock may
//! be set back.

use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use crate::clock::{Clock, Moment};
use crate::jwt::VerificationKey;
use crate::oauth::{AuthInfo, ResourceUrl, TokenRequest};

/// The weight of an entry in bytes besides its token and its [`AuthInfo`]: the entry itself, its
/// place in the table, and the overhead of the allocations.
const ENTRY_BYTES: u64 = 1024;

/// How many bytes of a token are hashed, from its end. In a JWT these belong to the signature, and
/// no two valid tokens have the same one; an opaque token is random.
const HASHED_BYTES: usize = 16;

/// Verified tokens, bounded by the memory that they take.
pub(super) struct TokenCache {
    /// By a keyed hash (SipHash, with a key of this process). Hash collisions are harmless: a hit
    /// is compared with the full token.
    entries: Cache<u64, Arc<CachedToken>, ByBytes, BuildHasherDefault<HashedBefore>>,
    hasher: RandomState,
    clock: Arc<dyn Clock>,
}

struct CachedToken {
    caller: AuthInfo,
    resource: Option<ResourceUrl>,
    /// The end of its lifetime: the TTL or the token's own expiry, whichever comes first.
    evict_at: Moment,
    /// The key that verified it; an opaque token has none.
    key: Option<Arc<VerificationKey>>,
    weight: u64,
}

/// How long a verified token is served from the cache.
pub(super) struct Lifetime {
    /// The maximum time, whatever the token says.
    pub(super) ttl: Duration,
    /// The first second, since 1970-01-01T00:00:00Z, at which the token is expired.
    pub(super) expires_at: Option<u64>,
    pub(super) key: Option<Arc<VerificationKey>>,
}

impl Lifetime {
    /// Returns its end, given the moment at which it begins.
    fn end(&self, begin: Moment) -> Moment {
        let until_expiry =
            |expires_at| Duration::from_secs(expires_at).saturating_sub(begin.unix_time);
        begin.after(self.expires_at.map_or(self.ttl, until_expiry).min(self.ttl))
    }
}

impl TokenCache {
    pub(super) fn new(bytes: u64, clock: Arc<dyn Clock>) -> Self {
        let items = usize::try_from(bytes / (2 * ENTRY_BYTES)).unwrap_or(usize::MAX).max(1);
        Self {
            entries: Cache::with(
                items,
                bytes,
                ByBytes,
                BuildHasherDefault::default(),
                DefaultLifecycle::default(),
            ),
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
        let bytes =
            caller.token_for_this_server().expose().len().saturating_add(caller.approximate_size());
        let token = CachedToken {
            weight: u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(ENTRY_BYTES),
            caller: caller.clone(),
            resource: self.request.resource().cloned(),
            evict_at: lifetime.end(Moment::now(&*self.cache.clock)),
            key: lifetime.key,
        };
        self.cache.entries.insert(self.hash, Arc::new(token));
    }

    pub(super) fn remove(&self) {
        self.cache.entries.remove(&self.hash);
    }

    fn valid_caller(&self, token: &CachedToken) -> Option<AuthInfo> {
        let request = self.request;
        let is_the_same = token.caller.token_for_this_server().expose() == request.token()
            && token.resource.as_ref() == request.resource();
        let is_over = token.evict_at.has_come(&*self.cache.clock)
            || token.key.as_ref().is_some_and(|key| key.is_retired());
        (is_the_same && !is_over).then(|| token.caller.clone())
    }
}

/// What is hashed for a look-up.
struct Presented<'a>(TokenRequest<'a>);

impl Hash for Presented<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let token = self.0.token().as_bytes();
        let end = token.len().saturating_sub(HASHED_BYTES);
        state.write(token.get(end..).unwrap_or_default());
        state.write_u64(self.0.resource().map_or(0, ResourceUrl::unkeyed_hash));
    }
}

/// The hasher of a key that is a hash itself.
#[derive(Default)]
struct HashedBefore(u64);

impl Hasher for HashedBefore {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<u64, Arc<CachedToken>> for ByBytes {
    fn weight(&self, _: &u64, token: &Arc<CachedToken>) -> u64 {
        token.weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    /// The look-up already depends on the resource. This is the second line of defence.
    #[test]
    fn an_entry_with_the_same_hash_is_no_hit_at_another_resource() {
        let cache = TokenCache::new(1 << 20, Arc::new(SystemClock::new()));
        let [own, other] =
            ["https://a.example", "https://b.example"].map(|url| ResourceUrl::parse(url).unwrap());
        let request = TokenRequest::new("oat_1");
        let entry = cache.entry(request.for_resource(&own));
        let caller = AuthInfo::for_user("user_1", "oat_1".into());
        let caller = caller.client_id("client").build();
        let lifetime = Lifetime { ttl: Duration::from_secs(60), expires_at: None, key: None };
        entry.insert(&caller, lifetime);
        assert!(entry.get().is_some() && entry.try_get().is_some());
        for request in [request.for_resource(&other), request] {
            let colliding = Entry { cache: &cache, request, hash: entry.hash };
            assert!(colliding.get().is_none() && colliding.try_get().is_none());
        }
    }
}
