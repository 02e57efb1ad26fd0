//! The entry point: the connections of an application's users.

use std::sync::Arc;

use super::binding::BrowserBinding;
use super::builder::ConnectionsBuilder;
use super::callback::Callback;
use super::callback_service::{CallbackService, IdentifyOwner};
use super::client_metadata_service::ClientMetadataService;
use super::complete::{self, Visitor};
use super::connection::{Connection, ConnectionInfo};
use super::counters::ClientSnapshot;
use super::disconnect::{self, PAGE};
use super::engine::{Engine, to_the_end};
use super::error::{CallbackError, LoginError, TokenError, VaultError};
use super::login::{self, Beginning, LoginOptions, LoginRedirect};
use super::owner::{Owner, ServerUrl};
use super::record::ConnectionRecord;
use super::reseal::{self, Resealed};
use super::seal::SealingKeys;
use super::store::{OwnerTag, ScanCursor, Store};
use crate::clock::background;
use crate::oauth::Scopes;

/// The connections of an application's users to MCP servers.
///
/// A clone is cheap. Every process of the application builds one, with the same store and the same
/// keys; a sign-in may begin in one process and end in another.
///
/// # Example
///
/// ```no_run
/// use clerk_mcp_tools::client::{
///     Begun, Connections, LoginOptions, MemoryStore, Owner, SealingKeys, ServerUrl,
/// };
///
/// # async fn example(typed: &str, session_user: &str) -> Result<(), Box<dyn std::error::Error>> {
/// let keys = SealingKeys::from_env("MCP_CLIENT_KEYS")?;
/// let redirect_uri = "https://app.example.com/mcp/callback";
/// let connections = Connections::builder(MemoryStore::new(10_000), keys, redirect_uri)
///     .client_name("Example Chat")
///     .build()?;
///
/// let (owner, server) = (Owner::new(session_user), ServerUrl::parse(typed)?);
/// match connections.begin(&owner, &server, LoginOptions::new()).await? {
///     Begun::Redirect(redirect) => { /* 303 to redirect.url(), with redirect.set_cookie() */ }
///     Begun::AlreadyConnected(connection) => { /* connection.access_token() */ }
///     Begun::NotProtected => { /* the server requires no sign-in */ }
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Connections(Arc<Engine>);

/// How a sign-in began.
#[derive(Clone, Debug)]
pub enum Begun {
    /// The browser has to be sent to the authorization server.
    Redirect(LoginRedirect),
    /// There is a connection that has all that was asked for.
    AlreadyConnected(Connection),
    /// The server requires no sign-in.
    NotProtected,
}

/// A sign-in that was completed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Completed {
    /// The connection.
    pub connection: Connection,
    /// The scopes that the user has granted.
    pub granted: Scopes,
    /// The scopes that were asked for and not granted.
    pub missing: Scopes,
    /// The path that the sign-in began with.
    pub return_to: Option<String>,
}

impl Connections {
    /// Returns a builder. `redirect_uri` is the application's own URL at which its
    /// [callback service](Self::callback_service) is: an https URL, or one of a loopback host for
    /// development.
    pub fn builder(
        store: impl Store,
        keys: SealingKeys,
        redirect_uri: impl Into<String>,
    ) -> ConnectionsBuilder {
        ConnectionsBuilder::new(Arc::new(store), keys, redirect_uri.into())
    }

    pub(super) fn new(engine: Engine) -> Self {
        Self(Arc::new(engine))
    }

    /// Begins a sign-in of a user at an MCP server.
    ///
    /// Makes three requests, one after the other: to the server, for its metadata, and for that of
    /// its authorization server. With a [challenge](LoginOptions::challenge) it is one less, and
    /// the first sign-in at an authorization server may need one more, to register a client. If the
    /// user has a connection already, none is made.
    ///
    /// # Errors
    ///
    /// See [`LoginErrorKind`](super::LoginErrorKind).
    pub async fn begin(
        &self,
        owner: &Owner,
        server: &ServerUrl,
        options: LoginOptions,
    ) -> Result<Begun, LoginError> {
        begin(&self.0, self.tag(owner), server.clone(), options).await
    }

    /// Completes a sign-in with the response of the authorization server, for the user who is
    /// signed in to the application now. It has to be the one who began the sign-in.
    ///
    /// Makes one request, for the tokens. Runs to its end if the caller goes away.
    ///
    /// # Errors
    ///
    /// See [`CallbackErrorKind`](super::CallbackErrorKind).
    pub async fn complete(
        &self,
        owner: &Owner,
        callback: Callback,
    ) -> Result<Completed, CallbackError> {
        self.complete_for(Visitor::Owner(self.tag(owner)), callback).await
    }

    /// As [`complete`](Self::complete), for a browser whose user is not signed in to the
    /// application. It has to be the browser in which the sign-in began.
    ///
    /// # Errors
    ///
    /// See [`CallbackErrorKind`](super::CallbackErrorKind).
    pub async fn complete_in_browser(
        &self,
        binding: BrowserBinding,
        callback: Callback,
    ) -> Result<Completed, CallbackError> {
        self.complete_for(Visitor::Browser(binding), callback).await
    }

    /// Returns the connection of a user to a server, with an empty label.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed, or its record cannot be opened.
    pub async fn get(
        &self,
        owner: &Owner,
        server: &ServerUrl,
    ) -> Result<Option<Connection>, TokenError> {
        self.get_labelled(owner, server, "").await
    }

