//! The authorization server metadata of a Clerk instance (RFC 8414), fetched.

use std::sync::Arc;

use async_trait::async_trait;

use super::http::{Http, json, send};
use crate::cache::Source;
use crate::clock::{Clock, SystemClock};
use crate::error::{ClerkError, ClerkErrorKind, ConfigError};
use crate::instance::FrontendApi;
use crate::metadata::{AUTHORIZATION_SERVER_WELL_KNOWN, AuthorizationServerMetadata};

/// Fetches the authorization server metadata of a Clerk instance (RFC 8414), which is identified by
/// its publishable key or its [`FrontendApi`].
///
/// The document is not cached. A server that publishes it should use
/// [`AuthorizationServerService`](crate::services::AuthorizationServerService), which caches it.
///
/// # Errors
///
/// Returns an error if the instance cannot be reached, or if the document is malformed, has another
/// `issuer` (RFC 8414 section 3.3), or names an endpoint that is not https.
///
/// # Example
///
/// ```no_run
/// use clerk_mcp_tools::clerk::fetch_clerk_authorization_server_metadata;
/// use clerk_mcp_tools::PublishableKey;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let key = PublishableKey::parse("pk_test_Zm9vLWJhci0xMy5jbGVyay5hY2NvdW50cy5kZXYk")?;
/// let document = fetch_clerk_authorization_server_metadata(&key).await?;
/// assert_eq!(document.issuer, "https://foo-bar-13.clerk.accounts.dev");
/// # Ok(())
/// # }
/// ```
pub async fn fetch_clerk_authorization_server_metadata(
    instance: impl Into<FrontendApi>,
) -> Result<AuthorizationServerMetadata, ClerkError> {
    let source = MetadataSource::new(instance.into(), Arc::new(SystemClock::new()))
        .map_err(|error| ClerkError::new(ClerkErrorKind::InvalidRequest, error.to_string()))?;
    source.fetch().await
}

/// Fetches the metadata of one instance.
#[derive(Clone, Debug)]
pub(crate) struct MetadataSource {
    pub(super) http: Http,
    pub(super) instance: FrontendApi,
}

impl MetadataSource {
    pub(crate) fn new(instance: FrontendApi, clock: Arc<dyn Clock>) -> Result<Self, ConfigError> {
        Ok(Self { http: Http::new(instance.issuer(), clock)?, instance })
    }
}

#[async_trait]
impl Source for MetadataSource {
    type Value = AuthorizationServerMetadata;
    type Error = ClerkError;

    async fn fetch(&self) -> Result<AuthorizationServerMetadata, ClerkError> {
        let body = send(self.http.get(AUTHORIZATION_SERVER_WELL_KNOWN)).await?.ok()?;
        let invalid = |why: &'static str| ClerkError::new(ClerkErrorKind::InvalidResponse, why);
        let document: AuthorizationServerMetadata =
            json(&body, "the document is not authorization server metadata")?;
        document.check(self.instance.issuer()).map_err(invalid)?;
        Ok(document)
    }
}
