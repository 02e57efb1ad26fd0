//! The key set of a Clerk instance (RFC 7517 section 5).

use std::sync::Arc;

use jsonwebtoken::jwk::Jwk;
use serde::Deserialize;
use serde_json::Value;

use super::{SignedToken, UnverifiedToken, VerificationKey};
use crate::error::{ClerkError, ClerkErrorKind, VerifyError, VerifyErrorKind};

/// An instance has one key, and two while they are changed. A set with more than this many is no key set of Clerk's; cut
/// off, it would lack keys that work.
const MAX_KEYS: usize = 100;

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
        struct JwkSet {
            keys: Vec<Value>,
        }
        let wire: JwkSet =
            serde_json::from_slice(json).map_err(|_| unusable("the key set is not a JWK set"))?;
        let keys = wire.keys.into_iter().filter_map(usable);
        let keys: Vec<_> = keys.take(MAX_KEYS + 1).map(Arc::new).collect();
        if keys.len() > MAX_KEYS {
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
        let kept = |new: Arc<VerificationKey>| {
            old.0.iter().find(|key| key.is_same_as(&new)).cloned().unwrap_or(new)
        };
        let keys: Vec<_> = self.0.into_iter().map(kept).collect();
        for key in old.0.iter().filter(|key| !keys.iter().any(|kept| Arc::ptr_eq(kept, key))) {
            key.retire();
        }
        Self(keys)
    }

    /// Proves the signature with whichever key of that id it was made with: while a key is changed there may be two.
    pub(crate) fn verify_signature<'a>(
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
    verification_key(json)
        .inspect_err(|why| tracing::debug!(why, "a key of the key set is passed over"))
        .ok()
}

fn verification_key(json: Value) -> Result<VerificationKey, &'static str> {
    // Whoever can read it can sign with it.
    if PRIVATE_MEMBERS.iter().any(|name| json.get(name).is_some()) {
        return Err("it shows its private part");
    }
    let jwk: Jwk = serde_json::from_value(json).map_err(|_| "it is not a JWK")?;
    VerificationKey::from_jwk(&jwk)
}

pub(crate) fn unknown_key(detail: &'static str) -> VerifyError {
    VerifyError::new(VerifyErrorKind::UnknownKey).with_detail(detail)
}

fn unusable(detail: &'static str) -> ClerkError {
    ClerkError::new(ClerkErrorKind::InvalidResponse, detail)
}
