//! One renewal of the access token for a request that the server rejects with a 401.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::connection::Connection;
use super::error::TokenError;
use crate::oauth::AccessToken;

/// A connection whose tokens are sent. Clones share what they know of its tokens.
#[derive(Clone)]
pub(super) struct Renewal {
    connection: Connection,
    /// A token that the server has rejected although it was just renewed, until it accepts it.
    unproven: Arc<Mutex<Option<AccessToken>>>,
}

impl Renewal {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, unproven: Arc::default() }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Calls with a token, and once more with another one if the first was rejected.
    pub(super) async fn call<T, F>(
        &self,
        call: impl Fn(AccessToken) -> F,
        is_rejected: impl Fn(&T) -> bool,
    ) -> Result<T, TokenError>
    where
        F: Future<Output = T>,
    {
        let token = self.connection.access_token().await?;
        let outcome = call(token.clone()).await;
        if !self.may_renew(&token, is_rejected(&outcome)) {
            return Ok(outcome);
        }
        drop(outcome);
        let renewed = self.connection.renew(&token).await?;
        let outcome = call(renewed.clone()).await;
        if is_rejected(&outcome) {
            *self.unproven() = Some(renewed);
        }
        Ok(outcome)
    }

    /// Returns whether a token has to be renewed: it was rejected, and is not itself one that was
    /// renewed for this reason and has never been accepted.
    fn may_renew(&self, token: &AccessToken, is_rejected: bool) -> bool {
        let mut unproven = self.unproven();
        let is_unproven = unproven.as_ref() == Some(token);
        if is_unproven && !is_rejected {
            *unproven = None;
        }
        is_rejected && !is_unproven
    }

    fn unproven(&self) -> MutexGuard<'_, Option<AccessToken>> {
        self.unproven.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
