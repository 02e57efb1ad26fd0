//! The syntax of the `Authorization` header.

use clerk_mcp_tools::bearer_auth::bearer_token;
use clerk_mcp_tools::{RejectionReason, VerifyErrorKind};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

use super::config;

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_header_is_parsed_by_the_grammar(bytes in any_header()) {
        let Ok(value) = HeaderValue::from_bytes(&bytes) else {
            return Ok(());
        };
        let mut headers = HeaderMap::new();
        headers.append(AUTHORIZATION, value.clone());
        let read = bearer_token(&headers).map_err(|rejection| rejection.reason());
        prop_assert_eq!(read.map(str::as_bytes), expected(&bytes));

        headers.append(AUTHORIZATION, value);
        let two = bearer_token(&headers).map_err(|rejection| rejection.reason());
        prop_assert_eq!(two, Err(RejectionReason::AmbiguousCredentials));
    }
}

/// Bytes that are mostly similar to valid credentials.
fn any_header() -> impl Strategy<Value = Vec<u8>> {
    let similar = "(?i-u)(bearer|bear|bearers|basic)[ \t]{0,3}[a-z0-9._~+/=-]{0,12}( ?[ -~]{0,3})";
    prop_oneof![
        3 => similar.prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..24),
    ]
}

/// RFC 6750 section 2.1 with the `1*SP` of RFC 9110 section 11.4, and token68 of section 11.2.
fn expected(bytes: &[u8]) -> Result<&[u8], RejectionReason> {
    let spaces = bytes.get(6..).map_or(0, |rest| rest.iter().take_while(|b| **b == b' ').count());
    let is_bearer = bytes.len() >= 6 && bytes[..6].eq_ignore_ascii_case(b"bearer");
    if !is_bearer || spaces == 0 || bytes.len() == 6 + spaces {
        return Err(RejectionReason::MissingToken);
    }
    let token = &bytes[6 + spaces..];
    let word =
        token.iter().take_while(|b| b.is_ascii_alphanumeric() || b"-._~+/".contains(b)).count();
    if word == 0 || token[word..].iter().any(|b| *b != b'=') {
        return Err(RejectionReason::InvalidToken(VerifyErrorKind::Malformed));
    }
    Ok(token)
}
