//! Decides whether a request passes, independently of how the services are called.

use std::fmt;

use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, ORIGIN};
use http::{HeaderMap, Request, Response, Uri};

use super::session::SessionKey;
use crate::error::VerifyError;
use crate::mcp::{AccessPolicy, McpHeaders};
use crate::metadata::protected_resource_metadata_url;
use crate::oauth::{AuthInfo, ResourceUrl, Resources, ScopeHierarchy, Scopes};
use crate::response::{
    ChallengeContext, Rejection, RejectionReason, ResponseBody, ResponseTemplates, add_cors_headers,
};

/// The configuration of one guarded service.
pub(super) struct Authenticator {
    pub(super) resources: Resources<PreparedResource>,
    pub(super) required_scopes: Scopes,
    pub(super) hierarchy: ScopeHierarchy,
    pub(super) optional: bool,
    pub(super) cors: bool,
    pub(super) access_policy: AccessPolicy,
    pub(super) session_key: Option<SessionKey>,
}

/// A resource with the responses to rejected requests.
pub(super) struct PreparedResource {
    pub(super) resource: ResourceUrl,
    pub(super) templates: ResponseTemplates,
}

/// Whether a request reaches the service.
pub(super) enum AuthVerdict<ResBody> {
    Pass(PassedRequest),
    Respond(Response<ResponseBody<ResBody>>),
}

/// How the response to a request that passed is completed.
pub(super) struct PassedRequest {
    /// Whether the response gets CORS headers.
    cors: bool,
    /// The key that binds the session of the response, and the caller that it is bound to.
    session: Option<(SessionKey, Option<AuthInfo>)>,
}

impl PassedRequest {
    pub(super) fn complete<B>(&self, response: &mut Response<B>) {
        // CORS headers of the service take precedence.
        if self.cors && !response.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
            add_cors_headers(response.headers_mut());
        }
        if let Some((key, caller)) = &self.session {
            key.bind(response.headers_mut(), caller.as_ref());
        }
    }
}

impl Authenticator {
    /// Returns the resource that a request is for.
    pub(super) fn resource(&self, uri: &Uri, headers: &HeaderMap) -> Option<ResourceUrl> {
        match &self.resources {
            Resources::One(prepared) => Some(prepared.resource.clone()),
            Resources::ByRequest(resolver) => resolver.resolve(uri, headers),
        }
    }

    /// Returns whether preflights are answered here. Where tokens are optional they are not, since
    /// only the service knows from which origins it accepts requests without a token.
    pub(super) fn answers_preflights(&self) -> bool {
        self.cors && !self.optional
    }

    /// Decides about a request once its token was verified, and prepares one that passes for the
    /// service.
    pub(super) fn verdict<ReqBody, ResBody>(
        &self,
        verified: Result<AuthInfo, VerifyError>,
        resource: &ResourceUrl,
        request: &mut Request<ReqBody>,
    ) -> AuthVerdict<ResBody> {
        match verified.map_err(Rejection::from).and_then(|caller| self.check_scopes(caller)) {
            Ok(caller) => self.pass(resource, request, caller),
            Err(rejection) => {
                AuthVerdict::Respond(self.respond(resource, request.headers(), rejection))
            }
        }
    }

    /// Builds the response to a rejected request.
    pub(super) fn respond<B>(
        &self,
        resource: &ResourceUrl,
        headers: &HeaderMap,
        rejection: Rejection,
    ) -> Response<ResponseBody<B>> {
        tracing::debug!(reason = ?rejection.reason(), "rejected a request");
        let further = self.operation_scopes(headers);
        match &self.resources {
            Resources::One(prepared) => prepared.templates.respond_with_scopes(rejection, &further),
            Resources::ByRequest(_) => {
                let resource_metadata = protected_resource_metadata_url(resource);
                let scopes = self.required_scopes.union(&further);
                ChallengeContext { resource_metadata, scopes, cors: self.cors }.respond(rejection)
            }
        }
    }

    fn check_scopes(&self, caller: AuthInfo) -> Result<AuthInfo, Rejection> {
        if self.hierarchy.grants_all(caller.scopes(), &self.required_scopes) {
            return Ok(caller);
        }
        Err(Rejection::new(RejectionReason::InsufficientScope))
    }

    /// Passes a request without a token, where tokens are optional.
    pub(super) fn pass_anonymous<ReqBody, ResBody>(
        &self,
        resource: &ResourceUrl,
        request: &mut Request<ReqBody>,
    ) -> AuthVerdict<ResBody> {
        if !self.unbind_session(request.headers_mut(), None) {
            return self.reject_session(resource, request.headers());
        }
        let session = self.session_key.clone().map(|key| (key, None));
        AuthVerdict::Pass(PassedRequest { cors: false, session })
    }

    fn pass<ReqBody, ResBody>(
        &self,
        resource: &ResourceUrl,
        request: &mut Request<ReqBody>,
        caller: AuthInfo,
    ) -> AuthVerdict<ResBody> {
        if !self.unbind_session(request.headers_mut(), Some(&caller)) {
            return self.reject_session(resource, request.headers());
        }
        if let Some(credentials) = request.headers_mut().get_mut(AUTHORIZATION) {
            // Whatever logs the request from here on shows "Sensitive" instead of the token.
            credentials.set_sensitive(true);
        }
        let session = self.session_key.clone().map(|key| (key, Some(caller.clone())));
        request.extensions_mut().insert(caller);
        // Only a browser's request, which has an `Origin`, with a valid token gets CORS headers.
        let cors = self.cors && request.headers().contains_key(ORIGIN);
        AuthVerdict::Pass(PassedRequest { cors, session })
    }

    fn unbind_session(&self, headers: &mut HeaderMap, caller: Option<&AuthInfo>) -> bool {
        self.session_key.as_ref().is_none_or(|key| key.unbind(headers, caller))
    }

    fn reject_session<ResBody>(
        &self,
        resource: &ResourceUrl,
        headers: &HeaderMap,
    ) -> AuthVerdict<ResBody> {
        let rejection = Rejection::new(RejectionReason::UnknownSession);
        AuthVerdict::Respond(self.respond(resource, headers, rejection))
    }

    /// Returns the scopes of the operation that the headers name, so that one consent covers it.
    fn operation_scopes(&self, headers: &HeaderMap) -> Scopes {
        if self.access_policy.is_empty() {
            return Scopes::none();
        }
        let operation = McpHeaders::parse(headers).ok().and_then(McpHeaders::into_operation);
        operation
            .map(|operation| self.access_policy.scopes_by_headers(&operation))
            .unwrap_or_default()
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator")
            .field("required_scopes", &self.required_scopes)
            .field("optional", &self.optional)
            .finish_non_exhaustive()
    }
}
