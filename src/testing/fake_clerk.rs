//! The handle to a running fake Clerk.

use std::net::SocketAddr;
use std::sync::Arc;
use std::{fmt, io};

use serde_json::Value;

use super::builder::FakeClerkBuilder;
use super::fault::Fault;
use super::request_log::RecordedRequest;
use super::route::Route;
use super::server::RunningServer;
use super::sign_in::SignIn;
use super::state::FakeInstance;
use super::token_builder::TokenBuilder;
use super::token_format::TokenFormat;
use crate::instance::{BackendApi, FrontendApi, PublishableKey};

/// An in-process stand-in for a Clerk instance.
///
/// Clones are handles to the same instance. The server stops when the last handle is dropped.
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
    server: RunningServer,
}

impl FakeClerk {
    /// Starts an instance with the default settings.
    ///
    /// # Errors
    ///
    /// Returns an error if no port is available or no key can be generated.
    ///
    /// # Panics
    ///
    /// Panics if called outside of a Tokio runtime with I/O enabled.
    pub async fn start() -> io::Result<Self> {
        Self::builder().start().await
    }

    /// Returns a builder with the default settings.
    pub fn builder() -> FakeClerkBuilder {
        FakeClerkBuilder::new()
    }

    pub(super) fn new(server: RunningServer) -> Self {
        Self { server }
    }

    /// Returns the address that the server listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.instance().address
    }

    /// Returns the OAuth issuer, without a trailing slash: `http://127.0.0.1:<port>`, or the
    /// [origin](FakeClerkBuilder::origin) if one was set.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.instance().issuer()
    }

    /// Returns the Frontend API, whose origin is the issuer.
    ///
    /// ```
    /// use clerk_mcp_tools::ClerkVerifier;
    /// use clerk_mcp_tools::testing::FakeClerk;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let clerk = FakeClerk::start().await?;
    /// let verifier = ClerkVerifier::builder()
    ///     .frontend_api(clerk.frontend_api())
    ///     .backend_api(clerk.backend_api())
    ///     .build()?;
    /// # let _ = verifier;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn frontend_api(&self) -> FrontendApi {
        self.instance().frontend_api.clone()
    }

    /// Returns the Backend API. One server serves both APIs, so its origin is the issuer as well.
    #[must_use]
    pub fn backend_api(&self) -> BackendApi {
        self.instance().backend_api.clone()
    }

    /// Returns the origin of the Frontend API as a string, for `CLERK_FAPI`.
    #[must_use]
    pub fn frontend_api_url(&self) -> &str {
        self.instance().frontend_api.issuer()
    }

    /// Returns the origin of the Backend API as a string, for `CLERK_API_URL`.
    #[must_use]
    pub fn backend_api_url(&self) -> &str {
        self.instance().backend_api.origin()
    }

    /// Returns the value of an environment variable that configures a server with this instance:
    /// `CLERK_FAPI`, `CLERK_API_URL` or `CLERK_SECRET_KEY`. Returns `None` for any other name. Made
    /// for `env_from` of the builders.
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

    /// Returns a publishable key of a development instance with this instance's host and port.
    #[must_use]
    pub fn publishable_key(&self) -> PublishableKey {
        self.instance().publishable_key.clone()
    }

    /// Returns the secret key that the Backend API requires, for `CLERK_SECRET_KEY`.
    #[must_use]
    pub fn secret_key(&self) -> &str {
        &self.instance().config.secret_key
    }

    /// Returns the public part of the current key as PEM (SPKI), for `CLERK_JWT_KEY`.
    #[must_use]
    pub fn jwt_key(&self) -> String {
        self.instance().records().keys.current.pem.clone()
    }

    /// Returns the `kid` of the current key: `ins_…`.
    #[must_use]
    pub fn key_id(&self) -> String {
        self.instance().records().keys.current.kid.clone()
    }

    /// Returns the id of the user who approves every authorization request: `user_…`.
    #[must_use]
    pub fn default_user_id(&self) -> &str {
        &self.instance().defaults.user_id
    }

    /// Registers a public client with this redirect URI, which is not validated, and returns its
    /// `client_id`.
    pub fn register_client(&self, redirect_uri: impl Into<String>) -> String {
        self.instance().register_public_client(redirect_uri.into())
    }

    /// Returns a builder of an access token, which starts as a valid one of the default user.
    pub fn mint(&self) -> TokenBuilder {
        TokenBuilder::new(Arc::clone(self.server.instance()))
    }

    /// Returns a sign-in, which gets an access token with the whole OAuth flow over HTTP.
    pub fn sign_in(&self) -> SignIn {
        SignIn::new(self.server.clone())
    }

    fn instance(&self) -> &FakeInstance {
        self.server.instance()
    }
}

