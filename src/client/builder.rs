//! Builds [`Connections`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::connections::Connections;
use super::egress::Egress;
use super::engine::{Engine, Settings};
use super::http::Http;
use super::owner::ServerUrl;
use super::registered_client::RegisteredClient;
use super::seal::SealingKeys;
use super::store::Store;
use super::vault::Vault;
use crate::clock::{Clock, SystemClock};
use crate::error::ConfigError;
use crate::oauth::{Scopes, check_origin, parse_uri};

const LOGIN_LIFETIME: Duration = Duration::from_secs(10 * 60);
const MAX_LOGIN_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// A builder of [`Connections`]. Created by [`Connections::builder`].
#[must_use]
pub struct ConnectionsBuilder {
    store: Arc<dyn Store>,
    keys: SealingKeys,
    egress: Egress,
    clock: Arc<dyn Clock>,
    settings: Settings,
}

impl ConnectionsBuilder {
    pub(super) fn new(store: Arc<dyn Store>, keys: SealingKeys, redirect_uri: String) -> Self {
        let settings = Settings {
            redirect_uri,
            clients: Vec::new(),
            client_metadata_url: None,
            client_name: "MCP client".to_owned(),
            registers: true,
            servers: None,
            scope_ceiling: None,
            login_lifetime: LOGIN_LIFETIME,
            idle_lifetime: None,
        };
        Self {
            store,
            keys,
            egress: Egress::public(),
            clock: Arc::new(SystemClock::new()),
            settings,
        }
    }

    /// Adds a client that was registered by hand at an authorization server. It comes before the
    /// other kinds.
    pub fn client(mut self, client: RegisteredClient) -> Self {
        self.settings.clients.push(client);
        self
    }

    /// Sets the URL at which the [client metadata
    /// service](Connections::client_metadata_service) is. It is the client id at authorization
    /// servers that support such documents (OAuth Client ID Metadata Document), which comes before
    /// dynamic registration. Defaults to none.
    pub fn client_metadata_url(mut self, url: impl Into<String>) -> Self {
        self.settings.client_metadata_url = Some(url.into());
        self
    }

    /// Sets the name that users see when they are asked for their consent. Defaults to
    /// `MCP client`.
    pub fn client_name(mut self, name: impl Into<String>) -> Self {
        self.settings.client_name = name.into();
        self
    }

    /// Switches dynamic registration (RFC 7591) off: only authorization servers for which a
    /// [client](Self::client) was set, or which support client metadata documents, can be used.
    pub fn without_registration(mut self) -> Self {
        self.settings.registers = false;
        self
    }

    /// Sets which hosts may be called. Defaults to [`Egress::public`].
    pub fn egress(mut self, egress: Egress) -> Self {
        self.egress = egress;
        self
    }

    /// Sets the servers that may be connected to. Defaults to all.
    pub fn servers(mut self, servers: impl IntoIterator<Item = ServerUrl>) -> Self {
        self.settings.servers = Some(servers.into_iter().collect());
        self
    }

    /// Sets the scopes that are asked for at most, whatever a server says. `offline_access`, which
    /// is for the refresh token, need not be among them. Defaults to no limit.
    pub fn scope_ceiling(mut self, scopes: Scopes) -> Self {
        self.settings.scope_ceiling = Some(scopes);
        self
    }

    /// Sets how long a user has for a sign-in, in whole seconds up to an hour. Defaults to ten
    /// minutes.
    pub fn login_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.login_lifetime = lifetime;
        self
    }

    /// Sets the time after which a connection is forgotten that was not refreshed or signed in to.
    /// Its tokens are not revoked. Defaults to none: connections stay until they are ended.
    pub fn idle_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.idle_lifetime = Some(lifetime);
        self
    }

    /// Sets the clock for the lifetimes of tokens and sign-ins. Defaults to [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Builds the connections.
    ///
    /// # Errors
    ///
    /// Returns an error if the redirect URI or the URL of the client metadata document is not an
    /// https URL (http is accepted for a loopback host), if a lifetime is out of its bounds, or if
    /// the certificates of the machine cannot be loaded.
    pub fn build(self) -> Result<Connections, ConfigError> {
        check_url("redirect_uri", &self.settings.redirect_uri)?;
        if let Some(url) = &self.settings.client_metadata_url {
            check_url("client_metadata_url", url)?;
            if parse_uri(url).is_none_or(|uri| uri.path() == "/") {
                let problem = "has no path; a client id is the URL of a document";
                return Err(ConfigError::invalid("client_metadata_url", problem));
            }
        }
        if !(Duration::from_secs(1)..=MAX_LOGIN_LIFETIME).contains(&self.settings.login_lifetime) {
            let problem = "is not between one second and one hour";
            return Err(ConfigError::invalid("login_lifetime", problem));
        }
        if self.settings.idle_lifetime.is_some_and(|lifetime| lifetime < MAX_LOGIN_LIFETIME) {
            return Err(ConfigError::invalid("idle_lifetime", "is shorter than one hour"));
        }
        let http = Http::new(self.egress, Arc::clone(&self.clock))?;
        let vault = Vault::new(self.store, self.keys);
        Ok(Connections::new(Engine::new(vault, http, self.clock, self.settings)))
    }
}

fn check_url(setting: &'static str, url: &str) -> Result<(), ConfigError> {
    let uri = parse_uri(url).filter(|_| !url.contains('#'));
    let uri =
        uri.ok_or_else(|| ConfigError::invalid(setting, "is not a URL without a fragment"))?;
    check_origin(&uri).map_err(|why| ConfigError::invalid(setting, why))
}

impl fmt::Debug for ConnectionsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionsBuilder")
            .field("store", &self.store)
            .field("keys", &self.keys)
            .field("egress", &self.egress)
            .field("clients", &self.settings.clients)
            .finish_non_exhaustive()
    }
}
