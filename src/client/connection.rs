//! A user's connection to an MCP server.

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;

use super::challenge::Challenge;
use super::connections::Begun;
use super::disconnect::{self, Disconnected};
use super::engine::{Engine, to_the_end};
use super::error::{LoginError, LoginErrorKind, LoginReason, TokenError};
use super::login::LoginOptions;
use super::memory::Memory;
use super::owner::ServerUrl;
use super::record::ConnectionRecord;
use super::refresh;
use super::store::{OwnerTag, RecordKey};
use crate::clock::Clock;
use crate::oauth::{AccessToken, Scopes};

/// A user's connection to an MCP server. All processes of the application share it.
///
/// A clone is cheap. All handles of one connection share its tokens.
///
/// # Example
///
/// ```no_run
/// use clerk_mcp_tools::client::{Connection, TokenError};
///
/// # async fn send(token: &str) -> Result<u16, TokenError> { Ok(200) }
/// /// Sends a request with a token, and once more with another one if the server rejects it.
/// async fn call(connection: &Connection) -> Result<u16, TokenError> {
///     let token = connection.access_token().await?;
///     let status = send(token.expose()).await?;
///     if status != 401 {
///         return Ok(status);
///     }
///     let token = connection.renew(&token).await?;
///     send(token.expose()).await
/// }
/// ```
#[derive(Clone)]
pub struct Connection {
    engine: Arc<Engine>,
    key: RecordKey,
    info: Arc<ConnectionInfo>,
}

/// What a user may be shown about a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// The URL of the MCP server.
    pub server: String,
    /// The [label](LoginOptions::label) that the sign-in had.
    pub label: String,
    /// The resource that the tokens are for (RFC 8707).
    pub resource: String,
    /// The issuer of the tokens.
    pub issuer: String,
    /// The scopes that the user has granted.
    pub scopes: Scopes,
    /// Whether the user has to sign in again.
    pub state: ConnectionState,
    /// When the user signed in, in seconds since 1970-01-01T00:00:00Z.
    pub signed_in_at: u64,
}

/// Whether a connection can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionState {
    /// It can be used.
    Active,
    /// The user has to sign in again.
    NeedsLogin(LoginReason),
}

impl Connection {
    pub(super) fn new(engine: Arc<Engine>, key: RecordKey, record: &ConnectionRecord) -> Self {
        let info = Arc::new(ConnectionInfo::new(record, &*engine.clock));
        Self { engine, key, info }
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(super) fn memory(&self) -> &Memory {
        &self.engine.memory
    }

    pub(super) fn key(&self) -> &RecordKey {
        &self.key
    }

    /// Returns what was known about the connection when this handle was made.
    #[must_use]
    pub fn info(&self) -> &ConnectionInfo {
        &self.info
    }

    /// Returns an access token for the server, which is valid for some time.
    ///
    /// It comes from memory for at most a minute, then from the store. Shortly before it expires it
    /// is refreshed, once for all tasks of all processes. While the authorization server or the
    /// store cannot be reached, the token is returned until it expires.
    ///
    /// A refresh runs on a thread of this crate, to its end: if the caller goes away, its tokens
    /// are stored all the same.
    ///
    /// # Errors
    ///
    /// See [`TokenErrorKind`](super::TokenErrorKind). Only `NeedsLogin` means that the user has to
    /// sign in again.
    pub async fn access_token(&self) -> Result<AccessToken, TokenError> {
        refresh::access_token(&self.engine, &self.key, None).await
    }

    /// Returns another access token than this one, which the server has rejected with a 401. If
    /// another task or process has a newer one, no request is made. If there is neither a newer one
    /// nor a refresh token, the connection needs a sign-in from then on. Another process may serve the
    /// token for up to a minute more.
    ///
    /// # Errors
    ///
    /// As [`access_token`](Self::access_token).
    pub async fn renew(&self, refused: &AccessToken) -> Result<AccessToken, TokenError> {
        refresh::access_token(&self.engine, &self.key, Some(refused)).await
    }

    /// Begins a sign-in for more scopes, after the server has rejected a request with a 403 and this
    /// `WWW-Authenticate` header (`insufficient_scope`). It asks for what the user has granted
    /// before and for what the header names, below the
    /// [ceiling](super::ConnectionsBuilder::scope_ceiling).
    ///
    /// Returns [`Begun::AlreadyConnected`] if the user has granted all of it: another process was
    /// faster, and [`renew`](Self::renew) may help. A server that goes on asking for what it has
    /// got is not asked again.
    ///
    /// # Errors
    ///
    /// See [`LoginErrorKind`]. It is `Forbidden` if all that the header names is above the ceiling.
    pub async fn step_up(&self, challenge: &HeaderValue) -> Result<Begun, LoginError> {
        self.step_up_and_return(challenge, LoginOptions::new()).await
    }

    /// As [`step_up`](Self::step_up), with a [path to return to](LoginOptions::return_to). The label
    /// and the scopes of the options are those of this connection and of the header.
    ///
    /// # Errors
    ///
    /// As [`step_up`](Self::step_up).
    pub async fn step_up_and_return(
        &self,
        challenge: &HeaderValue,
        options: LoginOptions,
    ) -> Result<Begun, LoginError> {
        let asked = Challenge::parse(challenge).and_then(|challenge| challenge.scopes);
        let asked = asked.unwrap_or_default();
        let allowed = self.engine.settings.below_ceiling(&asked);
        if allowed.is_empty() && !asked.is_empty() {
            let detail = "all scopes that it asks for are above the ceiling of the settings";
            return Err(LoginError::new(LoginErrorKind::Forbidden, detail));
        }
        let server = ServerUrl::parse(&self.info.server).map_err(|_| {
            LoginError::new(LoginErrorKind::Unreadable, "its server has no valid URL")
        })?;
        let owner = self.key.owner().unwrap_or_else(|| OwnerTag::new(String::new()));
        let mut options = options.challenge(challenge).label(&*self.info.label);
        options.scopes = None;
        super::connections::begin(&self.engine, owner, server, options).await
    }

    /// Ends the connection: forgets its tokens, and asks the authorization server to revoke them
    /// (RFC 7009). Runs to its end if the caller goes away.
    ///
    /// Another process may serve its access token for up to a minute more.
    ///
    /// # Errors
    ///
    /// Returns [`TokenErrorKind::Store`](super::TokenErrorKind::Store) if the store failed, so that
    /// the connection may still exist.
    pub async fn disconnect(self) -> Result<Disconnected, TokenError> {
        let Self { engine, key, .. } = self;
        to_the_end(async move { Ok(disconnect::disconnect(&engine, &key).await?) }).await
    }
}

impl ConnectionInfo {
    pub(super) fn new(record: &ConnectionRecord, clock: &dyn Clock) -> Self {
        let reason = record.login_reason(clock.unix_time());
        Self {
            server: record.server.clone(),
            label: record.label.clone(),
            resource: record.resource.clone(),
            issuer: record.endpoints.issuer.clone(),
            scopes: record.scopes.clone(),
            state: reason.map_or(ConnectionState::Active, ConnectionState::NeedsLogin),
            signed_in_at: record.created,
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("info", &self.info).finish_non_exhaustive()
    }
}
