//! The keys behind the corpus: made once for the whole test binary, since an RSA key takes its time.

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

/// The instance's key as it is published four times: for RS256, RS384, RS512, and without an algorithm.
pub(super) const KEY_ID: &str = "ins_corpus";
pub(super) const KEY_ID_384: &str = "ins_rs384";
pub(super) const KEY_ID_512: &str = "ins_rs512";
pub(super) const KEY_ID_NO_ALG: &str = "ins_no_alg";

static OURS: LazyLock<Rsa> = LazyLock::new(Rsa::generate);
static FOREIGN: LazyLock<Rsa> = LazyLock::new(Rsa::generate);

/// The key of the instance.
pub(super) fn ours() -> &'static Rsa {
    &OURS
}

/// The key of an attacker.
pub(super) fn foreign() -> &'static Rsa {
    &FOREIGN
}

/// The same, for a header that offers it.
pub(super) fn foreign_jwk() -> Value {
    foreign().jwk("ins_attacker", Some("RS256"))
}

/// An RSA key of 2048 bits in every form that a verifier may hold its public part in.
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
        // RFC 8017 appendix A.1.1: at this size the modulus stands behind nine bytes and ahead of the exponent 65537.
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

/// An ES256 signature by a key that nobody published.
pub(super) fn es256(message: &[u8]) -> Vec<u8> {
    EC.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
}

pub(super) fn ec_jwk() -> Value {
    let (x, y) = EC.public_key().as_ref()[1..].split_at(32);
    json!({"kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)})
}

static EC: LazyLock<EcdsaKeyPair> =
    LazyLock::new(|| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap());

/// An EdDSA signature by a key that anybody can make.
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
