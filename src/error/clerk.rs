use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{VerifyError, VerifyErrorKind};

/// How a call to Clerk failed, for a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClerkErrorKind {
    /// Clerk could not be reached, took too long, asked us to slow down (429) or reported a fault of its own (5xx).
    Unavailable,
    /// Clerk refused our own secret key (401).
    Unauthorized,
    /// Clerk knows no such thing: a 404 in the words of its API, not just any.
    NotFound,
    /// Clerk's answer is not what its API describes.
    InvalidResponse,
    /// What was asked for cannot be asked for, such as a user id with a slash. Clerk was not called.
    InvalidRequest,
}

impl ClerkErrorKind {
    fn description(self) -> &'static str {
        match self {
            Self::Unavailable => "Clerk cannot be reached at the moment",
            Self::Unauthorized => "Clerk did not accept this server's secret key",
            Self::NotFound => "Clerk does not know what was asked for",
            Self::InvalidResponse => "Clerk gave an answer that cannot be used",
            Self::InvalidRequest => "the request cannot be sent to Clerk",
        }
    }
}

/// A call to Clerk that failed.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::{ClerkError, ClerkErrorKind};
///
/// fn is_worth_another_try(error: &ClerkError) -> bool {
///     error.kind() == ClerkErrorKind::Unavailable
/// }
/// ```
#[derive(Clone)]
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

    /// How the call failed.
    #[must_use]
    pub fn kind(&self) -> ClerkErrorKind {
        self.kind
    }

    /// When to ask again, where Clerk said so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for ClerkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.description(), self.detail)
    }
}

impl fmt::Debug for ClerkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClerkError")
            .field("kind", &self.kind)
            .field("detail", &self.detail)
            .field("retry_after", &self.retry_after)
            .field("source", &self.source)
            .finish()
    }
}

impl Error for ClerkError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// A call that failed says nothing about the token it was made for.
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
