//! Encryption of records above the store, and the hashes in their keys.
//!
//! A sealed record is:
//!
//! ```text
//! version 1 │ length of the key id │ key id │ nonce (12 bytes) │ ciphertext │ tag (16 bytes)
//! ```
//!
//! AES-256-GCM-SIV (RFC 8452) with a random nonce, which stays safe if a nonce repeats. The
//! associated data is everything before the nonce, and the record's key: a record that somebody
//! moves to the key of another user does not open there.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, MAX_TAG_LEN, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::store::{OwnerTag, Record, RecordKey, Revision};
use crate::error::ConfigError;

/// The form of a sealed record, its first byte.
const VERSION: u8 = 1;

const KEY_BYTES: usize = 32;

/// The length of a key id.
const MAX_KEY_ID: usize = 16;

/// The number of keys, the current one among them.
const MAX_KEYS: usize = 16;

/// The length of what is sealed in one record.
const MAX_PLAINTEXT: usize = 64 * 1024;

/// The name of the lookup key among the keys of an environment variable.
const LOOKUP: &str = "lookup";

/// Where most applications keep their keys.
const VARIABLE: &str = "MCP_CLIENT_KEYS";

/// The id of a sealing key, such as `2026-11`: 1 to 16 letters, digits, `-`, `_` and `.`, and not
/// `lookup`. It is no secret, and stands in every record before the encrypted part.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(Arc<str>);

impl KeyId {
    /// Parses a key id.
    ///
    /// # Errors
    ///
    /// Returns an error if it is longer, is empty, has another character or is `lookup`.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let is_id = (1..=MAX_KEY_ID).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
            && text != LOOKUP;
        is_id.then(|| Self(text.into())).ok_or_else(|| {
            invalid("the id of a key is not 1 to 16 letters, digits, \"-\", \"_\" or \".\"")
        })
    }

    /// Returns the id as a string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

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
/// record is found with another one. Every process of an application needs the same keys. They
/// belong where the database is not: whoever has both has the tokens.
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

struct SealingKey {
    id: KeyId,
    key: RandomizedNonceKey,
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

    /// Parses keys of the form `lookup:<key>,<id>:<key>,<id>:<key>`: the lookup key, the current
    /// sealing key and retired ones, 32 bytes each in base64 with padding, as
    /// `openssl rand -base64 32` prints them. The lookup key may stand anywhere.
    ///
    /// # Errors
    ///
    /// Returns an error if a key is missing, is not of this form or occurs twice. It shows no key.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let mut lookup = None;
        let mut sealing = Vec::new();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (id, key) = entry
                .split_once(':')
                .ok_or_else(|| invalid("a key has no id before it; separate the two by a colon"))?;
            let key = decode(key)?;
            if id != LOOKUP {
                sealing.push((KeyId::parse(id)?, key));
            } else if lookup.replace(key).is_some() {
                return Err(invalid("there are two lookup keys"));
            }
        }
        let lookup = lookup.ok_or_else(|| {
            invalid("there is no lookup key; add \"lookup:\" and 32 random bytes in base64")
        })?;
        let mut sealing = sealing.into_iter();
        let (id, key) = sealing.next().ok_or_else(|| {
            invalid("there is no sealing key; add an id, a colon and 32 random bytes in base64")
        })?;
        sealing.try_fold(Self::new(lookup, id, key)?, |keys, (id, key)| keys.and_retired(id, key))
    }

    /// Reads the keys from an environment variable, in the form of [`parse`](Self::parse).
    ///
    /// # Errors
    ///
    /// Returns an error if the variable is not set, or its value is invalid.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use clerk_mcp_tools::client::SealingKeys;
    ///
    /// let keys = SealingKeys::from_env("MCP_CLIENT_KEYS")?;
    /// # Ok::<(), clerk_mcp_tools::ConfigError>(())
    /// ```
    pub fn from_env(variable: &str) -> Result<Self, ConfigError> {
        match std::env::var(variable) {
            Ok(text) if !text.trim().is_empty() => Self::parse(&text),
            Err(std::env::VarError::NotUnicode(_)) => Err(invalid("they are not UTF-8")),
            _ => Err(ConfigError::missing(
                VARIABLE,
                "is not set; set it to lookup:<key>,<id>:<key>, each key 32 random bytes in base64",
            )),
        }
        .map_err(|error| error.in_variable(variable))
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

impl FromStr for SealingKeys {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
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

impl SealingKey {
    fn new(id: KeyId, key: [u8; KEY_BYTES]) -> Result<Self, ConfigError> {
        if key == [0; KEY_BYTES] {
            return Err(invalid(format!("the key {id} is nothing but zeros")));
        }
        let key = RandomizedNonceKey::new(&AES_256_GCM_SIV, &key)
            .map_err(|_| invalid(format!("the key {id} cannot be used")))?;
        Ok(Self { id, key })
    }

    fn seal(&self, key: &RecordKey, plaintext: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let id = self.id.as_str().as_bytes();
        let header = header(id);
        let mut body = Vec::with_capacity(plaintext.len() + MAX_TAG_LEN);
        body.extend_from_slice(plaintext);
        let nonce = self.key.seal_in_place_append_tag(associated(&header, key), &mut body)?;
        Ok([header.as_slice(), nonce.as_ref(), &body].concat())
    }

    fn open(&self, key: &RecordKey, sealed: &Sealed<'_>) -> Result<Vec<u8>, Unspecified> {
        let associated = associated(&header(sealed.key_id), key);
        let nonce = Nonce::try_assume_unique_for_key(sealed.nonce)?;
        let mut body = sealed.body.to_vec();
        let plaintext = self.key.open_in_place(nonce, associated, &mut body)?.len();
        body.truncate(plaintext);
        Ok(body)
    }
}

/// The parts of a sealed record.
struct Sealed<'a> {
    key_id: &'a [u8],
    nonce: &'a [u8],
    body: &'a [u8],
}

impl<'a> Sealed<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&[VERSION])?;
        let (length, rest) = rest.split_first()?;
        let (key_id, rest) = rest.split_at_checked(usize::from(*length))?;
        let (nonce, body) = rest.split_at_checked(NONCE_LEN)?;
        let has_room = (MAX_TAG_LEN..=MAX_PLAINTEXT + MAX_TAG_LEN).contains(&body.len());
        has_room.then_some(Self { key_id, nonce, body })
    }

    fn id(&self) -> Option<KeyId> {
        KeyId::parse(std::str::from_utf8(self.key_id).ok()?).ok()
    }
}

