use std::net::SocketAddr;
use std::sync::Arc;
use std::{fmt, io};

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::builder::{FakeClerkBuilder, TokenFormat};
use super::fault::Fault;
use super::mint::TokenBuilder;
use super::route::{RecordedRequest, Route};
use super::server;
use super::sign_in::SignIn;
use super::state::{Client, Shared};
use crate::instance::PublishableKey;

/// An in-process stand-in for a Clerk instance.
///
/// Its clones are handles to the same instance; the server stops when the last of them is dropped.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::testing::{FakeClerk, Route};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let clerk = FakeClerk::start().await?;
///
/// let token = clerk.sign_in().resource("https://mcp.example.com/mcp").access_token().await?;
/// assert_eq!(token.split('.').count(), 3);
/// assert_eq!(clerk.calls(Route::Token), 1);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct FakeClerk {
    shared: Arc<Shared>,
    _server: Arc<Server>,
}

/// Stops the server's task, and with it all connections, when it is dropped.
struct Server(JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl FakeClerk {
    /// Starts an instance with default settings.
    ///
    /// # Errors
    ///
    /// When no port can be had or no key can be made.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O enabled.
    pub async fn start() -> io::Result<Self> {
        Self::builder().start().await
    }

    /// The settings of an instance that is still to be started.
    pub fn builder() -> FakeClerkBuilder {
        FakeClerkBuilder::new()
    }

    pub(super) fn serving(listener: TcpListener, shared: Arc<Shared>) -> Self {
        let default_client =
            Client { redirect_uris: vec!["http://127.0.0.1/callback".to_owned()], secret: None };
        let client_id = shared.defaults.client_id.clone();
        shared.state().clients.insert(client_id, default_client);
        let task = tokio::spawn(server::serve(listener, Arc::clone(&shared)));
        Self { shared, _server: Arc::new(Server(task)) }
    }

    /// Where the server listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// The OAuth issuer: `http://127.0.0.1:<port>` unless [an origin](FakeClerkBuilder::origin) was set, without a slash
    /// at its end.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.shared.issuer
    }

    /// The origin of the Frontend API, the same as the issuer.
    #[must_use]
    pub fn frontend_api_url(&self) -> &str {
        &self.shared.issuer
    }

    /// The origin of the Backend API, for `CLERK_API_URL`. One server answers for both.
    #[must_use]
    pub fn backend_api_url(&self) -> &str {
        &self.shared.issuer
    }

    /// Returns the variable of this name that points a server at this instance: `CLERK_FAPI`, `CLERK_API_URL` or
    /// `CLERK_SECRET_KEY`. It is made for `env_from` of the builders.
    ///
    /// ```
    /// use clerk_mcp_tools::ClerkVerifier;
    /// use clerk_mcp_tools::testing::FakeClerk;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let clerk = FakeClerk::start().await?;
    /// let verifier = ClerkVerifier::builder().env_from(|name| clerk.env_var(name)).build()?;
    /// assert_eq!(verifier.frontend_api().issuer(), clerk.issuer());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn env_var(&self, name: &str) -> Option<String> {
        let value = match name {
            "CLERK_FAPI" => self.frontend_api_url(),
            "CLERK_API_URL" => self.backend_api_url(),
            "CLERK_SECRET_KEY" => self.secret_key(),
            _ => return None,
        };
        Some(value.to_owned())
    }

    /// A publishable key of a development instance that names this instance's host and port.
    #[must_use]
    pub fn publishable_key(&self) -> PublishableKey {
        self.shared.publishable_key.clone()
    }

    /// The secret key that the Backend API asks for.
    #[must_use]
    pub fn secret_key(&self) -> &str {
        &self.shared.config.secret_key
    }

    /// The public part of the current key as PEM (SPKI), for `CLERK_JWT_KEY`.
    #[must_use]
    pub fn jwt_key(&self) -> String {
        self.shared.state().keys.current.pem.clone()
    }

    /// The `kid` of the current key: `ins_…`.
    #[must_use]
    pub fn key_id(&self) -> String {
        self.shared.state().keys.current.kid.clone()
    }

    /// The user who approves every authorization request: `user_…`.
    #[must_use]
    pub fn default_user_id(&self) -> &str {
        &self.shared.defaults.user_id
    }

    /// Registers a public client with this redirect URI, taken as it is, and returns its `client_id`.
    pub fn register_client(&self, redirect_uri: impl Into<String>) -> String {
        let client_id = self.shared.ids.id("client_");
        let client = Client { redirect_uris: vec![redirect_uri.into()], secret: None };
        self.shared.state().clients.insert(client_id.clone(), client);
        client_id
    }

    /// An access token made by hand: a good one for the default user until told otherwise.
    pub fn mint(&self) -> TokenBuilder {
        TokenBuilder::new(Arc::clone(&self.shared))
    }

    /// An access token the long way: registration, authorization and token request over HTTP.
    pub fn sign_in(&self) -> SignIn {
        SignIn::new(self.clone())
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }
}

