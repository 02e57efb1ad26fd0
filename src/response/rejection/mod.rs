//! The only place where a refusal becomes a response.

mod wire;

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, CONTENT_TYPE,
    RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::error::{VerifyError, VerifyErrorKind};
use crate::mcp::RequestId;
use crate::metadata::protected_resource_metadata_url;
use crate::oauth::{InsufficientScope, ResourceUrl, Scopes};
use crate::response::{ANY_ORIGIN, BearerChallenge, ResponseBody};
use wire::{Challenge, ErrorResponse};

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
    /// The body cannot be judged, for this reason. Nothing is wrong with the credentials.
    Message(MessageError),
}

/// Why the body of a request cannot be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MessageError {
    /// The body is longer than this server reads.
    TooLarge,
    /// The body is not JSON, or it broke off.
    ParseError,
    /// The body is JSON but not a message of MCP, or one that JSON parsers read differently.
    InvalidRequest,
    /// The headers `Mcp-Method` and `Mcp-Name` contradict the body.
    HeaderMismatch,
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
///
/// A handler that verifies tokens itself turns what went wrong into one of these, and that into the response:
///
/// ```
/// use clerk_mcp_tools::bearer_auth::bearer_token;
/// use clerk_mcp_tools::{
///     AuthInfo, ClerkVerifier, Rejection, ResourceUrl, ScopeHierarchy, Scopes,
///     verify_clerk_token,
/// };
/// use http::{HeaderMap, StatusCode};
///
/// async fn caller(verifier: &ClerkVerifier, scopes: &Scopes, headers: &HeaderMap) -> Result<AuthInfo, Rejection> {
///     let caller = verify_clerk_token(verifier, bearer_token(headers)?).await?;
///     caller.require_scopes(scopes, &ScopeHierarchy::new())?;
///     Ok(caller)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let instance = clerk_mcp_tools::instance::FrontendApi::parse("https://clerk.example.com")?;
/// # let verifier = ClerkVerifier::builder().frontend_api(instance).build()?;
/// let (resource, scopes) = (ResourceUrl::parse("https://mcp.example.com/mcp")?, Scopes::parse("profile")?);
/// let Err(rejection) = caller(&verifier, &scopes, &HeaderMap::new()).await else { unreachable!() };
/// let response = rejection.into_response(&resource, &scopes);
/// assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
/// assert_eq!(
///     response.headers()["www-authenticate"],
///     "Bearer resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\", scope=\"profile\""
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Rejection {
    reason: RejectionReason,
    error: Option<VerifyError>,
    /// What is needed besides the scopes that every request needs.
    further: Scopes,
}

impl Rejection {
    pub(crate) fn new(reason: RejectionReason) -> Self {
        Self { reason, error: None, further: Scopes::none() }
    }

    /// The response that the layers of this crate give, with its challenge, `Retry-After` and CORS headers.
    ///
    /// `baseline` are the scopes that every request to the resource needs. They are named besides those that this request
    /// needs, since clients ask for the scopes of the challenge and for no others.
    #[must_use]
    pub fn into_response(
        self,
        resource: &ResourceUrl,
        baseline: &Scopes,
    ) -> Response<ResponseBody> {
        let scopes = baseline.union(&self.further);
        ChallengeContext { resource_metadata: protected_resource_metadata_url(resource), scopes }
            .refuse(self)
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
        Self { error: Some(error), ..Self::new(reason) }
    }
}

impl From<InsufficientScope> for Rejection {
    fn from(error: InsufficientScope) -> Self {
        Self { further: error.into_required(), ..Self::new(RejectionReason::InsufficientScope) }
    }
}

/// What the challenges of a resource name.
#[derive(Clone, Debug)]
pub(crate) struct ChallengeContext {
    /// Where the resource's metadata stands.
    pub(crate) resource_metadata: String,
    /// The scopes that are needed.
    pub(crate) scopes: Scopes,
}

impl ChallengeContext {
    pub(crate) fn refuse<B>(&self, rejection: Rejection) -> Response<ResponseBody<B>> {
        ResponseTemplate::new(rejection.reason, Some(self)).response(rejection)
    }

