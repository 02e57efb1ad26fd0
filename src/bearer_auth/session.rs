//! Session ids that are of use to one principal only.
//!
//! MCP servers before 2026-07-28 keep sessions and hand out an `Mcp-Session-Id`. The MCP security
//! best practices ask servers to bind it to the user, so that an id that leaks is of no use with
//! another user's token. No state is needed for that: the id that goes out carries a MAC over
//! itself and the principal, and a request with an id whose MAC does not fit gets a 404, as for a
//! session that does not exist.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::rand::SystemRandom;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::ConfigError;
use crate::oauth::AuthInfo;

pub(super) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

/// Keeps keys that are derived from one secret for different purposes apart.
const PURPOSE: &[u8] = b"clerk-mcp-tools session binding v1";

/// The length of a base64url SHA-256 MAC that is cut to 128 bits (RFC 2104 section 5).
const MAC_CHARS: usize = 22;
const MAC_BYTES: usize = 16;

/// The key that binds session ids to principals.
///
/// Several processes that serve the same sessions need the same key. `Debug` does not show it. A
/// clone is cheap.
#[derive(Clone)]
pub struct SessionKey(Arc<hmac::Key>);

impl SessionKey {
    /// Derives a key from a secret of at least 16 bytes.
    ///
    /// # Errors
    ///
    /// Returns an error if the secret is shorter than 16 bytes.
    pub fn from_secret(secret: &[u8]) -> Result<Self, ConfigError> {
        if secret.len() < 16 {
            return Err(ConfigError::invalid("session_key", "is shorter than 16 bytes"));
        }
        Ok(Self::derive(secret))
    }

    pub(crate) fn derive(secret: &[u8]) -> Self {
        let derived = hmac::sign(&hmac::Key::new(HMAC_SHA256, secret), PURPOSE);
        Self(Arc::new(hmac::Key::new(HMAC_SHA256, derived.as_ref())))
    }

    /// Makes a random key, for a single process: sessions end with it.
    ///
    /// # Errors
    ///
    /// Returns an error if the operating system has no random bytes.
    pub fn random() -> Result<Self, ConfigError> {
        hmac::Key::generate(HMAC_SHA256, &SystemRandom::new())
            .map(|key| Self(Arc::new(key)))
            .map_err(|_| ConfigError::invalid("session_key", "cannot be made: no random bytes"))
    }

    /// Replaces the session id that a service hands out by one that only this caller can use;
    /// `None` is a caller without a token.
    pub(super) fn bind(&self, headers: &mut HeaderMap, caller: Option<&AuthInfo>) {
        let Some(id) = headers.get(SESSION_ID) else { return };
        let mut bound = id.as_bytes().to_vec();
        bound.push(b'.');
        bound.extend_from_slice(self.mac(id.as_bytes(), caller).as_bytes());
        match HeaderValue::from_bytes(&bound) {
            Ok(bound) => drop(headers.insert(SESSION_ID, bound)),
            // Bytes of a header value and base64url always form one.
            Err(_) => drop(headers.remove(SESSION_ID)),
        }
    }

    /// Puts the service's own id back. Returns `false` if the id was not handed out to this caller,
    /// or if there are several.
    pub(super) fn unbind(&self, headers: &mut HeaderMap, caller: Option<&AuthInfo>) -> bool {
        let mut ids = headers.get_all(SESSION_ID).iter();
        let (Some(bound), None) = (ids.next(), ids.next()) else {
            return !headers.contains_key(SESSION_ID);
        };
        let Some(id) = self.verified(bound.as_bytes(), caller) else { return false };
        headers.insert(SESSION_ID, id);
        true
    }

    fn verified(&self, bound: &[u8], caller: Option<&AuthInfo>) -> Option<HeaderValue> {
        let (rest, mac) = bound.split_at_checked(bound.len().checked_sub(MAC_CHARS)?)?;
        let id = rest.strip_suffix(b".")?;
        let expected = self.mac(id, caller);
        aws_lc_rs::constant_time::verify_slices_are_equal(expected.as_bytes(), mac).ok()?;
        HeaderValue::from_bytes(id).ok()
    }

    fn mac(&self, id: &[u8], caller: Option<&AuthInfo>) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        // The lengths keep the parts apart, whatever bytes they hold.
        let mut update = |part: &[u8]| {
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(part);
        };
        update(id);
        if let Some(caller) = caller {
            let principal = caller.principal();
            update(principal.issuer().unwrap_or_default().as_bytes());
            update(principal.kind().to_string().as_bytes());
            update(principal.id().as_bytes());
        }
        let tag = context.sign();
        URL_SAFE_NO_PAD.encode(tag.as_ref().get(..MAC_BYTES).unwrap_or_default())
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionKey").field(&format_args!("[redacted]")).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(id: &str) -> HeaderMap {
        HeaderMap::from_iter([(SESSION_ID, HeaderValue::from_str(id).unwrap())])
    }

    fn user(id: &str) -> AuthInfo {
        AuthInfo::for_user(id, "token".into()).build()
    }

    #[test]
    fn only_the_caller_that_got_an_id_can_use_it() {
        let (key, other_key) = (SessionKey::derive(b"secret"), SessionKey::derive(b"other"));
        let (alice, bob) = (user("alice"), user("bob"));
        let elsewhere = AuthInfo::for_user("alice", "token".into()).issuer("https://b.example");
        let machine = AuthInfo::for_machine("alice", "token".into());
        let (elsewhere, machine) = (elsewhere.build(), machine.build());
        for id in ["0b6d", "a.b.c", "x"] {
            let mut sent = headers(id);
            key.bind(&mut sent, Some(&alice));
            assert_ne!(sent, headers(id));
            let rows = [
                (&key, Some(&alice), true),
                (&key, Some(&bob), false),
                (&key, Some(&elsewhere), false),
                (&key, Some(&machine), false),
                (&key, None, false),
                (&other_key, Some(&alice), false),
            ];
            for (key, caller, expected) in rows {
                let mut presented = sent.clone();
                assert_eq!(key.unbind(&mut presented, caller), expected, "{id} {caller:?}");
                assert_eq!(presented == headers(id), expected, "{id} {caller:?}");
            }
        }
        let mut anonymous = headers("a");
        key.bind(&mut anonymous, None);
        assert!(!key.unbind(&mut anonymous.clone(), Some(&alice)));
        assert!(key.unbind(&mut anonymous, None));
    }

    #[test]
    fn rejects_ids_that_were_never_handed_out() {
        let (key, alice) = (SessionKey::derive(b"secret"), user("alice"));
        let mut good = headers("ab");
        key.bind(&mut good, Some(&alice));
        let good = good.get(SESSION_ID).unwrap().to_str().unwrap().to_owned();
        let (longer, changed) = (format!("{good}A"), format!("x{}", &good[1..]));
        let made_up = "a.AAAAAAAAAAAAAAAAAAAAAA";
        for id in ["", "ab", ".", made_up, &changed, &longer, &good[1..], &good[..good.len() - 1]] {
            assert!(!key.unbind(&mut headers(id), Some(&alice)), "{id}");
        }
        let mut twice = headers(&good);
        twice.append(SESSION_ID, HeaderValue::from_str(&good).unwrap());
        assert!(!key.unbind(&mut twice, Some(&alice)));
        assert!(key.unbind(&mut HeaderMap::new(), Some(&alice)));
    }

    #[test]
    fn a_secret_has_16_bytes_or_more() {
        assert!(SessionKey::from_secret(&[1; 15]).is_err());
        assert!(SessionKey::from_secret(&[1; 16]).is_ok());
        assert!(SessionKey::random().is_ok());
    }
}
