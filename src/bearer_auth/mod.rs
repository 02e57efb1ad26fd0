//! A layer that lets only requests with a good bearer token pass.
//!
//! It works around any service over `http` types, and with any [`VerifyToken`](crate::bearer_auth::VerifyToken). A request that
//! passes carries an [`AuthInfo`](crate::AuthInfo) in its extensions; one that does not is answered with exactly the
//! challenge that an MCP client needs to sign its user in, or to ask for more scopes.
//!
//! | request | answer |
//! | --- | --- |
//! | no `Authorization`, another scheme, or `Bearer` with nothing after it | 401 and a challenge without `error` |
//! | two `Authorization` headers | 400 `invalid_request` |
//! | a token that is not good | 401 `invalid_token` |
//! | a good token without every scope | 403 `insufficient_scope`, with every scope that is needed |
//! | a token of which nobody can say now whether it is good | 503 with `Retry-After`, and no challenge |
//! | a token that this server is not set up to verify | 500, and no challenge |
//! | a host of no resource, with a [resolver](BearerAuthLayer::with_resolver) | 421 |
//! | a CORS preflight | 204, unless tokens are [optional](BearerAuthLayer::optional): then the service answers |
//!
//! Any page in a browser may read refusals, and the answers to a good token: they carry `Access-Control-Allow-Origin: *`
//! unless the service set another, or CORS is [left to another layer](BearerAuthLayer::without_cors).
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
//!         let caller = request.extensions().get::<AuthInfo>().map(|caller| caller.user_id().to_owned());
//!         let body: Full<Bytes> = caller.unwrap_or_default().into();
//!         Ok::<_, std::convert::Infallible>(Response::new(body))
//!     }));
//!
//! let response = service.clone().oneshot(Request::new(Full::default())).await?;
//! assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
//! assert_eq!(
//!     response.headers()["www-authenticate"],
//!     "Bearer resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\", \
//!      scope=\"profile\"",
//! );
//!
//! let request = Request::builder().header("authorization", "Bearer let-me-in").body(Full::default())?;
//! assert_eq!(service.oneshot(request).await?.status(), StatusCode::OK);
//! # Ok(())
//! # }
//! ```

mod authenticator;
mod credentials;
mod future;
mod layer;
mod service;

pub use credentials::bearer_token;
pub use future::BearerAuthFuture;
pub use layer::BearerAuthLayer;
pub use service::BearerAuth;

pub use crate::oauth::{AccessToken, ResolveResource, ResourcesByHost, TokenRequest, VerifyToken};
