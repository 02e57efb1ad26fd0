//! The seam between HTTP and whoever can tell a good token from a bad one.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;

use crate::error::VerifyError;
use crate::oauth::{AccessToken, AuthInfo, ResourceUrl};

/// A token, and the resource that it is presented to.
///
/// `Debug` does not show the token.
#[derive(Clone, Copy)]
pub struct TokenRequest<'a> {
    token: &'a str,
    resource: Option<&'a ResourceUrl>,
}

impl<'a> TokenRequest<'a> {
    /// A token that is presented to no resource in particular.
    #[must_use]
    pub fn new(token: &'a str) -> Self {
        Self { token, resource: None }
    }

    /// Says which resource the token is presented to. The token has to be issued for it (RFC 8707).
    #[must_use]
    pub fn for_resource(mut self, resource: &'a ResourceUrl) -> Self {
        self.resource = Some(resource);
        self
    }

    /// The token's text.
    #[must_use]
    pub fn token(&self) -> &'a str {
        self.token
    }

    /// The resource that the token is presented to, where it is known.
    #[must_use]
    pub fn resource(&self) -> Option<&'a ResourceUrl> {
        self.resource
    }
}

/// A [`TokenRequest`] that outlives the one who made it.
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

/// Tells who presents a token.
///
/// [`ClerkVerifier`](crate::ClerkVerifier) implements it, and so does every closure that takes an [`AccessToken`]
/// and returns a future of `Result<AuthInfo, VerifyError>`. A closure is not told the resource: it has to know for which
/// one its tokens are issued.
///
/// # Example
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
#[async_trait]
pub trait VerifyToken: Send + Sync + 'static {
    /// Verifies a token.
    ///
    /// Whoever implements this checks that the token's time is not over and that it was issued for
    /// [`TokenRequest::resource`]: the layer looks at the scopes and at nothing else. It answers
    /// [`VerifyErrorKind::Unavailable`](crate::VerifyErrorKind::Unavailable) when it could not find out: any other
    /// kind of error makes the client throw the token away.
    ///
    /// # Errors
    ///
    /// When the token is not accepted, or when that cannot be found out.
    async fn verify_token(&self, request: TokenRequest<'_>) -> Result<AuthInfo, VerifyError>;

    /// Who presents the token, or why it is not accepted, if that is known without waiting and without a signature;
    /// `None` makes the caller ask [`verify_token`](Self::verify_token). Must not block.
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
