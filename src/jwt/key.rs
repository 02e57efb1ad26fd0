//! RSA public keys that verify tokens, each bound to one algorithm.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::rsa::PublicEncryptingKey;
use aws_lc_rs::signature::{ParsedPublicKey, RsaPublicKeyComponents};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, KeyOperations, PublicKeyUse};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;

use super::algorithm::SignatureAlgorithm;
use super::base64url;
use crate::error::ConfigError;

const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The public key of a Clerk instance, for verifying JWTs without a network.
///
/// The Clerk Dashboard shows it as PEM (label `PUBLIC KEY`, RFC 7468 section 13) on the page API
/// keys. It is an RSA key of 2,048 to 8,192 bits and is used with RS256. Cloning is cheap.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::JwtKey;
///
/// let error = JwtKey::parse("-----BEGIN PUBLIC KEY-----\nbroken").unwrap_err();
/// assert_eq!(error.setting(), "CLERK_JWT_KEY");
/// ```
#[derive(Clone, Debug)]
pub struct JwtKey(Arc<VerificationKey>);

impl JwtKey {
    /// Parses a PEM public key. Newlines may be escaped as `\n` or `\r\n`, as in environment
    /// variables, and white space around the lines is ignored.
    ///
    /// # Errors
    ///
    /// Returns an error if `pem` is not a PEM public key or is surrounded by quotation marks, if it
    /// is not an RSA key of 2,048 to 8,192 bits, or if its exponent is below 65537 (FIPS 186-5
    /// section A.1.1). The error does not contain the key.
    pub fn parse(pem: &str) -> Result<Self, ConfigError> {
        VerificationKey::from_pem(pem).map(|key| Self(Arc::new(key)))
    }

    pub(crate) fn into_verification_key(self) -> Arc<VerificationKey> {
        self.0
    }
}

impl FromStr for JwtKey {
    type Err = ConfigError;

    fn from_str(pem: &str) -> Result<Self, Self::Err> {
        Self::parse(pem)
    }
}

/// An RSA public key with the one algorithm that it may be used with (RFC 8725 section 3.1).
///
/// The key is parsed once, and not for every token.
pub(crate) struct VerificationKey {
    id: Option<String>,
    algorithm: SignatureAlgorithm,
    key: ParsedPublicKey,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
    /// Whether it has left the key set. Cached tokens that it verified are then no longer accepted.
    retired: AtomicBool,
}

impl VerificationKey {
    /// Converts a key of a key set. The error says why the key cannot be used.
    pub(crate) fn from_jwk(jwk: &Jwk) -> Result<Self, &'static str> {
        let AlgorithmParameters::RSA(rsa) = &jwk.algorithm else {
            return Err("it is not an RSA key");
        };
        let id = jwk.common.key_id.clone().ok_or("it has no key id")?;
        if !is_for_signatures(jwk) {
            return Err("it is not meant for signatures");
        }
        let algorithm =
            signature_algorithm(jwk).ok_or("its algorithm is not RS256, RS384 or RS512")?;
        let modulus = decode_uint(&rsa.n).ok_or("its modulus is not base64url")?;
        let exponent = decode_uint(&rsa.e).ok_or("its exponent is not base64url")?;
        Self::from_components(Some(id), algorithm, modulus, exponent).map_err(Unsound::of_jwk)
    }

    /// Parses the key of `CLERK_JWT_KEY`, which is used with RS256.
    fn from_pem(pem: &str) -> Result<Self, ConfigError> {
        let pem = unescape(pem).map_err(invalid_pem)?;
        let spki = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| invalid_pem("it is not PEM with the label PUBLIC KEY"))?;
        // Checks the whole structure and the object identifier; `rsa_components` only finds its
        // way.
        let wrong_size = || invalid_pem("it is not an RSA key of 2048 to 8192 bits");
        PublicEncryptingKey::from_der(&spki).map_err(|_| wrong_size())?;
        let (modulus, exponent) = rsa_components(&spki).ok_or_else(wrong_size)?;
        Self::from_components(None, SignatureAlgorithm::Rs256, modulus.into(), exponent.into())
            .map_err(|why| invalid_pem(why.of_pem()))
    }

    /// Checks what an RSA key of either source must have.
    fn from_components(
        id: Option<String>,
        algorithm: SignatureAlgorithm,
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    ) -> Result<Self, Unsound> {
        if !MODULUS_BITS.contains(&bit_length(&modulus)) || !is_odd(&modulus) {
            return Err(Unsound::Modulus);
        }
        if !is_sound_exponent(&exponent) {
            return Err(Unsound::Exponent);
        }
        let key = RsaPublicKeyComponents { n: &modulus, e: &exponent }
            .to_parsed_public_key(algorithm.rsa_parameters())
            .map_err(|_| Unsound::Key)?;
        Ok(Self { id, algorithm, key, modulus, exponent, retired: AtomicBool::new(false) })
    }

    /// Returns the key's id; a PEM key has none.
    pub(crate) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub(super) fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// Returns whether a key of a newer key set is the same key.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        (&self.id, self.algorithm, &self.modulus, &self.exponent)
            == (&other.id, other.algorithm, &other.modulus, &other.exponent)
    }

    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }
}

