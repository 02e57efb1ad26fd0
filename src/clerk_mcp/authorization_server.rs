//! The service of the authorization server metadata, for a Clerk instance. It is here since
//! `services` does not depend on Clerk.

use std::sync::Arc;

use crate::clerk::{ClerkVerifier, MetadataSource};
use crate::clock::SystemClock;
use crate::error::ConfigError;
use crate::instance::FrontendApi;
use crate::oauth::Scopes;
use crate::services::AuthorizationServerService;

impl AuthorizationServerService {
    /// Builds a service for a Clerk instance, named by its publishable key or its [`FrontendApi`].
    ///
    /// # Errors
    ///
    /// Returns an error if the machine's root certificates cannot be loaded.
    ///
    /// # Example
    ///
    /// ```
    /// use clerk_mcp_tools::PublishableKey;
    /// use clerk_mcp_tools::services::AuthorizationServerService;
    ///
    /// let key = PublishableKey::parse("pk_test_Zm9vLWJhci0xMy5jbGVyay5hY2NvdW50cy5kZXYk")?;
    /// let service = AuthorizationServerService::for_clerk(&key)?;
    /// # let _ = service;
    /// # Ok::<(), clerk_mcp_tools::ConfigError>(())
    /// ```
    pub fn for_clerk(instance: impl Into<FrontendApi>) -> Result<Self, ConfigError> {
        let clock = Arc::new(SystemClock::new());
        let source = MetadataSource::new(instance.into(), clock.clone())?;
        Ok(Self::new(source, None, clock))
    }

    /// Builds a service for the instance of a verifier, which shares its connections and clock.
    #[must_use]
    pub fn for_verifier(verifier: &ClerkVerifier) -> Self {
        Self::restricted(verifier, None)
    }

    pub(super) fn restricted(verifier: &ClerkVerifier, restrict_to: Option<Scopes>) -> Self {
        Self::new(verifier.metadata_source(), restrict_to, verifier.clock())
    }
}
