//! Why a token was not exchanged.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::error::{ClerkError, ClerkErrorKind, VerifyError, VerifyErrorKind};
use crate::oauth::{InsufficientScope, Scopes};
use crate::response::{Rejection, RejectionReason};

/// The reason why a token was not exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExchangeErrorKind {
    /// The caller's token does not have a requested scope. Nobody was asked.
    InsufficientScope,
    /// The caller has no OAuth access token, but another credential, which cannot be exchanged.
    UnsupportedCredential,
    /// The caller's token has expired, or the authorization server does not exchange it
    /// (`invalid_request` of RFC 8693 section 2.2.2, `invalid_grant`): it may have been revoked, or
    /// its resource may not belong to the OAuth application of this server.
    SubjectRejected,
    /// The authorization server does not allow the exchange (`access_denied`, 403).
    Denied,
    /// The target cannot have tokens: it is not registered with the instance, or not on the list of
    /// the OAuth application (`invalid_target`).
    InvalidTarget,
    /// The target or the application cannot have a requested scope (`invalid_scope`).
    InvalidScope,
    /// The OAuth application is missing, unknown or not allowed to exchange tokens.
    Misconfigured,
    /// The request was invalid and was not sent, for example a resource with a fragment.
    InvalidRequest,
    /// Clerk could not be reached, did not respond in time, limited the rate of calls (429) or
    /// reported an error of its own (5xx).
    Unavailable,
    /// The response is not one of RFC 8693, or grants something else than was requested.
    InvalidResponse,
}

impl ExchangeErrorKind {
    /// Returns the first part of the error's `Display`.
    fn summary(self) -> &'static str {
        match self {
            Self::InsufficientScope => "the caller's token lacks a scope",
            Self::UnsupportedCredential => "the caller's credential cannot be exchanged",
            Self::SubjectRejected => "the caller's token was not exchanged",
            Self::Denied => "the exchange is not allowed",
            Self::InvalidTarget => "the target cannot have tokens",
            Self::InvalidScope => "the target cannot have a requested scope",
            Self::Misconfigured => "this server cannot exchange tokens",
            Self::InvalidRequest => "the request was not sent to Clerk",
            Self::Unavailable => "Clerk is unavailable",
            Self::InvalidResponse => "invalid response from Clerk",
        }
    }
}

/// A token that was not exchanged for one of another service.
///
/// `Display` says why, and what to set; no error contains a token or a secret, and none what the
/// authorization server wrote. A handler turns it into the response with
/// [`ClerkMcp::reject`](crate::ClerkMcp::reject), and a tool with
/// [`StepUp::reject`](crate::access_policy::StepUp::reject):
///
/// | kind | response |
/// | --- | --- |
/// | `InsufficientScope` | 403 with a challenge that names the scopes |
/// | `UnsupportedCredential`, `SubjectRejected`, `Denied` | 403 without a challenge. That a token is not exchanged does not prove that it is not valid here |
/// | `Unavailable`, `InvalidResponse` | 503 with `Retry-After` |
/// | all others | 500 |
#[derive(Clone, Debug)]
pub struct ExchangeError {
    kind: ExchangeErrorKind,
    detail: Cow<'static, str>,
    oauth_error: Option<&'static str>,
    /// The requested scopes, if the caller lacks one.
    required: Option<Box<Scopes>>,
    source: Option<ClerkError>,
}

impl ExchangeError {
    pub(crate) fn new(kind: ExchangeErrorKind, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = detail.into();
        Self { kind, detail, oauth_error: None, required: None, source: None }
    }

    pub(super) fn insufficient_scope(required: &Scopes) -> Self {
        let detail = format!("the exchange requires {required}");
        let error = Self::new(ExchangeErrorKind::InsufficientScope, detail);
        Self { required: Some(Box::new(required.clone())), ..error }
    }

    pub(super) fn with_oauth_error(self, code: &'static str) -> Self {
        Self { oauth_error: Some(code), ..self }
    }

    /// Returns the kind of error.
    #[must_use]
    pub fn kind(&self) -> ExchangeErrorKind {
        self.kind
    }

    /// Returns how long to wait before the next attempt, if that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.source.as_ref().and_then(ClerkError::retry_after)
    }

    /// Returns the error code of the response, if it is one of RFC 6749 section 5.2 or RFC 8693
    /// section 2.2.2, such as `invalid_target`.
    #[must_use]
    pub fn oauth_error(&self) -> Option<&'static str> {
        self.oauth_error
    }
}

impl From<ClerkError> for ExchangeError {
    fn from(error: ClerkError) -> Self {
        let (kind, detail) = match error.kind() {
            ClerkErrorKind::Unavailable => {
                (ExchangeErrorKind::Unavailable, "the call to the token endpoint failed")
            }
            ClerkErrorKind::Unauthorized => (
                ExchangeErrorKind::Misconfigured,
                "Clerk does not know the OAuth application: set CLERK_OAUTH_CLIENT_ID and \
                 CLERK_OAUTH_CLIENT_SECRET to those of a confidential one, which the Clerk \
                 Dashboard shows on the page OAuth applications",
            ),
            ClerkErrorKind::InvalidRequest => {
                (ExchangeErrorKind::InvalidRequest, "the call cannot be made")
            }
            ClerkErrorKind::NotFound | ClerkErrorKind::InvalidResponse => (
                ExchangeErrorKind::InvalidResponse,
                "the response of the token endpoint is unusable",
            ),
        };
        Self { source: Some(error), ..Self::new(kind, detail) }
    }
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.summary(), self.detail)
    }
}

impl Error for ExchangeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as &(dyn Error + 'static))
    }
}

impl From<ExchangeError> for Rejection {
    fn from(error: ExchangeError) -> Self {
        let failed = |kind| {
            let verify = VerifyError::new(kind);
            match error.retry_after() {
                Some(after) => verify.with_retry_after(after),
                None => verify,
            }
        };
        match error.kind {
            ExchangeErrorKind::InsufficientScope => {
                InsufficientScope::new(error.required.map(|scopes| *scopes).unwrap_or_default())
                    .into()
            }
            ExchangeErrorKind::UnsupportedCredential
            | ExchangeErrorKind::SubjectRejected
            | ExchangeErrorKind::Denied => Self::new(RejectionReason::ExchangeRejected),
            ExchangeErrorKind::Unavailable | ExchangeErrorKind::InvalidResponse => {
                let verify = failed(VerifyErrorKind::Unavailable);
                Self::not_available(verify.with_source(error))
            }
            ExchangeErrorKind::InvalidTarget
            | ExchangeErrorKind::InvalidScope
            | ExchangeErrorKind::Misconfigured
            | ExchangeErrorKind::InvalidRequest => {
                let verify = failed(VerifyErrorKind::Misconfigured);
                Self::not_available(verify.with_source(error))
            }
        }
    }
}
