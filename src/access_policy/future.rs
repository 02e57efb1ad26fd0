use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::body::Reading;
use super::enforcer::{Enforcer, Refusal};
use super::request_body::RequestBody;
use crate::response::{MessageError, ResponseBody};

pin_project! {
    /// Response future of [`AccessPolicyService`](super::AccessPolicyService).
    #[must_use = "futures do nothing unless they are polled"]
    pub struct AccessPolicyFuture<S, ReqBody, ResBody>
    where
        S: Service<Request<RequestBody<ReqBody>>>,
    {
        #[pin]
        kind: Kind<S, ReqBody, ResBody>,
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind<S, ReqBody, ResBody>
    where
        S: Service<Request<RequestBody<ReqBody>>>,
    {
        Answered { response: Option<Response<ResponseBody<ResBody>>> },
        Reading { #[pin] body: ReqBody, reading: Reading, pending: Option<Pending<S>> },
        Inner { #[pin] future: S::Future },
    }
}

/// A request whose body is being read, and all that is needed to go on.
pub(super) struct Pending<S> {
    pub(super) service: S,
    pub(super) parts: Parts,
    pub(super) enforcer: Arc<Enforcer>,
}

impl<S, ReqBody, ResBody> AccessPolicyFuture<S, ReqBody, ResBody>
where
    S: Service<Request<RequestBody<ReqBody>>, Response = Response<ResBody>>,
{
    pub(super) fn answered(response: Response<ResponseBody<ResBody>>) -> Self {
        Self { kind: Kind::Answered { response: Some(response) } }
    }

    pub(super) fn inner(future: S::Future) -> Self {
        Self { kind: Kind::Inner { future } }
    }

    pub(super) fn reading(body: ReqBody, pending: Pending<S>) -> Self {
        let reading = Reading::new(pending.enforcer.max_body_bytes);
        Self { kind: Kind::Reading { body, reading, pending: Some(pending) } }
    }
}

impl<S> Pending<S> {
    fn resume<ReqBody, ResBody>(
        mut self,
        body: Result<Bytes, MessageError>,
    ) -> Kind<S, ReqBody, ResBody>
    where
        S: Service<Request<RequestBody<ReqBody>>, Response = Response<ResBody>>,
    {
        let admitted = body.map_err(Refusal::from).and_then(|body| {
            self.enforcer.admit(&self.parts, &body)?;
            Ok(body)
        });
        match admitted {
            Ok(body) => {
                let request = Request::from_parts(self.parts, RequestBody::read(body));
                Kind::Inner { future: self.service.call(request) }
            }
            Err(refusal) => {
                Kind::Answered { response: Some(self.enforcer.refuse(&self.parts, refusal)) }
            }
        }
    }
}

impl<S, ReqBody, ResBody> Future for AccessPolicyFuture<S, ReqBody, ResBody>
where
    S: Service<Request<RequestBody<ReqBody>>, Response = Response<ResBody>>,
    ReqBody: Body<Data = Bytes>,
{
    type Output = Result<Response<ResponseBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut kind = self.project().kind;
        loop {
            let next = match kind.as_mut().project() {
                KindProj::Answered { response } => {
                    return response
                        .take()
                        .map_or(Poll::Pending, |response| Poll::Ready(Ok(response)));
                }
                KindProj::Inner { future } => {
                    return Poll::Ready(Ok(ready!(future.poll(cx))?.map(ResponseBody::inner)));
                }
                KindProj::Reading { body, reading, pending } => {
                    let body = ready!(reading.poll(body, cx));
                    let Some(pending) = pending.take() else {
                        return Poll::Pending;
                    };
                    pending.resume(body)
                }
            };
            kind.set(next);
        }
    }
}

impl<S, ReqBody, ResBody> fmt::Debug for AccessPolicyFuture<S, ReqBody, ResBody>
where
    S: Service<Request<RequestBody<ReqBody>>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessPolicyFuture").finish_non_exhaustive()
    }
}
