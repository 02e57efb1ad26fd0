//! The error of every builder and parser: a setting that is missing, invalid or in conflict.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// The reason why a setting was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConfigErrorKind {
    /// A required setting is missing.
    Missing,
    /// The value of a setting is invalid.
    Invalid,
    /// Two settings contradict each other.
    Conflict,
}

/// A setting that cannot be used. Returned by parsers and builders, never while a request is
/// served.
///
/// `Display` is one sentence that says what is wrong, what to set instead and, for Clerk's keys,
/// where Clerk shows them. It names the environment variable if the value was read from one, and
/// never contains the value of a secret.
///
/// `Debug` prints the same sentence, because a `main` function that returns an error prints
/// `Debug`.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::{ConfigErrorKind, PublishableKey};
///
/// let error = PublishableKey::parse("sk_test_").unwrap_err();
/// assert_eq!(error.kind(), ConfigErrorKind::Invalid);
/// assert_eq!(error.setting(), "CLERK_PUBLISHABLE_KEY");
/// assert!(error.to_string().starts_with("invalid publishable key: "));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigError {
    kind: ConfigErrorKind,
    setting: Cow<'static, str>,
    /// What the value should have been, such as "secret key". `None` if the error is about the
    /// setting and not about the form of one value.
    expected: Option<&'static str>,
    from_environment: bool,
    problem: Cow<'static, str>,
}

impl ConfigError {
    /// Returns the kind of error.
    #[must_use]
    pub fn kind(&self) -> ConfigErrorKind {
        self.kind
    }

    /// Returns the name of the setting: the environment variable that holds it if there is one,
    /// such as `CLERK_SECRET_KEY`, otherwise a name such as `leeway`.
    #[must_use]
    pub fn setting(&self) -> &str {
        &self.setting
    }

    /// `problem` continues a sentence that begins with the name of the setting.
    pub(crate) fn missing(setting: &'static str, problem: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ConfigErrorKind::Missing, setting.into(), problem.into())
    }

    /// `problem` continues a sentence that begins with the name of the setting.
    pub(crate) fn invalid(
        setting: impl Into<Cow<'static, str>>,
        problem: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(ConfigErrorKind::Invalid, setting.into(), problem.into())
    }

    /// `problem` continues a sentence that begins with the name of the setting.
    pub(crate) fn conflict(setting: &'static str, problem: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ConfigErrorKind::Conflict, setting.into(), problem.into())
    }

    /// For parsers, which do not know where the value comes from. `expected` is what the value
    /// should have been, such as "secret key"; `problem` is a clause of its own.
    pub(crate) fn invalid_value(
        expected: &'static str,
        setting: &'static str,
        problem: impl Into<Cow<'static, str>>,
    ) -> Self {
        let error = Self::new(ConfigErrorKind::Invalid, setting.into(), problem.into());
        Self { expected: Some(expected), ..error }
    }

    /// Says that the value was read from this environment variable.
    pub(crate) fn in_variable(mut self, name: &str) -> Self {
        self.setting = name.to_owned().into();
        self.from_environment = true;
        self
    }

    fn new(kind: ConfigErrorKind, setting: Cow<'static, str>, problem: Cow<'static, str>) -> Self {
        Self { kind, setting, expected: None, from_environment: false, problem }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, problem, .. } = self;
        match self.expected {
            None => write!(f, "{setting} {problem}"),
            Some(expected) if self.from_environment => {
                write!(f, "invalid {expected} in {setting}: {problem}")
            }
            Some(expected) => write!(f, "invalid {expected}: {problem}"),
        }
    }
}

/// By hand: `fn main() -> Result<(), Box<dyn Error>>` prints an error with `{:?}`, and most
/// programs that use this crate meet a `ConfigError` there and nowhere else.
impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for ConfigError {}

/// Checks for characters that are often copied along with a value: quotation marks around it
/// (`docker --env-file` keeps them) and white space (mounted secrets often end with a newline). The
/// error continues a sentence that begins with "it".
pub(crate) fn check_quotes_and_white_space(text: &str) -> Result<(), &'static str> {
    const QUOTES: [char; 2] = ['"', '\''];
    if text.starts_with(QUOTES) || text.ends_with(QUOTES) {
        return Err("is surrounded by quotation marks");
    }
    if text.contains(char::is_whitespace) {
        return Err("contains white space");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_the_variable_only_if_the_value_was_read_from_it() {
        let value = || ConfigError::invalid_value("audience mode", "MCP_AUDIENCE", "it is empty");
        let rows = [
            (ConfigError::missing("verifier", "is not set"), "verifier is not set"),
            (ConfigError::invalid("leeway", "is too long"), "leeway is too long"),
            (ConfigError::conflict("a", "is not b"), "a is not b"),
            (value(), "invalid audience mode: it is empty"),
            (value().in_variable("AUDIENCE"), "invalid audience mode in AUDIENCE: it is empty"),
        ];
        for (error, expected) in rows {
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn debug_prints_the_sentence_of_display() {
        let error = ConfigError::missing("CLERK_SECRET_KEY", "is not set");
        let returned_from_main: Result<(), Box<dyn Error>> = Err(error.clone().into());
        assert_eq!(format!("{returned_from_main:?}"), "Err(CLERK_SECRET_KEY is not set)");
        assert_eq!(format!("{error:?}"), error.to_string());
    }
}
