//! Opaque tokens that Clerk has accepted.

use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;

use super::key;
use crate::cache::Key;
use crate::clerk::token_cache::{Lifetime, TokenCache};
use crate::clock::Clock;
use crate::error::VerifyErrorKind;
use crate::oauth::{AuthInfo, TokenRequest};

/// How many are remembered. An entry takes some 100 bytes.
const MAX_TOKENS: usize = 10_000;

/// Remembers the tokens that were accepted, and for some time who their callers are, if the server
/// wants to accept them during an outage.
pub(super) struct KnownTokens {
    /// By the token alone: what Clerk says about it holds at every resource.
    accepted: Cache<Key, ()>,
    stale: Option<Stale>,
}

struct Stale {
    callers: TokenCache,
    ttl: Duration,
}

impl KnownTokens {
    /// With a `stale_ttl` of zero, no callers are remembered.
    pub(super) fn new(stale_ttl: Duration, bytes: u64, clock: &Arc<dyn Clock>) -> Self {
        let stale = (!stale_ttl.is_zero())
            .then(|| Stale { callers: TokenCache::new(bytes, Arc::clone(clock)), ttl: stale_ttl });
        Self { accepted: Cache::new(MAX_TOKENS), stale }
    }

    pub(super) fn accept(&self, request: TokenRequest<'_>, caller: &AuthInfo) {
        self.accepted.insert(token_key(request), ());
        if let Some(stale) = &self.stale {
            let (ttl, expires_at) = (stale.ttl, caller.expires_at());
            stale.callers.entry(request).insert(caller, Lifetime { ttl, expires_at, key: None });
        }
    }

    /// Forgets a token that Clerk rejected, at every resource, or that this server does
    /// not accept: it is for another resource, or lacks a scope.
    pub(super) fn reject(&self, request: TokenRequest<'_>, kind: VerifyErrorKind) {
        use VerifyErrorKind::{InsufficientScope, InvalidAudience};
        if !matches!(kind, InvalidAudience | InsufficientScope) {
            self.accepted.remove(&token_key(request));
        }
        if let Some(stale) = &self.stale {
            stale.callers.entry(request).remove();
        }
    }

    pub(super) fn contains(&self, request: TokenRequest<'_>) -> bool {
        self.accepted.get(&token_key(request)).is_some()
    }

    /// Returns the caller of a token that Clerk accepted within the time, that has not expired, and
    /// that Clerk has not rejected since.
    pub(super) fn stale(&self, request: TokenRequest<'_>) -> Option<AuthInfo> {
        let caller = self.stale.as_ref()?.callers.entry(request).get()?;
        self.contains(request).then_some(caller)
    }
}

fn token_key(request: TokenRequest<'_>) -> Key {
    key(TokenRequest::new(request.token()))
}
