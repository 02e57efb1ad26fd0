//! A token's outer form: three parts, a header that may be worked with, and the signature.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::claims::{Policy, ValidClaims};
use super::header::{Header, HeaderCache};
use super::{JsonObject, VerificationKey, refuse};
use crate::error::{VerifyError, VerifyErrorKind as Kind};

/// A token of which nothing is proven.
pub(crate) struct UnverifiedToken<'a> {
    header: Arc<Header>,
    signing_input: &'a str,
    /// Not even read as JSON.
    claims: Vec<u8>,
    signature: Vec<u8>,
}

impl<'a> UnverifiedToken<'a> {
    /// Takes a token apart, and refuses what its header rules out. What the header asserts is used for two things
    /// only: to refuse, and to look the key up.
    pub(crate) fn parse(token: &'a str, usual: &HeaderCache) -> Result<Self, VerifyError> {
        let (signing_input, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
        let (header, claims) = signing_input.split_once('.').ok_or_else(malformed)?;
        let header = match usual.get(header) {
            Some(header) => header,
            None => Arc::new(Header::parse(header)?),
        };
        // A dot more would be a JWE, or nothing at all; the alphabet of base64url has none. What is misspelled is refused
        // here, and not after a key was asked for.
        let (claims, signature) = (decode(claims)?, decode(signature)?);
        Ok(Self { header, signing_input, claims, signature })
    }

    /// Which key the token claims to be signed with.
    pub(crate) fn key_id(&self) -> Option<&str> {
        self.header.key_id()
    }

    pub(crate) fn header(&self) -> &Arc<Header> {
        &self.header
    }

    /// Proves that the token was signed with this key.
    pub(crate) fn verify_signature(
        &self,
        key: &VerificationKey,
    ) -> Result<SignedToken<'_>, VerifyError> {
        // The key decides on the algorithm; the token may agree or go.
        if self.header.algorithm() != key.algorithm() {
            return Err(refuse(
                Kind::UnsupportedAlgorithm,
                "the header names an algorithm that is not the key's",
            ));
        }
        if !key.verifies(self.signing_input.as_bytes(), &self.signature) {
            return Err(refuse(
                Kind::InvalidSignature,
                "the signature does not belong to header and claims",
            ));
        }
        Ok(SignedToken { claims: &self.claims })
    }
}

impl fmt::Debug for UnverifiedToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedToken").field("header", &self.header).finish_non_exhaustive()
    }
}

/// A token that the holder of the key signed. It may be expired, or somebody else's.
pub(crate) struct SignedToken<'a> {
    claims: &'a [u8],
}

impl SignedToken<'_> {
    /// Proves that the claims hold at this time, in seconds since 1970-01-01T00:00:00Z.
    pub(crate) fn validate(
        self,
        policy: &Policy<'_>,
        now: u64,
    ) -> Result<ValidClaims, VerifyError> {
        let members = JsonObject::parse(self.claims).ok_or_else(|| {
            refuse(Kind::InvalidClaim, "the claims are not a JSON object with unique members")
        })?;
        ValidClaims::check(members, policy, now)
    }
}

impl fmt::Debug for SignedToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedToken").finish_non_exhaustive()
    }
}

/// Base64url without padding and without bits left over (RFC 7515 section 2): one spelling for each value.
pub(super) fn decode(part: &str) -> Result<Vec<u8>, VerifyError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed())
}

pub(super) fn malformed() -> VerifyError {
    refuse(Kind::Malformed, "the text is not a JWS of three parts with a JSON object as its header")
}
