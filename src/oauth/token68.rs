//! The syntax of tokens: `token68` (RFC 9110 section 11.2).

use crate::error::{VerifyError, VerifyErrorKind};

/// Clerk's tokens have about one kilobyte; a server takes no longer a header than this anyway.
pub(crate) const MAX_BYTES: usize = 8 * 1024;

/// Refuses what no server could have issued: other characters than those of a token, or too many of them.
pub(crate) fn check_token68(token: &str) -> Result<(), VerifyError> {
    if !is_token68(token) || token.len() > MAX_BYTES {
        return Err(VerifyError::new(VerifyErrorKind::Malformed)
            .with_detail("the text is not a token, or it is too long"));
    }
    Ok(())
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
