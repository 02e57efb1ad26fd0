//! API keys, machines and session tokens of a running fake Clerk.

use std::sync::Arc;

use super::FakeClerk;
use crate::testing::api_key_builder::ApiKeyBuilder;
use crate::testing::machine::FakeMachine;
use crate::testing::token_builder::TokenBuilder;

/// API keys, machines and session tokens.
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

    /// Returns a variable that says which machine the server is.
    pub(super) fn machine_env_var(&self, name: &str) -> Option<String> {
        let records = self.instance().records();
        let machine = records.machines.get(records.server_machine.as_ref()?)?;
        match name {
            "CLERK_MACHINE_SECRET_KEY" => Some(machine.secret_key.clone()),
            "CLERK_MACHINE_ID" => Some(machine.id.clone()),
            _ => None,
        }
    }
}
