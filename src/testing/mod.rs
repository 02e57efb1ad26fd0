//! A fake Clerk instance, a manual clock and a token builder, for tests only.
//!
//! [`FakeClerk`] is an in-process stand-in for Clerk. It listens on a free port of 127.0.0.1 and
//! serves the endpoints that an MCP server and its clients call:
//!
//! ```text
//! Frontend API (its origin is the issuer)       Backend API (requires the secret key)
//!   /.well-known/oauth-authorization-server       /v1/jwks
//!   /.well-known/openid-configuration             /v1/oauth_applications/access_tokens/verify
//!   /.well-known/jwks.json                        /v1/users/{user_id}
//!   /oauth/register
//!   /oauth/authorize
//!   /oauth/token
//!   /oauth/token/revoke
//! ```
//!
//! **Never use it to guard anything real.** There is no sign-in page: every authorization request
//! is approved at once for the default user, so MCP clients sign in without a browser.
//!
//! # What it checks
//!
//! - Redirect URIs: exact match with a registered URI; a loopback IP address may vary in its port
//!   (RFC 8252 section 7.3).
//! - PKCE: an S256 `code_challenge` and the matching `code_verifier` are required (RFC 7636).
//! - Scopes: each one must be [grantable](FakeClerkBuilder::grantable_scopes).
//! - Resource indicators: absolute URIs without a fragment. They become the token's audience, and a
//!   token request may only narrow the ones that were approved (RFC 8707).
//! - Authorization codes: one use, 60 seconds, bound to the client and the redirect URI.
//! - Refresh tokens: one use (rotation), bound to the client; scopes and resources may be narrowed.
//! - Client secrets, client metadata documents, and the secret key of the Backend API.
//!
//! # What it does not check
//!
//! It is more lenient than OAuth 2.1 (and possibly than Clerk) in these points, so a client that
//! passes here is not proven correct:
//!
//! - The length and alphabet of a `code_verifier` (RFC 7636 section 4.1).
//! - `offline_access`: a refresh token is always issued, and it never expires.
//! - The `grant_types` and `scope` that a client registered, and which of `client_secret_basic` and
//!   `client_secret_post` it registered.
//! - Reuse of an authorization code or a refresh token is rejected, but tokens that were issued
//!   before stay valid.
//! - A `resource` that only the token request names becomes the audience without approval.
//! - Loopback redirect URIs are compared as parsed URLs, so another spelling of the same address
//!   matches (`http://127.1/` and `http://127.0.0.1/`).
//! - Redirect URIs with a wildcard host, with user information or with any private-use scheme can
//!   be registered.
//! - There are no rate limits, and every client and token is kept until the instance is dropped.
//!
//! # Example
//!
//! A test of a server takes three steps: start the fake Clerk, configure the server with it, and
//! sign in.
//!
//! ```
//! use clerk_mcp_tools::ClerkMcp;
//! use clerk_mcp_tools::testing::FakeClerk;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let fake = FakeClerk::start().await?;
//!
//! // `env_var` returns CLERK_FAPI, CLERK_API_URL and CLERK_SECRET_KEY.
//! let clerk = ClerkMcp::builder()
//!     .env_from(|name| fake.env_var(name))
//!     .resource("https://mcp.example.com/mcp".parse()?)
//!     .build()?;
//!
//! // A token that the server accepts, and one that it rejects.
//! let valid = fake.sign_in().resource(clerk.resource().as_str()).access_token().await?;
//! let forged = fake.mint().audience(clerk.resource().as_str()).foreign_key().jwt();
//! # Ok(()) }
//! ```
//!
//! [`FakeClerk::fault`] makes a [`Route`] fail, hang or return malformed responses, and
//! [`ManualClock`] makes tokens expire without waiting.

mod body;
mod builder;
mod endpoints;
mod fake_clerk;
mod fault;
mod faults;
mod gate;
mod limits;
mod manual_clock;
mod request_log;
mod response;
mod route;
mod server;
mod sign_in;
mod start;
mod state;
mod token_builder;
mod token_format;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use builder::FakeClerkBuilder;
pub use fake_clerk::FakeClerk;
pub use fault::Fault;
pub use gate::{Gate, Latch};
pub use manual_clock::ManualClock;
pub use request_log::RecordedRequest;
pub use route::Route;
pub use sign_in::SignIn;
pub use token_builder::TokenBuilder;
pub use token_format::TokenFormat;

/// Locks a mutex. A poisoned one is used as it is: no change under a lock can panic halfway.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
