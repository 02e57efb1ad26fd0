//! Clerk's token formats: cheap syntactic checks before any verification.

use crate::error::{VerifyError, VerifyErrorKind};
use crate::jwt::AcceptedTypes;
use crate::jwt::class::opaque_type;
use crate::oauth::{MAX_TOKEN_BYTES, TokenType, check_token68};

/// An opaque token has about forty characters.
const MAX_OPAQUE_BYTES: usize = 512;

/// The format of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenFormat {
    Jwt,
    Opaque(TokenType),
}

/// Returns the format of a token by its prefix, and rejects keys and opaque tokens of a type that is
/// not accepted. Anything else counts as a JWT, and fails to parse as one.
pub(super) fn token_format(
    token: &str,
    accepted: AcceptedTypes,
) -> Result<TokenFormat, VerifyError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(malformed("the token is too long"));
    }
    let Some((token_type, rest)) = opaque_type(token)? else {
        return Ok(TokenFormat::Jwt);
    };
    accepted.check(token_type)?;
    let is_valid = !rest.is_empty() && rest.bytes().all(|b| is_opaque_char(b, token_type));
    if !is_valid || token.len() > MAX_OPAQUE_BYTES {
        return Err(malformed(match token_type {
            TokenType::ApiKey => "the API key has an invalid form after ak_",
            TokenType::M2mToken => "the machine token has an invalid form after mt_",
            TokenType::OAuthToken | TokenType::SessionToken => {
                "the token has an invalid form after oat_"
            }
        }));
    }
    Ok(TokenFormat::Opaque(token_type))
}

/// Rejects a string that cannot be a token, without decoding any part of it.
pub(super) fn precheck(token: &str, accepted: AcceptedTypes) -> Result<(), VerifyError> {
    check_token68(token)?;
    match token_format(token, accepted)? {
        TokenFormat::Jwt if token.split('.').take(4).count() != 3 => {
            Err(malformed("the token is neither a JWT nor an opaque token of Clerk's"))
        }
        TokenFormat::Jwt | TokenFormat::Opaque(_) => Ok(()),
    }
}

/// The secrets of API keys may be base64 with its own alphabet, as those in the tests of Clerk's SDK.
fn is_opaque_char(b: u8, token_type: TokenType) -> bool {
    let is_base64 = token_type == TokenType::ApiKey && b"+/=".contains(&b);
    is_base64 || b.is_ascii_alphanumeric() || b"_-".contains(&b)
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
        let rows: [(&str, Result<(), Kind>); 20] = [
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
            // The parts are checked when they are decoded, but no token has these characters.
            ("a.b=.c", Err(Kind::Malformed)),
            ("a.b.ç d", Err(Kind::Malformed)),
            (&long, Err(Kind::Malformed)),
        ];
        let accepted = AcceptedTypes::OAUTH_ONLY;
        for (token, expected) in rows {
            let kind = precheck(token, accepted).map_err(|error| error.kind());
            assert_eq!(kind, expected, "{token:?}");
        }
        assert!(precheck(&format!("a.b.{long}"), accepted).is_err());
        assert!(precheck(&format!("oat_{}", "a".repeat(509)), accepted).is_err());
        let formats = ["a.b.c", "oat_a"].map(|token| token_format(token, accepted).ok());
        assert_eq!(
            formats,
            [Some(TokenFormat::Jwt), Some(TokenFormat::Opaque(TokenType::OAuthToken))]
        );
    }

    #[test]
    fn a_type_that_is_accepted_has_a_form_too() {
        let accepted = AcceptedTypes {
            oauth_tokens: false,
            api_keys: true,
            machine_tokens: true,
            session_tokens: false,
        };
        let rows = [
            ("ak_abc".to_owned(), Ok(TokenFormat::Opaque(TokenType::ApiKey))),
            ("ak_a+b/c9=".to_owned(), Ok(TokenFormat::Opaque(TokenType::ApiKey))),
            ("mt_a/b=".to_owned(), Err(Kind::Malformed)),
            ("mt_abc".to_owned(), Ok(TokenFormat::Opaque(TokenType::M2mToken))),
            ("ak_".to_owned(), Err(Kind::Malformed)),
            ("ak_a.b".to_owned(), Err(Kind::Malformed)),
            (format!("ak_{}", "a".repeat(10_000)), Err(Kind::Malformed)),
            ("mt_a.b.c".to_owned(), Err(Kind::Malformed)),
            ("AK_abc".to_owned(), Ok(TokenFormat::Jwt)),
            ("oat_abc".to_owned(), Err(Kind::WrongTokenType)),
        ];
        for (token, expected) in rows {
            let format = token_format(&token, accepted).map_err(|error| error.kind());
            assert_eq!(format, expected, "{token:.20}");
        }
    }
}
