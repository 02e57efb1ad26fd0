//! What every handle of [`Connections`](super::Connections) shares.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::{digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::counters::Counters;
use super::discovery::is_same_issuer;
use super::error::{LoginError, TokenError};
use super::http::Http;
use super::memory::{Held, Memory};
use super::owner::ServerUrl;
use super::record::{ClientRecord, ClientSource};
use super::registered_client::RegisteredClient;
use super::store::RecordKey;
use super::token_endpoint::Credentials;
use super::vault::Vault;
use crate::cache::SingleFlight;
use crate::clock::background::{self, BackgroundError};
use crate::clock::{Clock, Moment};
use crate::oauth::Scopes;

/// How many connections are refreshed, and how many issuers registered with, at the same time.
const MAX_FLIGHTS: usize = 1024;

/// The parts that sign-ins, refreshes and the services work with.
pub(super) struct Engine {
    pub(super) vault: Vault,
    pub(super) http: Http,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) settings: Settings,
    pub(super) memory: Memory,
    pub(super) refreshes: SingleFlight<Result<Arc<Held>, TokenError>>,
    pub(super) registrations: SingleFlight<Result<ClientRecord, LoginError>>,
    pub(super) counters: Counters,
}

pub(super) struct Settings {
    pub(super) redirect_uri: String,
    pub(super) clients: Vec<RegisteredClient>,
    pub(super) client_metadata_url: Option<String>,
    pub(super) client_name: String,
    pub(super) registers: bool,
    pub(super) servers: Option<HashSet<ServerUrl>>,
    pub(super) scope_ceiling: Option<Scopes>,
    pub(super) login_lifetime: Duration,
    pub(super) idle_lifetime: Option<Duration>,
}

impl Engine {
    pub(super) fn new(vault: Vault, http: Http, clock: Arc<dyn Clock>, settings: Settings) -> Self {
        Self {
            vault,
            http,
            memory: Memory::new(Arc::clone(&clock)),
            clock,
            settings,
            refreshes: SingleFlight::new(MAX_FLIGHTS),
            registrations: SingleFlight::new(MAX_FLIGHTS),
            counters: Counters::default(),
        }
    }

    pub(super) fn now(&self) -> Moment {
        Moment::now(&*self.clock)
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    pub(super) fn unix_seconds(&self) -> u64 {
        self.clock.unix_time().as_secs()
    }

    /// Returns the digest that stands for a record in a table of calls in flight.
    pub(super) fn flight_key(&self, key: &RecordKey) -> [u8; 32] {
        self.vault.keys().digest("flight", &[key.as_str().as_bytes()])
    }

    /// Returns a client with its secret, which is in the settings or in the record. `None` if the
    /// settings no longer have the client.
    pub(super) fn credentials<'a>(
        &'a self,
        client: &'a ClientRecord,
        issuer: &str,
    ) -> Option<Credentials<'a>> {
        let secret = match &client.source {
            ClientSource::Document => None,
            ClientSource::Registered { secret, .. } => secret.as_deref(),
            ClientSource::Configured => {
                let configured = self.settings.client_of(issuer);
                configured.filter(|configured| configured.id() == client.id)?.secret()
            }
        };
        Some(Credentials { client, secret })
    }
}

impl Settings {
    pub(super) fn client_of(&self, issuer: &str) -> Option<&RegisteredClient> {
        self.clients.iter().find(|client| is_same_issuer(client.issuer(), issuer))
    }

    /// Returns these scopes without those above the ceiling.
    pub(super) fn below_ceiling(&self, scopes: &Scopes) -> Scopes {
        match &self.scope_ceiling {
            Some(ceiling) => scopes.intersection(ceiling),
            None => scopes.clone(),
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("redirect_uri", &self.settings.redirect_uri)
            .field("clients", &self.settings.clients)
            .field("vault", &self.vault)
            .finish_non_exhaustive()
    }
}

/// Runs a call to its end, on the background thread, even if the caller goes away in between: a
/// code or a refresh token that was sent must not be lost.
pub(super) async fn to_the_end<F, T, E>(call: F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: From<BackgroundError> + Send + 'static,
{
    let task = background::spawn(call).map_err(E::from)?;
    task.await.unwrap_or_else(|_| Err(BackgroundError::Stopped.into()))
}

/// Returns 256 random bits in base64url, 43 characters.
pub(super) fn random_secret() -> Option<String> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// Returns the SHA-256 of a text in base64url, 43 characters.
pub(super) fn sha256(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}
