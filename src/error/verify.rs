use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Why a token was not accepted, for a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VerifyErrorKind {
    /// The text is no token of any format this verifier knows.
    Malformed,
    /// A token of another class: a session token, a machine token, an API key, a JWT from a template.
    WrongTokenType,
    /// The signature algorithm is not one the key may be used with (RFC 8725 section 3.1).
    UnsupportedAlgorithm,
    /// No key of the instance has this key id.
    UnknownKey,
    /// The signature does not belong to the token.
    InvalidSignature,
    /// The token was issued by somebody else.
    InvalidIssuer,
    /// A claim is missing or has a form that cannot be used.
    InvalidClaim,
    /// The token's time is over.
    Expired,
    /// The token's time has not come.
    NotYetValid,
    /// The token was issued for another resource, or for none in particular (RFC 8707).
    InvalidAudience,
    /// The token was revoked.
    Revoked,
    /// The authorization server does not know the token.
    UnknownToken,
    /// Whether the token is good cannot be found out now. Says nothing about the token.
    Unavailable,
    /// Whether the token is good cannot be found out with the settings of this server. Says nothing about the token.
    Misconfigured,
}

impl VerifyErrorKind {
    /// Whether the token itself was found wanting; the other kinds say nothing about it.
    #[must_use]
    pub fn is_invalid_token(self) -> bool {
        !matches!(self, Self::Unavailable | Self::Misconfigured)
    }

    /// One fixed sentence that may be shown to the caller.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Malformed => "The access token is malformed",
            Self::WrongTokenType => "The token is not an OAuth access token",
            Self::UnsupportedAlgorithm => {
                "The access token is signed with an algorithm that is not accepted"
            }
            Self::UnknownKey => "The access token is signed with an unknown key",
            Self::InvalidSignature => "The signature of the access token is not valid",
            Self::InvalidIssuer => "The access token was issued by another authorization server",
            Self::InvalidClaim => "A claim of the access token is missing or not valid",
            Self::Expired => "The access token has expired",
            Self::NotYetValid => "The access token is not valid yet",
            Self::InvalidAudience => "The access token was not issued for this resource",
            Self::Revoked => "The access token was revoked",
            Self::UnknownToken => "The access token is unknown",
            Self::Unavailable => "The access token cannot be verified at the moment",
            Self::Misconfigured => "The server is not set up to verify this access token",
        }
    }
}

/// A token that was not accepted.
///
/// Shown, it is one fixed sentence per [`kind`](Self::kind). The cause is in [`source`](Error::source) and in the
/// `tracing` event that was emitted when the token was refused; neither ever contains the token or a key.
///
/// # Example
///
/// A verifier of your own says what it found in the same terms:
///
/// ```
/// use std::time::Duration;
/// use clerk_mcp_tools::{VerifyError, VerifyErrorKind};
///
/// let error = VerifyError::new(VerifyErrorKind::Unavailable).with_retry_after(Duration::from_secs(3));
/// assert_eq!(error.to_string(), "The access token cannot be verified at the moment");
/// assert!(!error.kind().is_invalid_token());
/// ```
#[derive(Clone)]
pub struct VerifyError {
    kind: VerifyErrorKind,
    detail: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl VerifyError {
    /// An error of this kind.
    #[must_use]
    pub fn new(kind: VerifyErrorKind) -> Self {
        Self { kind, detail: None, retry_after: None, source: None }
    }

    /// Adds what the operator should know. It is logged, never sent: keep secrets out of it all the same.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds when to ask again; it becomes the `Retry-After` of a 503.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Adds the error behind this one.
    #[must_use]
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Why the token was not accepted.
    #[must_use]
    pub fn kind(&self) -> VerifyErrorKind {
        self.kind
    }

    /// What the operator should know, for a log.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// When to ask again, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl From<VerifyErrorKind> for VerifyError {
    fn from(kind: VerifyErrorKind) -> Self {
        Self::new(kind)
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.description())
    }
}

impl fmt::Debug for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyError")
            .field("kind", &self.kind)
            .field("detail", &self.detail)
            .field("retry_after", &self.retry_after)
            .field("source", &self.source)
            .finish()
    }
}

impl Error for VerifyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
