//! What the fuzz targets in `tests/fuzz` call inside the crate. Only built by `cargo fuzz`.

use http::HeaderValue;

use crate::jwt::KeySet;
use crate::metadata::AuthorizationServerMetadata;
use crate::oauth::{Scopes, TokenType};

/// Returns the number of usable keys of a key set; 0 if the set is rejected.
#[must_use]
pub fn usable_keys(json: &[u8]) -> usize {
    KeySet::parse(json).map_or(0, |keys| keys.len())
}

/// Whether the Backend API's response says that an opaque token is valid.
#[must_use]
pub fn is_active(json: &[u8], now: u64) -> bool {
    crate::clerk::is_active(json, now)
}

/// Whether the Backend API's response says that an API key is valid.
#[must_use]
pub fn is_active_api_key(json: &[u8], now: u64) -> bool {
    crate::clerk::is_active_credential(TokenType::ApiKey, json, now)
}

/// Whether the Backend API's response says that an opaque machine token is valid.
#[must_use]
pub fn is_active_machine_token(json: &[u8], now: u64) -> bool {
    crate::clerk::is_active_credential(TokenType::M2mToken, json, now)
}

/// Returns the metadata if it is valid and from this issuer.
#[must_use]
pub fn checked_metadata(json: &[u8], issuer: &str) -> Option<AuthorizationServerMetadata> {
    let document: AuthorizationServerMetadata = serde_json::from_slice(json).ok()?;
    document.check(issuer).is_ok().then_some(document)
}

/// Returns `resource_metadata` and the scopes of the `Bearer` challenge in a header, if it has one.
#[cfg(feature = "client")]
#[must_use]
pub fn challenge(header: &HeaderValue) -> Option<(Option<String>, Option<Scopes>)> {
    crate::client::parse_challenge(header)
}
