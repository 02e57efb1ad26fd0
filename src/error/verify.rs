//! The error of token verification, and the texts that callers may see (RFC 6750 section 3.1).

use std::any::Any;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The reason why a token was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VerifyErrorKind {
    /// The token has none of the formats that the verifier knows.
    Malformed,
    /// The token is of a type that the verifier does not accept, such as a session token, a machine
    /// token, an API key, or a JWT made from a template.
    WrongTokenType,
    /// The signature algorithm is not one that the key may be used with (RFC 8725 section 3.1).
    UnsupportedAlgorithm,
    /// No key of the Clerk instance has the token's key id.
    UnknownKey,
    /// The signature is invalid.
    InvalidSignature,
    /// The token was issued by another authorization server.
    InvalidIssuer,
    /// A claim is missing or malformed.
    InvalidClaim,
    /// The token has expired.
    Expired,
    /// The token is not valid yet.
    NotYetValid,
    /// The token was issued for another resource, or for no particular one (RFC 8707).
    InvalidAudience,
    /// The token was revoked.
    Revoked,
    /// The authorization server does not know the token.
    UnknownToken,
    /// The token is valid and lacks scopes that the verifier requires of its type: an API key
    /// without those of [`ApiKeys::requiring_scopes`](crate::clerk::ApiKeys::requiring_scopes).
    /// Respond with 403.
    InsufficientScope,
    /// The token cannot be verified at the moment. Says nothing about the token.
    Unavailable,
    /// The token cannot be verified with the settings of this server. Says nothing about the token.
    Misconfigured,
}

impl VerifyErrorKind {
    /// Returns whether the token itself was rejected. [`Unavailable`](Self::Unavailable) and
    /// [`Misconfigured`](Self::Misconfigured) say nothing about it, and one with
    /// [`InsufficientScope`](Self::InsufficientScope) is valid.
    #[must_use]
    pub fn is_invalid_token(self) -> bool {
        self.is_verdict() && self != Self::InsufficientScope
    }

    /// Returns whether it says something about the token.
    pub(crate) fn is_verdict(self) -> bool {
        !matches!(self, Self::Unavailable | Self::Misconfigured)
    }

    /// Returns the fixed sentence that is sent to the caller as `error_description`. That of a
    /// [`WrongTokenType`](Self::WrongTokenType) names the type instead if it is known.
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
            Self::InsufficientScope => "The access token lacks a required scope",
            Self::Unavailable => "The access token cannot be verified at the moment",
            Self::Misconfigured => "The server is not set up to verify this access token",
        }
    }

    /// The error's `Display`, apart from [`description`](Self::description), which is fixed because
    /// clients see it.
    fn summary(self) -> &'static str {
        match self {
            Self::Malformed => "malformed access token",
            Self::WrongTokenType => "token is of a type that is not accepted",
            Self::UnsupportedAlgorithm => "signature algorithm of the access token is not accepted",
            Self::UnknownKey => "access token is signed with an unknown key",
            Self::InvalidSignature => "invalid signature of the access token",
            Self::InvalidIssuer => "access token was issued by another authorization server",
            Self::InvalidClaim => "claim of the access token is missing or invalid",
            Self::Expired => "access token has expired",
            Self::NotYetValid => "access token is not valid yet",
            Self::InvalidAudience => "access token was not issued for this resource",
            Self::Revoked => "access token was revoked",
            Self::UnknownToken => "access token is unknown to the authorization server",
            Self::InsufficientScope => "access token lacks a required scope",
            Self::Unavailable => "access token cannot be verified at the moment",
            Self::Misconfigured => "server is not configured to verify this access token",
        }
    }
}

/// A token that was not accepted, or that could not be verified.
///
/// `Display` is one fixed sentence per [`kind`](Self::kind). Further information for the operator
/// is in [`detail`](Self::detail), in [`source`](Error::source) and in the `tracing` event that the
/// verifier emits; none of them contains the token or a key.
///
/// # Example
///
/// A custom verifier reports an outage of its authorization server:
///
/// ```
/// use std::time::Duration;
/// use clerk_mcp_tools::{VerifyError, VerifyErrorKind};
///
/// let error = VerifyError::new(VerifyErrorKind::Unavailable)
///     .with_detail("the introspection endpoint did not respond")
///     .with_retry_after(Duration::from_secs(3));
/// assert_eq!(error.to_string(), "access token cannot be verified at the moment");
/// assert!(!error.kind().is_invalid_token());
/// ```
#[derive(Clone)]
pub struct VerifyError {
    kind: VerifyErrorKind,
    detail: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn Error + Send + Sync>>,
    /// What other modules know about the rejected token, in types of their own. Not in `Debug`.
    context: Option<Arc<dyn Any + Send + Sync>>,
}

impl VerifyError {
    /// Creates an error of this kind.
    #[must_use]
    pub fn new(kind: VerifyErrorKind) -> Self {
        Self { kind, detail: None, retry_after: None, source: None, context: None }
    }

    /// Sets information for the operator. It is logged and never sent to the caller; it must not
    /// contain a secret all the same. Defaults to none.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Sets how long to wait before the next attempt, sent as the `Retry-After` header of a 503.
    /// Defaults to none.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Sets the error that caused this one. Defaults to none.
    #[must_use]
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Sets what else is known about the rejected token. There is one such value.
    pub(crate) fn with_context(mut self, context: impl Any + Send + Sync) -> Self {
        self.context = Some(Arc::new(context));
        self
    }

    /// Returns the value that [`with_context`](Self::with_context) set, if it has this type.
    pub(crate) fn context<T: Any>(&self) -> Option<&T> {
        self.context.as_deref()?.downcast_ref()
    }

    /// Returns the kind of error.
    #[must_use]
    pub fn kind(&self) -> VerifyErrorKind {
        self.kind
    }

    /// Returns information for the operator, for a log.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// Returns how long to wait before the next attempt, if that is known.
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

impl fmt::Debug for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, detail, retry_after, source, context: _ } = self;
        f.debug_struct("VerifyError")
            .field("kind", kind)
            .field("detail", detail)
            .field("retry_after", retry_after)
            .field("source", source)
            .finish()
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.summary())
    }
}

// Not derived by thiserror: it would return the `Arc`, and a caller could not downcast the source.
impl Error for VerifyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
