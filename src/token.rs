//! What can be told of a token by its outside, without a call and before any work.

use crate::error::{VerifyError, VerifyErrorKind as Kind};

/// Clerk's tokens have about one kilobyte; a server takes no longer a header than this anyway.
const MOST_BYTES: usize = 8 * 1024;
/// An opaque token has some forty characters.
const MOST_OPAQUE_BYTES: usize = 512;

/// Clerk's two formats of OAuth access tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenFormat {
    Jwt,
    Opaque,
}

/// Refuses what no server could have issued: other characters than those of a token, or too many of them.
pub(crate) fn check_form(token: &str) -> Result<(), VerifyError> {
    if !is_token68(token) || token.len() > MOST_BYTES {
        return Err(refuse(Kind::Malformed, "the text is not a token, or it is too long"));
    }
    Ok(())
}

/// Tells the formats apart, and refuses every other kind of token.
pub(crate) fn token_format(token: &str) -> Result<TokenFormat, VerifyError> {
    check_form(token)?;
    if let Some(rest) = token.strip_prefix("oat_") {
        let is_word =
            !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
        if !is_word || token.len() > MOST_OPAQUE_BYTES {
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
    if token.bytes().filter(|b| *b == b'.').count() == 2 {
        return Ok(TokenFormat::Jwt);
    }
    Err(refuse(Kind::Malformed, "the text is neither a JWT nor an opaque token of Clerk's"))
}

/// RFC 9110 section 11.2: letters, digits and `-._~+/`, then any number of `=`.
fn is_token68(text: &str) -> bool {
    let body = text.trim_end_matches('=').as_bytes();
    // No early exit and no table: this way the compiler looks at many bytes at a time.
    !body.is_empty() && body.iter().fold(true, |fits, b| fits & is_token68_char(*b))
}

fn is_token68_char(b: u8) -> bool {
    b.is_ascii_lowercase()
        | b.is_ascii_uppercase()
        // `-`, `.`, `/` and the digits stand in one row.
        | (b'-'..=b'9').contains(&b)
        | (b == b'_')
        | (b == b'~')
        | (b == b'+')
}

fn refuse(kind: Kind, detail: &'static str) -> VerifyError {
    VerifyError::new(kind).with_detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_formats_apart() {
        let long = "a".repeat(MOST_BYTES);
        let rows: [(&str, Result<TokenFormat, Kind>); 22] = [
            ("a.b.c", Ok(TokenFormat::Jwt)),
            ("..", Ok(TokenFormat::Jwt)),
            ("oat_a-Z_9", Ok(TokenFormat::Opaque)),
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
            ("a.b.c d", Err(Kind::Malformed)),
            ("a.b.c\n", Err(Kind::Malformed)),
            ("a.b=.c", Err(Kind::Malformed)),
            ("a.b.ç", Err(Kind::Malformed)),
            (&long, Err(Kind::Malformed)),
        ];
        for (token, expected) in rows {
            assert_eq!(token_format(token).map_err(|error| error.kind()), expected, "{token:?}");
        }
        assert!(token_format(&format!("a.b.{long}")).is_err());
        assert!(token_format(&format!("oat_{}", "a".repeat(509))).is_err());
    }
}
