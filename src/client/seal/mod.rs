//! Encryption of records above the store, and the hashes in their keys.

mod key_id;
mod parse;
mod sealed;
mod tags;

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac::{self, HMAC_SHA256};

pub use self::key_id::KeyId;
use self::sealed::{MAX_PLAINTEXT, Sealed, SealingKey};
use super::store::{Record, RecordKey, Revision};
use crate::error::ConfigError;

const KEY_BYTES: usize = 32;

/// The number of keys, the current one among them.
const MAX_KEYS: usize = 16;

/// Where most applications keep their keys.
const VARIABLE: &str = "MCP_CLIENT_KEYS";

/// Why a record was not sealed, or not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The record was sealed with a key that is not among these. Adding it as a retired key makes
    /// the record readable again.
    #[error("a record is sealed with the key {0}, which is not configured")]
    UnknownKey(KeyId),
    /// The record does not open: it was altered, is that of another key of the store, or was
    /// sealed with another key of the same id.
    #[error("a record does not open with its key")]
    Unreadable,
    /// The record is not in the form that this version of the crate writes.
    #[error("a record is not in a form that is known")]
    UnknownForm,
    /// What is to be sealed is longer than 64 KiB.
    #[error("a record has more than {MAX_PLAINTEXT} bytes")]
    TooLong,
    /// The random generator of the operating system failed.
    #[error("there is no randomness to seal a record with")]
    NoRandomness,
}

/// The keys with which records are encrypted before they are stored.
///
/// There is one current key, which seals, and up to 15 retired ones, which only open.
/// The *lookup key* makes the hashes in the keys of records; it has to stay the same, since no
/// record is found with another one. Every process of an application needs the same keys. Keep them
/// apart from the database: with both, the tokens can be read.
///
/// To replace the current key, add the new one to every process as a retired one, and only then
/// make it the current one, so that no process meets a record that it cannot open. A key is no
/// longer needed when no record is left that was sealed with it.
///
/// `Debug` shows the ids of the keys. A clone is cheap.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::client::SealingKeys;
///
/// // `openssl rand -base64 32` makes a key.
/// # let (lookup, new, old) = (
/// #     "bG9va3VwIGtleSBmb3IgdGhlIGV4YW1wbGUgb25seS4=",
/// #     "Y3VycmVudCBrZXkgZm9yIHRoZSBleGFtcGxlIG9ubHk=",
/// #     "cmV0aXJlZCBrZXkgZm9yIHRoZSBleGFtcGxlIG9ubHk=",
/// # );
/// let keys = SealingKeys::parse(&format!("lookup:{lookup},2026-11:{new},2026-05:{old}"))?;
/// assert_eq!(keys.current().as_str(), "2026-11");
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct SealingKeys {
    lookup: Arc<hmac::Key>,
    current: Arc<SealingKey>,
    retired: Vec<Arc<SealingKey>>,
}

impl SealingKeys {
    /// Creates keys from a lookup key and the current sealing key, 32 random bytes each.
    ///
    /// # Errors
    ///
    /// Returns an error if the two are the same, or one is nothing but zeros.
    pub fn new(
        lookup: [u8; KEY_BYTES],
        id: KeyId,
        key: [u8; KEY_BYTES],
    ) -> Result<Self, ConfigError> {
        if lookup == key {
            return Err(invalid("the lookup key is used as a sealing key as well"));
        }
        if lookup == [0; KEY_BYTES] {
            return Err(invalid("the lookup key is nothing but zeros"));
        }
        Ok(Self {
            lookup: Arc::new(hmac::Key::new(HMAC_SHA256, &lookup)),
            current: Arc::new(SealingKey::new(id, key)?),
            retired: Vec::new(),
        })
    }

    /// Adds a key that opens records and seals none.
    ///
    /// # Errors
    ///
    /// Returns an error if there is a key of this id already, if there are 15 retired keys, or if
    /// the key is nothing but zeros.
    pub fn and_retired(mut self, id: KeyId, key: [u8; KEY_BYTES]) -> Result<Self, ConfigError> {
        if self.key(id.as_str().as_bytes()).is_some() {
            return Err(invalid(format!("there are two keys of the id {id}")));
        }
        if self.retired.len() + 1 >= MAX_KEYS {
            return Err(invalid(format!("there are more than {MAX_KEYS} keys")));
        }
        self.retired.push(Arc::new(SealingKey::new(id, key)?));
        Ok(self)
    }

