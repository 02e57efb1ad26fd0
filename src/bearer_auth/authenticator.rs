//! What is decided about a request, apart from how the services around it are driven.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, Response, Uri};

use crate::mcp::{AccessPolicy, McpHeaders};
use crate::metadata::protected_resource_metadata_url;
use crate::oauth::{AuthInfo, ResolveResource, ResourceUrl, ScopeHierarchy, Scopes};
use crate::response::{
    ChallengeContext, Rejection, RejectionReason, ResponseBody, ResponseTemplates, without_cors,
};

/// The rules of one guarded service.
pub(super) struct Authenticator {
    pub(super) guarded: Guarded,
    pub(super) required: Scopes,
    pub(super) hierarchy: ScopeHierarchy,
    pub(super) optional: bool,
    pub(super) cors: bool,
    pub(super) operations: AccessPolicy,
}

/// What stands behind the authenticator.
pub(super) enum Guarded {
    /// One resource, whose refusals are written beforehand.
    One { resource: ResourceUrl, refusals: ResponseTemplates },
    /// One of several.
    Several(Arc<dyn ResolveResource>),
}

impl Authenticator {
    /// The resource that a request is meant for.
    pub(super) fn resource(&self, uri: &Uri, headers: &HeaderMap) -> Option<ResourceUrl> {
        match &self.guarded {
            Guarded::One { resource, .. } => Some(resource.clone()),
            Guarded::Several(resolver) => resolver.resolve(uri, headers),
        }
    }

    /// Whether the authenticator answers preflights: not where requests may pass without a token, since the service alone knows
    /// which pages it wants those from.
    pub(super) fn answers_preflights(&self) -> bool {
        self.cors && !self.optional
    }

    /// Whether a verified caller may pass.
    pub(super) fn admit(&self, caller: AuthInfo) -> Result<AuthInfo, Rejection> {
        if self.hierarchy.grants_all(caller.scopes(), &self.required) {
            return Ok(caller);
        }
        Err(Rejection::new(RejectionReason::InsufficientScope))
    }

    /// The refusal of a request with these headers, from which the operation may be known.
    pub(super) fn refuse<B>(
        &self,
        resource: &ResourceUrl,
        headers: &HeaderMap,
        rejection: Rejection,
    ) -> Response<ResponseBody<B>> {
        tracing::debug!(reason = ?rejection.reason(), "a request was refused");
        let further = self.further_scopes(headers);
        let response = match &self.guarded {
            Guarded::One { refusals, .. } => refusals.refuse_needing(rejection, &further),
            Guarded::Several(_) => {
                challenge_context(resource, &self.required).and(&further).refuse(rejection)
            }
        };
        if self.cors { response } else { without_cors(response) }
    }

    /// What the operation needs that the headers claim, so that one consent is enough for it.
    fn further_scopes(&self, headers: &HeaderMap) -> Scopes {
        if self.operations.is_empty() {
            return Scopes::none();
        }
        let operation = McpHeaders::read(headers).ok().and_then(McpHeaders::into_operation);
        operation.map(|operation| self.operations.required_by(&operation)).unwrap_or_default()
    }
}

pub(super) fn challenge_context(resource: &ResourceUrl, required: &Scopes) -> ChallengeContext {
    ChallengeContext {
        resource_metadata: protected_resource_metadata_url(resource),
        scopes: required.clone(),
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator")
            .field("required", &self.required)
            .field("optional", &self.optional)
            .finish_non_exhaustive()
    }
}
