//! All calls to Clerk: the verifier, the Backend API client, the key set and the metadata.
//!
//! The only module that uses the HTTP client, besides `testing`.

mod accepted;
mod audience;
pub(crate) mod builder;
mod client;
mod credentials;
pub(crate) mod env;
mod failure_log;
mod header_cache;
mod http;
mod introspection;
mod jwks;
mod membership;
mod metadata;
mod opaque;
mod refresh_error;
mod stats;
mod token_cache;
mod token_exchange;
mod token_format;
mod user;
pub(crate) mod verifier;

pub(crate) use builder::ClerkVerifierBuilder;
pub use client::{ClerkClient, ClerkClientBuilder};
pub use credentials::{ApiKeys, MachineTokens, SessionTokens};
pub(crate) use metadata::MetadataSource;
pub use metadata::fetch_clerk_authorization_server_metadata;
pub use stats::{TokenTypeStats, VerifierStats};
pub use token_exchange::{
    ExchangeError, ExchangeErrorKind, ExchangedToken, TokenExchange, TokenExchangeBuilder,
};
pub use user::{EmailAddress, User};
pub(crate) use verifier::ClerkVerifier;

#[cfg(fuzzing)]
pub(crate) fn is_active(json: &[u8], now: u64) -> bool {
    introspection::IntrospectionResponse::parse(json, now, std::time::Duration::ZERO).is_ok()
}

#[cfg(fuzzing)]
pub(crate) fn is_active_credential(
    token_type: crate::oauth::TokenType,
    json: &[u8],
    now: u64,
) -> bool {
    let leeway = std::time::Duration::ZERO;
    introspection::CredentialResponse::parse(token_type, json, now, leeway).is_ok()
}
