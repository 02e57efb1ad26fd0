//! Organizations of a running fake Clerk.

use std::sync::Arc;

use super::FakeClerk;
use crate::testing::organization::FakeOrganization;

/// Organizations.
impl FakeClerk {
    /// Creates an organization without members.
    ///
    /// # Example
    ///
    /// ```
    /// use clerk_mcp_tools::testing::FakeClerk;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let clerk = FakeClerk::start().await?;
    /// let acme = clerk.create_organization("Acme");
    /// acme.set_member(clerk.default_user_id(), "org:editor", ["org:files:write"]);
    ///
    /// // From now on the user chooses this organization when a client asks for user:org:read.
    /// clerk.choose_organization(Some(acme.id()));
    /// let token = clerk.sign_in().scopes(["profile", "user:org:read"]).access_token().await?;
    ///
    /// // The token stays valid when the user leaves the organization.
    /// assert!(acme.remove_member(clerk.default_user_id()));
    /// # let _ = token;
    /// # Ok(()) }
    /// ```
    pub fn create_organization(&self, name: impl Into<String>) -> FakeOrganization {
        FakeOrganization::create(Arc::clone(self.server.instance()), name.into())
    }

    /// Returns the organization that exists from the start, of which the default user is an admin.
    pub fn default_organization(&self) -> FakeOrganization {
        let id = self.default_organization_id().to_owned();
        FakeOrganization::new(Arc::clone(self.server.instance()), id)
    }

    /// Sets the organization that the user chooses from now on when a client is granted
    /// `user:org:read`, whose id is then in the token (`org_id`). `None` is the personal account.
    /// Defaults to the default organization.
    ///
    /// Tokens of an earlier grant keep their organization, also after a refresh.
    pub fn choose_organization(&self, id: Option<&str>) {
        self.instance().records().chosen_organization = id.map(str::to_owned);
    }
}
