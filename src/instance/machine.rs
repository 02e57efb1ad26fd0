//! A machine of a Clerk instance: its id, and its secret key.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::{ConfigError, check_quotes_and_white_space};
use crate::oauth::REDACTED;

/// The longest key and the longest id that are accepted, in bytes. Clerk's have about forty.
const MAX_BYTES: usize = 512;

/// The id of a machine (`mch_…`), which the Clerk Dashboard shows on the page *Machines*.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::instance::MachineId;
///
/// let id = MachineId::parse("mch_2abc")?;
/// assert_eq!(id.as_str(), "mch_2abc");
/// assert!(MachineId::parse("user_2abc").is_err());
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MachineId(Arc<str>);

impl MachineId {
    /// Parses the id of a machine.
    ///
    /// # Errors
    ///
    /// Returns an error if the string is not `mch_` and letters, digits, `_` or `-`. The error does
    /// not contain it.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let invalid = |why: &str| {
            ConfigError::invalid_value(
                "machine id",
                "CLERK_MACHINE_ID",
                format!(
                    "it {why}; copy the id of this server's machine from the Clerk Dashboard, page \
                     Machines; it starts with mch_"
                ),
            )
        };
        check_quotes_and_white_space(text).map_err(invalid)?;
        if text.starts_with("ak_") {
            return Err(invalid("is a key and not the id of a machine"));
        }
        if text.len() > MAX_BYTES || !is_machine_id(text) {
            return Err(invalid("is not mch_ and letters, digits, _ or -"));
        }
        Ok(Self(text.into()))
    }

    /// Returns the id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MachineId {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_machine_id(text: &str) -> bool {
    let is_id_char = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    text.strip_prefix("mch_").is_some_and(|id| !id.is_empty() && id.bytes().all(is_id_char))
}

/// The secret key of a machine (`ak_…`), by which Clerk verifies only the machine tokens that are
/// for this machine. The Clerk Dashboard shows it on the page *Machines*.
///
/// An API key starts with `ak_` as well, and cannot be told apart: Clerk rejects it. `Debug` does
/// not show the key, and there is no `Display`.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::instance::MachineSecretKey;
///
/// let key = MachineSecretKey::parse("ak_0123456789")?;
/// assert_eq!(format!("{key:?}"), "MachineSecretKey([redacted])");
/// assert!(MachineSecretKey::parse("sk_test_0123456789").is_err());
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct MachineSecretKey(Arc<str>);

impl MachineSecretKey {
    /// Parses the secret key of a machine.
    ///
    /// # Errors
    ///
    /// Returns an error if the string is not such a key. The error does not contain it.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        check_quotes_and_white_space(text).map_err(invalid)?;
        if text.starts_with("sk_") {
            return Err(invalid(
                "is the secret key of the instance, which belongs into CLERK_SECRET_KEY",
            ));
        }
        let rest = text.strip_prefix("ak_").ok_or_else(|| invalid("does not start with ak_"))?;
        if rest.is_empty() {
            return Err(invalid("ends after its prefix"));
        }
        if text.len() > MAX_BYTES {
            return Err(invalid("is longer than any key"));
        }
        if !rest.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(invalid("contains a character that no key has"));
        }
        Ok(Self(text.into()))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for MachineSecretKey {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Debug for MachineSecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MachineSecretKey({REDACTED})")
    }
}

/// `why` continues a sentence that begins with "it".
fn invalid(why: &str) -> ConfigError {
    ConfigError::invalid_value(
        "machine secret key",
        "CLERK_MACHINE_SECRET_KEY",
        format!(
            "it {why}; copy the secret key of this server's machine from the Clerk Dashboard, page \
             Machines; it starts with ak_"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_is_wrong_and_never_show_the_key() {
        let long = format!("ak_xyz{}", "z".repeat(10_000));
        let rows = [
            ("", "does not start with ak_"),
            ("sk_test_xyzzy", "is the secret key of the instance"),
            ("sk_live_xyzzy", "is the secret key of the instance"),
            ("AK_xyzzy", "does not start with ak_"),
            ("mch_xyzzy", "does not start with ak_"),
            ("ak_", "ends after its prefix"),
            (&long, "is longer than any key"),
            ("ak_xyz\u{7f}zy", "contains a character that no key has"),
            ("ak_xyz zy", "contains white space"),
            ("\"ak_xyzzy\"", "is surrounded by quotation marks"),
        ];
        for (text, expected) in rows {
            let error = MachineSecretKey::parse(text).unwrap_err();
            assert_eq!(error.setting(), "CLERK_MACHINE_SECRET_KEY");
            let message = error.to_string();
            let start = format!("invalid machine secret key: it {expected}");
            assert!(message.starts_with(&start), "{message}");
            assert!(!format!("{message} {error:?}").contains("xyz"), "{text:?}: {message}");
        }
        assert!(MachineSecretKey::parse("ak_xyzzy").is_ok());
    }

    #[test]
    fn a_machine_id_is_its_prefix_and_a_word() {
        assert!(MachineId::parse("mch_2abC-_").is_ok());
        let rows = [
            ("", "is not mch_ and"),
            ("mch_", "is not mch_ and"),
            ("MCH_1", "is not mch_ and"),
            ("user_1", "is not mch_ and"),
            ("mch_1/2", "is not mch_ and"),
            ("mch_1 mch_2", "contains white space"),
            ("ak_xyzzy", "is a key and not"),
        ];
        for (text, expected) in rows {
            let error = MachineId::parse(text).unwrap_err();
            assert_eq!(error.setting(), "CLERK_MACHINE_ID");
            let message = error.to_string();
            assert!(
                message.starts_with(&format!("invalid machine id: it {expected}")),
                "{message}"
            );
            assert!(!message.contains("xyz"), "{message}");
        }
    }
}
