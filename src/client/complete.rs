//! Completes a sign-in: the response is compared with what was stored when it began, and the code
//! is redeemed where it was decided then.

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::binding::BrowserBinding;
use super::callback::{Answer, Callback};
use super::disconnect;
use super::engine::Engine;
use super::error::{CallbackError, CallbackErrorKind, OAuthCode, VaultError};
use super::failure::FailureKind;
use super::record::{ConnectionRecord, LoginRecord, StoredState, Tokens};
use super::registration;
use super::store::{Expect, OwnerTag, RecordKey};
use super::token_endpoint::{self, TokenFailure, TokenSet};
use super::vault::Stored;
use crate::oauth::{OFFLINE_ACCESS, Scopes};

/// A sign-in is over after this many callbacks from others.
const MAX_STRANGERS: u32 = 5;
/// How often new tokens are stored, if the store fails.
const MAX_SAVES: u32 = 3;
const SAVE_PAUSE: Duration = Duration::from_millis(500);

/// Who comes back from the authorization server.
pub(super) enum Visitor {
    /// A user who is signed in to the application.
    Owner(OwnerTag),
    /// A browser whose user is not signed in to the application.
    Browser(BrowserBinding),
}

/// A connection that was made, and what its sign-in asked for.
pub(super) struct Completion {
    pub(super) key: RecordKey,
    pub(super) record: ConnectionRecord,
    pub(super) missing: Scopes,
    pub(super) return_to: Option<String>,
}

/// Returns what a sign-in led to. Nothing of the response but its state is used before the visitor
/// and the issuer are known to be the right ones.
pub(super) async fn complete(
    engine: &Engine,
    visitor: &Visitor,
    callback: Callback,
) -> Result<Completion, CallbackError> {
    let key = engine.vault.keys().login_key(&callback.state);
    let login = engine.vault.load::<LoginRecord>(&key).await?;
    let login =
        login.filter(|login| engine.unix_seconds() < login.value.ends).ok_or_else(|| {
            CallbackError::new(CallbackErrorKind::UnknownLogin, "it is over, or never began")
        })?;
    if !visitor.began(&login.value) {
        return Err(stranger(engine, &key, login).await?);
    }
    let is_right_issuer = match &callback.issuer {
        Some(issuer) => *issuer == login.value.endpoints.issuer,
        None => !login.value.names_itself,
    };
    // Whatever the response says, the sign-in is over (RFC 9700 section 4.4.2): of two callbacks,
    // one gets the record.
    let taken = engine.vault.take::<LoginRecord>(&key).await?;
    let Some(Stored { value: login, .. }) = taken else {
        let detail = "another request with it came first";
        return Err(CallbackError::new(CallbackErrorKind::AlreadyUsed, detail));
    };
    if !is_right_issuer {
        let detail = "its iss is not the issuer of this sign-in, or is missing (RFC 9207)";
        return Err(CallbackError::new(CallbackErrorKind::WrongIssuer, detail));
    }
    match callback.answer {
        Answer::Code(code) => connect(engine, login, &code).await,
        Answer::Error(code) => Err(refusal(code)),
    }
}

impl Visitor {
    /// Compares in constant time.
    fn began(&self, login: &LoginRecord) -> bool {
        match self {
            Self::Owner(owner) => {
                let (own, other) = (owner.as_str().as_bytes(), login.owner.as_bytes());
                verify_slices_are_equal(own, other).is_ok()
            }
            Self::Browser(binding) => binding.has_digest(&login.binding),
        }
    }
}

/// The sign-in stays, since its own user may still come, but not for ever.
async fn stranger(
    engine: &Engine,
    key: &RecordKey,
    login: Stored<LoginRecord>,
) -> Result<CallbackError, CallbackError> {
    let expect = Expect::Revision(login.revision);
    let mut login = login.value;
    login.strangers = login.strangers.saturating_add(1);
    if login.strangers >= MAX_STRANGERS {
        engine.vault.delete(key, expect).await.map_err(VaultError::from)?;
    } else {
        let rest = Duration::from_secs(login.ends).saturating_sub(engine.clock.unix_time());
        // If another request has changed the record, that one is counted.
        engine.vault.save(key, &login, expect, Some(rest)).await?;
    }
    let detail = "another user or another browser began this sign-in";
    Ok(CallbackError::new(CallbackErrorKind::OtherUser, detail))
}

