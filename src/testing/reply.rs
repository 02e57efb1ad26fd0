use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use super::body::ReplyBody;

pub(super) type Reply = Response<ReplyBody>;

pub(super) fn empty(status: StatusCode) -> Reply {
    whole(status, Bytes::new())
}

pub(super) fn whole(status: StatusCode, body: Bytes) -> Reply {
    let mut reply = Response::new(ReplyBody::Whole(body));
    *reply.status_mut() = status;
    reply
}

pub(super) fn json(status: StatusCode, body: &Value) -> Reply {
    let mut reply = whole(status, Bytes::from(body.to_string()));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

pub(super) fn uncached(mut reply: Reply) -> Reply {
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// An error of the OAuth endpoints (RFC 6749 section 5.2, RFC 7591 section 3.2.2, RFC 8707 section 2).
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

impl From<OAuthError> for Reply {
    fn from(error: OAuthError) -> Self {
        let body = json!({ "error": error.code, "error_description": error.description });
        let mut reply = uncached(json(error.status, &body));
        if error.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic realm=\"Clerk\"");
            reply.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        reply
    }
}

/// An error of the Backend API, in Clerk's shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClerkFailure {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: &'static str,
}

impl From<ClerkFailure> for Reply {
    fn from(failure: ClerkFailure) -> Self {
        let error = json!({
            "code": failure.code,
            "message": failure.message,
            "long_message": failure.message,
        });
        let body =
            json!({ "errors": [error], "clerk_trace_id": "0af7651916cd43dd8448eb211c80319c" });
        json(failure.status, &body)
    }
}