    /// Returns the connection of a user to a server with this [label](LoginOptions::label).
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn get_labelled(
        &self,
        owner: &Owner,
        server: &ServerUrl,
        label: &str,
    ) -> Result<Option<Connection>, TokenError> {
        let key = self.0.vault.keys().connection_key(&self.tag(owner), server.as_str(), label);
        let engine = Arc::clone(&self.0);
        background::run(async move {
            let Some(stored) = engine.vault.load::<ConnectionRecord>(&key).await? else {
                return Ok(None);
            };
            let held = engine.memory.put(&key, stored.value);
            Ok(Some(Connection::new(Arc::clone(&engine), key, &held.record)))
        })
        .await?
    }

    /// Returns all connections of a user, in no particular order. A record that cannot be opened is
    /// left out, and logged.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed.
    pub async fn list(&self, owner: &Owner) -> Result<Vec<ConnectionInfo>, TokenError> {
        let (engine, owner) = (Arc::clone(&self.0), self.tag(owner));
        background::run(async move { list(&engine, &owner).await.map_err(TokenError::from) })
            .await?
    }

    /// Ends all connections of a user, such as one who is deleted, also those that cannot be
    /// opened. Returns how many there were. Runs to its end if the caller goes away.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed. Some connections may be left then.
    pub async fn forget_owner(&self, owner: &Owner) -> Result<usize, TokenError> {
        let (engine, owner) = (Arc::clone(&self.0), self.tag(owner));
        to_the_end(async move { Ok(disconnect::forget_owner(&engine, &owner).await?) }).await
    }

    /// Returns the service for the redirect URI. `identify` finds the user who is signed in to the
    /// application.
    pub fn callback_service<I: IdentifyOwner>(&self, identify: I) -> CallbackService<I> {
        CallbackService::new(self.clone(), identify)
    }

    /// Returns the service for the
    /// [URL of the client metadata document](ConnectionsBuilder::client_metadata_url).
    #[must_use]
    pub fn client_metadata_service(&self) -> ClientMetadataService {
        ClientMetadataService::new(&self.0.settings)
    }

    /// Removes at most `most` records whose lifetime has ended, and returns how many. Sign-ins that
    /// nobody completed are such records. For a store that removes them by itself this is not
    /// needed; for another one, call it once an hour.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed.
    pub async fn sweep(&self, most: usize) -> Result<u64, TokenError> {
        let engine = Arc::clone(&self.0);
        let sweep = async move { engine.vault.store().sweep(most).await };
        Ok(background::run(sweep).await?.map_err(VaultError::from)?)
    }

    /// Seals the records of one page with the current key, after a key was replaced. Begin with
    /// `None`, and go on with [`Resealed::next`] until it is `None`; while records are left, begin
    /// again later. A retired key can be removed when none is.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed.
    pub async fn reseal(
        &self,
        from: Option<ScanCursor>,
        most: usize,
    ) -> Result<Resealed, TokenError> {
        let engine = Arc::clone(&self.0);
        background::run(async move {
            reseal::reseal(&engine, from.as_ref(), most).await.map_err(TokenError::from)
        })
        .await?
    }

    /// Returns counts of this process.
    #[must_use]
    pub fn snapshot(&self) -> ClientSnapshot {
        self.0.counters.snapshot()
    }

    fn tag(&self, owner: &Owner) -> OwnerTag {
        self.0.vault.keys().owner_tag(owner.as_bytes())
    }

    async fn complete_for(
        &self,
        visitor: Visitor,
        callback: Callback,
    ) -> Result<Completed, CallbackError> {
        let engine = Arc::clone(&self.0);
        to_the_end(async move {
            let done = complete::complete(&engine, &visitor, callback).await?;
            Ok(Completed {
                granted: done.record.scopes.clone(),
                connection: Connection::new(engine, done.key, &done.record),
                missing: done.missing,
                return_to: done.return_to,
            })
        })
        .await
    }
}

/// Begins a sign-in. It is stopped if the caller goes away.
pub(super) async fn begin(
    engine: &Arc<Engine>,
    owner: OwnerTag,
    server: ServerUrl,
    options: LoginOptions,
) -> Result<Begun, LoginError> {
    let engine = Arc::clone(engine);
    background::run(async move {
        let label = options.label.clone();
        Ok(match login::begin(&engine, &owner, &server, options).await? {
            Beginning::Redirect(redirect) => Begun::Redirect(redirect),
            Beginning::NotProtected => Begun::NotProtected,
            Beginning::Connected(record) => {
                let key = engine.vault.keys().connection_key(&owner, server.as_str(), &label);
                // Another process may have signed in: this one still has the tokens from before.
                let held = engine.memory.put(&key, *record);
                Begun::AlreadyConnected(Connection::new(engine, key, &held.record))
            }
        })
    })
    .await?
}

async fn list(engine: &Engine, owner: &OwnerTag) -> Result<Vec<ConnectionInfo>, VaultError> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = engine.vault.list(owner, after.as_ref(), PAGE).await?;
        for (key, record) in &page {
            match engine.vault.open::<ConnectionRecord>(key, record) {
                Ok(stored) => all.push(ConnectionInfo::new(&stored.value, &*engine.clock)),
                Err(_) => tracing::warn!("a record of a connection cannot be opened"),
            }
        }
        if page.len() < PAGE {
            return Ok(all);
        }
        after = page.into_iter().next_back().map(|(key, _)| key);
    }
}
