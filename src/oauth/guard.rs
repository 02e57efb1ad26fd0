//! Marks in the extensions of a request, by which a handler can tell that the layers were applied.

use http::Extensions;
use http::request::Parts;

use super::AuthInfo;

/// The request has passed the bearer layer without a token. One with a token has an [`AuthInfo`] that
/// says so.
#[derive(Clone, Copy)]
struct PassedWithoutToken;

/// The bearer layer knows of an access policy that was not applied yet.
#[derive(Clone, Copy)]
pub(crate) struct PolicyPending;

/// The error of [`AuthInfo::from_guarded_parts`]: the request did not pass the layers of this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotGuarded {
    /// No layer of this crate is around the handler, such as after `Router::merge` behind a
    /// `Router::layer`.
    #[error("no bearer layer is around this handler: apply ClerkMcp::auth_layer to its route")]
    NoLayer,
    /// The bearer layer is around the handler, but the access policy that it was given is not
    /// applied.
    #[error("the access policy is not applied: put its layer inside the bearer layer")]
    NoPolicy,
}

/// Marks a request that passes the bearer layer.
pub(crate) fn mark_as_guarded(extensions: &mut Extensions, caller: Option<AuthInfo>) {
    match caller {
        Some(caller) => drop(extensions.insert(caller.into_guarded())),
        None => drop(extensions.insert(PassedWithoutToken)),
    }
}

/// Returns whether a request has passed the bearer layer.
pub(crate) fn is_guarded(extensions: &Extensions) -> bool {
    extensions.get().is_some_and(AuthInfo::is_guarded)
        || extensions.get::<PassedWithoutToken>().is_some()
}

impl AuthInfo {
    /// Returns the caller of a request that has passed the layers of this crate, and an error if it
    /// has not. `Ok(None)` is a request without a token, where tokens are
    /// [optional](crate::bearer_auth::BearerAuthLayer::optional).
    ///
    /// [`from_parts`](Self::from_parts) cannot tell a missing token from a missing layer. A handler
    /// that serves anonymous callers should use this method, so that a mistake in the wiring does
    /// not turn every caller into an anonymous one.
    ///
    /// # Errors
    ///
    /// Returns an error if no layer is around the handler, or if the layers do not apply the access
    /// policy. A [`Rejection`](crate::Rejection) made from it is a 500.
    ///
    /// # Example
    ///
    /// ```
    /// use clerk_mcp_tools::bearer_auth::NotGuarded;
    /// use clerk_mcp_tools::AuthInfo;
    ///
    /// let (parts, ()) = http::Request::new(()).into_parts();
    /// assert_eq!(AuthInfo::from_guarded_parts(&parts), Err(NotGuarded::NoLayer));
    /// ```
    pub fn from_guarded_parts(parts: &Parts) -> Result<Option<&Self>, NotGuarded> {
        if !is_guarded(&parts.extensions) {
            return Err(NotGuarded::NoLayer);
        }
        if parts.extensions.get::<PolicyPending>().is_some() {
            return Err(NotGuarded::NoPolicy);
        }
        Ok(parts.extensions.get())
    }
}
