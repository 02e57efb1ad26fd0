//! Callers and rejections in handlers of axum (feature `axum`).

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::response::{IntoResponse, Response};
use http::request::Parts;

use crate::oauth::AuthInfo;
use crate::response::{Rejection, RejectionReason};

/// The caller as an argument of a handler of axum (feature `axum`).
///
/// Where the layers of this crate are not around the handler, the request is answered with 500. So
/// is one to which they did not apply the access policy. Where tokens are optional, a request
/// without one gets the 401 with the challenge; take `Option<AuthInfo>` to serve it.
///
/// ```
/// use axum::routing::get;
/// use clerk_mcp_tools::AuthInfo;
///
/// async fn whoami(caller: AuthInfo) -> String {
///     caller.principal().id().to_owned()
/// }
/// # let _: axum::routing::MethodRouter = get(whoami);
/// ```
impl<S: Sync> FromRequestParts<S> for AuthInfo {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let caller = Self::from_guarded_parts(parts)?.cloned();
        caller.ok_or_else(|| Rejection::new(RejectionReason::MissingToken))
    }
}

/// The caller, or `None` for a request without a token where tokens are optional (feature `axum`).
///
/// A layer that is missing is a 500 here too: it must not turn every caller into an anonymous one.
impl<S: Sync> OptionalFromRequestParts<S> for AuthInfo {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Rejection> {
        Ok(Self::from_guarded_parts(parts)?.cloned())
    }
}

/// A rejection as the response of a handler of axum (feature `axum`), by
/// [`into_response_in_layer`](Rejection::into_response_in_layer): behind the layers of this crate it
/// is the response that they would send, with the challenge; without them it has none.
///
/// ```
/// use clerk_mcp_tools::{AuthInfo, Rejection, ScopeHierarchy, Scopes};
///
/// async fn delete(caller: AuthInfo) -> Result<&'static str, Rejection> {
///     let needed = Scopes::parse("files:write").unwrap_or_default();
///     caller.require_scopes(&needed, &ScopeHierarchy::new())?;
///     Ok("deleted")
/// }
/// # let _: axum::routing::MethodRouter = axum::routing::delete(delete);
/// ```
impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.into_response_in_layer().map(axum::body::Body::new)
    }
}
