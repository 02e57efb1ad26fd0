//! Builds a fake Clerk.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use std::{fmt, io};

use serde_json::{Map, Value};
use tokio::net::TcpListener;

use super::fake_clerk::FakeClerk;
use super::faults::Faults;
use super::request_log::RequestLog;
use super::server::RunningServer;
use super::state::ids::Ids;
use super::state::signing_keys::SigningKey;
use super::state::user::user;
use super::state::{Client, DefaultIds, FakeInstance, InstanceConfig, Records};
use super::token_format::TokenFormat;
use crate::clock::{Clock, SystemClock};
use crate::instance::{BackendApi, FrontendApi, InstanceType, PublishableKey};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const SCOPES: [&str; 7] = [
    "openid",
    "profile",
    "email",
    "offline_access",
    "user:org:read",
    "public_metadata",
    "private_metadata",
];

/// A builder of a [`FakeClerk`]. Created by [`FakeClerk::builder`].
#[derive(Clone)]
#[must_use]
pub struct FakeClerkBuilder {
    clock: Arc<dyn Clock>,
    token_format: TokenFormat,
    token_lifetime: Duration,
    scopes_supported: Vec<String>,
    grantable_scopes: Option<Vec<String>>,
    dynamic_registration: bool,
    secret_key: Option<String>,
    users: Vec<Value>,
    origin: Option<String>,
}

impl FakeClerkBuilder {
    pub(super) fn new() -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            token_format: TokenFormat::default(),
            token_lifetime: DAY,
            scopes_supported: SCOPES.map(str::to_owned).to_vec(),
            grantable_scopes: None,
            dynamic_registration: true,
            secret_key: None,
            users: Vec::new(),
            origin: None,
        }
    }

    /// Sets the clock for the lifetimes of codes and tokens. Defaults to [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets the format of the access tokens that the token endpoint issues. Defaults to
    /// [`TokenFormat::Jwt`].
    pub fn token_format(mut self, format: TokenFormat) -> Self {
        self.token_format = format;
        self
    }

    /// Sets the lifetime of access tokens, in whole seconds. Defaults to one day.
    pub fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.token_lifetime = lifetime;
        self
    }

    /// Sets the scopes that the metadata documents advertise. Defaults to `openid profile email
    /// offline_access user:org:read public_metadata private_metadata`.
    pub fn scopes_supported<S: Into<String>>(
        mut self,
        scopes: impl IntoIterator<Item = S>,
    ) -> Self {
        self.scopes_supported = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the scopes that a client can be granted. A request for another one fails with
    /// `invalid_scope`. Defaults to the advertised scopes.
    pub fn grantable_scopes<S: Into<String>>(
        mut self,
        scopes: impl IntoIterator<Item = S>,
    ) -> Self {
        self.grantable_scopes = Some(scopes.into_iter().map(Into::into).collect());
        self
    }

    /// Disables dynamic client registration (RFC 7591). It is enabled by default.
    pub fn without_dynamic_registration(mut self) -> Self {
        self.dynamic_registration = false;
        self
    }

    /// Sets the secret key that the Backend API requires. Defaults to a random `sk_test_…`.
    pub fn secret_key(mut self, key: &str) -> Self {
        self.secret_key = Some(key.to_owned());
        self
    }

    /// Adds a user of the Backend API: a JSON object with an `id`. Omitted members get the values
    /// of the default user.
    pub fn user(mut self, user: Value) -> Self {
        self.users.push(user);
        self
    }

    /// Sets the origin at which clients reach the instance, such as that of a proxy in front of it.
    /// It becomes the issuer. Defaults to the server's own address, which [`FakeClerk::address`]
    /// returns in any case.
    ///
    /// # Example
    ///
    /// ```
    /// use clerk_mcp_tools::testing::FakeClerk;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // A proxy that forwards to the address of the fake Clerk.
    /// let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// let origin = format!("http://{}", proxy.local_addr()?);
    ///
    /// let clerk = FakeClerk::builder().origin(&origin).start().await?;
    /// assert_eq!(clerk.issuer(), origin);
    /// assert_ne!(clerk.address(), proxy.local_addr()?);
    /// # Ok(()) }
    /// ```
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// Starts the server on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// Returns an error if no port is available, a key cannot be generated, the origin is not valid
    /// for a Frontend API, or a user is not a JSON object with an `id`.
    ///
    /// # Panics
    ///
    /// Panics if called outside of a Tokio runtime with I/O enabled.
    pub async fn start(self) -> io::Result<FakeClerk> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let instance = self.into_instance(address)?;
        Ok(FakeClerk::new(RunningServer::spawn(listener, instance)))
    }

    fn into_instance(self, address: SocketAddr) -> io::Result<FakeInstance> {
        let origin = self.origin.clone().unwrap_or_else(|| format!("http://{address}"));
        let frontend_api = FrontendApi::parse(&origin).map_err(io::Error::other)?;
        let host = frontend_api.issuer().split_once("://").map(|(_, host)| host);
        let ids = Ids::new()?;
        let key = SigningKey::generate(ids.id("ins_"))?;
        let defaults = DefaultIds {
            user_id: ids.id("user_"),
            client_id: ids.id("client_"),
            organization_id: ids.id("org_"),
        };
        let records = initial_records(&ids, key, &defaults, &self)?;
        Ok(FakeInstance {
            address,
            publishable_key: PublishableKey::for_host(
                InstanceType::Development,
                host.unwrap_or_default(),
            )
            .map_err(io::Error::other)?,
            backend_api: BackendApi::parse(frontend_api.issuer()).map_err(io::Error::other)?,
            frontend_api,
            config: InstanceConfig {
                clock: self.clock,
                secret_key: self.secret_key.unwrap_or_else(|| format!("sk_test_{}", ids.secret())),
                token_lifetime: self.token_lifetime,
                grantable_scopes: self
                    .grantable_scopes
                    .unwrap_or_else(|| self.scopes_supported.clone()),
                scopes_supported: self.scopes_supported,
                dynamic_registration: self.dynamic_registration,
            },
            ids,
            defaults,
            http: http_client()?,
            log: RequestLog::default(),
            faults: Faults::default(),
            records: Mutex::new(records),
            foreign_key: OnceLock::new(),
        })
    }
}

