//! A fake Clerk instance, a manual clock and a token builder, for tests only.
//!
//! [`FakeClerk`] is an in-process stand-in for Clerk. It listens on a free port of 127.0.0.1 and
//! serves the endpoints that an MCP server and its clients call:
//!
//! ```text
//! Frontend API (its origin is the issuer)       Backend API (requires the secret key)
//!   /.well-known/oauth-authorization-server       /v1/jwks
//!   /.well-known/openid-configuration             /v1/oauth_applications/access_tokens/verify
//!   /.well-known/jwks.json                        /v1/api_keys/verify
//!   /oauth/register                               /v1/m2m_tokens/verify
//!   /oauth/authorize, /oauth/consent              /v1/users/{user_id}
//!   /oauth/token                                  /v1/users/{user_id}/organization_memberships
//!   /oauth/token/revoke                           /v1/organizations/{organization_id}/memberships
//! ```
//!
//! **Never use it to guard anything real.** There is no sign-in page: every authorization request
//! is approved at once for the default user, so MCP clients sign in without a browser. With
//! [`interactive`](FakeClerkBuilder::interactive) a page asks for consent, and lets everybody be any
//! user.
//!
//! # What it checks
//!
//! - Redirect URIs, as they are written: https, http on `127.0.0.1`, `[::1]` or `localhost`, or a
//!   private-use scheme with a dot (RFC 8252 section 7.1;
//!   [more](FakeClerkBuilder::allow_redirect_scheme) can be allowed), without user information,
//!   wildcard and fragment. A request must repeat a registered one; only the port of a loopback
//!   host may vary (RFC 8252 section 7.3).
//! - PKCE: a `code_challenge` of the method S256 and its `code_verifier` are required, each in its
//!   form (RFC 7636).
//! - Client authentication: by the registered method, `none`, `client_secret_basic` or
//!   `client_secret_post` (RFC 6749 section 2.3).
//! - Scopes: each one must be [grantable](FakeClerkBuilder::grantable_scopes), and be among those
//!   that the client [registered](FakeClerkBuilder::registration_limits_scopes), if it registered
//!   any. Unknown scopes cannot be registered.
//! - Resource indicators: absolute URIs without a fragment. A token request may only narrow those
//!   of the authorization request (RFC 8707).
//! - The audience, as Clerk decides it: a token has an `aud` if the client requested the resource,
//!   the resource is [registered](FakeClerkBuilder::register_resource) (by default, every https or
//!   loopback URL is), and the instance
//!   [includes the audience](FakeClerkBuilder::include_audience). A grant that was made without an
//!   audience stays without it.
//! - Authorization codes: one use, 60 seconds, bound to the client and the redirect URI. A second
//!   use revokes the tokens of the first one.
//! - Refresh tokens: only with the grant type `refresh_token` and the scope
//!   [`offline_access`](FakeClerkBuilder::require_offline_access), with an
//!   [expiry](FakeClerkBuilder::refresh_token_lifetime), bound to the client, replaced at each use.
//!   A second use [revokes](FakeClerkBuilder::revoke_on_refresh_token_reuse) the grant. A request
//!   may narrow scopes and resources.
//! - Token exchange (RFC 8693), by a [confidential
//!   application](FakeClerk::create_oauth_application) with HTTP Basic, of an access token whose
//!   audience is the resource of the application, for one registered resource that the application
//!   [may exchange for](FakeOAuthApplication::allow_exchange_for), byte for byte, with the scopes of
//!   the token or fewer. The new token lives as long as any other, so it can outlive the exchanged
//!   one. At Clerk this is a beta that is not documented.
//! - Client metadata documents, and the secret key of the Backend API.
//! - Machines: the secret key of a machine verifies only machine tokens with which that machine
//!   [may be called](FakeMachine::allow_calls_to), and others do not exist for it (404). The
//!   instance's secret key verifies those of all machines. Neither machine tokens nor API keys name
//!   the server that they are for in another way.
//! - Organizations: a token names the one that the user
//!   [chose](FakeClerk::choose_organization) at the sign-in, if `user:org:read` was granted. Whether
//!   the user is a member of it, with which role and permissions, is what the Backend API says at
//!   that time; the lists are filtered by `user_id` and paged.
//!
//! # What it does not check
//!
//! A client that passes here is not proven correct. Whether Clerk decides as above was not checked
//! against a live instance, nor were the responses to features that are
//! [switched](FakeClerkBuilder::without_api_keys) [off](FakeClerkBuilder::without_machine_tokens)
//! and the errors for a machine secret key that does not exist. Left out are:
//!
//! - The user: there is no sign-in page, no page to choose an organization, and consent only in an
//!   interactive instance, where it is asked for each time.
//! - Filters and orders of the lists of memberships, except `user_id`, `limit` and `offset`.
//! - Rate limits and quotas. Every client, code and token is kept until the instance is dropped.
//! - Other grants, and other token types and actors in token exchange; `prompt`, `max_age`, PAR, DPoP, and
//!   client authentication by a key.
//! - Redirect URIs and clients that a test adds with [`FakeClerk::register_client`].
//! - The endpoints that create, list and revoke API keys, machines and their tokens: tests call
//!   [`FakeClerk::create_api_key`], [`FakeClerk::create_machine`] and [`FakeClerk::revoke`].
//! - The verification of machine tokens in the form of JWTs by the Backend API.
//! - The management of registered clients (RFC 7592), and protection against request forgery when
//!   a client metadata document is fetched.
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
//!
//! With the feature `client`, `check_store` checks any store of connections, and `FaultyStore` is
//! one that fails where a test wants it to.

mod api_key_builder;
mod body;
mod builder;
mod endpoints;
mod fake_clerk;
mod fault;
mod faults;
mod gate;
mod limits;
mod machine;
mod manual_clock;
mod oauth_application;
mod organization;
mod request_log;
mod response;
mod route;
mod server;
mod sign_in;
mod start;
mod state;
#[cfg(feature = "client")]
mod store;
mod token_builder;
mod token_format;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use api_key_builder::ApiKeyBuilder;
pub use builder::FakeClerkBuilder;
pub use fake_clerk::FakeClerk;
pub use fault::Fault;
pub use gate::{Gate, Latch};
pub use machine::FakeMachine;
pub use manual_clock::ManualClock;
pub use oauth_application::FakeOAuthApplication;
pub use organization::FakeOrganization;
pub use request_log::RecordedRequest;
pub use route::Route;
pub use sign_in::SignIn;
#[cfg(feature = "client")]
pub use store::{FaultyStore, StoreCall, StoreFault, StoreOperation, StoreViolation, check_store};
pub use token_builder::TokenBuilder;
pub use token_format::TokenFormat;

/// Locks a mutex. A poisoned one is used as it is: no change under a lock can panic halfway.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
