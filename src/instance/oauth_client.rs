//! The OAuth application that stands for this server in token exchange.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::{ConfigError, check_quotes_and_white_space};
use crate::oauth::REDACTED;

/// Longer than any secret.
const MAX_BYTES: usize = 512;

/// The secret of a confidential OAuth application (RFC 6749 section 2.3.1). `Debug` does not show
/// it.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::instance::OAuthClientSecret;
///
/// let secret = OAuthClientSecret::parse("0123456789abcdef")?;
/// assert_eq!(format!("{secret:?}"), "OAuthClientSecret([redacted])");
/// // Copied with the line end.
/// assert!(OAuthClientSecret::parse("0123456789abcdef\n").is_err());
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct OAuthClientSecret(Arc<str>);

impl OAuthClientSecret {
    /// Parses the secret of an OAuth application.
    ///
    /// # Errors
    ///
    /// Returns an error if the string cannot be such a secret. The error does not contain it.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        check_quotes_and_white_space(text).map_err(invalid)?;
        if text.is_empty() {
            return Err(invalid("is empty"));
        }
        if text.starts_with("sk_") {
            return Err(invalid(
                "is the secret key of the instance, which belongs into CLERK_SECRET_KEY",
            ));
        }
        if text.len() > MAX_BYTES {
            return Err(invalid("is longer than any secret"));
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(invalid("contains a character that no secret has"));
        }
        Ok(Self(text.into()))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for OAuthClientSecret {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Debug for OAuthClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OAuthClientSecret({REDACTED})")
    }
}

/// Checks the id of an OAuth application.
pub(crate) fn check_client_id(id: &str) -> Result<(), ConfigError> {
    let problem = match check_quotes_and_white_space(id) {
        Err(problem) => problem,
        Ok(()) if id.is_empty() => "is empty",
        Ok(()) if id.len() > MAX_BYTES || !id.bytes().all(|b| b.is_ascii_graphic()) => {
            "is not the id of an OAuth application"
        }
        Ok(()) => return Ok(()),
    };
    Err(ConfigError::invalid_value(
        "client id",
        "CLERK_OAUTH_CLIENT_ID",
        format!("it {problem}; copy it from the Clerk Dashboard, page OAuth applications"),
    ))
}

/// `why` continues a sentence that begins with "it".
fn invalid(why: &str) -> ConfigError {
    ConfigError::invalid_value(
        "client secret",
        "CLERK_OAUTH_CLIENT_SECRET",
        format!(
            "it {why}; the Clerk Dashboard shows it once, when the OAuth application is created or \
             its secret is rotated (page OAuth applications)"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_is_wrong_and_never_show_the_secret() {
        let long = format!("xyz{}", "z".repeat(1000));
        let rows = [
            ("", "is empty"),
            ("sk_test_xyzzy", "is the secret key of the instance"),
            ("xyzzy\n", "contains white space"),
            ("xyz\nzy", "contains white space"),
            (" xyzzy", "contains white space"),
            ("'xyzzy'", "is surrounded by quotation marks"),
            ("xyz\u{7f}zy", "contains a character that no secret has"),
            (&long, "is longer than any secret"),
        ];
        for (text, expected) in rows {
            let error = OAuthClientSecret::parse(text).unwrap_err();
            assert_eq!(error.setting(), "CLERK_OAUTH_CLIENT_SECRET");
            let message = error.to_string();
            assert!(
                message.starts_with(&format!("invalid client secret: it {expected}")),
                "{message}"
            );
            assert!(!format!("{message} {error:?}").contains("xyz"), "{message}");
        }
        assert!(OAuthClientSecret::parse("x:y&z=%+").is_ok());
        for (id, is_valid) in [
            ("client_1", true),
            ("https://a.example/c", true),
            ("", false),
            ("a b", false),
            ("a\n", false),
        ] {
            assert_eq!(check_client_id(id).is_ok(), is_valid, "{id:?}");
        }
    }
}
