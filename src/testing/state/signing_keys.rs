//! RSA signing keys, and the forms in which Clerk publishes them.

use std::io;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const PEM_LINE: usize = 64;

/// The keys of an instance: the signing key, older keys that are still published, and keys that a
/// test published.
pub(crate) struct SigningKeys {
    pub(crate) current: Arc<SigningKey>,
    retired: Vec<Arc<SigningKey>>,
    published_by_test: Vec<Value>,
}

impl SigningKeys {
    pub(crate) fn new(current: SigningKey) -> Self {
        Self { current: Arc::new(current), retired: Vec::new(), published_by_test: Vec::new() }
    }

    pub(crate) fn rotate(&mut self, next: SigningKey) {
        self.current = Arc::new(next);
        self.retired.clear();
    }

    pub(crate) fn add(&mut self, next: SigningKey) {
        let previous = std::mem::replace(&mut self.current, Arc::new(next));
        self.retired.push(previous);
    }

    pub(crate) fn publish(&mut self, jwk: Value) {
        self.published_by_test.push(jwk);
    }

    /// Returns the JWK Set (RFC 7517 section 5). Keys that a test published come first, so that a
    /// reader that stops at an unusable key fails.
    pub(crate) fn jwks(&self) -> Value {
        let own = std::iter::once(&self.current).chain(&self.retired);
        let keys: Vec<Value> =
            self.published_by_test.iter().cloned().chain(own.map(|key| key.jwk.clone())).collect();
        json!({ "keys": keys })
    }
}

/// An RSA key of 2048 bits.
pub(crate) struct SigningKey {
    pub(crate) kid: String,
    pub(crate) pem: String,
    jwk: Value,
    pair: RsaKeyPair,
}

impl SigningKey {
    pub(crate) fn generate(kid: String) -> io::Result<Self> {
        let failed = || io::Error::other("failed to generate an RSA key");
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| failed())?;
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_| failed())?;
        let (n, e) = modulus_and_exponent(pair.public_key().as_ref()).ok_or_else(failed)?;
        Ok(Self {
            pem: pem(spki.as_ref()),
            jwk: json!({
                "use": "sig",
                "kty": "RSA",
                "kid": kid,
                "alg": "RS256",
                "n": URL_SAFE_NO_PAD.encode(n),
                "e": URL_SAFE_NO_PAD.encode(e),
            }),
            kid,
            pair,
        })
    }

    /// Returns the RS256 signature. If signing fails it is empty, which every verifier rejects.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        match self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature) {
            Ok(()) => signature,
            Err(_) => Vec::new(),
        }
    }

    /// Returns a JWT with this header and these claims.
    pub(crate) fn jwt(&self, header: &str, claims: &str) -> String {
        encode_jws(header, claims, |message| self.sign(message))
    }
}

/// Returns the compact serialization of a JWS (RFC 7515 section 7.1).
pub(crate) fn encode_jws(
    header: &str,
    claims: &str,
    sign: impl FnOnce(&[u8]) -> Vec<u8>,
) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

fn pem(der: &[u8]) -> String {
    let mut text = String::from("-----BEGIN PUBLIC KEY-----\n");
    for line in STANDARD.encode(der).as_bytes().chunks(PEM_LINE) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text.push_str("-----END PUBLIC KEY-----\n");
    text
}

/// Returns the two integers of an `RSAPublicKey` (RFC 8017 appendix A.1.1), unsigned and
/// big-endian.
fn modulus_and_exponent(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (members, _) = element(SEQUENCE, der)?;
    let (modulus, rest) = element(INTEGER, members)?;
    let (exponent, _) = element(INTEGER, rest)?;
    Some((unsigned(modulus), unsigned(exponent)))
}

/// Returns the content of the DER element at the start of `der`, and the bytes after it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    if *found != tag {
        return None;
    }
    if *length < 0x80 {
        return rest.split_at_checked(usize::from(*length));
    }
    let (octets, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
    let length = octets
        .iter()
        .try_fold(0_usize, |sum, octet| sum.checked_mul(256)?.checked_add(usize::from(*octet)))?;
    rest.split_at_checked(length)
}

/// Removes the zero octet that precedes a set first bit: DER integers are signed.
fn unsigned(integer: &[u8]) -> &[u8] {
    integer.strip_prefix(&[0]).unwrap_or(integer)
}
