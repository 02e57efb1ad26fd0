//! The error of a store.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// The reason why a call of a store failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The store cannot be reached, did not respond in time, or is overloaded. The call may have
    /// happened or not. Trying again later can help.
    Unavailable,
    /// What is stored is not what a store of this crate writes.
    Corrupt,
    /// The store has no room for another record.
    Full,
    /// The store does not work as it is set up: a table is missing, or a permission. Trying again
    /// does not help.
    Misconfigured,
}

impl StoreErrorKind {
    /// Returns the first part of the error's `Display`.
    fn summary(self) -> &'static str {
        match self {
            Self::Unavailable => "the store of connections is unavailable",
            Self::Corrupt => "the store of connections holds something else than records",
            Self::Full => "the store of connections is full",
            Self::Misconfigured => "the store of connections is not set up",
        }
    }
}

/// A failed call of a [`Store`](super::Store).
///
/// It shows no record: what the database said is its [`source`](Error::source).
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::client::{StoreError, StoreErrorKind};
///
/// let timeout = std::io::Error::from(std::io::ErrorKind::TimedOut);
/// let error = StoreError::new(StoreErrorKind::Unavailable, "no response in 5 s")
///     .with_source(timeout);
/// assert_eq!(error.kind(), StoreErrorKind::Unavailable);
/// assert_eq!(
///     error.to_string(),
///     "the store of connections is unavailable: no response in 5 s",
/// );
/// ```
#[derive(Clone, Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    detail: Cow<'static, str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl StoreError {
    /// Creates an error. `detail` says what failed; it must not show a record, and ends up in
    /// logs.
    #[must_use]
    pub fn new(kind: StoreErrorKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: detail.into(), source: None }
    }

    /// Adds the error of the database. It must not show a record either.
    #[must_use]
    pub fn with_source(self, source: impl Error + Send + Sync + 'static) -> Self {
        Self { source: Some(Arc::new(source)), ..self }
    }

    /// Returns the kind of failure.
    #[must_use]
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.summary(), self.detail)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn Error + 'static))
    }
}
