use std::sync::Arc;
use std::task::{Context, Poll};
use std::{fmt, mem};

use http::{Request, Response};
use tower_service::Service;

use super::authenticator::Authenticator;
use super::credentials::bearer_token;
use super::future::{BearerAuthFuture, Pending};
use crate::oauth::{AccessToken, ResourceUrl, TokenRequest, VerifyToken};
use crate::response::{
    Rejection, RejectionReason, ResponseBody, is_preflight, preflight_response, unknown_host,
};

/// Middleware that lets only requests with a good bearer token pass. See the [module's
/// documentation](crate::bearer_auth).
pub struct BearerAuth<S, V> {
    inner: S,
    verifier: Arc<V>,
    authenticator: Arc<Authenticator>,
}

impl<S, V> BearerAuth<S, V> {
    pub(super) fn new(inner: S, verifier: Arc<V>, authenticator: Arc<Authenticator>) -> Self {
        Self { inner, verifier, authenticator }
    }
}

impl<S, V, ReqBody, ResBody> Service<Request<ReqBody>> for BearerAuth<S, V>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    V: VerifyToken,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = BearerAuthFuture<S, ReqBody, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        if self.authenticator.answers_preflights()
            && is_preflight(request.method(), request.headers())
        {
            return BearerAuthFuture::answered(preflight_response());
        }
        let Some(resource) = self.authenticator.resource(request.uri(), request.headers()) else {
            return BearerAuthFuture::answered(unknown_host());
        };
        let token = match bearer_token(request.headers()) {
            Ok(token) => token,
            Err(rejection)
                if rejection.reason() == RejectionReason::MissingToken
                    && self.authenticator.optional =>
            {
                return BearerAuthFuture::anonymous(self.inner.call(request));
            }
            Err(rejection) => return self.refuse(&resource, &request, rejection),
        };
        let Some(known) = self.verifier.cached(TokenRequest::new(token).for_resource(&resource))
        else {
            let token = AccessToken::from(token);
            return self.verify(token, resource, request);
        };
        match known.map_err(Rejection::from).and_then(|caller| self.authenticator.admit(caller)) {
            Ok(caller) => {
                BearerAuthFuture::admitted(&self.authenticator, &mut self.inner, request, caller)
            }
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
    ) -> BearerAuthFuture<S, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    {
        BearerAuthFuture::answered(self.authenticator.refuse(
            resource,
            request.headers(),
            rejection,
        ))
    }

    fn verify<ReqBody, ResBody>(
        &mut self,
        token: AccessToken,
        resource: ResourceUrl,
        request: Request<ReqBody>,
    ) -> BearerAuthFuture<S, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    {
        // The service that `poll_ready` made ready is the one to call; its clone may not be.
        let clone = self.inner.clone();
        let service = mem::replace(&mut self.inner, clone);
        let authenticator = Arc::clone(&self.authenticator);
        let pending = Pending { service, request, resource: resource.clone(), authenticator };
        let verifier = Arc::clone(&self.verifier);
        let verification = async move {
            verifier.verify_token(TokenRequest::new(token.expose()).for_resource(&resource)).await
        };
        BearerAuthFuture::verifying(Box::pin(verification), pending)
    }
}

impl<S: Clone, V> Clone for BearerAuth<S, V> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            verifier: Arc::clone(&self.verifier),
            authenticator: Arc::clone(&self.authenticator),
        }
    }
}

impl<S: fmt::Debug, V> fmt::Debug for BearerAuth<S, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuth")
            .field("inner", &self.inner)
            .field("authenticator", &self.authenticator)
            .finish_non_exhaustive()
    }
}
