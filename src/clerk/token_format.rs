//! Clerk's token formats: cheap syntactic checks before any verification.

use crate::error::{VerifyError, VerifyErrorKind};
use crate::jwt::class::{OPAQUE_PREFIX, check_prefix};
use crate::oauth::MAX_TOKEN_BYTES;

/// An opaque token has about forty characters.
const MAX_OPAQUE_BYTES: usize = 512;

/// The format of an OAuth access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenFormat {
    Jwt,
    Opaque,
}

/// Returns the format of a token by its prefix, and rejects Clerk's other kinds of tokens and keys.
/// Anything else counts as a JWT, and fails to parse as one.
pub(super) fn token_format(token: &str) -> Result<TokenFormat, VerifyError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(malformed("the token is too long"));
    }
    if let Some(rest) = token.strip_prefix(OPAQUE_PREFIX) {
        let is_valid = !rest.is_empty()
            && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
        if !is_valid || token.len() > MAX_OPAQUE_BYTES {
            return Err(malformed("the token has an invalid form after oat_"));
        }
        return Ok(TokenFormat::Opaque);
    }
    check_prefix(token)?;
    Ok(TokenFormat::Jwt)
}

/// Rejects a string that cannot be a token, without decoding any part of it.
pub(super) fn precheck(token: &str) -> Result<(), VerifyError> {
    match token_format(token)? {
        TokenFormat::Jwt if token.split('.').take(4).count() != 3 => {
            Err(malformed("the token is neither a JWT nor an opaque token of Clerk's"))
        }
        TokenFormat::Jwt | TokenFormat::Opaque => Ok(()),
    }
}

fn malformed(detail: &'static str) -> VerifyError {
    VerifyError::new(VerifyErrorKind::Malformed).with_detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::VerifyErrorKind as Kind;

    #[test]
    fn prechecks_tokens() {
        let long = "a".repeat(MAX_TOKEN_BYTES);
        let rows: [(&str, Result<(), Kind>); 19] = [
            ("a.b.c", Ok(())),
            ("..", Ok(())),
            ("oat_a-Z_9", Ok(())),
            ("oat_", Err(Kind::Malformed)),
            ("oat_a.b", Err(Kind::Malformed)),
            ("oat_a/../b", Err(Kind::Malformed)),
            ("oat_a=", Err(Kind::Malformed)),
            ("OAT_a", Err(Kind::Malformed)),
            ("mt_abc", Err(Kind::WrongTokenType)),
            ("ak_abc", Err(Kind::WrongTokenType)),
            ("sk_test_abc", Err(Kind::WrongTokenType)),
            ("", Err(Kind::Malformed)),
            ("=", Err(Kind::Malformed)),
            ("abc", Err(Kind::Malformed)),
            ("a.b", Err(Kind::Malformed)),
            ("a.b.c.d", Err(Kind::Malformed)),
            ("a.b.c.d.e", Err(Kind::Malformed)),
            // The parts are checked when they are decoded.
            ("a.b=.ç d", Ok(())),
            (&long, Err(Kind::Malformed)),
        ];
        for (token, expected) in rows {
            assert_eq!(precheck(token).map_err(|error| error.kind()), expected, "{token:?}");
        }
        assert!(precheck(&format!("a.b.{long}")).is_err());
        assert!(precheck(&format!("oat_{}", "a".repeat(509))).is_err());
        let formats = ["a.b.c", "oat_a"].map(|token| token_format(token).ok());
        assert_eq!(formats, [Some(TokenFormat::Jwt), Some(TokenFormat::Opaque)]);
    }
}
