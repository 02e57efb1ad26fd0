//! The JOSE header of a token (RFC 7515 section 4).

use serde_json::Value;

use super::algorithm::SignatureAlgorithm;
use super::class::{HeaderType, header_type};
use super::object::JsonObject;
use super::{base64url, malformed, reject};
use crate::error::{VerifyError, VerifyErrorKind};

/// A header that a token may have.
pub(crate) struct Header {
    encoded: Box<str>,
    algorithm: SignatureAlgorithm,
    key_id: Option<String>,
    token_type: HeaderType,
}

impl Header {
    /// Parses the first part of a token.
    pub(super) fn parse(encoded: &str) -> Result<Self, VerifyError> {
        let json = base64url::decode(encoded).ok_or_else(malformed)?;
        let mut header = JsonObject::parse(&json).ok_or_else(malformed)?;
        reject_unsupported(&header)?;
        let algorithm = algorithm(&header)?;
        let token_type = header_type(&header)?;
        let key_id = match header.take("kid") {
            None => None,
            Some(Value::String(id)) => Some(id),
            Some(_) => return Err(malformed()),
        };
        Ok(Self { encoded: encoded.into(), algorithm, key_id, token_type })
    }

    /// Returns the header as it is in the token.
    pub(crate) fn encoded(&self) -> &str {
        &self.encoded
    }

    pub(super) fn token_type(&self) -> HeaderType {
        self.token_type
    }

    pub(super) fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    pub(super) fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }
}

fn reject_unsupported(header: &JsonObject<'_>) -> Result<(), VerifyError> {
    // RFC 7515 section 4.1.11: a critical extension that is not understood makes the token invalid,
    // and none is understood here. `b64` (RFC 7797) is one.
    if header.has("crit") || header.has("b64") {
        return Err(reject(VerifyErrorKind::Malformed, "the header names a critical extension"));
    }
    if is_nested_or_encrypted(header) {
        return Err(reject(
            VerifyErrorKind::Malformed,
            "the header says that the payload is another token or encrypted",
        ));
    }
    Ok(())
}

/// Whether the payload is another JWT (RFC 7519 section 5.2) or a JWE (RFC 7516 section 4.1.2), and
/// so not a claims set.
fn is_nested_or_encrypted(header: &JsonObject<'_>) -> bool {
    let content_type = string(header, "cty").unwrap_or_default();
    let suffix = content_type.rsplit(['/', '+']).next().unwrap_or_default();
    suffix.eq_ignore_ascii_case("jwt") || header.has("enc")
}

fn algorithm(header: &JsonObject<'_>) -> Result<SignatureAlgorithm, VerifyError> {
    string(header, "alg").and_then(SignatureAlgorithm::from_name).ok_or_else(|| {
        reject(
            VerifyErrorKind::UnsupportedAlgorithm,
            "the header's `alg` is not RS256, RS384 or RS512",
        )
    })
}

fn string<'a>(header: &'a JsonObject<'_>, name: &str) -> Option<&'a str> {
    header.get(name).and_then(Value::as_str)
}
