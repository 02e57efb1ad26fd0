//! The interface between the HTTP layers and a token verifier.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;

use crate::error::VerifyError;
use crate::oauth::{AccessToken, AuthInfo, ResourceUrl};

/// A token to verify, and the resource that it is presented to.
///
/// `Debug` does not show the token.
#[derive(Clone, Copy)]
pub struct TokenRequest<'a> {
    token: &'a str,
    resource: Option<&'a ResourceUrl>,
}

impl<'a> TokenRequest<'a> {
    /// Creates a request for a token that is not presented to a particular resource.
    #[must_use]
    pub fn new(token: &'a str) -> Self {
        Self { token, resource: None }
    }

    /// Sets the resource that the token is presented to and must have been issued for (RFC 8707).
    /// Defaults to none.
    #[must_use]
    pub fn for_resource(mut self, resource: &'a ResourceUrl) -> Self {
        self.resource = Some(resource);
        self
    }

    /// Returns the token in the clear.
    #[must_use]
    pub fn token(&self) -> &'a str {
        self.token
    }

    /// Returns the resource that the token is presented to, if it is known.
    #[must_use]
    pub fn resource(&self) -> Option<&'a ResourceUrl> {
        self.resource
    }
}

/// An owned [`TokenRequest`].
#[derive(Clone)]
pub(crate) struct OwnedTokenRequest {
    token: AccessToken,
    resource: Option<ResourceUrl>,
}

impl From<TokenRequest<'_>> for OwnedTokenRequest {
    fn from(request: TokenRequest<'_>) -> Self {
        Self { token: request.token.into(), resource: request.resource.cloned() }
    }
}

impl OwnedTokenRequest {
    pub(crate) fn as_request(&self) -> TokenRequest<'_> {
        TokenRequest { token: self.token.expose(), resource: self.resource.as_ref() }
    }
}

impl fmt::Debug for TokenRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRequest").field("resource", &self.resource).finish_non_exhaustive()
    }
}

/// A verifier of access tokens, called by the HTTP layers.
///
/// Implemented by [`ClerkVerifier`](crate::ClerkVerifier), and by every closure that takes an
/// [`AccessToken`] and returns a future of `Result<AuthInfo, VerifyError>`. A closure does not
/// receive the resource, so it must know which resource its tokens are issued for.
///
/// # Examples
///
/// A closure:
///
/// ```
/// use clerk_mcp_tools::bearer_auth::{AccessToken, BearerAuthLayer};
/// use clerk_mcp_tools::{AuthInfo, ResourceUrl, VerifyError, VerifyErrorKind};
///
/// let resource = ResourceUrl::parse("https://mcp.example.com/mcp")?;
/// let layer = BearerAuthLayer::new(
///     |token: AccessToken| async move {
///         if token.expose() != "let-me-in" {
///             return Err(VerifyError::new(VerifyErrorKind::UnknownToken));
///         }
///         Ok(AuthInfo::for_user("user_1", token).client_id("client_1").build())
///     },
///     resource,
/// );
/// # let _ = layer;
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
///
/// The trait is dyn-compatible, so that the verifier can be chosen at run time:
///
/// ```
/// use std::sync::Arc;
///
/// use async_trait::async_trait;
/// use clerk_mcp_tools::bearer_auth::{BearerAuthLayer, TokenRequest, VerifyToken};
/// use clerk_mcp_tools::{AuthInfo, ClerkVerifier, ConfigError, ResourceUrl};
/// use clerk_mcp_tools::{VerifyError, VerifyErrorKind};
///
/// /// Responds with 503 to every token, while Clerk is not configured.
/// struct NotConfigured;
///
/// #[async_trait]
/// impl VerifyToken for NotConfigured {
///     async fn verify_token(&self, _: TokenRequest<'_>) -> Result<AuthInfo, VerifyError> {
///         Err(VerifyErrorKind::Unavailable.into())
///     }
/// }
///
/// fn layer(
///     clerk: Option<ClerkVerifier>,
/// ) -> Result<BearerAuthLayer<Arc<dyn VerifyToken>>, ConfigError> {
///     let verifier: Arc<dyn VerifyToken> = match clerk {
///         Some(clerk) => Arc::new(clerk),
///         None => Arc::new(NotConfigured),
///     };
///     Ok(BearerAuthLayer::new(verifier, ResourceUrl::parse("https://mcp.example.com/mcp")?))
/// }
/// # assert!(layer(None).is_ok());
/// ```
#[async_trait]
pub trait VerifyToken: Send + Sync + 'static {
    /// Verifies a token, which is a `token68` (RFC 9110 section 11.2) of at most 16 KiB.
    ///
    /// An implementation must check that the token has not expired and that it was issued for
    /// [`TokenRequest::resource`]; the layer checks the scopes and nothing else.
    ///
    /// # Errors
    ///
    /// Returns an error if the token is not accepted.
    /// [`VerifyErrorKind::Unavailable`](crate::VerifyErrorKind::Unavailable) and
    /// [`Misconfigured`](crate::VerifyErrorKind::Misconfigured) are for a token that could not be
    /// verified: every other kind makes the client discard the token.
    async fn verify_token(&self, request: TokenRequest<'_>) -> Result<AuthInfo, VerifyError>;

    /// Returns the cached outcome for a token, or `None` if there is no such outcome and
    /// [`verify_token`](Self::verify_token) has to be called. Must neither block nor verify a
    /// signature. Defaults to `None`.
    ///
    /// It is asked first, before the syntax of the token is checked: compare the whole token.
    fn cached(&self, request: TokenRequest<'_>) -> Option<Result<AuthInfo, VerifyError>> {
        let _ = request;
        None
    }
}

#[async_trait]
impl<F, Fut> VerifyToken for F
where
    F: Fn(AccessToken) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<AuthInfo, VerifyError>> + Send,
{
    async fn verify_token(&self, request: TokenRequest<'_>) -> Result<AuthInfo, VerifyError> {
        self(AccessToken::from(request.token())).await
    }
}

#[async_trait]
impl<V: VerifyToken + ?Sized> VerifyToken for Arc<V> {
    async fn verify_token(&self, request: TokenRequest<'_>) -> Result<AuthInfo, VerifyError> {
        (**self).verify_token(request).await
    }

    fn cached(&self, request: TokenRequest<'_>) -> Option<Result<AuthInfo, VerifyError>> {
        (**self).cached(request)
    }
}
