//! Clerk's secret key, the credential for the Backend API.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::InstanceType;
use crate::error::{ConfigError, check_quotes_and_white_space};
use crate::oauth::REDACTED;

/// A Clerk secret key (`sk_test_…` or `sk_live_…`), the credential for the Backend API.
///
/// `Debug` does not show the key, and there is no `Display`.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::SecretKey;
///
/// let key = SecretKey::parse("sk_test_0123456789")?;
/// assert_eq!(format!("{key:?}"), "SecretKey([redacted])");
/// assert!(SecretKey::parse("sk_test_with a space").is_err());
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey {
    text: Arc<str>,
    instance_type: InstanceType,
}

impl SecretKey {
    /// Parses a secret key.
    ///
    /// # Errors
    ///
    /// Returns an error if the string is not a Clerk secret key. The error does not contain it.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        check_quotes_and_white_space(text).map_err(invalid)?;
        if text.starts_with("ak_") {
            return Err(invalid(
                "is the secret key of a machine, which belongs into CLERK_MACHINE_SECRET_KEY, or an \
                 API key",
            ));
        }
        let (instance_type, rest) = if let Some(rest) = text.strip_prefix("sk_test_") {
            (InstanceType::Development, rest)
        } else if let Some(rest) = text.strip_prefix("sk_live_") {
            (InstanceType::Production, rest)
        } else {
            return Err(invalid("starts with neither sk_test_ nor sk_live_"));
        };
        if rest.is_empty() {
            return Err(invalid("ends after its prefix"));
        }
        if !rest.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(invalid("contains a character that no key has"));
        }
        Ok(Self { text: text.into(), instance_type })
    }

    /// Returns the type of the instance that the key belongs to.
    #[must_use]
    pub fn instance_type(&self) -> InstanceType {
        self.instance_type
    }

    pub(crate) fn expose(&self) -> &str {
        &self.text
    }
}

impl FromStr for SecretKey {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({REDACTED})")
    }
}

/// `why` continues a sentence that begins with "it".
fn invalid(why: &str) -> ConfigError {
    ConfigError::invalid_value(
        "secret key",
        "CLERK_SECRET_KEY",
        format!(
            "it {why}; copy it from the Clerk Dashboard, page API keys, section Secret keys; it \
             starts with sk_test_ or sk_live_"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_is_wrong_and_never_show_the_key() {
        let rows = [
            ("", "starts with neither sk_test_ nor sk_live_"),
            ("pk_test_xyzzy", "starts with neither sk_test_ nor sk_live_"),
            ("sk_prod_xyzzy", "starts with neither sk_test_ nor sk_live_"),
            ("ak_xyzzy", "is the secret key of a machine"),
            ("sk_test_", "ends after its prefix"),
            ("sk_test_xyz\u{7f}zy", "contains a character that no key has"),
            ("sk_test_xyz zy", "contains white space"),
            ("sk_live_xyzzy\n", "contains white space"),
            (" sk_live_xyzzy", "contains white space"),
            ("\"sk_live_xyzzy\"", "is surrounded by quotation marks"),
            ("'sk_live_xyzzy'", "is surrounded by quotation marks"),
            ("sk_live_xyzzy\"", "is surrounded by quotation marks"),
        ];
        for (text, expected) in rows {
            let error = SecretKey::parse(text).unwrap_err();
            assert_eq!(error.setting(), "CLERK_SECRET_KEY");
            let message = error.to_string();
            assert!(
                message.starts_with(&format!("invalid secret key: it {expected}")),
                "{message}"
            );
            assert!(message.contains("Clerk Dashboard"), "{message}");
            assert!(!format!("{message} {error:?}").contains("xyz"), "{text:?}: {message}");
        }
    }
}
