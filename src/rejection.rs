//! The only place where a refusal becomes a response.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use http::{HeaderValue, Response, StatusCode};

use crate::body::ResponseBody;
use crate::challenge::BearerChallenge;
use crate::cors_headers::ANY_ORIGIN;
use crate::error::{ClerkError, VerifyError, VerifyErrorKind};
use crate::scope::Scopes;

/// What a 503 says when nobody knows when to ask again.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(5);

/// Why a request was refused, for a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionReason {
    /// No bearer token came with the request.
    MissingToken,
    /// More than one `Authorization` header came with the request; neither was looked at.
    AmbiguousCredentials,
    /// The token is not good, for this reason.
    InvalidToken(VerifyErrorKind),
    /// The token is good and does not allow this.
    InsufficientScope,
    /// Whether the token is good cannot be found out now.
    Unavailable,
    /// Whether the token is good cannot be found out with the settings of this server.
    Misconfigured,
    /// The request is meant for a host that this server does not answer for.
    UnknownHost,
    /// The authorization server's metadata cannot be shown now.
    MetadataUnavailable,
}

/// Why a request was refused. It stands in the extensions of the response, for whoever logs or rewrites it.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::{Rejection, RejectionReason};
///
/// fn is_first_contact<B>(response: &http::Response<B>) -> bool {
///     response.extensions().get::<Rejection>().is_some_and(|r| r.reason() == RejectionReason::MissingToken)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Rejection {
    reason: RejectionReason,
    error: Option<VerifyError>,
}

impl Rejection {
    pub(crate) fn new(reason: RejectionReason) -> Self {
        Self { reason, error: None }
    }

    /// Why the request was refused.
    #[must_use]
    pub fn reason(&self) -> RejectionReason {
        self.reason
    }

    /// What the verifier said, if it was asked.
    #[must_use]
    pub fn error(&self) -> Option<&VerifyError> {
        self.error.as_ref()
    }
}

impl From<VerifyError> for Rejection {
    fn from(error: VerifyError) -> Self {
        let reason = match error.kind() {
            VerifyErrorKind::Unavailable => RejectionReason::Unavailable,
            VerifyErrorKind::Misconfigured => RejectionReason::Misconfigured,
            kind => RejectionReason::InvalidToken(kind),
        };
        Self { reason, error: Some(error) }
    }
}

/// What a reason is on the wire.
struct Wire {
    status: StatusCode,
    /// The code in the body, and in the challenge unless [`Challenge::Plain`].
    code: &'static str,
    description: &'static str,
    challenge: Challenge,
}

enum Challenge {
    None,
    /// Without `error`: nothing was wrong with credentials that did not come (RFC 6750 section 3.1).
    Plain,
    WithError,
}

impl RejectionReason {
    fn wire(self) -> Wire {
        let (status, code, description, challenge) = match self {
            // RFC 6750 section 3.1: "the resource server SHOULD NOT include an error code".
            Self::MissingToken => {
                (StatusCode::UNAUTHORIZED, "unauthorized", "An access token is required", Challenge::Plain)
            }
            // RFC 6750 section 3.1: a request that "uses more than one method for including an access token".
            Self::AmbiguousCredentials => (
                StatusCode::BAD_REQUEST,
                "invalid_request",
                "More than one Authorization header was sent",
                Challenge::WithError,
            ),
            // RFC 6750 section 3.1.
            Self::InvalidToken(kind) => {
                (StatusCode::UNAUTHORIZED, "invalid_token", kind.description(), Challenge::WithError)
            }
            // RFC 6750 section 3.1; MCP 2026-07-28, authorization: a client steps up on this very code.
            Self::InsufficientScope => (
                StatusCode::FORBIDDEN,
                "insufficient_scope",
                "The access token does not have every scope that is needed",
                Challenge::WithError,
            ),
            // No challenge: a client would throw away a token that may be good. The code is RFC 6749 section 4.1.2.1.
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "temporarily_unavailable",
                VerifyErrorKind::Unavailable.description(),
                Challenge::None,
            ),
            Self::MetadataUnavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "temporarily_unavailable",
                "The metadata of the authorization server cannot be fetched at the moment",
                Challenge::None,
            ),
            Self::Misconfigured => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "server_error",
                VerifyErrorKind::Misconfigured.description(),
                Challenge::None,
            ),
            // RFC 9110 section 15.5.20.
            Self::UnknownHost => (
                StatusCode::MISDIRECTED_REQUEST,
                "misdirected_request",
                "This server does not answer for the requested host",
                Challenge::None,
            ),
        };
        Wire { status, code, description, challenge }
    }
}

