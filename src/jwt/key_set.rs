//! A JWK set (RFC 7517 section 5), reduced to the keys that can verify access tokens.

use std::sync::Arc;

use jsonwebtoken::jwk::Jwk;
use serde_json::Value;

use super::{JsonObject, SignedToken, UnverifiedToken, VerificationKey};
use crate::error::{ClerkError, ClerkErrorKind, VerifyError, VerifyErrorKind};

/// A Clerk instance has one key, and two during a rotation. A larger set is rejected as a whole:
/// cut off, it could lack the key that signs.
const MAX_KEYS: usize = 100;

/// The members that only private and symmetric keys have (RFC 7518 sections 6.3.2 and 6.4.1).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The usable keys of a set.
#[derive(Debug)]
pub(crate) struct KeySet(Vec<Arc<VerificationKey>>);

/// A token whose signature is verified, and the key that verified it.
pub(crate) type VerifiedSignature<'a> = (SignedToken<'a>, Arc<VerificationKey>);

impl KeySet {
    /// Parses a JWK set. Unusable keys are skipped (RFC 7517 section 5); a set without a usable key
    /// is an error, so that it never replaces one that works.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, ClerkError> {
        // By hand, since a derived `Deserialize` accepts an array of the members too.
        let keys = match JsonObject::parse(json).and_then(|mut set| set.take("keys")) {
            Some(Value::Array(keys)) => keys.into_iter().filter_map(usable_key),
            _ => return Err(unusable("the key set is not a JWK set")),
        };
        let keys: Vec<_> = keys.take(MAX_KEYS + 1).map(Arc::new).collect();
        if keys.len() > MAX_KEYS {
            return Err(unusable("the key set has more than 100 keys"));
        }
        if keys.is_empty() {
            return Err(unusable("the key set has no key that can verify access tokens"));
        }
        Ok(Self(keys))
    }

    #[cfg(fuzzing)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns this set as the successor of an older one.
    ///
    /// A key that is in both stays the same value. A key that is only in the older set is retired,
    /// so that cached tokens which it verified are no longer accepted.
    pub(crate) fn replacing(self, old: &Self) -> Self {
        let kept = |new: Arc<VerificationKey>| {
            old.0.iter().find(|key| key.is_same_as(&new)).cloned().unwrap_or(new)
        };
        let keys: Vec<_> = self.0.into_iter().map(kept).collect();
        for key in old.0.iter().filter(|key| !keys.iter().any(|kept| Arc::ptr_eq(kept, key))) {
            key.retire();
        }
        Self(keys)
    }

    /// Verifies a signature with the keys of this id. During a rotation there may be two of them.
    pub(crate) fn verify_signature<'a>(
        &self,
        token: &'a UnverifiedToken<'_>,
        id: &str,
    ) -> Result<VerifiedSignature<'a>, VerifyError> {
        let mut rejection = None;
        for key in self.0.iter().filter(|key| key.id() == Some(id)) {
            match token.verify_signature(key) {
                Ok(signed) => return Ok((signed, Arc::clone(key))),
                Err(error) => rejection = Some(error),
            }
        }
        Err(rejection
            .unwrap_or_else(|| unknown_key("no key of the instance has the token's `kid`")))
    }
}

pub(crate) fn unknown_key(detail: &'static str) -> VerifyError {
    VerifyError::new(VerifyErrorKind::UnknownKey).with_detail(detail)
}

fn usable_key(jwk: Value) -> Option<VerificationKey> {
    verification_key(jwk)
        .inspect_err(|why| tracing::debug!(why, "skipped a key of the key set"))
        .ok()
}

fn verification_key(jwk: Value) -> Result<VerificationKey, &'static str> {
    // Anyone who can read the key set could sign tokens with such a key.
    if PRIVATE_MEMBERS.iter().any(|name| jwk.get(name).is_some()) {
        return Err("it contains private key material");
    }
    let jwk: Jwk = serde_json::from_value(jwk).map_err(|_| "it is not a JWK")?;
    VerificationKey::from_jwk(&jwk)
}

fn unusable(detail: &'static str) -> ClerkError {
    ClerkError::new(ClerkErrorKind::InvalidResponse, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_an_object_with_a_list_of_keys() {
        let key = format!(r#"{{"kty":"RSA","kid":"a","e":"AQAB","n":"{}w"}}"#, "_".repeat(341));
        let usable = |json: &str| KeySet::parse(json.replace("KEY", &key).as_bytes()).is_ok();
        let rows = [
            (r#"{"keys":[KEY]}"#, true),
            (r#"{"x":[{"y":1,"y":2}],"keys":[null,1,"x",[KEY],{},KEY]}"#, true),
            ("[[KEY]]", false),
            ("[KEY]", false),
            ("KEY", false),
            (r#"{"keys":KEY}"#, false),
            (r#"{"keys":{"0":KEY}}"#, false),
            (r#"{"keys":[[KEY]]}"#, false),
            (r#"{"keys":[KEY],"keys":[KEY]}"#, false),
            (r#"{"keys":[]}"#, false),
            (r#"{"keys":null}"#, false),
            ("{}", false),
        ];
        for (json, expected) in rows {
            assert_eq!(usable(json), expected, "{json}");
        }
    }
}
