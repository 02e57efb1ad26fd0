//! The ids of sealing keys.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::invalid;
use crate::error::ConfigError;

/// The length of a key id.
const MAX_KEY_ID: usize = 16;

/// The name of the lookup key among the keys of an environment variable.
pub(super) const LOOKUP: &str = "lookup";

/// The id of a sealing key, such as `2026-11`: 1 to 16 letters, digits, `-`, `_` and `.`, and not
/// `lookup`. It is no secret, and stands in every record before the encrypted part.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(Arc<str>);

impl KeyId {
    /// Parses a key id.
    ///
    /// # Errors
    ///
    /// Returns an error if it is longer, is empty, has another character or is `lookup`.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let is_id = (1..=MAX_KEY_ID).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
            && text != LOOKUP;
        is_id.then(|| Self(text.into())).ok_or_else(|| {
            invalid("the id of a key is not 1 to 16 letters, digits, \"-\", \"_\" or \".\"")
        })
    }

    /// Returns the id as a string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}