impl fmt::Debug for FakeClerkBuilder {
    /// Omits the secret key, and the origin, which has not been checked for a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeClerkBuilder")
            .field("clock", &self.clock)
            .field("token_format", &self.token_format)
            .field("token_lifetime", &self.token_lifetime)
            .field("scopes_supported", &self.scopes_supported)
            .field("grantable_scopes", &self.grantable_scopes)
            .field("dynamic_registration", &self.dynamic_registration)
            .finish_non_exhaustive()
    }
}

/// Returns the records with the default client, the default user, and the users of the builder.
fn initial_records(
    ids: &Ids,
    key: SigningKey,
    defaults: &DefaultIds,
    builder: &FakeClerkBuilder,
) -> io::Result<Records> {
    let now_ms = builder.clock.unix_time().as_secs().saturating_mul(1000);
    let mut records = Records::new(builder.token_format, key);
    let default_client =
        Client { redirect_uris: vec!["http://127.0.0.1/callback".to_owned()], secret: None };
    records.clients.insert(defaults.client_id.clone(), default_client);
    let default_user = user(ids, &defaults.user_id, Map::new(), now_ms);
    records.users.insert(defaults.user_id.clone(), default_user);
    for given in &builder.users {
        let (id, members) = id_and_members(given)?;
        let user = user(ids, id, members.clone(), now_ms);
        records.users.insert(id.to_owned(), user);
    }
    Ok(records)
}

fn id_and_members(user: &Value) -> io::Result<(&str, &Map<String, Value>)> {
    let id = user.get("id").and_then(Value::as_str);
    id.zip(user.as_object()).ok_or_else(|| {
        let problem = "a user must be a JSON object with an id";
        io::Error::new(io::ErrorKind::InvalidInput, problem)
    })
}

/// Without redirects: a sign-in reads them, and a client metadata document must not redirect the
/// server to another host. Without a proxy: most requests go to this machine.
fn http_client() -> io::Result<reqwest::Client> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .map_err(io::Error::other)
}
