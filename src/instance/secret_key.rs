//! Clerk's secret key, which opens the Backend API.

use std::fmt;
use std::sync::Arc;

use super::InstanceType;
use crate::error::ConfigError;
use crate::oauth::REDACTED;

/// A Clerk secret key (`sk_test_…`, `sk_live_…`), which opens the Backend API.
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
    /// Reads a secret key.
    ///
    /// # Errors
    ///
    /// When the text is not a Clerk secret key. The error does not repeat it.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let (instance_type, rest) = if let Some(rest) = text.strip_prefix("sk_test_") {
            (InstanceType::Development, rest)
        } else if let Some(rest) = text.strip_prefix("sk_live_") {
            (InstanceType::Production, rest)
        } else {
            return Err(invalid("it starts with neither sk_test_ nor sk_live_"));
        };
        if rest.is_empty() {
            return Err(invalid("nothing follows its prefix"));
        }
        if !rest.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(invalid("it contains white space or a character that no key has"));
        }
        Ok(Self { text: text.into(), instance_type })
    }

    /// Which kind of instance the key belongs to.
    #[must_use]
    pub fn instance_type(&self) -> InstanceType {
        self.instance_type
    }

    pub(crate) fn expose(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({REDACTED})")
    }
}

fn invalid(why: &str) -> ConfigError {
    ConfigError::invalid(
        "CLERK_SECRET_KEY",
        format!(
            "is not a Clerk secret key: {why}; copy it from the Clerk Dashboard, page API keys, section Secret keys"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_not_a_secret_key_and_never_repeats_it() {
        for text in [
            "",
            "sk_test_",
            "pk_test_marked",
            "sk_prod_marked",
            "sk_test_mar ked",
            "sk_live_marked\n",
        ] {
            let error = SecretKey::parse(text).unwrap_err();
            assert_eq!(error.setting(), "CLERK_SECRET_KEY");
            assert!(!format!("{error} {error:?}").contains("mar"), "{text:?}: {error}");
        }
    }
}