fn refusal(code: Option<OAuthCode>) -> CallbackError {
    let kind = match code {
        Some(OAuthCode::ACCESS_DENIED) => CallbackErrorKind::Denied,
        _ => CallbackErrorKind::Refused,
    };
    let error = CallbackError::new(kind, "it responded with an error");
    match code {
        Some(code) => error.with_oauth_error(code),
        None => error,
    }
}

async fn connect(
    engine: &Engine,
    login: LoginRecord,
    code: &str,
) -> Result<Completion, CallbackError> {
    let tokens = match redeem(engine, &login, code).await {
        Ok(tokens) => tokens,
        Err(failure) => return Err(not_redeemed(engine, &login, failure).await),
    };
    // RFC 6749 section 5.1: without a `scope`, what was requested was granted.
    let granted = tokens.scopes.unwrap_or_else(|| login.scopes.clone());
    let is_missing = |scope: &&str| *scope != OFFLINE_ACCESS && !granted.contains(scope);
    let missing = Scopes::granted(login.scopes.iter().filter(is_missing)).unwrap_or_default();
    let now = engine.unix_seconds();
    let record = ConnectionRecord {
        server: login.server,
        label: login.label,
        resource: login.resource,
        endpoints: login.endpoints,
        client: login.client,
        tokens: Tokens {
            access: tokens.access_token,
            refresh: tokens.refresh_token,
            received: now,
            expires_in: tokens.expires_in,
        },
        scopes: granted,
        state: StoredState::Active,
        created: now,
    };
    let owner = OwnerTag::new(login.owner);
    let key = engine.vault.keys().connection_key(&owner, &record.server, &record.label);
    store(engine, &key, &record).await?;
    engine.counters.logins_completed.increment();
    engine.memory.remove(&key);
    engine.memory.put(&key, record.clone());
    Ok(Completion { key, record, missing, return_to: login.return_to })
}

async fn redeem(
    engine: &Engine,
    login: &LoginRecord,
    code: &str,
) -> Result<TokenSet, TokenFailure> {
    let credentials = engine.credentials(&login.client, &login.endpoints.issuer);
    token_endpoint::redeem(
        &engine.http,
        &login.endpoints.token,
        &credentials.ok_or(TokenFailure::Client)?,
        code,
        &login.verifier,
        &login.redirect_uri,
        &login.resource,
    )
    .await
}

async fn not_redeemed(
    engine: &Engine,
    login: &LoginRecord,
    failure: TokenFailure,
) -> CallbackError {
    match failure {
        TokenFailure::Grant => {
            CallbackError::new(CallbackErrorKind::Exchange, "the code is not valid")
                .with_oauth_error(OAuthCode::INVALID_GRANT)
        }
        TokenFailure::Client => {
            registration::forget(engine, &login.client).await;
            let detail = "it does not know the client, or rejected its secret";
            CallbackError::new(CallbackErrorKind::Exchange, detail)
                .with_oauth_error(OAuthCode::INVALID_CLIENT)
        }
        TokenFailure::Other { code, failure } => {
            let kind = match failure.kind {
                FailureKind::Unavailable => CallbackErrorKind::Unavailable,
                FailureKind::Forbidden | FailureKind::Invalid => CallbackErrorKind::Exchange,
            };
            let error = CallbackError::of_failure(kind, "the token endpoint", failure);
            match code {
                Some(code) => error.with_oauth_error(code),
                None => error,
            }
        }
    }
}

/// Stores new tokens, in place of those of an earlier sign-in. Tokens that nobody will have are
/// revoked.
async fn store(
    engine: &Engine,
    key: &RecordKey,
    record: &ConnectionRecord,
) -> Result<(), CallbackError> {
    let lifetime = engine.settings.idle_lifetime;
    let mut tries = 1;
    loop {
        let error = match engine.vault.save(key, record, Expect::Any, lifetime).await {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        if tries >= MAX_SAVES || !matches!(error, VaultError::Store(_)) {
            disconnect::revoke(engine, record).await;
            return Err(error.into());
        }
        tries += 1;
        engine.clock.sleep(SAVE_PAUSE).await;
    }
}
