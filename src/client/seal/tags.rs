//! The hashes in the keys of records.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::SealingKeys;
use crate::client::store::{OwnerTag, RecordKey};

/// The hashes in the keys of records: HMAC-SHA-256 under the lookup key.
impl SealingKeys {
    /// Returns the hash of these parts for one purpose.
    pub(crate) fn digest(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.lookup);
        // With their lengths, so that no two lists of parts are the same input.
        for part in std::iter::once(&purpose.as_bytes()).chain(parts) {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut digest = [0; 32];
        for (to, from) in digest.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        digest
    }

    fn tag(&self, purpose: &str, parts: &[&[u8]]) -> String {
        URL_SAFE_NO_PAD.encode(self.digest(purpose, parts))
    }

    /// Returns the tag of an owner: the application's bytes for a user.
    pub(crate) fn owner_tag(&self, owner: &[u8]) -> OwnerTag {
        OwnerTag::new(self.tag("owner", &[owner]))
    }

    /// Returns the key of the sign-in with this `state`.
    pub(crate) fn login_key(&self, state: &str) -> RecordKey {
        RecordKey::login(&self.tag("login", &[state.as_bytes()]))
    }

    /// Returns the key of an owner's connection to a server. The same server has another tag for
    /// each owner.
    pub(crate) fn connection_key(&self, owner: &OwnerTag, server: &str, label: &str) -> RecordKey {
        let parts = [owner.as_str().as_bytes(), server.as_bytes(), label.as_bytes()];
        RecordKey::connection(owner, &self.tag("connection", &parts))
    }

    /// Returns the key of a client registration, by everything that makes it another one: the
    /// issuer, the redirect URI and the client's metadata.
    pub(crate) fn registration_key(&self, parts: &[&[u8]]) -> RecordKey {
        RecordKey::registration(&self.tag("registration", parts))
    }
}

#[cfg(test)]
mod tests {
    use super::super::KeyId;
    use super::*;

    fn id(text: &str) -> KeyId {
        KeyId::parse(text).unwrap()
    }

    fn keys() -> SealingKeys {
        SealingKeys::new([1; 32], id("2026-11"), [2; 32]).unwrap()
    }

    #[test]
    fn hashes_differ_by_lookup_key_purpose_and_parts() {
        let digest = |purpose: &str, parts: &[&[u8]]| keys().digest(purpose, parts);
        let all = [
            digest("p", &[b"a", b"b"]),
            digest("p", &[b"ab"]),
            digest("p", &[b"", b"ab"]),
            digest("p", &[b"ab", b""]),
            digest("pa", &[b"b"]),
            digest("q", &[b"a", b"b"]),
            SealingKeys::new([9; 32], id("2026-11"), [2; 32]).unwrap().digest("p", &[b"a", b"b"]),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(!all[index + 1..].contains(one), "{index}");
        }
        // The sealing key has no part in it.
        let rotated = SealingKeys::new([1; 32], id("2027-05"), [4; 32]).unwrap();
        assert_eq!(rotated.digest("p", &[b"a", b"b"]), all[0]);
        let (alice, bob) = (keys().owner_tag(b"alice"), keys().owner_tag(b"bob"));
        let connection = |owner, label| keys().connection_key(owner, "https://a.example", label);
        assert_ne!(connection(&alice, "work"), connection(&alice, ""));
        let last = |key: RecordKey| key.as_str().rsplit('/').next().unwrap().to_owned();
        assert_ne!(last(connection(&alice, "")), last(connection(&bob, "")));
    }
}
