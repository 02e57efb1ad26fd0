//! What the fuzz targets in `tests/fuzz` reach of the inside. `cargo fuzz` builds it and nobody else.

use crate::jwt::KeySet;
use crate::metadata::AuthorizationServerMetadata;

/// How many keys of a key set can be used; none if it is refused.
#[must_use]
pub fn usable_keys(json: &[u8]) -> usize {
    KeySet::parse(json).map_or(0, |keys| keys.len())
}

/// Whether the Backend API's answer about an opaque token says that it is good.
#[must_use]
pub fn is_active(json: &[u8], now: u64) -> bool {
    crate::clerk::is_active(json, now)
}

/// The metadata of this issuer, if it is to be believed.
#[must_use]
pub fn believed_metadata(json: &[u8], issuer: &str) -> Option<AuthorizationServerMetadata> {
    let document: AuthorizationServerMetadata = serde_json::from_slice(json).ok()?;
    document.check(issuer).is_ok().then_some(document)
}
