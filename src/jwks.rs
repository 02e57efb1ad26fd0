//! The key set of a Clerk instance (RFC 7517), and how new it has to be.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::jwk::Jwk;
use serde::Deserialize;
use serde_json::Value;

use crate::clock::Clock;
use crate::error::{ClerkError, ClerkErrorKind, VerifyError, VerifyErrorKind};
use crate::freshness::{Fresh, Limits, Source};
use crate::jwt::{SignedToken, UnverifiedToken, VerificationKey};

const REFRESH_AFTER: Duration = Duration::from_secs(5 * 60);
const MAX_AGE: Duration = Duration::from_secs(60 * 60);
const DEMAND_INTERVAL: Duration = Duration::from_secs(30);
/// How long the last good keys serve while no others can be fetched, unless it is said.
pub(crate) const DEFAULT_STALE_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// An instance has one key, and two while they are changed. A set with more than this many is no key set of Clerk's; cut
/// off, it would lack keys that work.
const MOST_KEYS: usize = 100;

/// What only private and shared keys have (RFC 7518 sections 6.3.2 and 6.4.1).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The keys of a set that can be used.
#[derive(Debug)]
pub(crate) struct KeySet(Vec<Arc<VerificationKey>>);

impl KeySet {
    /// Reads a JWK set. A key that cannot be used is passed over (RFC 7517 section 5); a set without any that can is
    /// an error, so that it never takes the place of one that works.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, ClerkError> {
        #[derive(Deserialize)]
        struct Wire {
            keys: Vec<Value>,
        }
        let wire: Wire =
            serde_json::from_slice(json).map_err(|_| unusable("the key set is not a JWK set"))?;
        let keys = wire.keys.into_iter().filter_map(usable);
        let keys: Vec<_> = keys.take(MOST_KEYS + 1).map(Arc::new).collect();
        if keys.len() > MOST_KEYS {
            return Err(unusable("the key set has more than 100 keys"));
        }
        if keys.is_empty() {
            return Err(unusable("the key set has no key that access tokens can be verified with"));
        }
        Ok(Self(keys))
    }

    #[cfg(fuzzing)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// These keys in the place of older ones: a key that stays is the same value as before, and one that is gone is
    /// retired, so that no token verified with it is taken for known any longer.
    pub(crate) fn succeeding(self, old: &Self) -> Self {
        let kept =
            |new: Arc<VerificationKey>| old.0.iter().find(|key| key.is_same_as(&new)).cloned().unwrap_or(new);
        let keys: Vec<_> = self.0.into_iter().map(kept).collect();
        for key in old.0.iter().filter(|key| !keys.iter().any(|kept| Arc::ptr_eq(kept, key))) {
            key.retire();
        }
        Self(keys)
    }

    /// Proves the signature with whichever key of that id it was made with: while a key is changed there may be two.
    fn verify_signature<'a>(
        &self,
        token: &'a UnverifiedToken<'_>,
        id: &str,
    ) -> Result<Proven<'a>, VerifyError> {
        let mut refusal = None;
        for key in self.0.iter().filter(|key| key.id() == Some(id)) {
            match token.verify_signature(key) {
                Ok(signed) => return Ok((signed, Arc::clone(key))),
                Err(error) => refusal = Some(error),
            }
        }
        Err(refusal.unwrap_or_else(|| unknown_key("no key of the instance has the token's `kid`")))
    }
}

/// A token whose signature is proven, and the key that proved it.
pub(crate) type Proven<'a> = (SignedToken<'a>, Arc<VerificationKey>);

fn usable(json: Value) -> Option<VerificationKey> {
    verification_key(json).inspect_err(|why| tracing::debug!(why, "a key of the key set is passed over")).ok()
}

fn verification_key(json: Value) -> Result<VerificationKey, &'static str> {
    // Whoever can read it can sign with it.
    if PRIVATE_MEMBERS.iter().any(|name| json.get(name).is_some()) {
        return Err("it shows its private part");
    }
    let jwk: Jwk = serde_json::from_value(json).map_err(|_| "it is not a JWK")?;
    VerificationKey::from_jwk(&jwk)
}

/// The keys of one instance, fetched when they are needed.
#[derive(Debug)]
pub(crate) struct Keys<S: Source<Value = KeySet>>(Fresh<S>);

impl<S: Source<Value = KeySet>> Keys<S> {
    pub(crate) fn new(source: S, stale_limit: Duration, clock: Arc<dyn Clock>) -> Self {
        let limits = Limits {
            refresh_after: REFRESH_AFTER.min(stale_limit),
            max_age: MAX_AGE.min(stale_limit),
            stale_limit,
            demand_interval: DEMAND_INTERVAL,
        };
        Self(Fresh::new(source, limits, clock))
    }

    /// Fetches the keys if there are none, or too old ones.
    pub(crate) async fn warm_up(&self) -> Result<(), ClerkError> {
        self.0.get().await.map(drop)
    }

    /// How old the keys at hand are.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.0.age()
    }

    /// Proves a token's signature.
    ///
    /// Where the keys at hand do not prove it, it may have been made with a newer one, be it of another id or of the
    /// same (Clerk's is that of the instance): then newer keys are asked for, once per interval. They are asked for a
    /// second time where those that came had been under way before this request.
    pub(crate) async fn verify_signature<'a>(
        &self,
        token: &'a UnverifiedToken<'_>,
    ) -> Result<Proven<'a>, VerifyError> {
        let id = token.key_id().ok_or_else(|| unknown_key("the header names no key"))?;
        let mark = self.0.mark();
        let mut set = self.0.get().await?;
        let mut outcome = set.verify_signature(token, id);
        for _ in 0..2 {
            let Err(refusal) = &outcome else { break };
            let newer = match self.0.newer_than(&set, mark).await {
                Ok(newer) => newer,
                // A key of that id is at hand, so the verdict stands; otherwise there can be none.
                Err(error) if refusal.kind() == VerifyErrorKind::UnknownKey => return Err(error.into()),
                Err(_) => break,
            };
            if Arc::ptr_eq(&newer, &set) {
                break;
            }
            outcome = newer.verify_signature(token, id);
            set = newer;
        }
        outcome
    }
}

fn unknown_key(detail: &'static str) -> VerifyError {
    VerifyError::new(VerifyErrorKind::UnknownKey).with_detail(detail)
}

fn unusable(detail: &'static str) -> ClerkError {
    ClerkError::new(ClerkErrorKind::InvalidResponse, detail)
}
