//! Responses to rejections, with those that are sent often prepared in advance.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, CONTENT_TYPE,
    RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use super::wire::{Challenge, ErrorResponse};
use super::{Rejection, RejectionReason};
use crate::error::{VerifyError, VerifyErrorKind};
use crate::mcp::RequestId;
use crate::oauth::{Scopes, TokenType};
use crate::response::{ANY_ORIGIN, BearerChallenge, ResponseBody};

/// The reasons whose responses are prepared: all that a flood of requests can cause without a call
/// to Clerk, so that rejecting garbage stays cheap, and the other common ones.
const FREQUENT: [RejectionReason; 12] = {
    use RejectionReason::*;
    [
        MissingToken,
        AmbiguousCredentials,
        InvalidToken(VerifyErrorKind::Malformed),
        InvalidToken(VerifyErrorKind::WrongTokenType),
        InvalidToken(VerifyErrorKind::UnsupportedAlgorithm),
        InvalidToken(VerifyErrorKind::UnknownKey),
        InvalidToken(VerifyErrorKind::InvalidSignature),
        InvalidToken(VerifyErrorKind::Expired),
        InvalidToken(VerifyErrorKind::InvalidAudience),
        InvalidToken(VerifyErrorKind::UnknownToken),
        InsufficientScope,
        Unavailable,
    ]
};

/// The `Retry-After` of a 503 when the error names none.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(5);

/// The contents of a resource's challenges.
#[derive(Clone, Debug)]
pub(crate) struct ChallengeContext {
    /// The URL of the resource's metadata.
    pub(crate) resource_metadata: String,
    /// The scopes that every request needs.
    pub(crate) scopes: Scopes,
    /// The scopes that a client should ask for at its first sign-in, besides `scopes`.
    pub(crate) initial_scopes: Scopes,
    /// Whether responses get CORS headers.
    pub(crate) cors: bool,
}

impl ChallengeContext {
    /// Responds with a challenge that names the scopes of this request after those that every
    /// request needs.
    pub(crate) fn respond<B>(&self, rejection: Rejection) -> Response<ResponseBody<B>> {
        self.prepare(&rejection).response(rejection)
    }

    fn prepare(&self, rejection: &Rejection) -> ResponseTemplate {
        let resource_metadata = Some(self.resource_metadata.as_str());
        let scopes = self.scopes_of(rejection);
        ResponseTemplate::new(rejection, resource_metadata, &scopes, self.cors)
    }

    /// Returns the scopes that the challenge names: those of every request, those of the first
    /// sign-in if the client has to begin there, and those of this request.
    pub(super) fn scopes_of(&self, rejection: &Rejection) -> Cow<'_, Scopes> {
        let initial = rejection.is_before_sign_in().then_some(&self.initial_scopes);
        let further = [initial, rejection.further_scopes()].into_iter().flatten();
        further
            .filter(|scopes| !scopes.is_empty())
            .fold(Cow::Borrowed(&self.scopes), |scopes, more| Cow::Owned(scopes.union(more)))
    }
}

/// The prepared responses of one resource.
#[derive(Clone, Debug)]
pub(crate) struct ResponseTemplates {
    challenge_context: ChallengeContext,
    /// By the reason and the type of the rejected token, if it is known.
    prepared: Vec<((RejectionReason, Option<TokenType>), ResponseTemplate)>,
}

impl ResponseTemplates {
    pub(crate) fn new(challenge_context: ChallengeContext) -> Self {
        let prepare = |rejection: Rejection| {
            let key = (rejection.reason, rejection.rejected_type());
            (key, challenge_context.prepare(&rejection))
        };
        let types = TokenType::ALL.map(|one| VerifyError::type_not_accepted(one, "").into());
        let rejections = FREQUENT.into_iter().map(Rejection::new).chain(types);
        Self { prepared: rejections.map(prepare).collect(), challenge_context }
    }

    pub(crate) fn respond<B>(&self, rejection: Rejection) -> Response<ResponseBody<B>> {
        if rejection.further_scopes().is_some() {
            return self.challenge_context.respond(rejection);
        }
        let key = (rejection.reason, rejection.rejected_type());
        match self.prepared.iter().find(|(prepared, _)| *prepared == key) {
            Some((_, prepared)) => prepared.response(rejection),
            None => self.challenge_context.respond(rejection),
        }
    }
}

/// A response without what differs between two rejections of the same reason.
#[derive(Clone, Debug)]
pub(super) struct ResponseTemplate {
    status: StatusCode,
    challenge: Option<HeaderValue>,
    body: Bytes,
    cors: bool,
}

impl ResponseTemplate {
    /// Prepares a response, with a challenge if there is a resource that it can name.
    fn new(
        rejection: &Rejection,
        resource_metadata: Option<&str>,
        scopes: &Scopes,
        cors: bool,
    ) -> Self {
        let error = rejection.error_response();
        let challenge = resource_metadata.map(|url| BearerChallenge::new(url).scope(scopes));
        let challenge = challenge.and_then(|challenge| match error.challenge {
            Challenge::None => None,
            Challenge::WithoutError => Some(challenge),
            Challenge::WithError => Some(challenge.error(error.code, error.description)),
        });
        Self {
            status: error.status,
            challenge: challenge.map(|challenge| challenge.to_header_value()),
            body: body(&error, rejection.request_id().cloned()),
            cors,
        }
    }

    pub(super) fn without_challenge(reason: RejectionReason, cors: bool) -> Self {
        Self::new(&Rejection::new(reason), None, &Scopes::none(), cors)
    }

    /// Prepares the response to a rejection where no resource is known.
    pub(super) fn unchallenged(rejection: &Rejection) -> Self {
        Self::new(rejection, None, &Scopes::none(), false)
    }

    pub(super) fn response<B>(&self, rejection: Rejection) -> Response<ResponseBody<B>> {
        let mut response = Response::new(ResponseBody::from_bytes(self.body.clone()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // Without these two headers, a browser hides the challenge from the page's client.
        if self.cors {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY_ORIGIN);
        }
        if let Some(exposed) = self.exposed_header().filter(|_| self.cors) {
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

    /// Returns the header that a page has to be allowed to read.
    fn exposed_header(&self) -> Option<&'static str> {
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            return Some("Retry-After");
        }
        self.challenge.is_some().then_some("WWW-Authenticate")
    }
}

/// Writes a JSON-RPC error where the message is at fault, and an OAuth error otherwise.
fn body(error: &ErrorResponse, id: Option<RequestId>) -> Bytes {
    #[derive(Serialize)]
    struct JsonRpc {
        jsonrpc: &'static str,
        /// Left out if it is not known (MCP 2026-07-28, error responses).
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
        error: JsonRpcError,
    }
    #[derive(Serialize)]
    struct JsonRpcError {
        code: i32,
        message: &'static str,
    }
    let Some(code) = error.json_rpc_code else {
        let body = serde_json::json!({"error": error.code, "error_description": error.description});
        return body.to_string().into();
    };
    let error = JsonRpcError { code, message: error.description };
    // Writing numbers and strings to memory never fails.
    serde_json::to_vec(&JsonRpc { jsonrpc: "2.0", id, error }).unwrap_or_default().into()
}

/// Rounds up to whole seconds, since a retry that comes early fails again.
fn retry_after(error: Option<&VerifyError>) -> HeaderValue {
    let after = error.and_then(VerifyError::retry_after).unwrap_or(DEFAULT_RETRY_AFTER);
    let seconds = after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0));
    HeaderValue::from(seconds.max(1))
}
