//! Ends connections: the record first, then the tokens (RFC 7009).

use super::engine::Engine;
use super::error::VaultError;
use super::record::ConnectionRecord;
use super::store::{Expect, OwnerTag, RecordKey};
use super::token_endpoint;

/// How many records of an owner are read at a time.
pub(super) const PAGE: usize = 100;

/// What became of the tokens of a connection that was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disconnected {
    /// The authorization server has revoked them.
    Revoked,
    /// The authorization server has no endpoint for it, could not be reached or rejected the
    /// request. The application has forgotten the tokens; they stay valid until they expire.
    NotRevoked,
    /// There was no connection.
    NotConnected,
}

/// Removes a connection and revokes its tokens.
pub(super) async fn disconnect(
    engine: &Engine,
    key: &RecordKey,
) -> Result<Disconnected, VaultError> {
    engine.memory.remove(key);
    let taken = engine.vault.take::<ConnectionRecord>(key).await;
    // A refresh that ended in between may have put it there again.
    engine.memory.remove(key);
    match taken? {
        None => Ok(Disconnected::NotConnected),
        Some(stored) if revoke(engine, &stored.value).await => Ok(Disconnected::Revoked),
        Some(_) => Ok(Disconnected::NotRevoked),
    }
}

/// Removes all connections of an owner, also those that cannot be opened, and revokes their tokens.
/// Returns how many there were.
pub(super) async fn forget_owner(engine: &Engine, owner: &OwnerTag) -> Result<usize, VaultError> {
    let mut opened = Vec::new();
    let mut count = 0;
    loop {
        let page = engine.vault.list(owner, None, PAGE).await?;
        if page.is_empty() {
            break;
        }
        for (key, record) in page {
            engine.memory.remove(&key);
            if engine.vault.delete(&key, Expect::Any).await? {
                count += 1;
            }
            engine.memory.remove(&key);
            opened.extend(engine.vault.open::<ConnectionRecord>(&key, &record).ok());
        }
    }
    for stored in opened {
        revoke(engine, &stored.value).await;
    }
    Ok(count)
}

/// Revokes the refresh token, and with it the grant (RFC 7009 section 2.1), or the access token if
/// there is no other.
pub(super) async fn revoke(engine: &Engine, record: &ConnectionRecord) -> bool {
    let credentials = engine.credentials(&record.client, &record.endpoints.issuer);
    let (Some(endpoint), Some(credentials)) = (&record.endpoints.revocation, credentials) else {
        return false;
    };
    let (token, hint) = match &record.tokens.refresh {
        Some(token) => (token.as_str(), "refresh_token"),
        None => (record.tokens.access.expose(), "access_token"),
    };
    token_endpoint::revoke(&engine.http, endpoint, &credentials, token, hint).await
}
