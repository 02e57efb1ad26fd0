//! Responses of the fake Clerk, and its two error formats.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use super::body::FakeBody;

pub(super) type FakeResponse = Response<FakeBody>;

pub(super) fn empty(status: StatusCode) -> FakeResponse {
    whole(status, Bytes::new())
}

pub(super) fn whole(status: StatusCode, body: Bytes) -> FakeResponse {
    let mut response = Response::new(FakeBody::Whole(body));
    *response.status_mut() = status;
    response
}

pub(super) fn json(status: StatusCode, body: &Value) -> FakeResponse {
    let mut response = whole(status, Bytes::from(body.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Adds `Cache-Control: no-store`, for responses that hold credentials (RFC 6749 section 5.1).
pub(super) fn no_store(mut response: FakeResponse) -> FakeResponse {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// An error of the OAuth endpoints (RFC 6749 section 5.2, RFC 7591 section 3.2.2, RFC 8707
/// section 2).
#[derive(Clone, Copy, Debug)]
pub(super) struct OAuthError {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) description: &'static str,
}

impl OAuthError {
    pub(super) fn new(code: &'static str, description: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, description }
    }

    pub(super) fn invalid_request(description: &'static str) -> Self {
        Self::new("invalid_request", description)
    }

    pub(super) fn invalid_grant(description: &'static str) -> Self {
        Self::new("invalid_grant", description)
    }

    pub(super) fn invalid_client(description: &'static str) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, ..Self::new("invalid_client", description) }
    }
}

impl From<OAuthError> for FakeResponse {
    fn from(error: OAuthError) -> Self {
        let body = json!({ "error": error.code, "error_description": error.description });
        let mut response = no_store(json(error.status, &body));
        if error.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic realm=\"Clerk\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// An error of the Backend API, in Clerk's format.
#[derive(Clone, Copy, Debug)]
pub(super) struct BackendApiError {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: &'static str,
}

impl From<BackendApiError> for FakeResponse {
    fn from(error: BackendApiError) -> Self {
        let body = json!({
            "errors": [{
                "code": error.code,
                "message": error.message,
                "long_message": error.message,
            }],
            "clerk_trace_id": "0af7651916cd43dd8448eb211c80319c",
        });
        json(error.status, &body)
    }
}