/// Keys and tokens.
impl FakeClerk {
    /// Replaces the signing key and removes the previous ones from the key sets. Keys added with
    /// [`publish_jwk`](Self::publish_jwk) stay.
    ///
    /// # Errors
    ///
    /// Returns an error if no key can be generated.
    pub fn rotate_keys(&self) -> io::Result<()> {
        let next = self.instance().generate_key()?;
        self.instance().records().keys.rotate(next);
        Ok(())
    }

    /// Replaces the signing key and keeps the previous ones in the key sets.
    ///
    /// # Errors
    ///
    /// Returns an error if no key can be generated.
    pub fn add_key(&self) -> io::Result<()> {
        let next = self.instance().generate_key()?;
        self.instance().records().keys.add(next);
        Ok(())
    }

    /// Adds any JSON value to the key sets, before the instance's own keys.
    pub fn publish_jwk(&self, jwk: Value) {
        self.instance().records().keys.publish(jwk);
    }

    /// Returns the JWK Set as it is served.
    #[must_use]
    pub fn jwks(&self) -> Value {
        self.instance().records().keys.jwks()
    }

    /// Revokes an access token, or a refresh token with all access tokens of its grant. Returns
    /// whether the token exists.
    ///
    /// A revoked JWT still passes signature verification; only the Backend API reports it as
    /// revoked.
    pub fn revoke(&self, token: &str) -> bool {
        self.instance().records().revoke(token)
    }

    /// Sets the format of the access tokens that the token endpoint issues from now on.
    pub fn set_token_format(&self, format: TokenFormat) {
        self.instance().records().token_format = format;
    }
}

/// Recorded requests and faults.
impl FakeClerk {
    /// Returns the number of requests to this route since the start or the last
    /// [reset](Self::reset_calls). It includes requests to which a fault applied, and excludes CORS
    /// preflights.
    #[must_use]
    pub fn calls(&self, route: Route) -> usize {
        self.instance().log.calls(route)
    }

    /// Resets all counts and removes the recorded requests.
    pub fn reset_calls(&self) {
        self.instance().log.reset();
    }

    /// Returns the latest request to this route.
    #[must_use]
    pub fn last_request(&self, route: Route) -> Option<RecordedRequest> {
        self.instance().log.last(route)
    }

    /// Sets the fault of this route. It replaces the previous one.
    pub fn fault(&self, route: Route, fault: Fault) {
        self.instance().faults.set(route, fault);
    }

    /// Sets the fault of every route.
    pub fn fault_all(&self, fault: Fault) {
        for route in Route::ALL {
            self.fault(route, fault.clone());
        }
    }

    /// Removes the fault of this route. Requests that it holds get their response.
    pub fn heal(&self, route: Route) {
        self.instance().faults.heal(route);
    }

    /// Removes all faults.
    pub fn heal_all(&self) {
        self.instance().faults.heal_all();
    }
}

impl fmt::Debug for FakeClerk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeClerk").field("issuer", &self.issuer()).finish_non_exhaustive()
    }
}
