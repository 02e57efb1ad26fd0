//! The three parts of a token (RFC 7515 section 7.1) and the proof that it was signed.

use std::sync::Arc;
use std::time::Duration;

use super::claims::{self, ClaimRequirements, ValidClaims};
use super::header::Header;
use super::object::JsonObject;
use super::{VerificationKey, base64url, malformed, reject};
use crate::error::{VerifyError, VerifyErrorKind};

/// A token that was parsed, and of which nothing is proven.
pub(crate) struct UnverifiedToken<'a> {
    header: Arc<Header>,
    signing_input: &'a str,
    /// The decoded payload. No claim but `iat` is read before the signature has been verified.
    claims: Vec<u8>,
    signature: Vec<u8>,
}

impl<'a> UnverifiedToken<'a> {
    /// Parses a token and rejects a header that no access token has.
    ///
    /// The header is used for two things only: to reject the token, and to look up the key. A
    /// `known` header is used in place of a parse where the token has that very header.
    pub(crate) fn parse(token: &'a str, known: Option<&Arc<Header>>) -> Result<Self, VerifyError> {
        let (signing_input, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
        let (header, claims) = signing_input.split_once('.').ok_or_else(malformed)?;
        let header = match known.filter(|known| known.encoded() == header) {
            Some(known) => Arc::clone(known),
            None => Arc::new(Header::parse(header)?),
        };
        // A token of more than three parts fails here: base64url has no dot. So does a malformed
        // signature, before a key is fetched for it.
        let claims = base64url::decode(claims).ok_or_else(malformed)?;
        let signature = base64url::decode(signature).ok_or_else(malformed)?;
        Ok(Self { header, signing_input, claims, signature })
    }

    /// Returns the id of the key that the token claims to be signed with.
    pub(crate) fn key_id(&self) -> Option<&str> {
        self.header.key_id()
    }

    pub(crate) fn header(&self) -> &Arc<Header> {
        &self.header
    }

    /// Returns whether the token may be a valid one that was issued at `time` or later, since
    /// 1970-01-01T00:00:00Z, going by an `iat` that is not proven. A token without one may be; a
    /// token with malformed claims is not valid, whatever its signature.
    pub(crate) fn may_be_issued_since(&self, time: Duration) -> bool {
        let issue_time = JsonObject::parse(&self.claims).map(|claims| claims::issue_time(&claims));
        matches!(issue_time, Some(Ok(issued_at)) if issued_at.is_none_or(|at| at >= time))
    }

    /// Proves that the token was signed with this key.
    pub(crate) fn verify_signature(
        &self,
        key: &VerificationKey,
    ) -> Result<SignedToken<'_>, VerifyError> {
        // The key determines the algorithm; a token that names another one is rejected (RFC 8725
        // section 3.1).
        if self.header.algorithm() != key.algorithm() {
            return Err(reject(
                VerifyErrorKind::UnsupportedAlgorithm,
                "the header's `alg` is not that of the key",
            ));
        }
        if !key.verifies(self.signing_input.as_bytes(), &self.signature) {
            return Err(reject(
                VerifyErrorKind::InvalidSignature,
                "the signature does not match the header and the claims",
            ));
        }
        Ok(SignedToken { claims: &self.claims })
    }
}

/// A token that the holder of the key signed. It may be expired, or from another issuer.
pub(crate) struct SignedToken<'a> {
    claims: &'a [u8],
}

impl SignedToken<'_> {
    /// Proves that the claims hold at `now`, in seconds since 1970-01-01T00:00:00Z.
    pub(crate) fn validate(
        self,
        requirements: &ClaimRequirements<'_>,
        now: u64,
    ) -> Result<ValidClaims, VerifyError> {
        let claims = JsonObject::parse(self.claims).ok_or_else(|| {
            reject(
                VerifyErrorKind::InvalidClaim,
                "the claims are not a JSON object with unique member names",
            )
        })?;
        ValidClaims::check(claims, requirements, now)
    }
}
