//! The syntax of access tokens: `token68` (RFC 9110 section 11.2, `b64token` in RFC 6750).

use crate::error::{VerifyError, VerifyErrorKind};

/// The longest token that is accepted. Clerk's tokens have about one kilobyte, and few servers and
/// proxies accept a header that is longer than this.
pub(crate) const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Returns an error if the token has a character outside token68 or is too long.
pub(crate) fn check_token68(token: &str) -> Result<(), VerifyError> {
    if !is_token68(token) || token.len() > MAX_TOKEN_BYTES {
        return Err(VerifyError::new(VerifyErrorKind::Malformed)
            .with_detail("the credentials are not a token68, or are too long"));
    }
    Ok(())
}

/// RFC 9110 section 11.2: letters, digits and `-._~+/`, then any number of `=`.
fn is_token68(text: &str) -> bool {
    let body = text.trim_end_matches('=').as_bytes();
    // No early exit and no table, so that the compiler can vectorize the loop.
    !body.is_empty() && body.iter().fold(true, |valid, b| valid & is_token68_char(*b))
}

fn is_token68_char(b: u8) -> bool {
    b.is_ascii_lowercase()
        | b.is_ascii_uppercase()
        // `-`, `.`, `/` and the digits are adjacent in ASCII.
        | (b'-'..=b'9').contains(&b)
        | (b == b'_')
        | (b == b'~')
        | (b == b'+')
}
