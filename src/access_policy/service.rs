//! The middleware: reads the body of each `POST`, and calls the inner service for requests that
//! pass.

use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, UPGRADE};
use http::{Method, Request, Response};
use http_body::Body;
use tower_service::Service;

use super::enforcer::Enforcer;
use super::future::{AccessPolicyFuture, UnreadRequest};
use super::request_body::RequestBody;
use crate::response::{MessageError, ResponseBody};

/// Middleware that passes only operations that the caller's scopes allow. See the [module's
/// documentation](crate::access_policy).
#[derive(Clone, Debug)]
pub struct AccessPolicyService<S> {
    inner: S,
    enforcer: Arc<Enforcer>,
}

/// What to do with a request before its body is read.
enum ReadDecision {
    PassUnread,
    Reject(MessageError),
    RejectUpgrade,
    Read,
}

impl<S> AccessPolicyService<S> {
    pub(super) fn new(inner: S, enforcer: Arc<Enforcer>) -> Self {
        Self { inner, enforcer }
    }

    fn decide<B: Body>(&self, request: &Request<B>) -> ReadDecision {
        if !self.enforcer.has_rules() {
            return ReadDecision::PassUnread;
        }
        if is_upgrade(request) && !self.enforcer.allow_upgrades {
            return ReadDecision::RejectUpgrade;
        }
        let has_body = !request.body().is_end_stream() || announced_length(request) > 0;
        if request.method() != Method::POST && !has_body {
            return ReadDecision::PassUnread;
        }
        if announced_length(request) > self.enforcer.max_body_bytes {
            return ReadDecision::Reject(MessageError::TooLarge);
        }
        ReadDecision::Read
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for AccessPolicyService<S>
where
    S: Service<Request<RequestBody<ReqBody>>, Response = Response<ResBody>> + Clone,
    ReqBody: Body<Data = Bytes>,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = AccessPolicyFuture<S, ReqBody, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        match self.decide(&request) {
            ReadDecision::PassUnread => {
                AccessPolicyFuture::inner(self.inner.call(request.map(RequestBody::unread)))
            }
            ReadDecision::Reject(error) => AccessPolicyFuture::ready(self.enforcer.reject(error)),
            ReadDecision::RejectUpgrade => {
                AccessPolicyFuture::ready(self.enforcer.reject_upgrade())
            }
            ReadDecision::Read => {
                // The service that `poll_ready` made ready must be the one that is called. Its
                // clone may not be ready.
                let clone = self.inner.clone();
                let service = mem::replace(&mut self.inner, clone);
                let (parts, body) = request.into_parts();
                let enforcer = Arc::clone(&self.enforcer);
                AccessPolicyFuture::reading(body, UnreadRequest { service, parts, enforcer })
            }
        }
    }
}

/// Returns whether the connection may be used for something else after this request, such as a
/// WebSocket. An upgrade to HTTP/2 (`h2c`), which some clients offer with every request, is not:
/// its requests pass this layer as well.
fn is_upgrade<B>(request: &Request<B>) -> bool {
    let values = request.headers().get_all(UPGRADE).iter();
    let mut protocols = values.flat_map(|value| value.as_bytes().split(|b| *b == b','));
    request.method() == Method::CONNECT
        || protocols.any(|protocol| !protocol.trim_ascii().eq_ignore_ascii_case(b"h2c"))
}

/// Returns the length that a body announces: the actual one may be larger, and is counted as it is
/// read.
fn announced_length<B: Body>(request: &Request<B>) -> usize {
    let header = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    // Rejecting a length that is not a number is left to the HTTP server.
    let by_header = header.and_then(|value| value.parse().ok()).unwrap_or(0);
    let by_hint = usize::try_from(request.body().size_hint().lower()).unwrap_or(usize::MAX);
    by_hint.max(by_header)
}