    /// Returns the id of the key that seals.
    #[must_use]
    pub fn current(&self) -> &KeyId {
        &self.current.id
    }

    /// Seals what is to be stored under a key, as a record of a new revision. The connections of
    /// this crate do this by themselves.
    ///
    /// # Errors
    ///
    /// Returns an error for more than 64 KiB, and without randomness.
    pub fn seal(&self, key: &RecordKey, plaintext: &[u8]) -> Result<Record, SealError> {
        if plaintext.len() > MAX_PLAINTEXT {
            return Err(SealError::TooLong);
        }
        let sealed = self.current.seal(key, plaintext).map_err(|_| SealError::NoRandomness)?;
        let revision = Revision::random().map_err(|_| SealError::NoRandomness)?;
        Ok(Record::new(revision, sealed))
    }

    /// Opens a record that was stored under a key. The connections of this crate do this by
    /// themselves.
    ///
    /// # Errors
    ///
    /// Returns an error if the record was sealed for another key of the store, with a key that is
    /// not among these, or was altered.
    pub fn open(&self, key: &RecordKey, record: &Record) -> Result<Vec<u8>, SealError> {
        let sealed = Sealed::parse(record.sealed()).ok_or(SealError::UnknownForm)?;
        match self.key(sealed.key_id) {
            Some(found) => found.open(key, &sealed).map_err(|_| SealError::Unreadable),
            None => Err(sealed.id().map_or(SealError::UnknownForm, SealError::UnknownKey)),
        }
    }

    /// Returns the id of the key that a record was sealed with, as the record says. Before the
    /// record is opened, nothing proves it.
    #[must_use]
    pub fn key_of(record: &Record) -> Option<KeyId> {
        Sealed::parse(record.sealed())?.id()
    }

    fn key(&self, id: &[u8]) -> Option<&SealingKey> {
        let mut keys = std::iter::once(&self.current).chain(&self.retired);
        keys.find(|key| key.id.as_str().as_bytes() == id).map(|key| &**key)
    }
}

impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let retired: Vec<_> = self.retired.iter().map(|key| &key.id).collect();
        f.debug_struct("SealingKeys")
            .field("current", &self.current.id)
            .field("retired", &retired)
            .finish_non_exhaustive()
    }
}

