//! The keys of the corpus, generated once per test binary because RSA keys are slow to generate.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// The instance publishes one key four times: for RS256, RS384, RS512, and without `alg`.
pub(super) const KEY_ID: &str = "ins_corpus";
pub(super) const KEY_ID_384: &str = "ins_rs384";
pub(super) const KEY_ID_512: &str = "ins_rs512";
pub(super) const KEY_ID_NO_ALG: &str = "ins_no_alg";

static INSTANCE_KEY: LazyLock<Rsa> = LazyLock::new(Rsa::generate);
static ATTACKER_KEY: LazyLock<Rsa> = LazyLock::new(Rsa::generate);

/// The key of the instance.
pub(super) fn instance_key() -> &'static Rsa {
    &INSTANCE_KEY
}

/// The key of an attacker.
pub(super) fn attacker_key() -> &'static Rsa {
    &ATTACKER_KEY
}

/// The attacker's public key, for a header that offers it.
pub(super) fn attacker_jwk() -> Value {
    attacker_key().jwk("ins_attacker", Some("RS256"))
}

/// An RSA key of 2048 bits, with its public key in each encoding that a verifier may store.
pub(super) struct Rsa {
    pair: RsaKeyPair,
    pub(super) spki: Vec<u8>,
    pub(super) pkcs1: Vec<u8>,
    pub(super) modulus: Vec<u8>,
}

impl Rsa {
    fn generate() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let (spki, pkcs1) = (spki.as_ref().to_vec(), pair.public_key().as_ref().to_vec());
        // RFC 8017 appendix A.1.1: at this size the modulus follows nine bytes of DER and precedes
        // the exponent 65537.
        let (modulus, exponent) = pkcs1[9..].split_at(256);
        assert_eq!(exponent, [2, 3, 1, 0, 1]);
        Self { modulus: modulus.to_vec(), pair, spki, pkcs1 }
    }

    pub(super) fn pem(&self) -> String {
        let body = STANDARD.encode(&self.spki);
        let lines: Vec<&str> =
            body.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    pub(super) fn jwk(&self, key_id: &str, algorithm: Option<&str>) -> Value {
        let n = URL_SAFE_NO_PAD.encode(&self.modulus);
        let mut jwk = json!({"use": "sig", "kty": "RSA", "kid": key_id, "n": n, "e": "AQAB"});
        if let Some(algorithm) = algorithm {
            jwk["alg"] = json!(algorithm);
        }
        jwk
    }

    pub(super) fn rs256(&self, message: &[u8]) -> Vec<u8> {
        self.sign(&RSA_PKCS1_SHA256, message)
    }

    pub(super) fn rs384(&self, message: &[u8]) -> Vec<u8> {
        self.sign(&RSA_PKCS1_SHA384, message)
    }

    pub(super) fn rs512(&self, message: &[u8]) -> Vec<u8> {
        self.sign(&RSA_PKCS1_SHA512, message)
    }

    pub(super) fn ps256(&self, message: &[u8]) -> Vec<u8> {
        self.sign(&RSA_PSS_SHA256, message)
    }

    fn sign(&self, scheme: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(scheme, &SystemRandom::new(), message, &mut signature).unwrap();
        signature
    }
}

/// An ES256 signature with an unpublished key.
pub(super) fn es256(message: &[u8]) -> Vec<u8> {
    EC.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
}

pub(super) fn ec_jwk() -> Value {
    let (x, y) = EC.public_key().as_ref()[1..].split_at(32);
    json!({"kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)})
}

static EC: LazyLock<EcdsaKeyPair> =
    LazyLock::new(|| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap());

/// An EdDSA signature with a key from a fixed seed.
pub(super) fn eddsa(message: &[u8]) -> Vec<u8> {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap().sign(message).as_ref().to_vec()
}

pub(super) fn hs256(key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref().to_vec()
}

pub(super) fn hs384(key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA384, key), message).as_ref().to_vec()
}

pub(super) fn hs512(key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA512, key), message).as_ref().to_vec()
}

pub(super) fn sha256(message: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, message).as_ref().to_vec()
}
