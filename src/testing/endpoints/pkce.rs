//! Proof Key for Code Exchange (RFC 7636), method S256.

use aws_lc_rs::digest::{self, SHA256_OUTPUT_LEN};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Returns the S256 code challenge of a verifier (RFC 7636 section 4.2).
pub(crate) fn code_challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()))
}

/// Returns whether this can be a code challenge: a SHA-256 digest in base64url without padding,
/// which is 43 characters.
pub(super) fn is_code_challenge(challenge: &str) -> bool {
    URL_SAFE_NO_PAD.decode(challenge).is_ok_and(|digest| digest.len() == SHA256_OUTPUT_LEN)
}

/// Returns whether this can be a code verifier: 43 to 128 unreserved characters (RFC 7636 section
/// 4.1).
pub(super) fn is_code_verifier(verifier: &str) -> bool {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    (43..=128).contains(&verifier.len()) && verifier.bytes().all(is_unreserved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_and_verifiers_have_a_form() {
        // RFC 7636 appendix B.
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(code_challenge(verifier), challenge);
        for (challenge, expected) in [
            (challenge.to_owned(), true),
            (challenge.replace('-', "_"), true),
            (challenge.replace('-', "+"), false),
            (challenge.replace('-', "~"), false),
            (format!("{challenge}="), false),
            (format!("{challenge}A"), false),
            (challenge.replace("cM", "c"), false),
            // The last character encodes four bits.
            (challenge.replace("cM", "cN"), false),
            (String::new(), false),
        ] {
            assert_eq!(is_code_challenge(&challenge), expected, "{challenge}");
        }
        for (verifier, expected) in [
            ("a".repeat(42), false),
            ("a".repeat(43), true),
            ("a".repeat(128), true),
            ("a".repeat(129), false),
            ("aZ09-._~".repeat(6), true),
            (format!("{} ", "a".repeat(43)), false),
            (format!("{}+", "a".repeat(43)), false),
            (format!("{}ü", "a".repeat(43)), false),
        ] {
            assert_eq!(is_code_verifier(&verifier), expected, "{verifier}");
        }
    }
}
