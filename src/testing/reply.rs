use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use serde_json::{Value, json};

pub(super) type Reply = Response<ReplyBody>;

/// A body that behaves, and the two that do not.
pub(super) enum ReplyBody {
    Whole(Bytes),
    /// Ends after these bytes without having announced a length, so that `Content-Length` can promise more.
    Truncated(Bytes),
    Endless(Bytes),
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let next = match this {
            Self::Whole(bytes) => std::mem::take(bytes),
            Self::Endless(bytes) => bytes.clone(),
            Self::Truncated(bytes) if bytes.is_empty() => {
                // What is written so far is sent before the end becomes an error and closes the connection.
                *this = Self::Whole(Bytes::new());
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Self::Truncated(bytes) => std::mem::take(bytes),
        };
        let frame = (!next.is_empty()).then(|| Ok(Frame::data(next)));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                u64::try_from(bytes.len()).map_or_else(|_| SizeHint::new(), SizeHint::with_exact)
            }
            Self::Truncated(_) | Self::Endless(_) => SizeHint::new(),
        }
    }
}

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
        let body = json!({ "errors": [error], "clerk_trace_id": "0af7651916cd43dd8448eb211c80319c" });
        json(failure.status, &body)
    }
}
