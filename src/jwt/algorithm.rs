//! The signature algorithms that a token may be signed with (RFC 7518 section 3.3).

use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RsaParameters,
};
use jsonwebtoken::jwk::KeyAlgorithm;

/// RSASSA-PKCS1-v1_5 with a hash function of the SHA-2 family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignatureAlgorithm {
    Rs256,
    Rs384,
    Rs512,
}

impl SignatureAlgorithm {
    /// Parses the `alg` of a token's header. Returns `None` for an algorithm that is not accepted.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "RS384" => Some(Self::Rs384),
            "RS512" => Some(Self::Rs512),
            _ => None,
        }
    }

    /// Converts the `alg` of a JWK. Returns `None` for an algorithm that is not accepted.
    pub(super) fn from_jwk(algorithm: KeyAlgorithm) -> Option<Self> {
        match algorithm {
            KeyAlgorithm::RS256 => Some(Self::Rs256),
            KeyAlgorithm::RS384 => Some(Self::Rs384),
            KeyAlgorithm::RS512 => Some(Self::Rs512),
            _ => None,
        }
    }

    pub(super) fn rsa_parameters(self) -> &'static RsaParameters {
        match self {
            Self::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            Self::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
            Self::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
        }
    }
}