/// Keys and tokens.
impl FakeClerk {
    /// Signs with a new key from now on, the only one of the instance's own that the key sets still name. What
    /// [`publish_jwk`](Self::publish_jwk) added stays.
    ///
    /// # Errors
    ///
    /// When no key can be made.
    pub fn rotate_keys(&self) -> io::Result<()> {
        let next = self.shared.new_key()?;
        self.shared.state().keys.rotate(next);
        Ok(())
    }

    /// Signs with a new key from now on; the key sets go on naming the old one.
    ///
    /// # Errors
    ///
    /// When no key can be made.
    pub fn add_key(&self) -> io::Result<()> {
        let next = self.shared.new_key()?;
        self.shared.state().keys.add(next);
        Ok(())
    }

    /// Puts any JSON into the key sets, ahead of the instance's own keys.
    pub fn publish_jwk(&self, jwk: Value) {
        self.shared.state().keys.publish(jwk);
    }

    /// The JWK Set as it is served.
    #[must_use]
    pub fn jwks(&self) -> Value {
        self.shared.state().keys.jwks()
    }

    /// Revokes an access token, or a refresh token with the access tokens of its grant. Tells whether the instance
    /// knew it. A revoked JWT verifies still, except at the Backend API.
    pub fn revoke(&self, token: &str) -> bool {
        self.shared.state().revoke(token)
    }

    /// The format of the access tokens that the token endpoint issues from now on.
    pub fn set_token_format(&self, format: TokenFormat) {
        self.shared.state().token_format = format;
    }
}

/// What was asked, and what goes wrong.
impl FakeClerk {
    /// How many requests came to this route since the start or the last reset. CORS preflights do not count; requests
    /// that a fault spoils do.
    #[must_use]
    pub fn calls(&self, route: Route) -> usize {
        self.shared.log.calls(route)
    }

    /// Sets all counts to zero and forgets the requests.
    pub fn reset_calls(&self) {
        self.shared.log.reset();
    }

    /// The latest request to this route.
    #[must_use]
    pub fn last_request(&self, route: Route) -> Option<RecordedRequest> {
        self.shared.log.last(route)
    }

    /// Lets this go wrong at the route from now on, in place of what was set there before.
    pub fn fault(&self, route: Route, fault: Fault) {
        self.shared.faults.set(route, fault);
    }

    /// Lets this go wrong at every route from now on.
    pub fn fault_all(&self, fault: Fault) {
        for route in Route::ALL {
            self.fault(route, fault.clone());
        }
    }

    /// Ends the fault of the route. Requests that it holds are answered.
    pub fn heal(&self, route: Route) {
        self.shared.faults.heal(route);
    }

    /// Ends all faults.
    pub fn heal_all(&self) {
        self.shared.faults.heal_all();
    }
}

impl fmt::Debug for FakeClerk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeClerk").field("issuer", &self.shared.issuer).finish_non_exhaustive()
    }
}
