//! Calls a service once it is ready.
//!
//! The layers of this crate are always ready themselves, and make the inner service ready only when
//! a request has passed. Otherwise a request whose token is being verified, or whose body is being
//! read, would keep a place in an inner service that limits its concurrency, and a busy inner service
//! would delay preflights, rejections and metadata documents.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::once::take_once;

pin_project! {
    /// Waits until a service is ready, and then for its response.
    pub(crate) struct Oneshot<S, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        state: OneshotState<S, ReqBody>,
    }
}

pin_project! {
    #[project = OneshotStateProj]
    enum OneshotState<S, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        // Boxed, since most services are ready at once.
        NotReady { waiting: Option<Box<Waiting<S, ReqBody>>> },
        Called { #[pin] future: S::Future },
        Failed { error: Option<S::Error> },
    }
}

/// A request and the service that it waits for.
struct Waiting<S, ReqBody> {
    service: S,
    request: Request<ReqBody>,
}

impl<S, ReqBody> Oneshot<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    /// Calls a service that later requests use too. If it is not ready, or fails, a clone takes its
    /// place: what waits in a queue has to belong to a request, since nobody else polls it, and what
    /// has failed must not be polled again. As with any middleware of tower, an instance that is kept
    /// after a call keeps what its service has reserved and not used.
    pub(crate) fn call(service: &mut S, request: Request<ReqBody>) -> Self
    where
        S: Clone,
    {
        let state = match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => OneshotState::Called { future: service.call(request) },
            Poll::Ready(Err(error)) => {
                *service = service.clone();
                OneshotState::Failed { error: Some(error) }
            }
            Poll::Pending => {
                let clone = service.clone();
                let service = mem::replace(service, clone);
                OneshotState::NotReady { waiting: Some(Box::new(Waiting { service, request })) }
            }
        };
        Self { state }
    }

    /// Calls a service that belongs to the request.
    pub(crate) fn call_own(
        mut service: S,
        request: Request<ReqBody>,
        cx: &mut Context<'_>,
    ) -> Self {
        let state = match service.poll_ready(cx) {
            Poll::Ready(Ok(())) => OneshotState::Called { future: service.call(request) },
            Poll::Ready(Err(error)) => OneshotState::Failed { error: Some(error) },
            Poll::Pending => {
                OneshotState::NotReady { waiting: Some(Box::new(Waiting { service, request })) }
            }
        };
        Self { state }
    }
}

impl<S, ReqBody, ResBody> Future for Oneshot<S, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Output = Result<Response<ResBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                OneshotStateProj::Called { future } => return future.poll(cx),
                OneshotStateProj::Failed { error } => return take_once(error).map(Err),
                OneshotStateProj::NotReady { waiting } => {
                    let readiness = match waiting {
                        Some(waiting) => ready!(waiting.service.poll_ready(cx)),
                        None => return Poll::Pending,
                    };
                    let Waiting { mut service, request } = *ready!(take_once(waiting));
                    match readiness {
                        Ok(()) => OneshotState::Called { future: service.call(request) },
                        Err(error) => OneshotState::Failed { error: Some(error) },
                    }
                }
            };
            state.set(next);
        }
    }
}
