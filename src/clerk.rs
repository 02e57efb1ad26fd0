//! Everything that talks to Clerk. The only module that knows the HTTP client.

mod backend;
mod builder;
mod http;
mod introspection;
mod key_source;
mod metadata;
mod opaque;
mod pause;
mod user;
mod verifier;

pub use backend::{ClerkClient, ClerkClientBuilder};
pub use builder::ClerkVerifierBuilder;
pub(crate) use metadata::MetadataSource;
pub use metadata::fetch_clerk_authorization_server_metadata;
pub use user::{EmailAddress, User};
pub use verifier::{ClerkVerifier, verify_clerk_token};

#[cfg(fuzzing)]
pub(crate) fn is_active(json: &[u8], now: u64) -> bool {
    opaque::ActiveToken::parse(json, now).is_ok()
}
