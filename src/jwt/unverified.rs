//! A token's outer form: three parts, a header that may be worked with, and the signature.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::Value;

use super::claims::{Members, Policy, ValidClaims};
use super::{VerificationKey, refuse};
use crate::error::{VerifyError, VerifyErrorKind as Kind};

/// Machine tokens, JWT templates and sessions: the same key signs them, and none is an OAuth access token.
const OTHER_CATEGORIES: [&str; 3] = ["cl_B7d4PD333AAA", "cl_B7d4PD222AAA", "cl_B7d4PD111AAA"];

/// A token of which nothing is proven.
pub(crate) struct UnverifiedToken<'a> {
    algorithm: Algorithm,
    key_id: Option<String>,
    signing_input: &'a str,
    claims: &'a str,
    signature: Vec<u8>,
}

impl<'a> UnverifiedToken<'a> {
    /// Takes a token apart, and refuses what its header rules out. What the header asserts is used for two things
    /// only: to refuse, and to look the key up.
    pub(crate) fn parse(token: &'a str) -> Result<Self, VerifyError> {
        let (signing_input, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
        let (header, claims) = signing_input.split_once('.').ok_or_else(malformed)?;
        // A dot more would be a JWE, or nothing at all; the alphabet of base64url has none.
        let header = Members::parse(&decode(header)?).ok_or_else(malformed)?;
        let algorithm = check_header(&header)?;
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(id)) => Some(id.clone()),
            Some(_) => return Err(malformed()),
        };
        Ok(Self { algorithm, key_id, signing_input, claims, signature: decode(signature)? })
    }

    /// Which key the token claims to be signed with.
    pub(crate) fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// Proves that the token was signed with this key.
    pub(crate) fn verify_signature(&self, key: &VerificationKey) -> Result<SignedToken, VerifyError> {
        // The key decides on the algorithm; the token may agree or go.
        if self.algorithm != key.algorithm() {
            return Err(refuse(
                Kind::UnsupportedAlgorithm,
                "the header names an algorithm that is not the key's",
            ));
        }
        if !key.verifies(self.signing_input.as_bytes(), &self.signature) {
            return Err(refuse(Kind::InvalidSignature, "the signature does not belong to header and claims"));
        }
        Ok(SignedToken { claims: decode(self.claims)? })
    }
}

impl fmt::Debug for UnverifiedToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedToken").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// A token that the holder of the key signed. It may be expired, or somebody else's.
pub(crate) struct SignedToken {
    claims: Vec<u8>,
}

impl SignedToken {
    /// Proves that the claims hold at this time, in seconds since 1970-01-01T00:00:00Z.
    pub(crate) fn validate(self, policy: &Policy<'_>, now: u64) -> Result<ValidClaims, VerifyError> {
        let members = Members::parse(&self.claims).ok_or_else(|| {
            refuse(Kind::InvalidClaim, "the claims are not a JSON object with unique members")
        })?;
        ValidClaims::check(members, policy, now)
    }
}

impl fmt::Debug for SignedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedToken").finish_non_exhaustive()
    }
}

fn check_header(header: &Members) -> Result<Algorithm, VerifyError> {
    // RFC 7515 section 4.1.11: whoever does not understand a critical extension refuses; none is understood here.
    if header.has("crit") || header.has("b64") {
        return Err(refuse(Kind::Malformed, "the header names a critical extension"));
    }
    let text = |name: &str| header.get(name).and_then(Value::as_str);
    let algorithm = match text("alg") {
        Some("RS256") => Algorithm::RS256,
        Some("RS384") => Algorithm::RS384,
        Some("RS512") => Algorithm::RS512,
        _ => {
            return Err(refuse(Kind::UnsupportedAlgorithm, "the header names no algorithm that is accepted"));
        }
    };
    // RFC 9068 section 4: this is what keeps a session token or an ID token of the same instance out.
    let is_access_token =
        |typ: &str| typ.eq_ignore_ascii_case("at+jwt") || typ.eq_ignore_ascii_case("application/at+jwt");
    if !text("typ").is_some_and(is_access_token) {
        return Err(refuse(Kind::WrongTokenType, "the header's `typ` is not at+jwt"));
    }
    match header.get("cat") {
        None => Ok(algorithm),
        Some(Value::String(category)) if !OTHER_CATEGORIES.contains(&category.as_str()) => Ok(algorithm),
        Some(_) => Err(refuse(Kind::WrongTokenType, "the header's `cat` is that of another class of tokens")),
    }
}

/// Base64url without padding and without bits left over (RFC 7515 section 2): one spelling for each value.
fn decode(part: &str) -> Result<Vec<u8>, VerifyError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed())
}

fn malformed() -> VerifyError {
    refuse(Kind::Malformed, "the text is not a JWS of three parts with a JSON object as its header")
}