/// The length of a key id is at most [`MAX_KEY_ID`], or was one byte of a record.
fn header(key_id: &[u8]) -> Vec<u8> {
    let length = u8::try_from(key_id.len()).unwrap_or(u8::MAX);
    [&[VERSION, length], key_id].concat()
}

fn associated(header: &[u8], key: &RecordKey) -> Aad<Vec<u8>> {
    Aad::from([header, key.as_str().as_bytes()].concat())
}

fn decode(key: &str) -> Result<[u8; KEY_BYTES], ConfigError> {
    let bytes = STANDARD.decode(key.trim()).ok();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
        invalid("a key is not 32 bytes in base64 with padding; `openssl rand -base64 32` makes one")
    })
}

/// `problem` is a clause of its own.
fn invalid(problem: impl Into<std::borrow::Cow<'static, str>>) -> ConfigError {
    ConfigError::invalid_value("sealing keys", VARIABLE, problem)
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn keys_are_parsed_from_one_string() {
        let [lookup, one, two] = [[1; 32], [2; 32], [3; 32]].map(|key| STANDARD.encode(key));
        let place = key("a");
        for text in [
            format!("lookup:{lookup},new:{one},old:{two}"),
            format!(" lookup:{lookup} ,\n new:{one},\n old: {two},\n"),
            format!("new:{one},lookup:{lookup},old:{two}"),
        ] {
            let keys: SealingKeys = text.parse().unwrap();
            let debug = format!("{keys:?}");
            assert_eq!(debug, "SealingKeys { current: \"new\", retired: [\"old\"], .. }");
            assert_eq!(keys.login_key("a"), place);
            let old = SealingKeys::new([1; 32], id("old"), [3; 32]).unwrap();
            let record = old.seal(&place, PLAINTEXT).unwrap();
            assert_eq!(keys.open(&place, &record).unwrap(), PLAINTEXT);
        }
        let zeros = STANDARD.encode([0; 32]);
        let many: String = (0..17).map(|n| format!(",k{n}:{one}")).collect();
        let short = STANDARD.encode([1; 31]);
        for (text, expected) in [
            (String::new(), "there is no lookup key"),
            (format!("new:{one}"), "there is no lookup key"),
            (format!("lookup:{lookup}"), "there is no sealing key"),
            (format!("lookup:{lookup},{one}"), "a key has no id before it"),
            (format!("lookup:{lookup},lookup:{two},new:{one}"), "there are two lookup keys"),
            (format!("lookup:{lookup},new:{one},new:{two}"), "there are two keys of the id new"),
            (format!("lookup:{lookup},new:{lookup}"), "the lookup key is used as a sealing key"),
            (format!("lookup:{zeros},new:{one}"), "the lookup key is nothing but zeros"),
            (format!("lookup:{lookup},new:{zeros}"), "the key new is nothing but zeros"),
            (format!("lookup:{lookup},new:{short}"), "a key is not 32 bytes in base64"),
            (format!("lookup:{lookup},new:{}", one.trim_end_matches('=')), "a key is not 32"),
            (format!("lookup:{lookup},a b:{one}"), "the id of a key is not 1 to 16"),
            (format!("lookup:{lookup},12345678901234567:{one}"), "the id of a key is not 1 to 16"),
            (format!("lookup:{lookup}{many}"), "there are more than 16 keys"),
        ] {
            let error = SealingKeys::parse(&text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("invalid sealing keys: {expected}")), "{error}");
            assert!(![&lookup, &one, &two].iter().any(|key| error.contains(*key)), "{error}");
        }
    }
}
