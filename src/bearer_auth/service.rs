//! The middleware: decides about each request, and calls the inner service for those that pass.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::request::Parts;
use http::{Request, Response};
use tower_service::Service;

use super::authenticator::{AuthVerdict, Authenticator};
use super::credentials::presented_token;
use super::future::{BearerAuthFuture, UnverifiedRequest, Verification};
use crate::oauth::{AccessToken, ResourceUrl, TokenRequest, VerifyToken, check_token68};
use crate::response::{Oneshot, ResponseBody};

/// Middleware that passes only requests with a valid bearer token. See the [module's
/// documentation](crate::bearer_auth).
///
/// It is always ready, and waits for the inner service only with requests that have passed.
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

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        match self.decide(&mut parts) {
            AuthDecision::Verdict(AuthVerdict::Pass(passed)) => {
                let request = Request::from_parts(parts, body);
                let authenticator = Arc::clone(&self.authenticator);
                let future = Oneshot::call(&mut self.inner, request);
                BearerAuthFuture::inner(future, passed, authenticator)
            }
            AuthDecision::Verdict(AuthVerdict::Respond(response)) => {
                BearerAuthFuture::ready(response)
            }
            AuthDecision::Verify { token, resource } => {
                let verification = self.verification(token, resource.clone());
                let pending = UnverifiedRequest {
                    service: self.inner.clone(),
                    parts,
                    body,
                    resource,
                    authenticator: Arc::clone(&self.authenticator),
                };
                BearerAuthFuture::verifying(verification, pending)
            }
        }
    }
}

impl<S, V: VerifyToken> BearerAuth<S, V> {
    fn decide<ResBody>(&self, parts: &mut Parts) -> AuthDecision<ResBody> {
        let authenticator = &*self.authenticator;
        let respond = |response| AuthDecision::Verdict(AuthVerdict::Respond(response));
        if authenticator.answers_preflight(parts) {
            return respond(authenticator.preflight_response());
        }
        let Some(resource) = authenticator.resource(parts) else {
            return respond(authenticator.reject_unknown_host());
        };
        if authenticator.passes_without_token(parts) {
            return AuthDecision::Verdict(authenticator.pass(&resource, parts, None));
        }
        let token = match presented_token(&parts.headers) {
            Ok(token) => token,
            Err(rejection) => {
                return AuthDecision::Verdict(authenticator.reject(&resource, parts, rejection));
            }
        };
        let request = TokenRequest::new(token).for_resource(&resource);
        let outcome = self.verifier.cached(request).or_else(|| check_token68(token).err().map(Err));
        match outcome {
            Some(outcome) => {
                AuthDecision::Verdict(authenticator.verdict(outcome, &resource, parts))
            }
            None => AuthDecision::Verify {
                token: AccessToken::from(token),
                resource: resource.into_owned(),
            },
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