/// `problem` is a clause of its own.
fn invalid(problem: impl Into<std::borrow::Cow<'static, str>>) -> ConfigError {
    ConfigError::invalid_value("sealing keys", VARIABLE, problem)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    const PLAINTEXT: &[u8] = b"an access token and a refresh token";

    fn id(text: &str) -> KeyId {
        KeyId::parse(text).unwrap()
    }

    fn keys() -> SealingKeys {
        SealingKeys::new([1; 32], id("2026-11"), [2; 32]).unwrap()
    }

    fn key(name: &str) -> RecordKey {
        keys().login_key(name)
    }

    fn changed(record: &Record, change: impl FnOnce(&mut Vec<u8>)) -> Record {
        let mut bytes = record.sealed().to_vec();
        change(&mut bytes);
        Record::new(record.revision(), bytes)
    }

    #[test]
    fn a_record_opens_with_its_key_and_for_its_place_only() {
        let record = keys().seal(&key("a"), PLAINTEXT).unwrap();
        assert_eq!(keys().open(&key("a"), &record).unwrap(), PLAINTEXT);
        assert_eq!(keys().open(&key("b"), &record), Err(SealError::Unreadable));
        assert_eq!(keys().open(&key("a").lease(), &record), Err(SealError::Unreadable));
        let other = SealingKeys::new([1; 32], id("2026-11"), [3; 32]).unwrap();
        assert_eq!(other.open(&key("a"), &record), Err(SealError::Unreadable));
        let other = SealingKeys::new([1; 32], id("2026-12"), [2; 32]).unwrap();
        let unknown = SealError::UnknownKey(id("2026-11"));
        assert_eq!(other.open(&key("a"), &record), Err(unknown));
        let empty = keys().seal(&key("a"), b"").unwrap();
        assert_eq!(keys().open(&key("a"), &empty).unwrap(), b"");
    }

    #[test]
    fn no_bit_of_a_record_can_be_changed_and_no_byte_is_missing() {
        let record = keys().seal(&key("a"), PLAINTEXT).unwrap();
        for bit in 0..record.sealed().len() * 8 {
            let changed = changed(&record, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
            assert!(keys().open(&key("a"), &changed).is_err(), "bit {bit}");
        }
        for length in 0..record.sealed().len() {
            let changed = changed(&record, |bytes| bytes.truncate(length));
            assert!(keys().open(&key("a"), &changed).is_err(), "length {length}");
        }
        let longer = changed(&record, |bytes| bytes.push(0));
        assert_eq!(keys().open(&key("a"), &longer), Err(SealError::Unreadable));
        let newer = changed(&record, |bytes| bytes[0] = 2);
        assert_eq!(keys().open(&key("a"), &newer), Err(SealError::UnknownForm));
    }

    /// The id of the key is authenticated too: a record does not open as one of another key id,
    /// even if the two are the same key.
    #[test]
    fn the_id_of_the_key_is_part_of_what_is_sealed() {
        let record = keys().seal(&key("a"), PLAINTEXT).unwrap();
        let renamed = changed(&record, |bytes| bytes[2..9].copy_from_slice(b"2026-12"));
        let both = keys().and_retired(id("2026-12"), [2; 32]).unwrap();
        assert_eq!(both.open(&key("a"), &renamed), Err(SealError::Unreadable));
    }

    #[test]
    fn each_seal_has_a_nonce_and_a_revision_of_its_own_and_hides_the_plaintext() {
        let (one, two) = (keys().seal(&key("a"), PLAINTEXT), keys().seal(&key("a"), PLAINTEXT));
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_ne!(one.sealed(), two.sealed());
        assert_ne!(one.revision(), two.revision());
        for word in [b"access".as_slice(), b"token"] {
            assert!(!one.sealed().windows(word.len()).any(|window| window == word));
        }
        assert_eq!(SealingKeys::key_of(&one), Some(id("2026-11")));
    }

    #[test]
    fn retired_keys_open_and_do_not_seal() {
        let record = keys().seal(&key("a"), PLAINTEXT).unwrap();
        let rotated = SealingKeys::new([1; 32], id("2027-05"), [4; 32]).unwrap();
        let rotated = rotated.and_retired(id("2026-11"), [2; 32]).unwrap();
        assert_eq!(rotated.open(&key("a"), &record).unwrap(), PLAINTEXT);
        let again = rotated.seal(&key("a"), PLAINTEXT).unwrap();
        assert_eq!(SealingKeys::key_of(&again), Some(id("2027-05")));
        assert_eq!(*rotated.current(), id("2027-05"));
    }

    #[test]
    fn what_is_sealed_is_bounded() {
        let longest = vec![0; MAX_PLAINTEXT];
        let record = keys().seal(&key("a"), &longest).unwrap();
        assert_eq!(keys().open(&key("a"), &record).unwrap(), longest);
        let longer = vec![0; MAX_PLAINTEXT + 1];
        assert_eq!(keys().seal(&key("a"), &longer).unwrap_err(), SealError::TooLong);
        let longer = changed(&record, |bytes| bytes.push(0));
        assert_eq!(keys().open(&key("a"), &longer), Err(SealError::UnknownForm));
    }

    /// What a version of this crate has stored, the next ones have to find and to open.
    #[test]
    fn keys_and_records_of_earlier_versions_are_found_and_open() {
        let keys = SealingKeys::new([1; 32], id("k"), [2; 32]).unwrap();
        let place = keys.login_key("a");
        assert_eq!(place.as_str(), KNOWN_KEY);
        let record = Record::new(
            Revision::from_bytes([0; 16]),
            URL_SAFE_NO_PAD.decode(KNOWN_RECORD).unwrap(),
        );
        assert_eq!(keys.open(&place, &record).unwrap(), b"known");
    }

    const KNOWN_KEY: &str = "login/84J00j12dB7_gQSmTj8omBW8T2Z3ogV-nrA4XHG8cjI";
    const KNOWN_RECORD: &str = "AQFry6KnJgf3vxq9q62WhZSJUgo5nyN8WmeGh-ia1AIY-8KJ";
}
