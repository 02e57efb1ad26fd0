use std::borrow::Cow;

/// What is wrong with a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConfigErrorKind {
    /// A setting that is needed is not there.
    Missing,
    /// A setting has a value that cannot be used.
    Invalid,
    /// Two settings contradict each other.
    Conflict,
}

/// A setting that cannot be used, found while something is built and never later.
///
/// The text is one sentence that says what to set and, for Clerk's keys, where Clerk shows it. It never contains
/// the value of a secret.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::{ConfigErrorKind, PublishableKey};
///
/// let error = PublishableKey::parse("pk_test_").unwrap_err();
/// assert_eq!(error.kind(), ConfigErrorKind::Invalid);
/// assert_eq!(error.setting(), "CLERK_PUBLISHABLE_KEY");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} {problem}")]
pub struct ConfigError {
    kind: ConfigErrorKind,
    setting: Cow<'static, str>,
    problem: Cow<'static, str>,
}

impl ConfigError {
    /// What is wrong, for a program.
    #[must_use]
    pub fn kind(&self) -> ConfigErrorKind {
        self.kind
    }

    /// The setting's name: an environment variable's where there is one, such as `CLERK_SECRET_KEY`.
    #[must_use]
    pub fn setting(&self) -> &str {
        &self.setting
    }

    pub(crate) fn missing(setting: &'static str, problem: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: ConfigErrorKind::Missing, setting: setting.into(), problem: problem.into() }
    }

    pub(crate) fn invalid(
        setting: impl Into<Cow<'static, str>>,
        problem: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { kind: ConfigErrorKind::Invalid, setting: setting.into(), problem: problem.into() }
    }

    pub(crate) fn conflict(setting: &'static str, problem: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: ConfigErrorKind::Conflict, setting: setting.into(), problem: problem.into() }
    }
}
