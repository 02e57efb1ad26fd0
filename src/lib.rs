//! Guards MCP servers with [Clerk](https://clerk.com): only requests with a valid OAuth access
//! token of one Clerk instance reach the server, or with another of its credentials where the
//! server accepts them. Every other request gets the response from which
//! an MCP client learns how to sign its user in, or to ask for more scopes.
//!
//! Everything is a tower layer or service over [`http`] types, so it works with rmcp, axum, hyper
//! and anything else that speaks tower.
//!
//! - [`ClerkMcp`] builds all parts from one endpoint URL and one list of scopes. **Start here.**
//! - [`AccessPolicy`] says which tools, prompts, resources and methods need further scopes.
//! - [`AuthInfo`] describes the caller; handlers find it in the request's extensions.
//! - [`verify_clerk_token`], [`bearer_auth::bearer_token`] and [`Rejection`] are for handlers that
//!   verify tokens themselves.
//! - [`bearer_auth`] guards a service with any [`VerifyToken`](bearer_auth::VerifyToken), and
//!   [`access_policy`] applies rules behind it.
//! - [`metadata`] has the two documents that clients read (RFC 9728, RFC 8414), and [`services`]
//!   serves them and answers CORS preflights.
//! - [`ClerkVerifierBuilder::accept_api_keys`], `accept_machine_tokens` and `accept_session_tokens`
//!   let machines, CI and the application's own frontend in.
//! - [`clerk::ClerkClient`] fetches the user behind a token.
//!
//! # Example
//!
//! ```no_run
//! use axum::Router;
//! use clerk_mcp_tools::{ClerkMcp, Scopes};
//! use rmcp::ServerHandler;
//! use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
//! use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
//!
//! # #[derive(Clone)]
//! # struct Tools;
//! # impl ServerHandler for Tools {}
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // CLERK_PUBLISHABLE_KEY and CLERK_SECRET_KEY name the Clerk instance.
//! let clerk = ClerkMcp::builder()
//!     .env()
//!     .resource("https://mcp.example.com/mcp".parse()?)
//!     .scopes(Scopes::parse("profile email")?)
//!     .build()?;
//!
//! // rmcp rejects every public host that is not on its list. Without sessions every process can
//! // serve every request.
//! let config = StreamableHttpServerConfig::default()
//!     .with_legacy_session_mode(false)
//!     .with_allowed_hosts([clerk.resource().host()]);
//! let mcp = StreamableHttpService::new(|| Ok(Tools), NeverSessionManager::default().into(), config);
//! // The guarded service, and the metadata documents outside of the guard. Without axum:
//! // `auth_layer` and `well_known_layer`.
//! let router = clerk.mount(Router::new(), mcp);
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! axum::serve(listener, router).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # The path of a request
//!
//! ```text
//!                  request
//!                     │
//!    WellKnownLayer ──┼── well-known path ──► metadata document, 204, 405, 503
//!                     │
//!    BearerAuthLayer ─┼── CORS preflight ───► 204
//!                     │
//!           credentials: one Authorization header, scheme Bearer, syntax of a token
//!                     │
//!                     ▼       ┌─ JWT: header ► key by `kid` ► signature ► issuer ► time
//!           VerifyToken ──────┤                                              ├─► audience ─► AuthInfo
//!                     │       └─ opaque: Backend API ► revoked ► expired ────┘
//!                     │
//!           scopes: every required one, or one that implies it
//!                     │
//!    AccessPolicy ────┼── POST: the operation in the body, which the headers must not contradict
//!    Layer            │         ► the scopes of the method and of its tool, prompt or resource
//!                     │
//!                     │         any step that fails ──► Rejection ──► 400, 401, 403, 413, 421, 500, 503
//!                     ▼
//!         the service, with AuthInfo in the request's extensions
//! ```
//!
//! # Crate features
//!
//! None is on by default.
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `axum` | `ClerkMcp::mount`, which adds the guarded service and its documents to an axum router; `AuthInfo` as an extractor, and [`Rejection`] as the response of a handler. |
//! | `client` | The module `client`: an application's own connections to MCP servers. Not covered by semantic versioning yet. |
//! | `client-rmcp` | For it: `Connection::authorize`, an HTTP client of rmcp's streamable transport. |
//! | `client-sqlite`, `client-postgres`, `client-redis` | Stores for it: `SqliteStore`, `PostgresStore`, `RedisStore`. |
//! | `metrics` | Counters of the [`metrics`](https://docs.rs/metrics) crate beside [`ClerkVerifier::stats`]. |
//! | `rmcp` | `AuthInfo` as an argument of the tools and prompts of an rmcp server. |
//! | `testing` | The module `testing`: an in-process stand-in for Clerk. For tests only. |
//!
//! # Errors
//!
//! What cannot work is rejected at build time, by a [`ConfigError`] that says what to set. A token
//! that is not accepted is a [`VerifyError`], a call to Clerk that failed a [`ClerkError`]; both
//! have a `kind()` for the program. A caller gets one fixed sentence per kind; causes go to
//! `tracing`. No error, `Debug` output or event contains a token or a key.
//!
//! # Minimum Rust version
//!
//! Rust 1.88. Raising it is a minor release.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod access_policy;
pub mod bearer_auth;
mod cache;
pub mod clerk;
mod clerk_mcp;
#[cfg(feature = "client")]
pub mod client;
pub mod clock;
mod error;
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

/// What the fuzz targets in `tests/fuzz` call inside the crate. Only built by `cargo fuzz`.
#[cfg(fuzzing)]
#[doc(hidden)]
#[path = "testing/fuzzing.rs"]
pub mod fuzzing;

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
    Actor, Audience, AuthInfo, AuthInfoBuilder, InsufficientScope, Membership, Organization,
    PermissionError, Principal, PrincipalKind, ResourceUrl, ScopeHierarchy, Scopes, TokenType,
};
pub use response::rejection::{MessageError, Rejection, RejectionReason};

/// The README, whose code is compiled and run as doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
