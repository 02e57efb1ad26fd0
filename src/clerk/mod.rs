//! All calls to Clerk: the verifier, the Backend API client, the key set and the metadata.
//!
//! The only module that uses the HTTP client, besides `testing`.

mod audience;
pub(crate) mod builder;
mod client;
pub(crate) mod env;
mod failure_log;
mod header_cache;
mod http;
mod introspection;
mod jwks;
mod metadata;
mod refresh_error;
mod stats;
mod token_cache;
mod token_format;
mod user;
pub(crate) mod verifier;

pub(crate) use builder::ClerkVerifierBuilder;
pub use client::{ClerkClient, ClerkClientBuilder};
pub(crate) use metadata::MetadataSource;
pub use metadata::fetch_clerk_authorization_server_metadata;
pub use stats::VerifierStats;
pub use user::{EmailAddress, User};
pub(crate) use verifier::ClerkVerifier;

#[cfg(fuzzing)]
pub(crate) fn is_active(json: &[u8], now: u64) -> bool {
    introspection::IntrospectionResponse::parse(json, now, std::time::Duration::ZERO).is_ok()
}
