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

/// The keys of an instance: the one that signs, those that are only published still, and whatever a test put beside.
pub(super) struct KeySet {
    pub(super) current: Arc<SigningKey>,
    retired: Vec<Arc<SigningKey>>,
    extra: Vec<Value>,
}

impl KeySet {
    pub(super) fn new(current: SigningKey) -> Self {
        Self { current: Arc::new(current), retired: Vec::new(), extra: Vec::new() }
    }

    pub(super) fn rotate(&mut self, next: SigningKey) {
        self.current = Arc::new(next);
        self.retired.clear();
    }

    pub(super) fn add(&mut self, next: SigningKey) {
        let before = std::mem::replace(&mut self.current, Arc::new(next));
        self.retired.push(before);
    }

    pub(super) fn publish(&mut self, jwk: Value) {
        self.extra.push(jwk);
    }

    /// The JWK Set (RFC 7517 section 5). What a test added comes first, where a careless reader trips over it.
    pub(super) fn jwks(&self) -> Value {
        let own = std::iter::once(&self.current).chain(&self.retired);
        let keys: Vec<Value> =
            self.extra.iter().cloned().chain(own.map(|key| key.jwk.clone())).collect();
        json!({ "keys": keys })
    }
}

/// An RSA key of 2048 bits with the forms in which Clerk publishes it.
pub(super) struct SigningKey {
    pub(super) kid: String,
    pub(super) pem: String,
    jwk: Value,
    pair: RsaKeyPair,
}

impl SigningKey {
    pub(super) fn generate(kid: String) -> io::Result<Self> {
        let failed = || io::Error::other("no RSA key could be made");
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

    /// The RS256 signature. Should signing ever fail it is empty, which every verifier refuses.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        match self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature) {
            Ok(()) => signature,
            Err(_) => Vec::new(),
        }
    }

    /// The compact serialisation of a JWS (RFC 7515 section 7.1) over these two texts.
    pub(super) fn jwt(&self, header: &str, claims: &str) -> String {
        compact(header, claims, |message| self.sign(message))
    }
}

pub(super) fn compact(header: &str, claims: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
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

/// The two integers of an `RSAPublicKey` (RFC 8017 appendix A.1.1), unsigned and big-endian.
fn modulus_and_exponent(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (members, _) = element(SEQUENCE, der)?;
    let (modulus, rest) = element(INTEGER, members)?;
    let (exponent, _) = element(INTEGER, rest)?;
    Some((unsigned(modulus), unsigned(exponent)))
}

/// The content of the DER element at the start of `der`, and what follows it.
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

/// DER integers are signed: one zero octet stands before a first bit that is set.
fn unsigned(integer: &[u8]) -> &[u8] {
    integer.strip_prefix(&[0]).unwrap_or(integer)
}
