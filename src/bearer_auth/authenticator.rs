//! Decides whether a request passes, independently of how the services are called.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_HEADERS, AUTHORIZATION, ORIGIN,
};
use http::request::Parts;
use http::{HeaderMap, Method, Response};

use super::requirements::Requirements;
use super::session::SessionKey;
use crate::error::VerifyError;
use crate::mcp::McpHeaders;
use crate::metadata::protected_resource_metadata_url;
use crate::oauth::{AuthInfo, PolicyPending, ResourceUrl, Resources, mark_as_guarded};
use crate::response::{
    Decision, DecisionObserver, HandlerRejection, PendingRejection, Rejection, RejectionFormat,
    RejectionReason, ResponseBody, ResponseTemplates, add_cors_headers, add_vary_origin,
    asks_for_page, browser_page, is_preflight, preflight_response, record_caller,
    uncached_preflight_response, unknown_host, with_page,
};

/// The configuration of one guarded service.
pub(super) struct Authenticator {
    pub(super) resources: Resources<PreparedResource>,
    pub(super) requirements: Requirements,
    pub(super) optional: bool,
    pub(super) cors: bool,
    /// The inner service is the one that applies the policy.
    pub(super) policy_is_inside: bool,
    /// The layer that applies the policy decides about the requests that pass this one.
    pub(super) admission_is_inside: bool,
    /// Whether browsers get a page.
    pub(super) browser_page: bool,
    pub(super) observer: DecisionObserver,
    /// The form in which that service answers tool calls.
    pub(super) rejection_format: RejectionFormat,
    pub(super) session_key: Option<SessionKey>,
}

/// A resource with the responses to rejected requests.
pub(super) struct PreparedResource {
    pub(super) resource: ResourceUrl,
    pub(super) templates: ResponseTemplates,
    /// The page for browsers.
    pub(super) page: Bytes,
}

/// Whether a request reaches the service.
pub(super) enum AuthVerdict<ResBody> {
    Pass(PassedRequest),
    Respond(Response<ResponseBody<ResBody>>),
}

/// How the response to a request that passed is completed.
pub(super) struct PassedRequest {
    /// The resource, unless there is one only.
    resource: Option<ResourceUrl>,
    /// Whether the response gets CORS headers.
    cors: bool,
    /// Whether the response depends on the `Origin` of the request.
    vary: bool,
    /// The key that binds the session of the response, and the caller that it is bound to.
    session: Option<(SessionKey, Option<AuthInfo>)>,
}

impl PassedRequest {
    /// A request whose rejection the inner service responds to.
    fn pending(resource: Option<ResourceUrl>) -> Self {
        Self { resource, cors: false, vary: false, session: None }
    }
}

