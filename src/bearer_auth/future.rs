use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, ORIGIN};
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::authenticator::Authenticator;
use crate::error::VerifyError;
use crate::oauth::{AuthInfo, ResourceUrl};
use crate::response::{Rejection, ResponseBody, allow_reading};

pub(super) type Verification = Pin<Box<dyn Future<Output = Result<AuthInfo, VerifyError>> + Send>>;

pin_project! {
    /// Response future of [`BearerAuth`](super::BearerAuth).
    #[must_use = "futures do nothing unless they are polled"]
    pub struct BearerAuthFuture<S, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        kind: Kind<S, ReqBody, ResBody>,
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind<S, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>>,
    {
        Answered { response: Option<Response<ResponseBody<ResBody>>> },
        Verifying { verification: Verification, pending: Option<Pending<S, ReqBody>> },
        Inner { #[pin] future: S::Future, readable: bool },
    }
}

/// A request that waits for its token to be verified, and all that is needed to go on.
pub(super) struct Pending<S, ReqBody> {
    pub(super) service: S,
    pub(super) request: Request<ReqBody>,
    pub(super) resource: ResourceUrl,
    pub(super) authenticator: Arc<Authenticator>,
}

impl<S, ReqBody, ResBody> BearerAuthFuture<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    pub(super) fn answered(response: Response<ResponseBody<ResBody>>) -> Self {
        Self { kind: Kind::Answered { response: Some(response) } }
    }

    pub(super) fn anonymous(future: S::Future) -> Self {
        Self { kind: Kind::Inner { future, readable: false } }
    }

    pub(super) fn admitted(
        authenticator: &Authenticator,
        service: &mut S,
        request: Request<ReqBody>,
        caller: AuthInfo,
    ) -> Self {
        Self { kind: Kind::admitted(authenticator, service, request, caller) }
    }

    pub(super) fn verifying(verification: Verification, pending: Pending<S, ReqBody>) -> Self {
        Self { kind: Kind::Verifying { verification, pending: Some(pending) } }
    }
}

impl<S, ReqBody, ResBody> Kind<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    fn admitted(
        authenticator: &Authenticator,
        service: &mut S,
        mut request: Request<ReqBody>,
        caller: AuthInfo,
    ) -> Self {
        // A page may read an answer if the browser says whose page it is, and if it has a token to show.
        let readable = authenticator.cors && request.headers().contains_key(ORIGIN);
        if let Some(credentials) = request.headers_mut().get_mut(AUTHORIZATION) {
            // Whatever logs the request from here on shows "Sensitive" in its place.
            credentials.set_sensitive(true);
        }
        request.extensions_mut().insert(caller);
        Self::Inner { future: service.call(request), readable }
    }
}

impl<S, ReqBody> Pending<S, ReqBody> {
    fn resume<ResBody>(
        mut self,
        outcome: Result<AuthInfo, VerifyError>,
    ) -> Kind<S, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    {
        let admitted =
            outcome.map_err(Rejection::from).and_then(|caller| self.authenticator.admit(caller));
        match admitted {
            Ok(caller) => {
                Kind::admitted(&self.authenticator, &mut self.service, self.request, caller)
            }
            Err(rejection) => {
                let response =
                    self.authenticator.refuse(&self.resource, self.request.headers(), rejection);
                Kind::Answered { response: Some(response) }
            }
        }
    }
}

impl<S, ReqBody, ResBody> Future for BearerAuthFuture<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
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
                KindProj::Inner { future, readable } => {
                    let mut response = ready!(future.poll(cx))?.map(ResponseBody::inner);
                    if *readable && !response.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
                        allow_reading(response.headers_mut());
                    }
                    return Poll::Ready(Ok(response));
                }
                KindProj::Verifying { verification, pending } => {
                    let outcome = ready!(verification.as_mut().poll(cx));
                    let Some(pending) = pending.take() else {
                        return Poll::Pending;
                    };
                    pending.resume(outcome)
                }
            };
            kind.set(next);
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
