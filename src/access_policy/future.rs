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
use super::enforcer::{BodyVerdict, Enforcer, PolicyVerdict};
use super::membership::WaitingRequest;
use super::request_body::RequestBody;
use super::rewriter::ResponseRewriter;
use crate::response::{Oneshot, ResponseBody, take_once};

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
        Reading {
            #[pin] body: ReqBody,
            // Counts the body as long as the request waits.
            reader: BodyReader,
            pending: Option<UnreadRequest<S>>,
            // Boxed, since most requests wait for no membership.
            waiting: Option<Box<WaitingRequest>>,
        },
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
        let reader = BodyReader::new(max_bytes);
        let pending = Some(pending);
        Self { state: AccessPolicyState::Reading { body, reader, pending, waiting: None } }
    }

    pub(super) fn inner(future: Oneshot<S, RequestBody<ReqBody>>) -> Self {
        Self { state: AccessPolicyState::Inner { future, rewriter: None } }
    }
}

impl<S> UnreadRequest<S> {
    fn follow<ReqBody, ResBody>(
        mut self,
        verdict: PolicyVerdict<ResBody>,
        cx: &mut Context<'_>,
    ) -> AccessPolicyState<S, ReqBody, ResBody>
    where
        S: Service<Request<RequestBody<ReqBody>>, Response = Response<ResBody>>,
    {
        match verdict {
            PolicyVerdict::Pass(body, rewriter) => {
                if let Some(step_up) = rewriter.as_ref().and_then(|rewriter| rewriter.step_up()) {
                    self.parts.extensions.insert(step_up);
                }
                let request = Request::from_parts(self.parts, RequestBody::from_bytes(body));
                let future = Oneshot::call_own(self.service, request, cx);
                AccessPolicyState::Inner { future, rewriter }
            }
            PolicyVerdict::Respond(response) => {
                AccessPolicyState::Ready { response: Some(response) }
            }
        }
    }
}

/// Reads the body, and waits for the membership of the caller if that decides.
fn poll_verdict<S, ReqBody: Body<Data = Bytes>, ResBody>(
    (body, reader): (Pin<&mut ReqBody>, &mut BodyReader),
    pending: &Option<UnreadRequest<S>>,
    waiting: &mut Option<Box<WaitingRequest>>,
    cx: &mut Context<'_>,
) -> Poll<PolicyVerdict<ResBody>> {
    let Some(UnreadRequest { parts, enforcer, .. }) = pending else {
        return Poll::Pending;
    };
    if waiting.is_none() {
        match enforcer.verdict(parts, ready!(reader.poll(body, &enforcer.body_limits, cx))) {
            BodyVerdict::Decided(verdict) => return Poll::Ready(verdict),
            BodyVerdict::LookUp(request) => *waiting = Some(request),
        }
    }
    let outcome = match waiting.as_mut() {
        Some(request) => ready!(request.look_up.as_mut().poll(cx)),
        None => return Poll::Pending,
    };
    let request = ready!(take_once(waiting));
    Poll::Ready(enforcer.member_verdict(parts, *request, outcome))
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
                AccessPolicyStateProj::Reading { body, reader, pending, waiting } => {
                    let verdict = ready!(poll_verdict((body, reader), pending, waiting, cx));
                    ready!(take_once(pending)).follow(verdict, cx)
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
