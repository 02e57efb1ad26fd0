//! Access tokens: from memory, from the store, or by one refresh for all tasks of all processes.
//!
//! A refresh token may be used once, so a refresh is made by the holder of a lease, who looks at the
//! store again before it sends the request. The others wait for the new tokens.
//! Every write is conditional on what was read: a process that comes too late never replaces what a
//! faster one has stored.

use std::sync::Arc;
use std::time::Duration;

use super::disconnect;
use super::engine::Engine;
use super::error::{LoginReason, TokenError, TokenErrorKind, VaultError};
use super::lease::{self, LEASE_TIME, Lease};
use super::memory::{Held, Unsaved};
use super::record::{ConnectionRecord, StoredReason, StoredState};
use super::registration;
use super::store::{Expect, Record, RecordKey, Revision, Saved};
use super::token_endpoint::{self, TokenFailure, TokenSet};
use super::vault::Stored;
use crate::clock::background;
use crate::oauth::AccessToken;

/// How often a caller starts over, when others change what it has read.
const MAX_ROUNDS: usize = 5;
/// How long nobody tries again after a refresh that failed, if the server does not say.
const RETRY_AFTER: Duration = Duration::from_secs(5);
const SAVE_PAUSE: Duration = Duration::from_secs(1);

/// Returns an access token that is not the refused one.
pub(super) async fn access_token(
    engine: &Arc<Engine>,
    key: &RecordKey,
    refused: Option<&AccessToken>,
) -> Result<AccessToken, TokenError> {
    let fresh = engine.memory.fresh_token(key);
    if let Some(token) = fresh.filter(|token| Some(token) != refused) {
        return Ok(token);
    }
    for _ in 0..MAX_ROUNDS {
        let (shared, record, other) = (Arc::clone(engine), key.clone(), refused.cloned());
        let call =
            || async move { Refresh { engine: &shared, key: &record, refused: other }.run().await };
        let outcome = engine.refreshes.join(engine.flight_key(key), call).await;
        let held = outcome.map_err(|interrupted| {
            TokenError::new(TokenErrorKind::Unavailable, interrupted.to_string())
        })??;
        let token = &held.record.tokens.access;
        // The call that this one joined may not have known that the token was refused. If it was
        // issued once more, no call gets another one.
        if Some(token) != refused || held.is_issued {
            return Ok(token.clone());
        }
    }
    Err(changed_too_often())
}

/// One call for all tasks of this process that need a token of this connection.
struct Refresh<'a> {
    engine: &'a Arc<Engine>,
    key: &'a RecordKey,
    refused: Option<AccessToken>,
}

/// What a look at the store led to.
enum Step {
    Done(Arc<Held>),
    /// Another one has changed the record.
    Again,
    /// Another one has the lease.
    Wait,
}

