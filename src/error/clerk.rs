//! The error of a call to Clerk's Backend API or Frontend API.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{VerifyError, VerifyErrorKind};

/// The reason why a call to Clerk failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClerkErrorKind {
    /// Clerk could not be reached, did not respond in time, limited the rate of calls (429) or
    /// reported an error of its own (5xx).
    Unavailable,
    /// Clerk rejected this server's secret key (401).
    Unauthorized,
    /// The requested object does not exist. Only a 404 whose body is an error of Clerk's API
    /// counts.
    NotFound,
    /// The response does not have the form that Clerk's API documents.
    InvalidResponse,
    /// The request was invalid and was not sent, for example a user id with a slash in it.
    InvalidRequest,
}

impl ClerkErrorKind {
    /// Returns the first part of the error's `Display`.
    fn summary(self) -> &'static str {
        match self {
            Self::Unavailable => "Clerk is unavailable",
            Self::Unauthorized => "Clerk rejected the secret key of this server",
            Self::NotFound => "the requested object does not exist at Clerk",
            Self::InvalidResponse => "invalid response from Clerk",
            Self::InvalidRequest => "the request was not sent to Clerk",
        }
    }
}

/// A failed call to Clerk.
///
/// `Display` says how the call failed; no error contains a token or a key.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::{ClerkError, ClerkErrorKind};
///
/// fn is_retryable(error: &ClerkError) -> bool {
///     error.kind() == ClerkErrorKind::Unavailable
/// }
/// ```
#[derive(Clone, Debug)]
pub struct ClerkError {
    kind: ClerkErrorKind,
    detail: Cow<'static, str>,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl ClerkError {
    pub(crate) fn new(kind: ClerkErrorKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: detail.into(), retry_after: None, source: None }
    }

    pub(crate) fn with_retry_after(mut self, after: Option<Duration>) -> Self {
        self.retry_after = after;
        self
    }

    pub(crate) fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Returns the kind of failure.
    #[must_use]
    pub fn kind(&self) -> ClerkErrorKind {
        self.kind
    }

    /// Returns how long to wait before the next call, if Clerk said so (`Retry-After`).
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for ClerkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.summary(), self.detail)
    }
}

// Not derived by thiserror: it would return the `Arc`, and a caller could not downcast the source.
impl Error for ClerkError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// A failed call is never evidence against the token that it was made for, so the result is
/// [`VerifyErrorKind::Unavailable`] or [`VerifyErrorKind::Misconfigured`].
impl From<ClerkError> for VerifyError {
    fn from(error: ClerkError) -> Self {
        let kind = match error.kind {
            ClerkErrorKind::Unauthorized | ClerkErrorKind::InvalidRequest => {
                VerifyErrorKind::Misconfigured
            }
            ClerkErrorKind::Unavailable
            | ClerkErrorKind::NotFound
            | ClerkErrorKind::InvalidResponse => VerifyErrorKind::Unavailable,
        };
        let verify = VerifyError::new(kind);
        let verify = match error.retry_after {
            Some(after) => verify.with_retry_after(after),
            None => verify,
        };
        verify.with_source(error)
    }
}