impl Authenticator {
    /// Returns the resource that a request is for.
    pub(super) fn resource(&self, parts: &Parts) -> Option<Cow<'_, ResourceUrl>> {
        match &self.resources {
            Resources::One(prepared) => Some(Cow::Borrowed(&prepared.resource)),
            Resources::ByRequest(resolver) => resolver.resolve(parts).map(Cow::Owned),
        }
    }

    /// Returns the resource of a request, unless there is one only.
    fn if_resolved(&self, resource: &ResourceUrl) -> Option<ResourceUrl> {
        match &self.resources {
            Resources::One(_) => None,
            Resources::ByRequest(_) => Some(resource.clone()),
        }
    }

    /// Responds to a request that is for no resource.
    pub(super) fn reject_unknown_host<B>(&self) -> Response<ResponseBody<B>> {
        let rejection = Rejection::new(RejectionReason::UnknownHost);
        self.observer.observe(&Decision::rejected(&rejection));
        unknown_host(self.cors)
    }

    /// Completes the response to a request that passed.
    pub(super) fn complete<B>(
        &self,
        passed: &PassedRequest,
        mut response: Response<B>,
    ) -> Response<ResponseBody<B>> {
        if let Some(HandlerRejection(rejection)) = response.extensions_mut().remove() {
            let caller = passed.session.as_ref().and_then(|(_, caller)| caller.as_ref());
            let rejection = rejection.of_caller(caller);
            self.observer.log_rejection(&rejection);
            return self.response(passed.resource.as_ref(), rejection);
        }
        // CORS headers of the service take precedence.
        if !response.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
            if passed.cors {
                add_cors_headers(response.headers_mut());
            }
            if passed.vary {
                add_vary_origin(response.headers_mut());
            }
        }
        if let Some((key, caller)) = &passed.session {
            key.bind(response.headers_mut(), caller.as_ref());
        }
        response.map(ResponseBody::inner)
    }

    /// Returns whether this is a preflight that is answered here.
    ///
    /// Where tokens are optional, only one for a request with a token is. Only the service knows
    /// from which origins it accepts requests without one.
    pub(super) fn answers_preflight(&self, parts: &Parts) -> bool {
        self.cors
            && is_preflight(&parts.method, &parts.headers)
            && (!self.optional || announces_token(&parts.headers))
    }

    /// Builds the response to a preflight. Where tokens are optional, browsers must not keep it: they
    /// would use it for a request without a token.
    pub(super) fn preflight_response<B>(&self) -> Response<ResponseBody<B>> {
        if self.optional { uncached_preflight_response() } else { preflight_response() }
    }

    /// Returns whether a request passes as one without a token. Any `Authorization` header, of
    /// whatever scheme, is a credential.
    pub(super) fn passes_without_token(&self, parts: &Parts) -> bool {
        self.optional && !parts.headers.contains_key(AUTHORIZATION)
    }

    /// Decides about a request once its token was verified, and prepares one that passes for the
    /// service.
    pub(super) fn verdict<ResBody>(
        &self,
        verified: Result<AuthInfo, VerifyError>,
        resource: &ResourceUrl,
        parts: &mut Parts,
    ) -> AuthVerdict<ResBody> {
        if let Ok(caller) = &verified {
            record_caller(caller);
        }
        match self.requirements.check(verified) {
            Ok(caller) => self.pass(resource, parts, Some(caller)),
            Err(rejection) => self.reject(resource, parts, rejection),
        }
    }

    /// Responds to a rejected request, or has the inner service respond that applies the policy,
    /// where the body says what the response is.
    pub(super) fn reject<ResBody>(
        &self,
        resource: &ResourceUrl,
        parts: &mut Parts,
        rejection: Rejection,
    ) -> AuthVerdict<ResBody> {
        let rejection = if self.policy_is_inside && rejection.depends_on_operation() {
            rejection
        } else if self.may_be_tool_result(parts, &rejection) {
            self.requirements.name_operation(rejection, &parts.headers)
        } else {
            return AuthVerdict::Respond(self.respond(resource, parts, rejection));
        };
        parts.extensions.insert(PendingRejection(rejection));
        AuthVerdict::Pass(PassedRequest::pending(self.if_resolved(resource)))
    }

    fn may_be_tool_result(&self, parts: &Parts, rejection: &Rejection) -> bool {
        rejection.asks_user()
            && parts.method == Method::POST
            && self.rejection_format.is_tool_result(&parts.headers)
    }

    /// Decides to reject a request, and builds the response.
    fn respond<B>(
        &self,
        resource: &ResourceUrl,
        parts: &Parts,
        rejection: Rejection,
    ) -> Response<ResponseBody<B>> {
        let operation = McpHeaders::parse(&parts.headers).ok().and_then(McpHeaders::into_operation);
        let decision = Decision::rejected(&rejection).or_named(operation.as_ref());
        self.observer.observe(&decision.at(Some(resource)));
        let is_first_request = rejection.reason() == RejectionReason::MissingToken;
        let rejection = self.requirements.name_operation(rejection, &parts.headers);
        let response = self.response(Some(resource), rejection);
        if self.browser_page && is_first_request && asks_for_page(&parts.method, &parts.headers) {
            return with_page(response, self.page(resource));
        }
        response
    }

    fn response<B>(
        &self,
        resource: Option<&ResourceUrl>,
        rejection: Rejection,
    ) -> Response<ResponseBody<B>> {
        match (&self.resources, resource) {
            (Resources::One(prepared), _) => prepared.templates.respond(rejection),
            // Not reached: a request that is for no resource does not pass.
            (Resources::ByRequest(_), None) => unknown_host(self.cors),
            (Resources::ByRequest(_), Some(resource)) => {
                let resource_metadata = protected_resource_metadata_url(resource);
                let requirements = &self.requirements;
                requirements.challenge_context(resource_metadata, self.cors).respond(rejection)
            }
        }
    }

    fn page(&self, resource: &ResourceUrl) -> Bytes {
        match &self.resources {
            Resources::One(prepared) => prepared.page.clone(),
            Resources::ByRequest(_) => browser_page(resource),
        }
    }

    /// Passes a request; without a caller, where tokens are optional.
    pub(super) fn pass<ResBody>(
        &self,
        resource: &ResourceUrl,
        parts: &mut Parts,
        caller: Option<AuthInfo>,
    ) -> AuthVerdict<ResBody> {
        if !self.unbind_session(&mut parts.headers, caller.as_ref()) {
            let rejection = Rejection::new(RejectionReason::UnknownSession);
            let rejection = rejection.of_caller(caller.as_ref());
            return AuthVerdict::Respond(self.respond(resource, parts, rejection));
        }
        if !self.admission_is_inside {
            let decision = Decision::admitted(caller.as_ref(), &[]);
            self.observer.observe(&decision.at(Some(resource)));
        }
        let has_token = caller.is_some();
        let session = self.session_key.clone().map(|key| (key, caller.clone()));
        self.mark(parts, caller);
        let has_origin = parts.headers.contains_key(ORIGIN);
        // A cache may have the response to a request without `Origin`, which differs.
        let vary = has_origin || [Method::GET, Method::HEAD].contains(&parts.method);
        AuthVerdict::Pass(PassedRequest {
            resource: self.if_resolved(resource),
            // Only a browser's request, which has an `Origin`, with a valid token gets them.
            cors: self.cors && has_token && has_origin,
            vary: self.cors && has_token && vary,
            session,
        })
    }

    /// Puts the caller into the extensions, and what [`AuthInfo::from_guarded_parts`] looks for.
    fn mark(&self, parts: &mut Parts, caller: Option<AuthInfo>) {
        let has_token = caller.is_some();
        mark_as_guarded(&mut parts.extensions, caller);
        // The service inside is the layer that applies it, if that is known.
        if self.requirements.have_policy() && !self.policy_is_inside {
            parts.extensions.insert(PolicyPending);
        }
        if !has_token {
            return;
        }
        if let Some(credentials) = parts.headers.get_mut(AUTHORIZATION) {
            // Whatever logs the request from here on shows "Sensitive" instead of the token.
            credentials.set_sensitive(true);
        }
    }

    fn unbind_session(&self, headers: &mut HeaderMap, caller: Option<&AuthInfo>) -> bool {
        self.session_key.as_ref().is_none_or(|key| key.unbind(headers, caller))
    }
}

/// Returns whether the request that a preflight announces will have a token.
fn announces_token(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let mut names = values.flat_map(|value| value.as_bytes().split(|b| *b == b','));
    names.any(|name| name.trim_ascii().eq_ignore_ascii_case(AUTHORIZATION.as_str().as_bytes()))
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator")
            .field("requirements", &self.requirements)
            .field("optional", &self.optional)
            .finish_non_exhaustive()
    }
}
