//! What can be told of a token by its outside, without a call and before any work.

use crate::error::{VerifyError, VerifyErrorKind as Kind};
use crate::oauth::MAX_TOKEN_BYTES;

/// An opaque token has some forty characters.
const MAX_OPAQUE_BYTES: usize = 512;

/// Clerk's two formats of OAuth access tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenFormat {
    Jwt,
    Opaque,
}

/// Tells the formats apart by their beginning, and refuses every other kind of token. What is no kind at all counts as
/// a JWT, whose parts will not be there.
pub(crate) fn token_format(token: &str) -> Result<TokenFormat, VerifyError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(refuse(Kind::Malformed, "the text is too long for a token"));
    }
    if let Some(rest) = token.strip_prefix("oat_") {
        let is_word = !rest.is_empty()
            && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
        if !is_word || token.len() > MAX_OPAQUE_BYTES {
            return Err(refuse(Kind::Malformed, "the text after oat_ is not that of a token"));
        }
        return Ok(TokenFormat::Opaque);
    }
    if ["mt_", "ak_", "sk_", "pk_"].iter().any(|prefix| token.starts_with(prefix)) {
        return Err(refuse(
            Kind::WrongTokenType,
            "the text is a machine token, an API key or a key of Clerk's",
        ));
    }
    Ok(TokenFormat::Jwt)
}

/// Refuses what cannot be a token, whatever its parts say.
pub(crate) fn precheck(token: &str) -> Result<(), VerifyError> {
    match token_format(token)? {
        TokenFormat::Jwt if token.split('.').take(4).count() != 3 => {
            Err(refuse(Kind::Malformed, "the text is neither a JWT nor an opaque token of Clerk's"))
        }
        TokenFormat::Jwt | TokenFormat::Opaque => Ok(()),
    }
}

fn refuse(kind: Kind, detail: &'static str) -> VerifyError {
    VerifyError::new(kind).with_detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_at_a_glance_what_can_be_no_token() {
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
            // The parts are looked at when they are decoded.
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
