//! Everything that talks to Clerk. The only module that knows the HTTP client.

mod builder;
mod client;
mod http;
mod introspection;
mod jwks;
mod metadata;
mod stats;
mod token_cache;
mod token_format;
mod user;
mod verifier;

pub use builder::ClerkVerifierBuilder;
pub use client::{ClerkClient, ClerkClientBuilder};
pub(crate) use metadata::MetadataSource;
pub use metadata::fetch_clerk_authorization_server_metadata;
pub use stats::Snapshot;
pub use user::{EmailAddress, User};
pub use verifier::{ClerkVerifier, verify_clerk_token};

#[cfg(fuzzing)]
pub(crate) fn is_active(json: &[u8], now: u64) -> bool {
    introspection::ActiveToken::parse(json, now).is_ok()
}