impl Refresh<'_> {
    async fn run(&self) -> Result<Arc<Held>, TokenError> {
        let end = self.engine.now().after(lease::MAX_WAIT);
        let mut has_repeated = false;
        loop {
            match self.look().await? {
                Step::Done(held) => return Ok(held),
                Step::Again if !has_repeated => has_repeated = true,
                // A store may go on returning a record that is no longer current.
                Step::Again | Step::Wait => lease::pause(self.engine).await,
            }
            if end.has_come(&*self.engine.clock) {
                return Err(changed_too_often());
            }
        }
    }

    /// Looks at the store, and does what is needed.
    async fn look(&self) -> Result<Step, TokenError> {
        if let Some(held) = self.settle_unsaved().await? {
            return Ok(Step::Done(held));
        }
        let stored = match self.load().await {
            Ok(stored) => stored,
            Err(error) => return self.without_store(error).map(Step::Done),
        };
        if self.is_over(&stored.value) {
            return self.end(stored, StoredReason::NoRefreshToken).await;
        }
        let held = self.engine.memory.put(self.key, stored.value);
        if let Some(held) = self.without_refresh(&held)? {
            return Ok(Step::Done(held));
        }
        match Lease::acquire(self.engine, self.key).await {
            Ok(Some(lease)) => self.with_lease(lease).await,
            // Somebody else refreshes. The token that is about to expire is good for this caller.
            Ok(None) if self.is_usable(&held) => Ok(Step::Done(held)),
            Ok(None) => Ok(Step::Wait),
            Err(error) => self.without_store(error.into()).map(Step::Done),
        }
    }

    async fn load(&self) -> Result<Stored<ConnectionRecord>, TokenError> {
        match self.engine.vault.load(self.key).await? {
            Some(stored) => Ok(stored),
            None => {
                self.engine.memory.remove(self.key);
                Err(TokenError::needs_login(LoginReason::Disconnected))
            }
        }
    }

    /// Without the store, a token in memory is good until it expires.
    fn without_store(&self, error: TokenError) -> Result<Arc<Held>, TokenError> {
        if error.kind() != TokenErrorKind::Store {
            return Err(error);
        }
        let held = self.engine.memory.get(self.key);
        held.filter(|held| self.is_usable(held)).ok_or(error)
    }

    /// Returns whether the token can be given to this caller, fresh or not.
    fn is_usable(&self, held: &Held) -> bool {
        held.is_alive(&*self.engine.clock) && !self.is_refused(held)
    }

    fn is_refused(&self, held: &Held) -> bool {
        self.refused.as_ref() == Some(&held.record.tokens.access)
    }

    /// Returns whether the stored token was rejected and no other one can be had.
    fn is_over(&self, record: &ConnectionRecord) -> bool {
        let is_signed_in = !matches!(record.state, StoredState::NeedsLogin(_));
        let is_refused = self.refused.as_ref() == Some(&record.tokens.access);
        is_signed_in && is_refused && record.tokens.refresh.is_none()
    }

    /// Returns the connection if no refresh is needed, or none is possible now; an error if there
    /// cannot be one; and `None` if a refresh has to be made.
    fn without_refresh(&self, held: &Arc<Held>) -> Result<Option<Arc<Held>>, TokenError> {
        if let StoredState::NeedsLogin(reason) = held.record.state {
            return Err(TokenError::needs_login(reason.into()));
        }
        if held.is_fresh(&*self.engine.clock) && !self.is_refused(held) {
            return Ok(Some(Arc::clone(held)));
        }
        let usable = self.is_usable(held).then(|| Arc::clone(held));
        if held.record.tokens.refresh.is_none() {
            let error = TokenError::needs_login(LoginReason::NoRefreshToken);
            return usable.ok_or(error).map(Some);
        }
        match &held.failure {
            Some((retry_at, error)) if !retry_at.has_come(&*self.engine.clock) => {
                usable.ok_or_else(|| error.clone()).map(Some)
            }
            _ => Ok(None),
        }
    }

    async fn with_lease(&self, lease: Lease) -> Result<Step, TokenError> {
        let outcome = self.refresh(&lease).await;
        let is_unsaved = matches!(&outcome, Ok(Step::Done(held)) if held.unsaved.is_some());
        if is_unsaved {
            self.save_later(lease);
        } else {
            lease.release(self.engine).await;
        }
        outcome
    }

    async fn refresh(&self, lease: &Lease) -> Result<Step, TokenError> {
        // The second look: the lease may have been another one's until now.
        let mut stored = match self.load().await {
            Ok(stored) => stored,
            Err(error) => return self.without_store(error).map(Step::Done),
        };
        if self.is_over(&stored.value) {
            return self.end(stored, StoredReason::NoRefreshToken).await;
        }
        let held = self.engine.memory.put(self.key, stored.value.clone());
        if let Some(held) = self.without_refresh(&held)? {
            return Ok(Step::Done(held));
        }
        let was_interrupted = matches!(stored.value.state, StoredState::Refreshing { .. });
        stored.value.state = StoredState::Refreshing { since: self.engine.unix_seconds() };
        match self.save(&stored.value, stored.revision).await {
            Ok(Some(revision)) => stored.revision = revision,
            Ok(None) => return Ok(Step::Again),
            Err(error) => return self.without_store(error.into()).map(Step::Done),
        }
        if !lease.has_time(self.engine) {
            return Ok(Step::Again);
        }
        match self.request(&stored.value).await {
            Ok(tokens) => self.refreshed(stored, tokens).await,
            Err(failure) => self.failed(stored, failure, was_interrupted).await,
        }
    }

    async fn save(
        &self,
        record: &ConnectionRecord,
        expected: Revision,
    ) -> Result<Option<Revision>, VaultError> {
        let lifetime = self.engine.settings.idle_lifetime;
        self.engine.vault.save(self.key, record, Expect::Revision(expected), lifetime).await
    }

    async fn request(&self, record: &ConnectionRecord) -> Result<TokenSet, TokenFailure> {
        let issuer = &record.endpoints.issuer;
        let credentials = self.engine.credentials(&record.client, issuer);
        let (Some(credentials), Some(token)) = (credentials, &record.tokens.refresh) else {
            return Err(TokenFailure::Client);
        };
        let endpoint = &record.endpoints.token;
        let http = &self.engine.http;
        token_endpoint::refresh(http, endpoint, &credentials, token, &record.resource).await
    }

    async fn refreshed(
        &self,
        stored: Stored<ConnectionRecord>,
        tokens: TokenSet,
    ) -> Result<Step, TokenError> {
        self.engine.counters.refreshes.increment();
        let mut record = stored.value;
        let before = record.tokens.clone();
        record.state = StoredState::Active;
        record.tokens.access = tokens.access_token;
        record.tokens.received = self.engine.unix_seconds();
        record.tokens.expires_in = tokens.expires_in;
        // RFC 6749 section 6: without a new one, the old one stays valid.
        record.tokens.refresh = tokens.refresh_token.or(record.tokens.refresh);
        record.scopes = tokens.scopes.unwrap_or(record.scopes);
        let sealed = self.engine.vault.seal(self.key, &record)?;
        let mut held = Held::new(record, &*self.engine.clock);
        held.is_issued = true;
        let expect = Expect::Revision(stored.revision);
        held.unsaved = Some(Unsaved { record: sealed, expect, before });
        match settle(self.engine, self.key, &held).await {
            Ok(Some(held)) => Ok(Step::Done(held)),
            Ok(None) => Ok(Step::Again),
            Err(error) => {
                self.engine.counters.unsaved_tokens.increment();
                let error = TokenError::from(error);
                tracing::error!(cause = %error, "failed to store new tokens; they are kept in memory");
                Ok(Step::Done(self.engine.memory.replace(self.key, held)))
            }
        }
    }

    async fn failed(
        &self,
        stored: Stored<ConnectionRecord>,
        failure: TokenFailure,
        was_interrupted: bool,
    ) -> Result<Step, TokenError> {
        match failure {
            TokenFailure::Grant if was_interrupted => {
                self.end(stored, StoredReason::Interrupted).await
            }
            TokenFailure::Grant => self.end(stored, StoredReason::Refused).await,
            TokenFailure::Client if stored.value.client.is_registered() => {
                registration::forget(self.engine, &stored.value.client).await;
                self.end(stored, StoredReason::ClientGone).await
            }
            TokenFailure::Client => {
                tracing::error!(
                    "an authorization server rejected the client that the settings have for it"
                );
                let detail = "the authorization server rejected the client that was set for it";
                let error = TokenError::new(TokenErrorKind::Unavailable, detail);
                self.try_later(stored, error)
            }
            TokenFailure::Other { code, failure } => {
                let kind = TokenErrorKind::Unavailable;
                let error = TokenError::of_failure(kind, "the token endpoint", failure);
                let error = match code {
                    Some(code) => error.with_oauth_error(code),
                    None => error,
                };
                tracing::warn!(cause = %error, "failed to refresh a token");
                self.try_later(stored, error)
            }
        }
    }

    /// The tokens are not valid any more, unless somebody has replaced them in the meantime.
    async fn end(
        &self,
        stored: Stored<ConnectionRecord>,
        reason: StoredReason,
    ) -> Result<Step, TokenError> {
        let mut record = stored.value;
        record.state = StoredState::NeedsLogin(reason);
        if self.save(&record, stored.revision).await?.is_none() {
            return Ok(Step::Again);
        }
        if reason != StoredReason::NoRefreshToken {
            self.engine.counters.refresh_tokens_rejected.increment();
        }
        self.engine.memory.put(self.key, record);
        Err(TokenError::needs_login(reason.into()))
    }

    /// Keeps the tokens, and lets nobody try again at once.
    fn try_later(
        &self,
        stored: Stored<ConnectionRecord>,
        error: TokenError,
    ) -> Result<Step, TokenError> {
        self.engine.counters.refresh_failures.increment();
        let retry_at = self.engine.now().after(error.retry_after().unwrap_or(RETRY_AFTER));
        let mut held = Held::new(stored.value, &*self.engine.clock);
        held.failure = Some((retry_at, error.clone()));
        let held = self.engine.memory.replace(self.key, held);
        if self.is_usable(&held) { Ok(Step::Done(held)) } else { Err(error) }
    }

    /// Stores tokens that an earlier refresh could not store. Returns the connection if that is all
    /// there is to do.
    async fn settle_unsaved(&self) -> Result<Option<Arc<Held>>, TokenError> {
        let Some(held) = self.engine.memory.get(self.key).filter(|held| held.unsaved.is_some())
        else {
            return Ok(None);
        };
        match settle(self.engine, self.key, &held).await {
            Ok(_) => Ok(None),
            Err(error) => self.without_store(error.into()).map(Some),
        }
    }

    /// Tries again until the lease ends. After that, other processes use the old refresh token.
    fn save_later(&self, lease: Lease) {
        let (engine, key) = (Arc::clone(self.engine), self.key.clone());
        let end = engine.now().after(LEASE_TIME);
        let task = async move {
            let unsaved = || engine.memory.get(&key).filter(|held| held.unsaved.is_some());
            while unsaved().is_some() && !end.has_come(&*engine.clock) {
                engine.clock.sleep(SAVE_PAUSE).await;
                if let Some(held) = unsaved() {
                    // Tried again if it fails, or if the record changed too often.
                    let _ = settle(&engine, &key, &held).await;
                }
            }
            lease.release(&engine).await;
        };
        // The next caller who needs the connection tries as well.
        let _ = background::spawn(task);
    }
}

