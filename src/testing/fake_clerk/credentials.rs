//! API keys, machines, session tokens and OAuth applications of a running fake Clerk.

use std::sync::Arc;

use super::FakeClerk;
use crate::testing::api_key_builder::ApiKeyBuilder;
use crate::testing::machine::FakeMachine;
use crate::testing::oauth_application::FakeOAuthApplication;
use crate::testing::token_builder::TokenBuilder;

/// API keys, machines, session tokens and OAuth applications.
impl FakeClerk {
    /// Returns a builder of an API key, which starts as one that the default user makes: without
    /// scopes, claims and expiry.
    ///
    /// # Example
    ///
    /// ```
    /// use clerk_mcp_tools::testing::FakeClerk;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let clerk = FakeClerk::start().await?;
    ///
    /// let self_made = clerk.create_api_key().secret();
    /// let of_backend = clerk.create_api_key().name("CI").scopes(["profile"]).secret();
    /// assert!(self_made.starts_with("ak_"));
    /// # let _ = of_backend;
    /// # Ok(()) }
    /// ```
    pub fn create_api_key(&self) -> ApiKeyBuilder {
        ApiKeyBuilder::new(Arc::clone(self.server.instance()))
    }

    /// Creates a machine, which may call no other machine yet.
    ///
    /// # Example
    ///
    /// ```
    /// use clerk_mcp_tools::testing::FakeClerk;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let clerk = FakeClerk::start().await?;
    /// let server = clerk.create_machine("MCP server");
    /// clerk.set_server_machine(&server);
    ///
    /// let ci = clerk.create_machine("CI");
    /// ci.allow_calls_to(&server);
    /// assert!(ci.mint().opaque().starts_with("mt_"));
    /// # Ok(()) }
    /// ```
    pub fn create_machine(&self, name: impl Into<String>) -> FakeMachine {
        FakeMachine::create(Arc::clone(self.server.instance()), name.into())
    }

    /// Sets the machine that stands for the server under test, whose id and secret key
    /// [`env_var`](Self::env_var) returns. Defaults to none.
    pub fn set_server_machine(&self, machine: &FakeMachine) {
        self.instance().records().server_machine = Some(machine.id().to_owned());
    }

    /// Returns a builder of a session token of version 2, as the application's own frontend at this
    /// origin (`azp`) gets it. It starts as a valid one of the default user, without an
    /// organization, that expires after 60 seconds.
    ///
    /// ```
    /// use clerk_mcp_tools::testing::FakeClerk;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let clerk = FakeClerk::start().await?;
    /// let token = clerk.mint_session_token("https://app.example.com").jwt();
    /// assert_eq!(token.split('.').count(), 3);
    /// # Ok(()) }
    /// ```
    pub fn mint_session_token(&self, authorized_party: &str) -> TokenBuilder {
        TokenBuilder::for_session(Arc::clone(self.server.instance()), authorized_party)
    }

    /// Creates the confidential OAuth application that stands for the server of this resource in
    /// token exchange (RFC 8693). It may not exchange tokens for any resource yet.
    ///
    /// # Example
    ///
    /// ```
    /// use clerk_mcp_tools::testing::FakeClerk;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let clerk = FakeClerk::start().await?;
    /// let application = clerk.create_oauth_application("https://mcp.example.com/mcp");
    /// application.allow_exchange_for("https://api.example.com");
    /// clerk.set_server_application(&application);
    /// assert!(clerk.env_var("CLERK_OAUTH_CLIENT_SECRET").is_some());
    /// # Ok(()) }
    /// ```
    pub fn create_oauth_application(&self, resource: impl Into<String>) -> FakeOAuthApplication {
        FakeOAuthApplication::create(Arc::clone(self.server.instance()), resource.into())
    }

    /// Sets the application that stands for the server under test, whose id and secret
    /// [`env_var`](Self::env_var) returns. Defaults to none.
    pub fn set_server_application(&self, application: &FakeOAuthApplication) {
        let id = application.client_id().to_owned();
        self.instance().records().server_application = Some(id);
    }

    /// Returns a variable that says which machine or application the server is.
    pub(super) fn server_env_var(&self, name: &str) -> Option<String> {
        let records = self.instance().records();
        let machine = || records.machines.get(records.server_machine.as_ref()?);
        let application = || records.clients.get(records.server_application.as_ref()?);
        match name {
            "CLERK_MACHINE_SECRET_KEY" => machine().map(|machine| machine.secret_key.clone()),
            "CLERK_MACHINE_ID" => machine().map(|machine| machine.id.clone()),
            "CLERK_OAUTH_CLIENT_ID" => application().map(|client| client.id.clone()),
            "CLERK_OAUTH_CLIENT_SECRET" => application()?.secret().map(str::to_owned),
            _ => None,
        }
    }
}
