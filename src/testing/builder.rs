//! Builds a fake Clerk.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use serde_json::Value;
use tokio::net::TcpListener;

use super::fake_clerk::FakeClerk;
use super::server::RunningServer;
use super::token_format::TokenFormat;
use crate::clock::{Clock, SystemClock};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
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
    pub(super) clock: Arc<dyn Clock>,
    pub(super) token_format: TokenFormat,
    pub(super) token_lifetime: Duration,
    pub(super) scopes_supported: Vec<String>,
    pub(super) grantable_scopes: Option<Vec<String>>,
    pub(super) dynamic_registration: bool,
    pub(super) secret_key: Option<String>,
    pub(super) users: Vec<Value>,
    pub(super) origin: Option<String>,
    pub(super) registration_limits_scopes: bool,
    pub(super) redirect_schemes: Vec<String>,
    pub(super) require_offline_access: bool,
    pub(super) refresh_token_lifetime: Duration,
    pub(super) revoke_on_refresh_token_reuse: bool,
    pub(super) resources: Vec<String>,
    pub(super) include_audience: bool,
    pub(super) interactive: bool,
    pub(super) api_keys: bool,
    pub(super) machine_tokens: bool,
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
            registration_limits_scopes: true,
            redirect_schemes: Vec::new(),
            require_offline_access: true,
            refresh_token_lifetime: TEN_YEARS,
            revoke_on_refresh_token_reuse: true,
            resources: Vec::new(),
            include_audience: true,
            interactive: false,
            api_keys: true,
            machine_tokens: true,
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

    /// Sets whether a client that registers a `scope` can be granted these scopes only (RFC 7591
    /// section 2). Defaults to `true`.
    ///
    /// With `false`, clients can step up to scopes that they did not register. The official
    /// TypeScript clients and rmcp need that: they register the scopes of the first challenge, and
    /// use the same client when a tool asks for more.
    pub fn registration_limits_scopes(mut self, limits: bool) -> Self {
        self.registration_limits_scopes = limits;
        self
    }

    /// Allows redirect URIs of a private-use scheme that has no dot, such as `cursor`. Without it,
    /// a scheme must be a domain name in reverse (RFC 8252 section 7.1), such as `com.example.app`.
    pub fn allow_redirect_scheme(mut self, scheme: impl Into<String>) -> Self {
        self.redirect_schemes.push(scheme.into());
        self
    }

    /// Sets whether a refresh token is issued only if the scope `offline_access` was granted
    /// (OpenID Connect Core 1.0 section 11). Defaults to `true`: a client that relies on a refresh
    /// token has to ask for it.
    ///
    /// With `false`, every client whose grant types include `refresh_token` gets one. Clients that
    /// request just the scopes of the challenge, such as the TypeScript SDK 1.x, sign in again
    /// without it.
    pub fn require_offline_access(mut self, require: bool) -> Self {
        self.require_offline_access = require;
        self
    }

    /// Sets the lifetime of refresh tokens. Each use issues a new one with a lifetime of its own.
    /// Defaults to ten years of 365 days.
    pub fn refresh_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.refresh_token_lifetime = lifetime;
        self
    }

    /// Sets whether a second use of a refresh token revokes all tokens of its grant (RFC 9700
    /// section 4.14.2). Defaults to `true`. With `false` only that request is rejected.
    pub fn revoke_on_refresh_token_reuse(mut self, revoke: bool) -> Self {
        self.revoke_on_refresh_token_reuse = revoke;
        self
    }

    /// Registers a resource, the URL of an MCP server, byte for byte. *Agents → MCP servers* of the
    /// Clerk Dashboard does the same. Tokens for other resources are issued without an audience. Until
    /// the first one is registered, every https URL counts as registered, and every http URL on a
    /// loopback host.
    ///
    /// # Example
    ///
    /// ```
    /// use clerk_mcp_tools::testing::FakeClerk;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let resource = "https://mcp.example.com/mcp";
    /// let clerk = FakeClerk::builder().register_resource(resource).start().await?;
    ///
    /// let registered = clerk.sign_in().resource(resource).access_token().await?;
    /// let without_audience = clerk.sign_in().resource("https://b.example").access_token().await?;
    /// # Ok(()) }
    /// ```
    pub fn register_resource(mut self, resource: impl Into<String>) -> Self {
        self.resources.push(resource.into());
        self
    }

    /// Sets whether tokens name their audience. Defaults to `true`. An instance of Clerk whose
    /// setting is off issues tokens without `aud`, whatever the client requests.
    pub fn include_audience(mut self, include: bool) -> Self {
        self.include_audience = include;
        self
    }

    /// Shows a consent page, so that a person can try a client in a browser: it names the client, the
    /// scopes and the servers, lets the user choose which [user](Self::user) to be, and allow or deny
    /// the access. By default every request is approved at once for the default user.
    ///
    /// The page is plain HTML without scripts. It needs cookies, and is valid for 10 minutes and one
    /// decision. A denied request ends with the error `access_denied`.
    /// [`FakeClerk::sign_in`] allows the access as the default user.
    pub fn interactive(mut self) -> Self {
        self.interactive = true;
        self
    }

    /// Disables API keys: the Backend API responds to their verification with 403
    /// `feature_not_enabled`. They are enabled by default. This response was not compared with that
    /// of a live instance.
    pub fn without_api_keys(mut self) -> Self {
        self.api_keys = false;
        self
    }

    /// Disables machine tokens: the Backend API responds to their verification with 403
    /// `feature_not_enabled`. They are enabled by default. This response was not compared with that
    /// of a live instance.
    pub fn without_machine_tokens(mut self) -> Self {
        self.machine_tokens = false;
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
            .field("include_audience", &self.include_audience)
            .finish_non_exhaustive()
    }
}