/// Stores tokens that are not stored. Returns the connection if they are now, and `None` if another one
/// has stored others in their place, which may be the same, stored by a call that failed after it had
/// happened. If the user has disconnected, they must not stay valid.
///
/// If the record still has the tokens from before, the lease had ended too early, and the other one
/// was rejected with the refresh token that these were issued for, or will be: these take its place,
/// so that the user need not sign in again.
async fn settle(
    engine: &Engine,
    key: &RecordKey,
    held: &Held,
) -> Result<Option<Arc<Held>>, VaultError> {
    let Some(Unsaved { record, expect, before }) = &held.unsaved else {
        return Ok(None);
    };
    let mut expect = *expect;
    for _ in 0..MAX_ROUNDS {
        if save_sealed(engine, key, record, expect).await? {
            let mut held = held.clone();
            held.unsaved = None;
            return Ok(Some(engine.memory.replace(key, held)));
        }
        let Some(stored) = engine.vault.load::<ConnectionRecord>(key).await? else {
            engine.memory.remove(key);
            disconnect::revoke(engine, &held.record).await;
            return Ok(None);
        };
        if stored.value.tokens != *before {
            engine.memory.remove(key);
            return Ok(None);
        }
        expect = Expect::Revision(stored.revision);
    }
    // The next caller tries again.
    engine.memory.replace(key, held.clone());
    Ok(None)
}

async fn save_sealed(
    engine: &Engine,
    key: &RecordKey,
    record: &Record,
    expect: Expect,
) -> Result<bool, VaultError> {
    let lifetime = engine.settings.idle_lifetime;
    let saved = engine.vault.store().save(key, record, expect, lifetime).await?;
    Ok(matches!(saved, Saved::Yes))
}

fn changed_too_often() -> TokenError {
    let detail = "another process refreshes the connection and does not come to an end";
    TokenError::new(TokenErrorKind::Unavailable, detail)
}