/// Why an RSA key must not be used.
#[derive(Clone, Copy)]
enum Unsound {
    Modulus,
    Exponent,
    Key,
}

impl Unsound {
    fn of_jwk(self) -> &'static str {
        match self {
            Self::Modulus => "its modulus is even or does not have 2048 to 8192 bits",
            Self::Exponent => "its exponent is even, below 65537 or too large",
            Self::Key => "it is not a valid RSA key",
        }
    }

    fn of_pem(self) -> &'static str {
        match self {
            Self::Modulus => "it is an RSA key whose modulus is even or not of 2048 to 8192 bits",
            Self::Exponent => "it is an RSA key whose exponent is even, below 65537 or too large",
            Self::Key => "it is not a valid RSA key",
        }
    }
}

impl fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerificationKey")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// Restores the lines of a PEM from an environment variable: newlines are often escaped there, and
/// lines indented. The error continues a sentence that begins with "it".
fn unescape(pem: &str) -> Result<String, &'static str> {
    const QUOTES: [char; 2] = ['"', '\''];
    let pem = pem.trim();
    if pem.starts_with(QUOTES) || pem.ends_with(QUOTES) {
        return Err("it is surrounded by quotation marks");
    }
    let pem = pem.replace("\\r", "").replace("\\n", "\n");
    Ok(pem.lines().map(str::trim).collect::<Vec<_>>().join("\n"))
}

/// Returns modulus and exponent of a SubjectPublicKeyInfo in DER that holds an RSA key (RFC 3279
/// section 2.3.1).
fn rsa_components(spki: &[u8]) -> Option<(&[u8], &[u8])> {
    const INTEGER: u8 = 0x02;
    const BIT_STRING: u8 = 0x03;
    const SEQUENCE: u8 = 0x30;
    let (info, _) = der_element(spki, SEQUENCE)?;
    let (_, rest) = der_element(info, SEQUENCE)?;
    let (bits, _) = der_element(rest, BIT_STRING)?;
    // The first octet counts the unused bits at the end, of which a key has none.
    let (numbers, _) = der_element(bits.strip_prefix(&[0])?, SEQUENCE)?;
    let (modulus, rest) = der_element(numbers, INTEGER)?;
    let (exponent, _) = der_element(rest, INTEGER)?;
    Some((without_sign(modulus), without_sign(exponent)))
}

/// Returns the contents of the first element, which must have this tag, and what follows it.
fn der_element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.strip_prefix(&[tag])?.split_first()?;
    let (length, rest) = match first.checked_sub(0x80) {
        None => (usize::from(*first), rest),
        // A length of more than two octets is beyond every key that is accepted.
        Some(octets @ 1..=2) => {
            let (length, rest) = rest.split_at_checked(usize::from(octets))?;
            (length.iter().fold(0, |sum, octet| sum * 256 + usize::from(*octet)), rest)
        }
        Some(_) => return None,
    };
    rest.split_at_checked(length)
}

/// Removes the zero octet that marks a number as positive.
fn without_sign(integer: &[u8]) -> &[u8] {
    integer.strip_prefix(&[0]).unwrap_or(integer)
}

fn is_for_signatures(jwk: &Jwk) -> bool {
    let by_use =
        jwk.common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
    let by_operations = jwk
        .common
        .key_operations
        .as_ref()
        .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    by_use && by_operations
}

/// Returns the algorithm of the JWK, or RS256 if it names none. A token never chooses it.
fn signature_algorithm(jwk: &Jwk) -> Option<SignatureAlgorithm> {
    match jwk.common.key_algorithm {
        None => Some(SignatureAlgorithm::Rs256),
        Some(algorithm) => SignatureAlgorithm::from_jwk(algorithm),
    }
}

/// Decodes a Base64urlUInt (RFC 7518 section 2): no padding, and no leading zero octet.
fn decode_uint(encoded: &str) -> Option<Vec<u8>> {
    base64url::decode(encoded).filter(|bytes| bytes.first().is_some_and(|first| *first != 0))
}

fn bit_length(bytes: &[u8]) -> usize {
    let leading = bytes.first().map_or(0, |first| first.leading_zeros() as usize);
    (bytes.len() * 8).saturating_sub(leading)
}

/// Whether a public exponent is odd, at least 2^16 + 1 (FIPS 186-5 section A.1.1) and not longer
/// than the crypto library accepts.
fn is_sound_exponent(bytes: &[u8]) -> bool {
    (17..=33).contains(&bit_length(bytes)) && is_odd(bytes)
}

fn is_odd(bytes: &[u8]) -> bool {
    bytes.last().is_some_and(|last| last % 2 == 1)
}

fn invalid_pem(why: &str) -> ConfigError {
    ConfigError::invalid_value(
        "JWT key",
        "CLERK_JWT_KEY",
        format!(
            "{why}; copy the PEM public key from the Clerk Dashboard, page API keys, section \
             JWKS public key"
        ),
    )
}