    /// The same with further scopes, after those that are always needed.
    pub(crate) fn and(&self, further: &Scopes) -> Self {
        Self {
            resource_metadata: self.resource_metadata.clone(),
            scopes: self.scopes.union(further),
        }
    }
}

/// Every refusal that a request can meet at one resource, with its challenge and body written once.
#[derive(Clone, Debug)]
pub(crate) struct ResponseTemplates {
    challenge_context: ChallengeContext,
    prepared: Vec<(RejectionReason, ResponseTemplate)>,
}

impl ResponseTemplates {
    pub(crate) fn new(challenge_context: ChallengeContext) -> Self {
        let prepare = |reason| (reason, ResponseTemplate::new(reason, Some(&challenge_context)));
        Self { prepared: FREQUENT.into_iter().map(prepare).collect(), challenge_context }
    }

    pub(crate) fn refuse<B>(&self, rejection: Rejection) -> Response<ResponseBody<B>> {
        match self.prepared.iter().find(|(reason, _)| *reason == rejection.reason) {
            Some((_, prepared)) => prepared.response(rejection),
            None => self.challenge_context.refuse(rejection),
        }
    }

    /// The refusal of a request that needs further scopes.
    pub(crate) fn refuse_needing<B>(
        &self,
        rejection: Rejection,
        further: &Scopes,
    ) -> Response<ResponseBody<B>> {
        if further.is_empty() {
            return self.refuse(rejection);
        }
        self.challenge_context.and(further).refuse(rejection)
    }
}

/// The refusal of a body, to the request of this id if it has one that is known.
pub(crate) fn refuse_message<B>(
    error: MessageError,
    id: Option<RequestId>,
) -> Response<ResponseBody<B>> {
    let reason = RejectionReason::Message(error);
    let mut prepared = ResponseTemplate::new(reason, None);
    prepared.body = body(&reason.wire(), id);
    prepared.response(Rejection::new(reason))
}

/// The refusal of a request for an unknown host: there is no resource that it could name.
pub(crate) fn unknown_host<B>() -> Response<ResponseBody<B>> {
    without_challenge(Rejection::new(RejectionReason::UnknownHost))
}

/// The answer of a metadata service that has nothing to show.
pub(crate) fn metadata_unavailable<B>(error: VerifyError) -> Response<ResponseBody<B>> {
    without_challenge(Rejection {
        error: Some(error),
        ..Rejection::new(RejectionReason::MetadataUnavailable)
    })
}

fn without_challenge<B>(rejection: Rejection) -> Response<ResponseBody<B>> {
    ResponseTemplate::new(rejection.reason, None).response(rejection)
}

#[derive(Clone, Debug)]
struct ResponseTemplate {
    status: StatusCode,
    challenge: Option<HeaderValue>,
    body: Bytes,
}

impl ResponseTemplate {
    fn new(reason: RejectionReason, challenge_context: Option<&ChallengeContext>) -> Self {
        let wire = reason.wire();
        let challenge = challenge_context.map(|challenge_context| {
            BearerChallenge::new(&challenge_context.resource_metadata)
                .scope(&challenge_context.scopes)
        });
        let challenge = match wire.challenge {
            Challenge::None => None,
            Challenge::Plain => challenge,
            Challenge::WithError => {
                challenge.map(|challenge| challenge.error(wire.code, wire.description))
            }
        };
        Self {
            status: wire.status,
            challenge: challenge.map(|challenge| challenge.to_header_value()),
            body: body(&wire, None),
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

/// The error of JSON-RPC where the message is what is wrong, and that of OAuth elsewhere.
fn body(wire: &ErrorResponse, id: Option<RequestId>) -> Bytes {
    #[derive(Serialize)]
    struct JsonRpc {
        jsonrpc: &'static str,
        /// Left out where it is not known (MCP 2026-07-28, error responses).
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
        error: JsonRpcError,
    }
    #[derive(Serialize)]
    struct JsonRpcError {
        code: i32,
        message: &'static str,
    }
    let Some(code) = wire.json_rpc_code else {
        let body = serde_json::json!({"error": wire.code, "error_description": wire.description});
        return body.to_string().into();
    };
    let error = JsonRpcError { code, message: wire.description };
    // Numbers and text can always be written.
    serde_json::to_vec(&JsonRpc { jsonrpc: "2.0", id, error }).unwrap_or_default().into()
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
