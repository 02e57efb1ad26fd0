//! Guards an MCP server with [Clerk](https://clerk.com): only requests with a good OAuth access token of one Clerk
//! instance pass, and every other one gets the answer from which an MCP client learns how to sign its user in.
//!
//! Everything is a tower service or layer over [`http`] types, so it goes around rmcp, axum, hyper or whatever else
//! speaks tower.
//!
//! - [`ClerkMcp`] makes all parts from one endpoint URL and one list of scopes. Start here.
//! - [`BearerAuthLayer`] guards a service with any [`VerifyToken`]; [`ClerkVerifier`] is Clerk's.
//! - [`AccessPolicy`] says which tools, prompts, resources and methods need further scopes, and
//!   [`AccessPolicyLayer`] asks for them before the service hears of the call.
//! - [`bearer_token`], [`verify_clerk_token`] and [`Rejection`] are for a handler of your own: the token of a request, who
//!   presents it, and the response if it is not good.
//! - [`ProtectedResourceMetadata`] and [`AuthorizationServerMetadata`] are the two documents (RFC 9728, RFC 8414),
//!   [`ProtectedResourceService`] and [`AuthorizationServerService`] answer with them, and [`WellKnownLayer`] puts them
//!   where clients look.
//! - [`ClerkClient`] fetches the user behind a token.
//! - With the feature `testing`, the module `testing` has an in-process stand-in for Clerk, for your own tests.
//!
//! # Example
//!
//! ```no_run
//! use axum::Router;
//! use clerk_mcp_tools::{ClerkMcp, Scopes};
//! use rmcp::ServerHandler;
//! use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
//! use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
//! use tower::Layer;
//!
//! # #[derive(Clone)]
//! # struct Tools;
//! # impl ServerHandler for Tools {}
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // CLERK_PUBLISHABLE_KEY and CLERK_SECRET_KEY say which Clerk instance it is.
//! let clerk = ClerkMcp::builder().resource("https://mcp.example.com/mcp".parse()?).scopes(Scopes::parse("profile email")?).build()?;
//!
//! // rmcp refuses every public host that is not on its list.
//! let config = StreamableHttpServerConfig::default().with_allowed_hosts([clerk.resource().host()]);
//! let mcp: StreamableHttpService<Tools, LocalSessionManager> =
//!     StreamableHttpService::new(|| Ok(Tools), Default::default(), config);
//! let mut router = Router::new().route_service("/mcp", clerk.bearer_auth_layer().layer(mcp));
//! for (path, service) in clerk.well_known_routes() {
//!     router = router.route_service(&path, service);
//! }
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! axum::serve(listener, router).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # The way of a request
//!
//! ```text
//!                 request
//!                    │
//!   WellKnownLayer ──┼── a well-known path ──► metadata_service ──► document, 204, 405, 503
//!                    │
//!   BearerAuthLayer ─┼── a CORS preflight ───► 204
//!                    │
//!          credentials: one Authorization header, scheme Bearer, a token of the right form
//!                    │
//!                    ▼            ┌─ JWT: header ► key by `kid` ► signature ► issuer ► time
//!          VerifyToken (Clerk's) ─┤                                                     ├─► audience ─► AuthInfo
//!                    │            └─ opaque: Backend API ► revoked? ► expired? ─────────┘
//!                    │
//!          scopes: every one that is needed, or one that implies it
//!                    │
//!   AccessPolicy ─┼── POST: the operation in the body, the same as in the headers ──► its scopes
//!   Layer            │
//!                    │                  any step that says no ──► rejection ──► 400, 401, 403, 413, 421, 500, 503
//!                    ▼
//!        the service, with AuthInfo in the request's extensions
//! ```
//!
//! The left side never hears of Clerk and the right side never builds a response; they meet in [`VerifyToken`]. Every
//! refusal is made in one place, from a [`RejectionReason`].
//!
//! # Errors
//!
//! What cannot work is refused when it is built, with a [`ConfigError`] that says what to set. A token that is not
//! accepted is a [`VerifyError`], a call to Clerk that fails a [`ClerkError`]; both have a `kind()` for the program and
//! one fixed sentence for the caller. Causes go to `tracing`. No error, no `Debug` and no event shows a token or a key.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod access_policy;
pub mod bearer_auth;
mod cache;
pub mod clerk;
mod clerk_mcp;
pub mod clock;
mod error;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(any(doc, doctest))]
pub mod guide;
pub mod instance;
mod jwt;
mod mcp;
pub mod metadata;
mod oauth;
pub mod response;
pub mod services;
#[cfg(feature = "testing")]
pub mod testing;

pub use clerk::builder::ClerkVerifierBuilder;
pub use clerk::verifier::{ClerkVerifier, verify_clerk_token};
pub use clerk_mcp::{AuthLayer, ClerkMcp, ClerkMcpBuilder};
pub use error::{
    ClerkError, ClerkErrorKind, ConfigError, ConfigErrorKind, VerifyError, VerifyErrorKind,
};
pub use instance::publishable_key::PublishableKey;
pub use instance::secret_key::SecretKey;
pub use jwt::JwtKey;
pub use mcp::AccessPolicy;
pub use oauth::{
    Actor, Audience, AuthInfo, AuthInfoBuilder, InsufficientScope, ResourceUrl, ScopeHierarchy,
    Scopes,
};
pub use response::rejection::{MessageError, Rejection, RejectionReason};

/// The README's code is compiled and run as this crate's own.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
