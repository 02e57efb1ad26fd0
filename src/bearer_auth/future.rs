//! The response future: waits for the verification of the token and then for the inner service.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::request::Parts;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::authenticator::{AuthVerdict, Authenticator, PassedRequest};
use crate::error::VerifyError;
use crate::oauth::{AuthInfo, ResourceUrl};
use crate::response::{Oneshot, ResponseBody, take_once};

pub(super) type Verification = Pin<Box<dyn Future<Output = Result<AuthInfo, VerifyError>> + Send>>;

pin_project! {
    /// Response future of [`BearerAuth`](super::BearerAuth).
    #[must_use = "futures do nothing unless they are polled"]
    pub struct BearerAuthFuture<S, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        state: BearerAuthState<S, ReqBody, ResBody>,
    }
}

pin_project! {
    #[project = BearerAuthStateProj]
    enum BearerAuthState<S, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>>,
    {
        Ready { response: Option<Response<ResponseBody<ResBody>>> },
        Verifying {
            verification: Verification,
            // Boxed, since most tokens are known.
            pending: Option<Box<UnverifiedRequest<S, ReqBody>>>,
        },
        Inner {
            #[pin]
            future: Oneshot<S, ReqBody>,
            passed: PassedRequest,
            authenticator: Arc<Authenticator>,
        },
    }
}

/// A request whose token is being verified.
pub(super) struct UnverifiedRequest<S, ReqBody> {
    pub(super) service: S,
    pub(super) parts: Parts,
    pub(super) body: ReqBody,
    pub(super) resource: ResourceUrl,
    pub(super) authenticator: Arc<Authenticator>,
}

impl<S, ReqBody, ResBody> BearerAuthFuture<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    pub(super) fn ready(response: Response<ResponseBody<ResBody>>) -> Self {
        Self { state: BearerAuthState::Ready { response: Some(response) } }
    }

    pub(super) fn verifying(
        verification: Verification,
        pending: UnverifiedRequest<S, ReqBody>,
    ) -> Self {
        let pending = Some(Box::new(pending));
        Self { state: BearerAuthState::Verifying { verification, pending } }
    }

    pub(super) fn inner(
        future: Oneshot<S, ReqBody>,
        passed: PassedRequest,
        authenticator: Arc<Authenticator>,
    ) -> Self {
        Self { state: BearerAuthState::Inner { future, passed, authenticator } }
    }
}

impl<S, ReqBody> UnverifiedRequest<S, ReqBody> {
    fn resume<ResBody>(
        mut self,
        verified: Result<AuthInfo, VerifyError>,
        cx: &mut Context<'_>,
    ) -> BearerAuthState<S, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    {
        match self.authenticator.verdict(verified, &self.resource, &mut self.parts) {
            AuthVerdict::Pass(passed) => {
                let request = Request::from_parts(self.parts, self.body);
                let future = Oneshot::call_own(self.service, request, cx);
                BearerAuthState::Inner { future, passed, authenticator: self.authenticator }
            }
            AuthVerdict::Respond(response) => BearerAuthState::Ready { response: Some(response) },
        }
    }
}

impl<S, ReqBody, ResBody> Future for BearerAuthFuture<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Output = Result<Response<ResponseBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                BearerAuthStateProj::Ready { response } => return take_once(response).map(Ok),
                BearerAuthStateProj::Inner { future, passed, authenticator } => {
                    let response = ready!(future.poll(cx))?;
                    return Poll::Ready(Ok(authenticator.complete(passed, response)));
                }
                BearerAuthStateProj::Verifying { verification, pending } => {
                    let verified = ready!(verification.as_mut().poll(cx));
                    ready!(take_once(pending)).resume(verified, cx)
                }
            };
            state.set(next);
        }
    }
}

impl<S, ReqBody, ResBody> fmt::Debug for BearerAuthFuture<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuthFuture").finish_non_exhaustive()
    }
}
