use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response};
use http_body::Body;
use tower_service::Service;

use super::enforcer::Enforcer;
use super::future::{AccessPolicyFuture, Pending};
use super::request_body::RequestBody;
use crate::response::{MessageError, ResponseBody};

/// Middleware that lets only operations pass which the caller's scopes allow. See the [module's
/// documentation](crate::access_policy).
#[derive(Clone, Debug)]
pub struct AccessPolicyService<S> {
    inner: S,
    enforcer: Arc<Enforcer>,
}

impl<S> AccessPolicyService<S> {
    pub(super) fn new(inner: S, enforcer: Arc<Enforcer>) -> Self {
        Self { inner, enforcer }
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
        // A method other than this one carries no message of MCP.
        if request.method() != Method::POST || !self.enforcer.has_rules() {
            return AccessPolicyFuture::inner(self.inner.call(request.map(RequestBody::untouched)));
        }
        if announced_length(&request) > self.enforcer.max_body_bytes {
            return AccessPolicyFuture::answered(
                self.enforcer.refuse_message(MessageError::TooLarge, None),
            );
        }
        // The service that `poll_ready` made ready is the one to call; its clone may not be.
        let clone = self.inner.clone();
        let service = mem::replace(&mut self.inner, clone);
        let (parts, body) = request.into_parts();
        AccessPolicyFuture::reading(
            body,
            Pending { service, parts, enforcer: Arc::clone(&self.enforcer) },
        )
    }
}

/// How many bytes a body is said to have, at least.
fn announced_length<B: Body>(request: &Request<B>) -> usize {
    let header = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    // A length that is no number is the server's to refuse; what comes is counted in any case.
    let said = header.and_then(|value| value.parse().ok()).unwrap_or(0);
    let known = usize::try_from(request.body().size_hint().lower()).unwrap_or(usize::MAX);
    known.max(said)
}
