//! Decides whether a request passes, independently of how the services are called.

use std::fmt;

use http::header::{AUTHORIZATION, ORIGIN};
use http::{HeaderMap, Request, Response, Uri};

use crate::error::VerifyError;
use crate::mcp::{AccessPolicy, McpHeaders};
use crate::metadata::protected_resource_metadata_url;
use crate::oauth::{AuthInfo, ResourceUrl, Resources, ScopeHierarchy, Scopes};
use crate::response::{
    ChallengeContext, Rejection, RejectionReason, ResponseBody, ResponseTemplates,
};

/// The configuration of one guarded service.
pub(super) struct Authenticator {
    pub(super) resources: Resources<PreparedResource>,
    pub(super) required_scopes: Scopes,
    pub(super) hierarchy: ScopeHierarchy,
    pub(super) optional: bool,
    pub(super) cors: bool,
    pub(super) access_policy: AccessPolicy,
}

/// A resource with the responses to rejected requests.
pub(super) struct PreparedResource {
    pub(super) resource: ResourceUrl,
    pub(super) templates: ResponseTemplates,
}

/// Whether a request reaches the service.
pub(super) enum AuthVerdict<ResBody> {
    Pass {
        /// Whether the response gets CORS headers.
        cors: bool,
    },
    Respond(Response<ResponseBody<ResBody>>),
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
            Ok(caller) => self.pass(request, caller),
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

    fn pass<ReqBody, ResBody>(
        &self,
        request: &mut Request<ReqBody>,
        caller: AuthInfo,
    ) -> AuthVerdict<ResBody> {
        if let Some(credentials) = request.headers_mut().get_mut(AUTHORIZATION) {
            // Whatever logs the request from here on shows "Sensitive" instead of the token.
            credentials.set_sensitive(true);
        }
        request.extensions_mut().insert(caller);
        // Only a browser's request, which has an `Origin`, with a valid token gets CORS headers.
        AuthVerdict::Pass { cors: self.cors && request.headers().contains_key(ORIGIN) }
    }

    /// Returns the scopes of the operation that the headers name, so that one consent covers it.
    fn operation_scopes(&self, headers: &HeaderMap) -> Scopes {
        if self.access_policy.is_empty() {
            return Scopes::none();
        }
        let operation = McpHeaders::parse(headers).ok().and_then(McpHeaders::into_operation);
        operation.map(|operation| self.access_policy.required_by(&operation)).unwrap_or_default()
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
