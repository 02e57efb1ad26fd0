//! The key set of a Clerk instance (RFC 7517 section 5), fetched and kept.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::client::ClerkClient;
use super::http::{Http, send};
use super::stats::Counters;
use crate::cache::{RefreshTimes, RefreshingCache, Source};
use crate::clock::Clock;
use crate::error::{ClerkError, VerifyError, VerifyErrorKind};
use crate::jwt::{KeySet, UnverifiedToken, VerifiedSignature, unknown_key};

const REFRESH_AFTER: Duration = Duration::from_secs(5 * 60);
const MAX_AGE: Duration = Duration::from_secs(60 * 60);
const MIN_REFRESH_INTERVAL: Duration = Duration::from_secs(30);
/// How long the last good key set is used while no other can be fetched.
pub(super) const DEFAULT_STALE_KEYS_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// The public keys of one instance, fetched when they are needed.
pub(super) struct RemoteJwks(RefreshingCache<KeySet, ClerkError>);

impl RemoteJwks {
    pub(super) fn new(
        fetcher: JwksFetcher,
        stale_if_error: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let times = RefreshTimes {
            refresh_after: REFRESH_AFTER.min(stale_if_error),
            max_age: MAX_AGE.min(stale_if_error),
            stale_if_error,
            min_refresh_interval: MIN_REFRESH_INTERVAL,
        };
        Self(RefreshingCache::new(fetcher, times, clock))
    }

    /// Fetches the key set if there is none or if it is too old.
    pub(super) async fn warm_up(&self) -> Result<(), ClerkError> {
        self.0.get().await.map(drop)
    }

    /// Returns the age of the key set.
    pub(super) fn age(&self) -> Option<Duration> {
        self.0.age()
    }

    /// Verifies a token's signature.
    ///
    /// A token that no key of the set verifies may be signed with a newer key, which may have
    /// another id or the same one: Clerk's key id is the id of the instance. The key set is then
    /// refreshed, at most once per interval, and a second time if the first refresh had begun
    /// before this request came.
    pub(super) async fn verify_signature<'a>(
        &self,
        token: &'a UnverifiedToken<'_>,
    ) -> Result<VerifiedSignature<'a>, VerifyError> {
        let id = token.key_id().ok_or_else(|| unknown_key("the header has no `kid`"))?;
        let generation = self.0.generation();
        let mut keys = self.0.get().await?;
        let mut outcome = keys.verify_signature(token, id);
        for _ in 0..2 {
            let Err(rejection) = &outcome else { break };
            let newer = match self.0.newer_than(&keys, generation).await {
                Ok(newer) => newer,
                // Newer keys may include the one that signed the token.
                Err(error) if rejection.kind() == VerifyErrorKind::UnknownKey => {
                    return Err(error.into());
                }
                // A key with this id is known, and it did not sign the token.
                Err(_) => break,
            };
            if Arc::ptr_eq(&newer, &keys) {
                break;
            }
            outcome = newer.verify_signature(token, id);
            keys = newer;
        }
        outcome
    }
}

/// Fetches the key set of an instance.
pub(super) struct JwksFetcher {
    pub(super) endpoint: JwksEndpoint,
    pub(super) counters: Arc<Counters>,
}

/// The endpoint that serves the key set.
pub(super) enum JwksEndpoint {
    FrontendApi(Http),
    BackendApi(ClerkClient),
}

#[async_trait]
impl Source for JwksFetcher {
    type Value = KeySet;
    type Error = ClerkError;

    async fn fetch(&self) -> Result<KeySet, ClerkError> {
        let fetched = match &self.endpoint {
            JwksEndpoint::FrontendApi(http) => fetch_public(http).await,
            JwksEndpoint::BackendApi(client) => client.key_set().await,
        };
        self.counters.upstream_call(fetched.is_err());
        fetched.inspect_err(|error| {
            tracing::warn!(%error, cause = ?error, "failed to fetch the key set");
        })
    }

    fn reconcile(&self, old: &KeySet, new: KeySet) -> KeySet {
        new.replacing(old)
    }
}

async fn fetch_public(http: &Http) -> Result<KeySet, ClerkError> {
    KeySet::parse(&send(http.get("/.well-known/jwks.json")).await?.ok()?)
}
