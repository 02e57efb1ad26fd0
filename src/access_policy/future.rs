//! The response future: reads the body and then waits for the inner service.

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

use super::body::BodyReader;
use super::enforcer::{Enforcer, PolicyVerdict};
use super::membership::WaitingRequest;
use super::request_body::RequestBody;
use super::rewriter::ResponseRewriter;
use crate::response::{MessageError, Oneshot, ResponseBody, take_once};

pin_project! {
    /// Response future of [`AccessPolicyService`](super::AccessPolicyService).
    #[must_use = "futures do nothing unless they are polled"]
    pub struct AccessPolicyFuture<S, ReqBody, ResBody>
    where
        S: Service<Request<RequestBody<ReqBody>>>,
    {
        #[pin]
        state: AccessPolicyState<S, ReqBody, ResBody>,
    }
}

pin_project! {
    #[project = AccessPolicyStateProj]
    enum AccessPolicyState<S, ReqBody, ResBody>
    where
        S: Service<Request<RequestBody<ReqBody>>>,
    {
        Ready { response: Option<Response<ResponseBody<ResBody>>> },
        Reading { #[pin] body: ReqBody, reader: BodyReader, pending: Option<UnreadRequest<S>> },
        // Boxed, since most requests wait for no membership.
        LookingUp { waiting: Option<Box<WaitingRequest>>, pending: Option<UnreadRequest<S>> },
        Inner {
            #[pin] future: Oneshot<S, RequestBody<ReqBody>>,
            // Boxed, since most requests have none.
            rewriter: Option<Box<ResponseRewriter>>,
        },
    }
}

/// A request whose body is being read.
pub(super) struct UnreadRequest<S> {
    pub(super) service: S,
    pub(super) parts: Parts,
    pub(super) enforcer: Arc<Enforcer>,
}

impl<S, ReqBody, ResBody> AccessPolicyFuture<S, ReqBody, ResBody>
where
    S: Service<Request<RequestBody<ReqBody>>, Response = Response<ResBody>>,
{
    pub(super) fn ready(response: Response<ResponseBody<ResBody>>) -> Self {
        Self { state: AccessPolicyState::Ready { response: Some(response) } }
    }

    pub(super) fn reading(body: ReqBody, max_bytes: usize, pending: UnreadRequest<S>) -> Self {
        let reader = pending.enforcer.body_reader(max_bytes);
        Self { state: AccessPolicyState::Reading { body, reader, pending: Some(pending) } }
    }

    pub(super) fn inner(service: S, request: Request<RequestBody<ReqBody>>) -> Self {
        let future = Oneshot::new(service, request);
        Self { state: AccessPolicyState::Inner { future, rewriter: None } }
    }
}

impl<S> UnreadRequest<S> {
    fn resume<ReqBody, ResBody>(
        self,
        body: Result<Bytes, MessageError>,
    ) -> AccessPolicyState<S, ReqBody, ResBody>
    where
        S: Service<Request<RequestBody<ReqBody>>, Response = Response<ResBody>>,
    {
        let verdict = self.enforcer.verdict(&self.parts, body);
        self.follow(verdict)
    }

    fn follow<ReqBody, ResBody>(
        mut self,
        verdict: PolicyVerdict<ResBody>,
    ) -> AccessPolicyState<S, ReqBody, ResBody>
    where
        S: Service<Request<RequestBody<ReqBody>>, Response = Response<ResBody>>,
    {
        match verdict {
            PolicyVerdict::LookUp(waiting) => {
                AccessPolicyState::LookingUp { waiting: Some(waiting), pending: Some(self) }
            }
            PolicyVerdict::Pass(body, rewriter) => {
                if let Some(step_up) = rewriter.as_ref().and_then(|rewriter| rewriter.step_up()) {
                    self.parts.extensions.insert(step_up);
                }
                let request = Request::from_parts(self.parts, RequestBody::from_bytes(body));
                AccessPolicyState::Inner { future: Oneshot::new(self.service, request), rewriter }
            }
            PolicyVerdict::Respond(response) => {
                AccessPolicyState::Ready { response: Some(response) }
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
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                AccessPolicyStateProj::Ready { response } => return take_once(response).map(Ok),
                AccessPolicyStateProj::Inner { future, rewriter } => {
                    let response = ready!(future.poll(cx))?;
                    return Poll::Ready(Ok(match rewriter.take() {
                        Some(rewriter) => rewriter.rewrite(response),
                        None => response.map(ResponseBody::inner),
                    }));
                }
                AccessPolicyStateProj::Reading { body, reader, pending } => {
                    let body = ready!(reader.poll(body, cx));
                    ready!(take_once(pending)).resume(body)
                }
                AccessPolicyStateProj::LookingUp { waiting, pending } => {
                    let outcome = match waiting.as_mut() {
                        Some(waiting) => ready!(waiting.look_up.as_mut().poll(cx)),
                        None => return Poll::Pending,
                    };
                    let (waiting, request) =
                        (ready!(take_once(waiting)), ready!(take_once(pending)));
                    let verdict =
                        request.enforcer.member_verdict(&request.parts, *waiting, outcome);
                    request.follow(verdict)
                }
            };
            state.set(next);
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
