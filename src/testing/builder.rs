use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use std::{fmt, io};

use serde_json::{Map, Value};
use tokio::net::TcpListener;

use super::fake::FakeClerk;
use super::fault::Faults;
use super::ids::Ids;
use super::keys::SigningKey;
use super::route::RequestLog;
use super::state::{Defaults, InstanceConfig, Shared, State};
use super::user::user;
use crate::clock::{Clock, SystemClock};
use crate::instance::{FrontendApi, InstanceType, PublishableKey};

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

/// The format of the access tokens that an instance issues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenFormat {
    /// Signed JWTs (RFC 9068).
    #[default]
    Jwt,
    /// `oat_…` strings that only the Backend API can tell about.
    Opaque,
}

/// The settings of a [`FakeClerk`], made by [`FakeClerk::builder`].
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

    /// The clock that codes and tokens are dated by. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The format of the access tokens that the token endpoint issues. Default: [`TokenFormat::Jwt`].
    pub fn token_format(mut self, format: TokenFormat) -> Self {
        self.token_format = format;
        self
    }

    /// How long access tokens are good, in whole seconds. Default: one day.
    pub fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.token_lifetime = lifetime;
        self
    }

    /// The scopes that the metadata documents advertise. Default: `openid profile email offline_access user:org:read
    /// public_metadata private_metadata`.
    pub fn scopes_supported<S: Into<String>>(
        mut self,
        scopes: impl IntoIterator<Item = S>,
    ) -> Self {
        self.scopes_supported = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// The scopes that a client can be granted; asking for another is `invalid_scope`. Default: those advertised.
    pub fn grantable_scopes<S: Into<String>>(
        mut self,
        scopes: impl IntoIterator<Item = S>,
    ) -> Self {
        self.grantable_scopes = Some(scopes.into_iter().map(Into::into).collect());
        self
    }

    /// Whether clients can register themselves (RFC 7591). Default: yes.
    pub fn dynamic_registration(mut self, on: bool) -> Self {
        self.dynamic_registration = on;
        self
    }

    /// The key that the Backend API asks for. Default: a random `sk_test_…`.
    pub fn secret_key(mut self, key: &str) -> Self {
        self.secret_key = Some(key.to_owned());
        self
    }

    /// Adds a user of the Backend API: a JSON object with an `id`. Members that it leaves out get the values of the
    /// default user.
    pub fn user(mut self, user: Value) -> Self {
        self.users.push(user);
        self
    }

    /// The origin by which others reach the instance, and so its issuer, where something stands in front of it. Default:
    /// the server's own address, which [`FakeClerk::address`] tells in any case.
    ///
    /// # Example
    ///
    /// ```
    /// use clerk_mcp_tools::testing::FakeClerk;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // A proxy that passes on what it gets to wherever it is told later.
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
    /// When no port can be had, no key can be made, the origin is none that a Frontend API may have, or a user is not an
    /// object with an `id`.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O enabled.
    pub async fn start(self) -> io::Result<FakeClerk> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = self.into_shared(address)?;
        Ok(FakeClerk::serving(listener, Arc::new(shared)))
    }

    fn into_shared(self, address: SocketAddr) -> io::Result<Shared> {
        let origin = self.origin.clone().unwrap_or_else(|| format!("http://{address}"));
        let origin = FrontendApi::parse(&origin).map_err(io::Error::other)?;
        let host = origin.issuer().split_once("://").map(|(_, host)| host).unwrap_or_default();
        let ids = Ids::new()?;
        let key = SigningKey::generate(ids.id("ins_"))?;
        let defaults = Defaults {
            user_id: ids.id("user_"),
            client_id: ids.id("client_"),
            organization_id: ids.id("org_"),
        };
        let state = initial_state(&ids, key, &defaults, &self)?;
        Ok(Shared {
            address,
            issuer: origin.issuer().to_owned(),
            publishable_key: PublishableKey::for_host(InstanceType::Development, host)
                .map_err(io::Error::other)?,
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
            state: Mutex::new(state),
            foreign_key: OnceLock::new(),
        })
    }
}

impl fmt::Debug for FakeClerkBuilder {
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

/// The state with its users.
fn initial_state(
    ids: &Ids,
    key: SigningKey,
    defaults: &Defaults,
    builder: &FakeClerkBuilder,
) -> io::Result<State> {
    let now_ms = builder.clock.unix_time().as_secs().saturating_mul(1000);
    let mut state = State::new(builder.token_format, key);
    let default_user = user(ids, &defaults.user_id, Map::new(), now_ms);
    state.users.insert(defaults.user_id.clone(), default_user);
    for given in &builder.users {
        let (id, members) = identified(given)?;
        let user = user(ids, id, members.clone(), now_ms);
        state.users.insert(id.to_owned(), user);
    }
    Ok(state)
}

fn identified(user: &Value) -> io::Result<(&str, &Map<String, Value>)> {
    let id = user.get("id").and_then(Value::as_str);
    id.zip(user.as_object()).ok_or_else(|| {
        let problem = "a user has to be a JSON object with an id";
        io::Error::new(io::ErrorKind::InvalidInput, problem)
    })
}

/// No redirects: sign-in reads them itself, and a client metadata document must not send the server elsewhere. No proxy:
/// most of what it asks is on this machine.
fn http_client() -> io::Result<reqwest::Client> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .map_err(io::Error::other)
}
