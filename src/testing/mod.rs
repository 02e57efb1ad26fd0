//! An in-process stand-in for Clerk, a clock that tests set by hand, and a token mint. For tests only.
//!
//! [`FakeClerk`] answers on a free port of 127.0.0.1 what an MCP server and its clients ask Clerk:
//!
//! ```text
//! Frontend API, its origin is the issuer        Backend API, with the secret key
//!   /.well-known/oauth-authorization-server       /v1/jwks
//!   /.well-known/openid-configuration             /v1/oauth_applications/access_tokens/verify
//!   /.well-known/jwks.json                        /v1/users/{user_id}
//!   /oauth/register
//!   /oauth/authorize
//!   /oauth/token
//!   /oauth/token/revoke
//! ```
//!
//! The OAuth rules are checked as Clerk's are: registered redirect URIs, PKCE, scopes, resource indicators, codes and
//! refresh tokens with one use. Only the user is missing: whoever asks to be authorized is the default user at once, so
//! that MCP clients sign in without a browser. **Never let it guard anything real.** It remembers every client and token
//! until it is dropped.
//!
//! A test of one's own server takes three steps: start the stand-in, point the server at it, and sign in.
//!
//! ```
//! use clerk_mcp_tools::testing::FakeClerk;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clerk = FakeClerk::start().await?;
//!
//! // What the server under test reads as CLERK_FAPI, CLERK_API_URL and CLERK_SECRET_KEY.
//! let settings = [clerk.frontend_api_url(), clerk.backend_api_url(), clerk.secret_key()];
//!
//! // A token that the server has to accept, and one that it has to refuse.
//! let good = clerk.sign_in().resource("https://mcp.example.com/mcp").access_token().await?;
//! let foreign = clerk.mint().audience("https://mcp.example.com/mcp").foreign_key().jwt();
//! # Ok(()) }
//! ```
//!
//! Outages, slow answers and nonsense are set per [`Route`] with [`FakeClerk::fault`], and [`ManualClock`] makes tokens
//! expire without waiting.

mod access_token;
mod authorize;
mod backend;
mod body;
mod builder;
mod clients;
mod clock;
mod fake;
mod fault;
mod ids;
mod keys;
mod metadata;
mod mint;
mod params;
mod redirect_uri;
mod registration;
mod reply;
mod route;
mod server;
mod sign_in;
mod state;
mod token;
mod user;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use builder::{FakeClerkBuilder, TokenFormat};
pub use clock::ManualClock;
pub use fake::FakeClerk;
pub use fault::{Fault, Gate, Latch};
pub use mint::TokenBuilder;
pub use route::{RecordedRequest, Route};
pub use sign_in::SignIn;

/// Locks, also after a panic elsewhere: nothing here panics halfway through a change.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
