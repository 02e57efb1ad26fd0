//! The form of a sealed record:
//!
//! ```text
//! version 1 │ length of the key id │ key id │ nonce (12 bytes) │ ciphertext │ tag (16 bytes)
//! ```
//!
//! AES-256-GCM-SIV (RFC 8452) with a random nonce, which stays safe if a nonce repeats. The
//! associated data is everything before the nonce, and the record's key: a record that somebody
//! moves to the key of another user does not open there.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, MAX_TAG_LEN, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;

use super::{KEY_BYTES, KeyId, invalid};
use crate::client::store::RecordKey;
use crate::error::ConfigError;

/// The form of a sealed record, its first byte.
const VERSION: u8 = 1;

/// The length of what is sealed in one record.
pub(super) const MAX_PLAINTEXT: usize = 64 * 1024;

/// A key that seals records, or opens those that it has sealed.
pub(super) struct SealingKey {
    pub(super) id: KeyId,
    key: RandomizedNonceKey,
}

impl SealingKey {
    pub(super) fn new(id: KeyId, key: [u8; KEY_BYTES]) -> Result<Self, ConfigError> {
        if key == [0; KEY_BYTES] {
            return Err(invalid(format!("the key {id} is nothing but zeros")));
        }
        let key = RandomizedNonceKey::new(&AES_256_GCM_SIV, &key)
            .map_err(|_| invalid(format!("the key {id} cannot be used")))?;
        Ok(Self { id, key })
    }

    /// Makes the record in one buffer: records are written at each refresh.
    pub(super) fn seal(&self, key: &RecordKey, plaintext: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let id = self.id.as_str().as_bytes();
        let (header, rest) = (2 + id.len(), NONCE_LEN + plaintext.len());
        let mut sealed = Vec::with_capacity(header + rest + MAX_TAG_LEN);
        push_header(&mut sealed, id);
        sealed.extend_from_slice(&[0; NONCE_LEN]);
        sealed.extend_from_slice(plaintext);
        let after_header = sealed.get_mut(header..).ok_or(Unspecified)?;
        let (place, body) = after_header.split_first_chunk_mut().ok_or(Unspecified)?;
        let (nonce, tag) = self.key.seal_in_place_separate_tag(associated(id, key), body)?;
        *place = *nonce.as_ref();
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    pub(super) fn open(
        &self,
        key: &RecordKey,
        sealed: &Sealed<'_>,
    ) -> Result<Vec<u8>, Unspecified> {
        let associated = associated(sealed.key_id, key);
        let nonce = Nonce::try_assume_unique_for_key(sealed.nonce)?;
        let mut body = sealed.body.to_vec();
        let plaintext = self.key.open_in_place(nonce, associated, &mut body)?.len();
        body.truncate(plaintext);
        Ok(body)
    }
}

/// The parts of a sealed record.
pub(super) struct Sealed<'a> {
    pub(super) key_id: &'a [u8],
    nonce: &'a [u8],
    body: &'a [u8],
}

impl<'a> Sealed<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&[VERSION])?;
        let (length, rest) = rest.split_first()?;
        let (key_id, rest) = rest.split_at_checked(usize::from(*length))?;
        let (nonce, body) = rest.split_at_checked(NONCE_LEN)?;
        let has_room = (MAX_TAG_LEN..=MAX_PLAINTEXT + MAX_TAG_LEN).contains(&body.len());
        has_room.then_some(Self { key_id, nonce, body })
    }

    pub(super) fn id(&self) -> Option<KeyId> {
        KeyId::parse(std::str::from_utf8(self.key_id).ok()?).ok()
    }
}

/// The length of a key id is at most 16, or was one byte of a record.
fn push_header(to: &mut Vec<u8>, key_id: &[u8]) {
    to.extend_from_slice(&[VERSION, u8::try_from(key_id.len()).unwrap_or(u8::MAX)]);
    to.extend_from_slice(key_id);
}

fn associated(key_id: &[u8], key: &RecordKey) -> Aad<Vec<u8>> {
    let key = key.as_str().as_bytes();
    let mut bytes = Vec::with_capacity(2 + key_id.len() + key.len());
    push_header(&mut bytes, key_id);
    bytes.extend_from_slice(key);
    Aad::from(bytes)
}
