//! Calls a service once it is ready.
//!
//! The layers of this crate are always ready themselves, and make the inner service ready only when
//! a request has passed. Otherwise a request whose token is being verified, or whose body is being
//! read, would keep a place in an inner service that limits its concurrency, and a busy inner service
//! would delay preflights, rejections and metadata documents.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

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
        NotReady { service: S, request: Option<Request<ReqBody>> },
        Called { #[pin] future: S::Future },
    }
}

impl<S, ReqBody> Oneshot<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    pub(crate) fn new(service: S, request: Request<ReqBody>) -> Self {
        Self { state: OneshotState::NotReady { service, request: Some(request) } }
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
            let future = match state.as_mut().project() {
                OneshotStateProj::Called { future } => return future.poll(cx),
                OneshotStateProj::NotReady { service, request } => {
                    ready!(service.poll_ready(cx))?;
                    service.call(ready!(take_once(request)))
                }
            };
            state.set(OneshotState::Called { future });
        }
    }
}
