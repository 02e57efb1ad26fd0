//! What is decided about a request, apart from how the services around it are driven.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, Response, Uri};

use crate::auth_info::AuthInfo;
use crate::body::ResponseBody;
use crate::cors_headers::without_cors;
use crate::metadata::protected_resource_metadata_url;
use crate::rejection::{Challenged, Refusals, Rejection, RejectionReason};
use crate::resolve::ResolveResource;
use crate::resource::ResourceUrl;
use crate::scope::{ScopeHierarchy, Scopes};

/// The rules of one guarded service.
pub(super) struct Gate {
    pub(super) guarded: Guarded,
    pub(super) required: Scopes,
    pub(super) hierarchy: ScopeHierarchy,
    pub(super) optional: bool,
    pub(super) cors: bool,
}

/// What stands behind the gate.
pub(super) enum Guarded {
    /// One resource, whose refusals are written beforehand.
    One { resource: ResourceUrl, refusals: Refusals },
    /// One of several.
    Several(Arc<dyn ResolveResource>),
}

impl Gate {
    /// The resource that a request is meant for.
    pub(super) fn resource(&self, uri: &Uri, headers: &HeaderMap) -> Option<ResourceUrl> {
        match &self.guarded {
            Guarded::One { resource, .. } => Some(resource.clone()),
            Guarded::Several(resolver) => resolver.resolve(uri, headers),
        }
    }

    /// Whether the gate answers preflights: not where requests may pass without a token, since the service alone knows
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

    pub(super) fn refuse<B>(
        &self,
        resource: &ResourceUrl,
        rejection: Rejection,
    ) -> Response<ResponseBody<B>> {
        tracing::debug!(reason = ?rejection.reason(), "a request was refused");
        let response = match &self.guarded {
            Guarded::One { refusals, .. } => refusals.refuse(rejection),
            Guarded::Several(_) => challenged(resource, &self.required).refuse(rejection),
        };
        if self.cors { response } else { without_cors(response) }
    }
}

pub(super) fn challenged(resource: &ResourceUrl, required: &Scopes) -> Challenged {
    Challenged { resource_metadata: protected_resource_metadata_url(resource), scopes: required.clone() }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("required", &self.required)
            .field("optional", &self.optional)
            .finish_non_exhaustive()
    }
}
