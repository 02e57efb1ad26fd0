use std::sync::Arc;
use std::task::{Context, Poll};
use std::{fmt, mem};

use http::{Request, Response};
use tower_service::Service;

use super::credentials::bearer_token;
use super::future::{Pending, ResponseFuture};
use super::gate::Gate;
use crate::oauth::{AccessToken, ResourceUrl, TokenRequest, VerifyToken};
use crate::response::{
    Rejection, RejectionReason, ResponseBody, is_preflight, preflight_response, unknown_host,
};

/// Middleware that lets only requests with a good bearer token pass. See the [module's
/// documentation](crate::bearer_auth).
pub struct BearerAuth<S, V> {
    inner: S,
    verifier: Arc<V>,
    gate: Arc<Gate>,
}

impl<S, V> BearerAuth<S, V> {
    pub(super) fn new(inner: S, verifier: Arc<V>, gate: Arc<Gate>) -> Self {
        Self { inner, verifier, gate }
    }
}

impl<S, V, ReqBody, ResBody> Service<Request<ReqBody>> for BearerAuth<S, V>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    V: VerifyToken,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        if self.gate.answers_preflights() && is_preflight(request.method(), request.headers()) {
            return ResponseFuture::answered(preflight_response());
        }
        let Some(resource) = self.gate.resource(request.uri(), request.headers()) else {
            return ResponseFuture::answered(unknown_host());
        };
        let token = match bearer_token(request.headers()) {
            Ok(token) => token,
            Err(rejection) if rejection.reason() == RejectionReason::MissingToken && self.gate.optional => {
                return ResponseFuture::anonymous(self.inner.call(request));
            }
            Err(rejection) => return self.refuse(&resource, &request, rejection),
        };
        let Some(known) = self.verifier.known(TokenRequest::new(token).for_resource(&resource)) else {
            let token = AccessToken::from(token);
            return self.verify(token, resource, request);
        };
        match known.map_err(Rejection::from).and_then(|caller| self.gate.admit(caller)) {
            Ok(caller) => ResponseFuture::admitted(&self.gate, &mut self.inner, request, caller),
            Err(rejection) => self.refuse(&resource, &request, rejection),
        }
    }
}

impl<S, V: VerifyToken> BearerAuth<S, V> {
    fn refuse<ReqBody, ResBody>(
        &self,
        resource: &ResourceUrl,
        request: &Request<ReqBody>,
        rejection: Rejection,
    ) -> ResponseFuture<S, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    {
        ResponseFuture::answered(self.gate.refuse(resource, request.headers(), rejection))
    }

    fn verify<ReqBody, ResBody>(
        &mut self,
        token: AccessToken,
        resource: ResourceUrl,
        request: Request<ReqBody>,
    ) -> ResponseFuture<S, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    {
        // The service that `poll_ready` made ready is the one to call; its clone may not be.
        let clone = self.inner.clone();
        let service = mem::replace(&mut self.inner, clone);
        let gate = Arc::clone(&self.gate);
        let pending = Pending { service, request, resource: resource.clone(), gate };
        let verifier = Arc::clone(&self.verifier);
        let verification = async move {
            verifier.verify_token(TokenRequest::new(token.expose()).for_resource(&resource)).await
        };
        ResponseFuture::verifying(Box::pin(verification), pending)
    }
}

impl<S: Clone, V> Clone for BearerAuth<S, V> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), verifier: Arc::clone(&self.verifier), gate: Arc::clone(&self.gate) }
    }
}

impl<S: fmt::Debug, V> fmt::Debug for BearerAuth<S, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuth")
            .field("inner", &self.inner)
            .field("gate", &self.gate)
            .finish_non_exhaustive()
    }
}
