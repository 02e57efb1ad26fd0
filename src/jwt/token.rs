//! The three parts of a token (RFC 7515 section 7.1) and the proof that it was signed.

use std::sync::Arc;
use std::time::Duration;

use super::claims::{self, ClaimRequirements, ValidClaims};
use super::class::{AcceptedTypes, HeaderType, jwt_type};
use super::header::Header;
use super::machine_claims::MachineClaims;
use super::object::JsonObject;
use super::session_claims::SessionClaims;
use super::{VerificationKey, base64url, malformed, reject};
use crate::error::{VerifyError, VerifyErrorKind};
use crate::oauth::TokenType;

/// A token that was parsed, and of which nothing is proven.
pub(crate) struct UnverifiedToken<'a> {
    header: Arc<Header>,
    signing_input: &'a str,
    /// The decoded payload. Before the signature has been verified, no claim but `iat` is read, and
    /// of a token that is not an OAuth access token those that tell its type.
    claims: Vec<u8>,
    signature: Vec<u8>,
    token_type: TokenType,
}

impl<'a> UnverifiedToken<'a> {
    /// Parses a token, and rejects a header that no token has and a token of a type that is not
    /// accepted.
    ///
    /// The header is used for three things only: to reject the token, to tell its type, and to look
    /// up the key. A `known` header is used in place of a parse where the token has that very
    /// header.
    pub(crate) fn parse(
        token: &'a str,
        known: Option<&Arc<Header>>,
        accepted: AcceptedTypes,
    ) -> Result<Self, VerifyError> {
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
        let token_type = token_type(header.token_type(), &claims)?;
        accepted.check(token_type)?;
        Ok(Self { header, signing_input, claims, signature, token_type })
    }

    /// Returns the type of the token. Its rules are checked with its claims.
    pub(crate) fn token_type(&self) -> TokenType {
        self.token_type
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

/// Returns the type of a token of which nothing is proven. The header tells that of OAuth access
/// tokens, whose claims are not parsed here.
fn token_type(header: HeaderType, claims: &[u8]) -> Result<TokenType, VerifyError> {
    if header == HeaderType::OAuth {
        return Ok(TokenType::OAuthToken);
    }
    jwt_type(header, &parse_claims(claims)?)
}

fn parse_claims(claims: &[u8]) -> Result<JsonObject<'_>, VerifyError> {
    JsonObject::parse(claims).ok_or_else(|| {
        reject(
            VerifyErrorKind::InvalidClaim,
            "the claims are not a JSON object with unique member names",
        )
    })
}

/// A token that the holder of the key signed. It may be expired, or from another issuer.
pub(crate) struct SignedToken<'a> {
    claims: &'a [u8],
}

impl SignedToken<'_> {
    /// Proves that the claims of an OAuth access token hold at `now`, in seconds since 1970-01-01T00:00:00Z.
    pub(crate) fn validate(
        self,
        requirements: &ClaimRequirements<'_>,
        now: u64,
    ) -> Result<ValidClaims, VerifyError> {
        ValidClaims::check(parse_claims(self.claims)?, requirements, now)
    }

    /// Proves that the claims of a machine token hold, and that it is for this machine.
    pub(crate) fn validate_machine(
        self,
        requirements: &ClaimRequirements<'_>,
        machine_id: Option<&str>,
        now: u64,
    ) -> Result<MachineClaims, VerifyError> {
        MachineClaims::check(parse_claims(self.claims)?, requirements, machine_id, now)
    }

    /// Proves that the claims of a session token hold, and that its party is authorized.
    pub(crate) fn validate_session(
        self,
        requirements: &ClaimRequirements<'_>,
        is_authorized: impl FnOnce(&str) -> bool,
        now: u64,
    ) -> Result<SessionClaims, VerifyError> {
        SessionClaims::check(parse_claims(self.claims)?, requirements, is_authorized, now)
    }
}
