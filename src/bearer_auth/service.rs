//! The middleware: decides about each request, and calls the inner service for those that pass.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::{fmt, mem};

use http::{Request, Response};
use tower_service::Service;

use super::authenticator::{AuthVerdict, Authenticator};
use super::credentials::bearer_token;
use super::future::{BearerAuthFuture, UnverifiedRequest, Verification};
use crate::oauth::{AccessToken, ResourceUrl, TokenRequest, VerifyToken};
use crate::response::{
    RejectionReason, ResponseBody, is_preflight, preflight_response, unknown_host,
};

/// Middleware that passes only requests with a valid bearer token. See the [module's
/// documentation](crate::bearer_auth).
pub struct BearerAuth<S, V> {
    inner: S,
    verifier: Arc<V>,
    authenticator: Arc<Authenticator>,
}

/// What to do with a request.
enum AuthDecision<ResBody> {
    Verdict(AuthVerdict<ResBody>),
    /// The token has to be verified first.
    Verify {
        token: AccessToken,
        resource: ResourceUrl,
    },
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

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        match self.decide(&mut request) {
            AuthDecision::Verdict(AuthVerdict::Pass(passed)) => {
                BearerAuthFuture::inner(self.inner.call(request), passed)
            }
            AuthDecision::Verdict(AuthVerdict::Respond(response)) => {
                BearerAuthFuture::ready(response)
            }
            AuthDecision::Verify { token, resource } => {
                let verification = self.verification(token, resource.clone());
                // The service that `poll_ready` made ready must be the one that is called. Its
                // clone may not be ready.
                let clone = self.inner.clone();
                let service = mem::replace(&mut self.inner, clone);
                let authenticator = Arc::clone(&self.authenticator);
                let pending = UnverifiedRequest { service, request, resource, authenticator };
                BearerAuthFuture::verifying(verification, pending)
            }
        }
    }
}

impl<S, V: VerifyToken> BearerAuth<S, V> {
    fn decide<ReqBody, ResBody>(&self, request: &mut Request<ReqBody>) -> AuthDecision<ResBody> {
        let authenticator = &*self.authenticator;
        let respond = |response| AuthDecision::Verdict(AuthVerdict::Respond(response));
        if authenticator.answers_preflights() && is_preflight(request.method(), request.headers()) {
            return respond(preflight_response());
        }
        let Some(resource) = authenticator.resource(request.uri(), request.headers()) else {
            return respond(unknown_host(authenticator.cors));
        };
        let token = match bearer_token(request.headers()) {
            Ok(token) => token,
            Err(rejection)
                if rejection.reason() == RejectionReason::MissingToken
                    && authenticator.optional =>
            {
                let verdict = authenticator.pass_anonymous(&resource, request);
                return AuthDecision::Verdict(verdict);
            }
            Err(rejection) => {
                return respond(authenticator.respond(&resource, request.headers(), rejection));
            }
        };
        match self.verifier.cached(TokenRequest::new(token).for_resource(&resource)) {
            Some(cached) => {
                AuthDecision::Verdict(authenticator.verdict(cached, &resource, request))
            }
            None => AuthDecision::Verify { token: AccessToken::from(token), resource },
        }
    }

    fn verification(&self, token: AccessToken, resource: ResourceUrl) -> Verification {
        let verifier = Arc::clone(&self.verifier);
        Box::pin(async move {
            verifier.verify_token(TokenRequest::new(token.expose()).for_resource(&resource)).await
        })
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