/// What the challenges of a resource name.
#[derive(Clone, Debug)]
pub(crate) struct Challenged {
    /// Where the resource's metadata stands.
    pub(crate) resource_metadata: String,
    /// The scopes that are needed.
    pub(crate) scopes: Scopes,
}

impl Challenged {
    pub(crate) fn refuse<B>(&self, rejection: Rejection) -> Response<ResponseBody<B>> {
        Prepared::new(rejection.reason, Some(self)).response(rejection)
    }
}

/// Every refusal that a request can meet at one resource, with its challenge and body written once.
#[derive(Clone, Debug)]
pub(crate) struct Refusals {
    challenged: Challenged,
    prepared: Vec<(RejectionReason, Prepared)>,
}

impl Refusals {
    pub(crate) fn new(challenged: Challenged) -> Self {
        let prepare = |reason| (reason, Prepared::new(reason, Some(&challenged)));
        Self { prepared: FREQUENT.into_iter().map(prepare).collect(), challenged }
    }

    pub(crate) fn refuse<B>(&self, rejection: Rejection) -> Response<ResponseBody<B>> {
        match self.prepared.iter().find(|(reason, _)| *reason == rejection.reason) {
            Some((_, prepared)) => prepared.response(rejection),
            None => self.challenged.refuse(rejection),
        }
    }
}

/// The refusal of a request for an unknown host: there is no resource that it could name.
pub(crate) fn unknown_host<B>() -> Response<ResponseBody<B>> {
    without_challenge(Rejection::new(RejectionReason::UnknownHost))
}

/// The answer of a metadata service that has nothing to show.
pub(crate) fn metadata_unavailable<B>(error: ClerkError) -> Response<ResponseBody<B>> {
    let error = VerifyError::from(error);
    without_challenge(Rejection { reason: RejectionReason::MetadataUnavailable, error: Some(error) })
}

fn without_challenge<B>(rejection: Rejection) -> Response<ResponseBody<B>> {
    Prepared::new(rejection.reason, None).response(rejection)
}

#[derive(Clone, Debug)]
struct Prepared {
    status: StatusCode,
    challenge: Option<HeaderValue>,
    body: Bytes,
}

impl Prepared {
    fn new(reason: RejectionReason, challenged: Option<&Challenged>) -> Self {
        let wire = reason.wire();
        let challenge = challenged
            .map(|challenged| BearerChallenge::new(&challenged.resource_metadata).scope(&challenged.scopes));
        let challenge = match wire.challenge {
            Challenge::None => None,
            Challenge::Plain => challenge,
            Challenge::WithError => challenge.map(|challenge| challenge.error(wire.code, wire.description)),
        };
        let body = serde_json::json!({"error": wire.code, "error_description": wire.description}).to_string();
        Self {
            status: wire.status,
            challenge: challenge.map(|challenge| challenge.to_header_value()),
            body: body.into(),
        }
    }

    /// Which header a page has to be allowed to read.
    fn exposed(&self) -> Option<&'static str> {
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            return Some("Retry-After");
        }
        self.challenge.is_some().then_some("WWW-Authenticate")
    }

    fn response<B>(&self, rejection: Rejection) -> Response<ResponseBody<B>> {
        let mut response = Response::new(ResponseBody::own(self.body.clone()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // A page may read why it was refused: without these two a browser hides the challenge from its client.
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY_ORIGIN);
        if let Some(exposed) = self.exposed() {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(exposed));
        }
        if let Some(challenge) = &self.challenge {
            headers.insert(WWW_AUTHENTICATE, challenge.clone());
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, retry_after(rejection.error.as_ref()));
        }
        response.extensions_mut().insert(rejection);
        response
    }
}

/// Whole seconds, rounded up: to ask a little late is better than to ask in vain.
fn retry_after(error: Option<&VerifyError>) -> HeaderValue {
    let after = error.and_then(VerifyError::retry_after).unwrap_or(DEFAULT_RETRY_AFTER);
    let seconds = after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0));
    HeaderValue::from(seconds.max(1))
}

/// What is worth keeping ready: all that a flood of requests can provoke without a call to Clerk, and the rest of what
/// is common. Any other refusal is written when it is needed.
const FREQUENT: [RejectionReason; 12] = {
    use RejectionReason::*;
    use VerifyErrorKind as Kind;
    [
        MissingToken,
        AmbiguousCredentials,
        InvalidToken(Kind::Malformed),
        InvalidToken(Kind::WrongTokenType),
        InvalidToken(Kind::UnsupportedAlgorithm),
        InvalidToken(Kind::UnknownKey),
        InvalidToken(Kind::InvalidSignature),
        InvalidToken(Kind::Expired),
        InvalidToken(Kind::InvalidAudience),
        InvalidToken(Kind::UnknownToken),
        InsufficientScope,
        Unavailable,
    ]
};
