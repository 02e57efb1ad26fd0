//! The `Authorization` header of a request (RFC 9110 section 11.4, RFC 6750 section 2.1).

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::error::{VerifyError, VerifyErrorKind};
use crate::oauth::check_token68;
use crate::response::{Rejection, RejectionReason};

/// Returns the bearer token of a request (RFC 6750 section 2.1), for a handler that verifies it
/// itself. The scheme is compared without case.
///
/// # Errors
///
/// Returns [`MissingToken`](RejectionReason::MissingToken) if there is no token, or another scheme;
/// [`AmbiguousCredentials`](RejectionReason::AmbiguousCredentials) if there are two `Authorization`
/// headers; and [`InvalidToken`](RejectionReason::InvalidToken) if the token is not a `token68`
/// (RFC 9110 section 11.2) or is longer than 16 KiB.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::bearer_auth::bearer_token;
/// use clerk_mcp_tools::RejectionReason;
/// use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
///
/// let mut headers = HeaderMap::new();
/// assert_eq!(bearer_token(&headers).unwrap_err().reason(), RejectionReason::MissingToken);
/// headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer oat_abc"));
/// assert_eq!(bearer_token(&headers).ok(), Some("oat_abc"));
/// ```
pub fn bearer_token(headers: &HeaderMap) -> Result<&str, Rejection> {
    let token = presented_token(headers)?;
    check_token68(token)?;
    Ok(token)
}

/// Returns the bearer token of a request, whose syntax is still to be checked. A token that is known
/// to be valid needs no check.
pub(super) fn presented_token(headers: &HeaderMap) -> Result<&str, Rejection> {
    let missing = || Rejection::new(RejectionReason::MissingToken);
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or_else(missing)?;
    // A proxy in front may have checked the other one of two headers.
    if values.next().is_some() {
        return Err(Rejection::new(RejectionReason::AmbiguousCredentials));
    }
    let token = strip_bearer(value.as_bytes()).ok_or_else(missing)?;
    std::str::from_utf8(token).map_err(|_| VerifyError::new(VerifyErrorKind::Malformed).into())
}

/// Returns what follows the scheme, or `None` for another scheme and for an empty token.
fn strip_bearer(value: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer";
    let (scheme, rest) = value.split_at_checked(SCHEME.len())?;
    if !scheme.eq_ignore_ascii_case(SCHEME) || rest.first() != Some(&b' ') {
        return None;
    }
    let start = rest.iter().position(|b| *b != b' ')?;
    rest.get(start..)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn parses_the_header_as_the_rfcs_define_it() {
        use RejectionReason::{AmbiguousCredentials, InvalidToken, MissingToken};
        const MALFORMED: RejectionReason = InvalidToken(VerifyErrorKind::Malformed);
        type Row = (&'static [&'static [u8]], Result<&'static str, RejectionReason>);
        let rows: [Row; 19] = [
            (&[], Err(MissingToken)),
            (&[b""], Err(MissingToken)),
            (&[b"Bearer"], Err(MissingToken)),
            (&[b"Bearer "], Err(MissingToken)),
            (&[b"Bearer    "], Err(MissingToken)),
            (&[b"Basic dXNlcjpwYXNz"], Err(MissingToken)),
            (&[b"Bearers abc"], Err(MissingToken)),
            (&[b"BearerX"], Err(MissingToken)),
            (&[b"Bearer\tabc"], Err(MissingToken)),
            (&[b"Bearer abc"], Ok("abc")),
            (&[b"bEARER   abc=="], Ok("abc==")),
            (&[b"Bearer abc def"], Err(MALFORMED)),
            (&[b"Bearer abc,"], Err(MALFORMED)),
            (&[b"Bearer \tabc"], Err(MALFORMED)),
            (&[b"Bearer \"abc\""], Err(MALFORMED)),
            (&[b"Bearer a=b"], Err(MALFORMED)),
            (&[b"Bearer \xff\xfe"], Err(MALFORMED)),
            (&[b"Bearer abc", b"Bearer abc"], Err(AmbiguousCredentials)),
            (&[b"Basic abc", b"Bearer abc"], Err(AmbiguousCredentials)),
        ];
        for (values, expected) in rows {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
            }
            let token = bearer_token(&headers).map_err(|rejection| rejection.reason());
            assert_eq!(token, expected, "{values:?}");
        }
    }
}
