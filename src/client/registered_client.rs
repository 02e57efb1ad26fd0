//! OAuth clients that a developer registered by hand.

use std::fmt;
use std::sync::Arc;

use crate::oauth::REDACTED;

/// An OAuth client that was registered by hand at an authorization server, such as in the Clerk
/// Dashboard. It comes before client metadata documents and dynamic registration.
///
/// Its secret stays in the settings and is not stored, so it can be replaced there. `Debug` does not
/// show it.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::client::RegisteredClient;
///
/// let client = RegisteredClient::confidential("https://clerk.example.com", "client_1", "secret");
/// assert!(!format!("{client:?}").contains("secret\""));
/// let public = RegisteredClient::public("https://as.example", "client_2");
/// # let _ = public;
/// ```
#[derive(Clone)]
pub struct RegisteredClient {
    issuer: String,
    id: String,
    secret: Option<Arc<str>>,
}

impl RegisteredClient {
    /// Creates a client with a secret. The secret is sent with HTTP Basic, or in the body if the
    /// authorization server lists `client_secret_post` and not `client_secret_basic`.
    #[must_use]
    pub fn confidential(
        issuer: impl Into<String>,
        id: impl Into<String>,
        secret: impl Into<String>,
    ) -> Self {
        Self { issuer: issuer.into(), id: id.into(), secret: Some(secret.into().into()) }
    }

    /// Creates a client without a secret.
    #[must_use]
    pub fn public(issuer: impl Into<String>, id: impl Into<String>) -> Self {
        Self { issuer: issuer.into(), id: id.into(), secret: None }
    }

    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn secret(&self) -> Option<&str> {
        self.secret.as_deref()
    }
}

impl fmt::Debug for RegisteredClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegisteredClient")
            .field("issuer", &self.issuer)
            .field("id", &self.id)
            .field("secret", &self.secret.as_ref().map(|_| REDACTED))
            .finish()
    }
}
