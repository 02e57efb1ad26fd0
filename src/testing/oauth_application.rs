//! A confidential OAuth application of a running fake Clerk.

use std::fmt;
use std::sync::Arc;

use super::state::FakeInstance;
use super::state::client::Client;

/// A confidential OAuth application of a [`FakeClerk`](super::FakeClerk), which stands for an MCP
/// server when that exchanges tokens (RFC 8693). Created by
/// [`FakeClerk::create_oauth_application`](super::FakeClerk::create_oauth_application).
///
/// Clones are handles to the same application.
#[derive(Clone)]
pub struct FakeOAuthApplication {
    instance: Arc<FakeInstance>,
    client_id: String,
    client_secret: String,
}

impl FakeOAuthApplication {
    pub(super) fn create(instance: Arc<FakeInstance>, resource: String) -> Self {
        let client_id = instance.ids.id("client_");
        let client_secret = instance.ids.secret();
        let client = Client::application(client_id.clone(), client_secret.clone(), resource);
        instance.records().add_client(client);
        Self { instance, client_id, client_secret }
    }

    /// Returns the client ID, for `CLERK_OAUTH_CLIENT_ID`.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Returns the client secret, for `CLERK_OAUTH_CLIENT_SECRET`.
    #[must_use]
    pub fn client_secret(&self) -> &str {
        &self.client_secret
    }

    /// Allows the application to exchange tokens for this resource, which is compared byte for byte.
    pub fn allow_exchange_for(&self, resource: impl Into<String>) {
        let mut records = self.instance.records();
        let client = records.clients.get_mut(&self.client_id);
        if let Some(exchange) = client.and_then(|client| client.exchange.as_mut()) {
            exchange.targets.push(resource.into());
        }
    }
}

impl fmt::Debug for FakeOAuthApplication {
    /// Omits the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeOAuthApplication")
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}
