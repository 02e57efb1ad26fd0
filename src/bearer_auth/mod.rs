//! A layer that passes only requests with a valid bearer token.
//!
//! It wraps any service over `http` types, and works with any [`VerifyToken`]. A request that
//! passes has an [`AuthInfo`](crate::AuthInfo) in its extensions. A request that is rejected gets
//! the challenge that an MCP client needs to sign its user in, or to request more scopes.
//!
//! | request | response |
//! | --- | --- |
//! | no `Authorization`, another scheme, or `Bearer` with nothing after it | 401 and a challenge without `error` |
//! | two `Authorization` headers | 400 `invalid_request` |
//! | an invalid token | 401 `invalid_token` |
//! | with tokens [optional](BearerAuthLayer::optional): no `Authorization` | the service's |
//! | a valid token that lacks a required scope | 403 `insufficient_scope`, with every required scope |
//! | a token that cannot be verified at the moment | 503 with `Retry-After`, and no challenge |
//! | a token that this server is not configured to verify | 500, and no challenge |
//! | with a [resolver](BearerAuthLayer::with_resolver): a host without a resource | 421 |
//! | a CORS preflight | 204; if tokens are optional, only where it announces `Authorization` |
//! | a `GET` of a browser without a token | the 401, with [a page](BearerAuthLayer::without_browser_page) as its body |
//!
//! Pages of every origin may read rejections, and responses to valid tokens: they carry
//! `Access-Control-Allow-Origin: *` unless the service sets the header itself, or CORS is [left to
//! another layer](BearerAuthLayer::without_cors).
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use clerk_mcp_tools::bearer_auth::{AccessToken, BearerAuthLayer};
//! use clerk_mcp_tools::{AuthInfo, ResourceUrl, Scopes, VerifyError, VerifyErrorKind};
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let verify = |token: AccessToken| async move {
//!     if token.expose() != "let-me-in" {
//!         return Err(VerifyError::new(VerifyErrorKind::UnknownToken));
//!     }
//!     let scopes = Scopes::parse("profile").unwrap_or_default();
//!     Ok(AuthInfo::for_user("user_1", token).client_id("client_1").scopes(scopes).build())
//! };
//! let resource = ResourceUrl::parse("https://mcp.example.com/mcp")?;
//! let service = ServiceBuilder::new()
//!     .layer(BearerAuthLayer::new(verify, resource).required_scopes(Scopes::parse("profile")?))
//!     .service(service_fn(|request: Request<Full<Bytes>>| async move {
//!         let caller = request.extensions().get::<AuthInfo>();
//!         let user = caller.and_then(AuthInfo::user_id).unwrap_or_default().to_owned();
//!         let body: Full<Bytes> = user.into();
//!         Ok::<_, std::convert::Infallible>(Response::new(body))
//!     }));
//!
//! let response = service.clone().oneshot(Request::new(Full::default())).await?;
//! assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
//! assert_eq!(
//!     response.headers()["www-authenticate"],
//!     "Bearer resource_metadata=\"https://mcp.example.com/.well-known/\
//!      oauth-protected-resource/mcp\", scope=\"profile\"",
//! );
//!
//! let request = Request::builder().header("authorization", "Bearer let-me-in");
//! let request = request.body(Full::default())?;
//! assert_eq!(service.oneshot(request).await?.status(), StatusCode::OK);
//! # Ok(())
//! # }
//! ```

mod authenticator;
mod credentials;
mod future;
mod layer;
mod requirements;
#[cfg(feature = "rmcp")]
mod rmcp_caller;
mod service;
mod session;

pub use credentials::bearer_token;
pub use future::BearerAuthFuture;
pub use layer::BearerAuthLayer;
#[cfg(feature = "rmcp")]
pub use rmcp_caller::OptionalCaller;
pub use service::BearerAuth;
pub use session::SessionKey;

pub use crate::oauth::{
    AccessToken, NotGuarded, ResolveResource, ResourcesByHost, TokenRequest, VerifyToken,
};
