//! One renewal of the access token for a request that the server rejects with a 401.

use std::future::Future;

use super::connection::Connection;
use super::error::TokenError;
use crate::oauth::AccessToken;

/// Calls with a token of a connection, and once more with another one if the first was rejected.
pub(super) async fn call_with_token<T, F>(
    connection: &Connection,
    call: impl Fn(AccessToken) -> F,
    is_rejected: impl Fn(&T) -> bool,
) -> Result<T, TokenError>
where
    F: Future<Output = T>,
{
    let token = connection.access_token().await?;
    let outcome = call(token.clone()).await;
    if !may_renew(connection, &token, is_rejected(&outcome)) {
        return Ok(outcome);
    }
    drop(outcome);
    let renewed = connection.renew(&token).await?;
    let outcome = call(renewed.clone()).await;
    if is_rejected(&outcome) {
        connection.memory().set_rejected(connection.key(), renewed);
    }
    Ok(outcome)
}

/// Returns whether a token has to be renewed: it was rejected, and is not itself one that was renewed
/// for this reason and has never been accepted. Otherwise a server that rejects every token would
/// decide how often the authorization server is called.
fn may_renew(connection: &Connection, token: &AccessToken, is_rejected: bool) -> bool {
    let memory = connection.memory();
    let was_renewed = memory.is_rejected(connection.key(), token);
    if was_renewed && !is_rejected {
        memory.forget_rejected(connection.key());
    }
    is_rejected && !was_renewed
}
