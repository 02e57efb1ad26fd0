//! The handle to a running fake Clerk.

mod credentials;
mod organizations;
mod requests;
mod tokens;

use std::net::SocketAddr;
use std::sync::Arc;
use std::{fmt, io};

use crate::instance::{BackendApi, FrontendApi, PublishableKey};
use crate::testing::builder::FakeClerkBuilder;
use crate::testing::server::RunningServer;
use crate::testing::sign_in::SignIn;
use crate::testing::state::FakeInstance;
use crate::testing::token_builder::TokenBuilder;

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

    pub(in crate::testing) fn new(server: RunningServer) -> Self {
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
    /// `CLERK_FAPI`, `CLERK_API_URL` or `CLERK_SECRET_KEY`, and if the server
    /// [is a machine](Self::set_server_machine), `CLERK_MACHINE_SECRET_KEY` or `CLERK_MACHINE_ID`, or
    /// [exchanges tokens](Self::set_server_application), `CLERK_OAUTH_CLIENT_ID` or
    /// `CLERK_OAUTH_CLIENT_SECRET`. Returns `None` for any other name. Made for `env_from` of the builders.
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
            _ => return self.server_env_var(name),
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

    /// Returns the id of the organization that the default user chooses when a client asks for
    /// `user:org:read`: `org_…`.
    #[must_use]
    pub fn default_organization_id(&self) -> &str {
        &self.instance().defaults.organization_id
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

impl fmt::Debug for FakeClerk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeClerk").field("issuer", &self.issuer()).finish_non_exhaustive()
    }
}
