//! Tokens that have been verified already, so that a client's next request costs a look-up and no signature or call.
//!
//! The cache belongs to one verifier, and the resource that a token was presented to is part of what is looked up: no
//! answer comes from other settings. What is found is still asked whether its time is over, by the injected clock.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::time::Duration;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::clock::Clock;
use crate::jwt::VerificationKey;
use crate::oauth::{AuthInfo, ResourceUrl, TokenRequest};

/// What an entry weighs besides its token's text and what is known of the caller, in bytes: the entry itself, its place in
/// the table, and what all of them waste.
const ENTRY_BYTES: u64 = 1024;

/// How many bytes of a token are digested, from its end. In a JWT those are of its signature, and no two tokens with the
/// same signature are good; an opaque token is shorter.
const DIGESTED: usize = 32;

/// Verified tokens, bounded by the memory that they take.
pub(crate) struct TokenCache {
    /// By a keyed digest (SipHash with a key of this process). A digest that two tokens share is no danger: an entry
    /// counts only for the text that it was made for.
    entries: Cache<u64, Arc<Known>, ByBytes>,
    digest: RandomState,
    clock: Arc<dyn Clock>,
}

struct Known {
    caller: AuthInfo,
    resource: Option<ResourceUrl>,
    /// By the clock that cannot be set.
    evict_at: Duration,
    /// The first second, since 1970-01-01T00:00:00Z, at which the token is expired.
    expires_at: Option<u64>,
    /// What it was verified with, where that was a key of ours.
    key: Option<Arc<VerificationKey>>,
    weight: u64,
}

/// How long a verified token is taken for good.
pub(crate) struct Lifetime {
    /// At most this long, whatever else.
    pub(crate) ttl: Duration,
    pub(crate) expires_at: Option<u64>,
    pub(crate) key: Option<Arc<VerificationKey>>,
}

impl TokenCache {
    pub(crate) fn new(bytes: u64, clock: Arc<dyn Clock>) -> Self {
        let items = usize::try_from(bytes / (2 * ENTRY_BYTES)).unwrap_or(usize::MAX).max(1);
        Self {
            entries: Cache::with_weighter(items, bytes, ByBytes),
            digest: RandomState::new(),
            clock,
        }
    }

    /// Where the token of this request is, or would be.
    pub(crate) fn entry<'a>(&'a self, request: TokenRequest<'a>) -> Entry<'a> {
        Entry { tokens: self, request, digest: self.digest.hash_one(Presented(request)) }
    }

    /// How many tokens are held, those among them that nobody has asked for since they expired.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// The place of one token as it is presented to one resource.
pub(crate) struct Entry<'a> {
    tokens: &'a TokenCache,
    request: TokenRequest<'a>,
    digest: u64,
}

impl Entry<'_> {
    /// Who presents the token, if that is known. Never waits: where somebody is writing just now, nothing is known.
    pub(crate) fn try_get(&self) -> Option<AuthInfo> {
        self.still_good(&*self.tokens.entries.try_get(&self.digest).ok()??)
    }

    /// The same, by somebody who is ready to do worse things than to wait for another's write.
    pub(crate) fn get(&self) -> Option<AuthInfo> {
        self.still_good(&*self.tokens.entries.get(&self.digest)?)
    }

    pub(crate) fn insert(&self, caller: &AuthInfo, lifetime: Lifetime) {
        if lifetime.ttl.is_zero() {
            return;
        }
        let bytes = caller.token().expose().len().saturating_add(caller.approximate_size());
        let known = Known {
            weight: u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(ENTRY_BYTES),
            caller: caller.clone(),
            resource: self.request.resource().cloned(),
            evict_at: self.tokens.clock.monotonic().saturating_add(lifetime.ttl),
            expires_at: lifetime.expires_at,
            key: lifetime.key,
        };
        self.tokens.entries.insert(self.digest, Arc::new(known));
    }

    fn still_good(&self, known: &Known) -> Option<AuthInfo> {
        let (request, clock) = (self.request, &self.tokens.clock);
        let is_the_same = known.caller.token().expose() == request.token()
            && known.resource.as_ref() == request.resource();
        let is_over = clock.monotonic() >= known.evict_at
            || known.expires_at.is_some_and(|expires_at| clock.unix_time().as_secs() >= expires_at)
            || known.key.as_ref().is_some_and(|key| key.is_retired());
        (is_the_same && !is_over).then(|| known.caller.clone())
    }
}

/// What is looked up: the token, and the resource that it is presented to.
struct Presented<'a>(TokenRequest<'a>);

impl Hash for Presented<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let token = self.0.token().as_bytes();
        token.get(token.len().saturating_sub(DIGESTED)..).hash(state);
        self.0.resource().map(ResourceUrl::as_str).hash(state);
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<u64, Arc<Known>> for ByBytes {
    fn weight(&self, _: &u64, known: &Arc<Known>) -> u64 {
        known.weight
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("len", &self.len()).finish_non_exhaustive()
    }
}
