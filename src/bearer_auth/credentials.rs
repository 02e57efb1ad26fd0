//! The `Authorization` header of a request (RFC 9110 section 11.4, RFC 6750 section 2.1).

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::error::{VerifyError, VerifyErrorKind};
use crate::rejection::{Rejection, RejectionReason};
use crate::token::check_form;

/// The bearer token of a request; `None` where it has none.
pub(super) fn bearer_token(headers: &HeaderMap) -> Result<Option<&str>, Rejection> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    // Which of the two would a proxy in front have looked at?
    if values.next().is_some() {
        return Err(Rejection::new(RejectionReason::AmbiguousCredentials));
    }
    let Some(token) = after_bearer(value.as_bytes()) else {
        return Ok(None);
    };
    let token = std::str::from_utf8(token).map_err(|_| VerifyError::new(VerifyErrorKind::Malformed))?;
    check_form(token)?;
    Ok(Some(token))
}

/// What follows the scheme; `None` for another scheme, and where nothing follows.
fn after_bearer(value: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer";
    let (scheme, rest) = value.split_at_checked(SCHEME.len())?;
    if !scheme.eq_ignore_ascii_case(SCHEME) || rest.first() != Some(&b' ') {
        return None;
    }
    let token = rest.trim_ascii_start();
    (!token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn reads_the_header_as_the_rfcs_have_it() {
        use RejectionReason::{AmbiguousCredentials, InvalidToken};
        const MALFORMED: RejectionReason = InvalidToken(VerifyErrorKind::Malformed);
        type Row = (&'static [&'static [u8]], Result<Option<&'static str>, RejectionReason>);
        let rows: [Row; 18] = [
            (&[], Ok(None)),
            (&[b""], Ok(None)),
            (&[b"Bearer"], Ok(None)),
            (&[b"Bearer "], Ok(None)),
            (&[b"Bearer    "], Ok(None)),
            (&[b"Basic dXNlcjpwYXNz"], Ok(None)),
            (&[b"Bearers abc"], Ok(None)),
            (&[b"BearerX"], Ok(None)),
            (&[b"Bearer\tabc"], Ok(None)),
            (&[b"Bearer abc"], Ok(Some("abc"))),
            (&[b"bEARER   abc=="], Ok(Some("abc=="))),
            (&[b"Bearer abc def"], Err(MALFORMED)),
            (&[b"Bearer abc,"], Err(MALFORMED)),
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
            let answer = bearer_token(&headers).map_err(|rejection| rejection.reason());
            assert_eq!(answer, expected, "{values:?}");
        }
    }
}
