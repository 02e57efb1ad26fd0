//! Where the key set comes from.

use std::sync::Arc;

use async_trait::async_trait;

use super::backend::ClerkClient;
use super::http::{Http, send};
use crate::error::ClerkError;
use crate::freshness::Source;
use crate::jwks::KeySet;
use crate::stats::Stats;

/// Fetches the key set of an instance.
pub(super) struct KeySource {
    pub(super) endpoint: Endpoint,
    pub(super) stats: Arc<Stats>,
}

/// Which of Clerk's two key set endpoints is asked.
pub(super) enum Endpoint {
    FrontendApi(Http),
    BackendApi(ClerkClient),
}

#[async_trait]
impl Source for KeySource {
    type Value = KeySet;

    async fn fetch(&self) -> Result<KeySet, ClerkError> {
        let fetched = match &self.endpoint {
            Endpoint::FrontendApi(http) => fetch_public(http).await,
            Endpoint::BackendApi(client) => client.key_set().await,
        };
        self.stats.call(fetched.is_err());
        fetched.inspect_err(|error| {
            tracing::warn!(error = %error, cause = ?error, "the key set of the Clerk instance could not be fetched");
        })
    }

    fn succeed(&self, old: &KeySet, new: KeySet) -> KeySet {
        new.succeeding(old)
    }
}

async fn fetch_public(http: &Http) -> Result<KeySet, ClerkError> {
    KeySet::parse(&send(http.get("/.well-known/jwks.json")).await?.ok()?)
}
