use crate::clerk::{ClerkVerifier, MetadataSource};
use crate::clock::SystemClock;
use crate::error::ConfigError;
use crate::instance::FrontendApi;
use crate::oauth::Scopes;
use crate::services::AuthorizationServerService;

impl AuthorizationServerService {
    /// Shows the document of this Clerk instance, named by its publishable key or its [`FrontendApi`].
    ///
    /// # Errors
    ///
    /// When the machine's root certificates cannot be loaded.
    ///
    /// # Example
    ///
    /// ```
    /// use clerk_mcp_tools::services::AuthorizationServerService;
    /// use clerk_mcp_tools::PublishableKey;
    ///
    /// let key = PublishableKey::parse("pk_test_Zm9vLWJhci0xMy5jbGVyay5hY2NvdW50cy5kZXYk")?;
    /// let service = AuthorizationServerService::for_clerk(&key)?;
    /// # let _ = service;
    /// # Ok::<(), clerk_mcp_tools::ConfigError>(())
    /// ```
    pub fn for_clerk(instance: impl Into<FrontendApi>) -> Result<Self, ConfigError> {
        let source = MetadataSource::new(instance.into())?;
        Ok(Self::new(source, None, std::sync::Arc::new(SystemClock::new())))
    }

    /// Shows the document of the instance whose tokens this verifier verifies, by the same connections and clock.
    #[must_use]
    pub fn for_verifier(verifier: &ClerkVerifier) -> Self {
        Self::narrowed(verifier, None)
    }

    pub(super) fn narrowed(verifier: &ClerkVerifier, narrowed_to: Option<Scopes>) -> Self {
        Self::new(verifier.metadata_source(), narrowed_to, verifier.clock())
    }
}
