//! The middleware: reads the body of each `POST`, and calls the inner service for requests that
//! pass.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response};
use http_body::Body;
use tower_service::Service;

use super::enforcer::Enforcer;
use super::future::{AccessPolicyFuture, UnreadRequest};
use super::request_body::RequestBody;
use crate::oauth::PolicyPending;
use crate::response::{
    MessageError, Oneshot, PendingRejection, Rejection, RejectionReason, ResponseBody,
};

/// Middleware that passes only operations that the caller's scopes allow. See the [module's
/// documentation](crate::access_policy).
///
/// It is always ready, and waits for the inner service only with requests that have passed.
#[derive(Clone, Debug)]
pub struct AccessPolicyService<S> {
    inner: S,
    enforcer: Arc<Enforcer>,
}

/// What to do with a request before its body is read.
enum ReadDecision {
    PassUnread,
    Reject(Rejection),
    Read { max_bytes: usize },
}

impl<S> AccessPolicyService<S> {
    pub(super) fn new(inner: S, enforcer: Arc<Enforcer>) -> Self {
        Self { inner, enforcer }
    }

    fn decide<B: Body>(
        &self,
        parts: &Parts,
        body: &B,
        pending: Option<&Rejection>,
    ) -> ReadDecision {
        let has_rules = self.enforcer.has_rules();
        if !self.enforcer.reads_bodies() && pending.is_none() {
            return ReadDecision::PassUnread;
        }
        if has_rules && is_upgrade(parts) && !self.enforcer.allow_upgrades {
            self.enforcer.observer.log().warn_of_upgrade();
            return ReadDecision::Reject(Rejection::new(RejectionReason::UpgradeNotAllowed));
        }
        let announced = announced_length(&parts.headers, body);
        let has_body = !body.is_end_stream() || announced > 0;
        if parts.method != Method::POST && !(has_body && has_rules) {
            return ReadDecision::PassUnread;
        }
        let max_bytes = self.enforcer.max_body_bytes(pending);
        if announced > max_bytes {
            return ReadDecision::Reject(MessageError::TooLarge.into());
        }
        ReadDecision::Read { max_bytes }
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

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        parts.extensions.remove::<PolicyPending>();
        let pending = parts.extensions.get().cloned().map(|PendingRejection(rejection)| rejection);
        match (self.decide(&parts, &body, pending.as_ref()), pending) {
            (ReadDecision::Read { max_bytes }, _) => {
                let service = self.inner.clone();
                let enforcer = Arc::clone(&self.enforcer);
                let request = UnreadRequest { service, parts, enforcer };
                AccessPolicyFuture::reading(body, max_bytes, request)
            }
            // The bearer layer has rejected the token, whatever else is wrong with the request.
            (_, Some(rejection)) => {
                AccessPolicyFuture::ready(self.enforcer.respond_to_pending(&parts, &[], rejection))
            }
            (ReadDecision::Reject(rejection), None) => {
                AccessPolicyFuture::ready(self.enforcer.respond(&parts, None, rejection))
            }
            (ReadDecision::PassUnread, None) => {
                self.enforcer.admit(&parts, &[], None);
                let request = Request::from_parts(parts, RequestBody::unread(body));
                AccessPolicyFuture::inner(Oneshot::call(&mut self.inner, request))
            }
        }
    }
}

/// Returns whether the connection may be used for something else after this request, such as a
/// WebSocket. An upgrade to HTTP/2 (`h2c`), which some clients offer with every request, is not:
/// its requests pass this layer as well.
fn is_upgrade(parts: &Parts) -> bool {
    let values = parts.headers.get_all(UPGRADE).iter();
    let mut protocols = values.flat_map(|value| value.as_bytes().split(|b| *b == b','));
    parts.method == Method::CONNECT
        || protocols.any(|protocol| !protocol.trim_ascii().eq_ignore_ascii_case(b"h2c"))
}

/// Returns the length that a body announces: the actual one may be larger, and is counted as it is
/// read.
fn announced_length<B: Body>(headers: &HeaderMap, body: &B) -> usize {
    let header = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    // Rejecting a length that is not a number is left to the HTTP server.
    let by_header = header.and_then(|value| value.parse().ok()).unwrap_or(0);
    let by_hint = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    by_hint.max(by_header)
}
