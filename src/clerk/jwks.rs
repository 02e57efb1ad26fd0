//! The key set of a Clerk instance, fetched, and how new it has to be.

use std::sync::Arc;

use async_trait::async_trait;

use super::client::ClerkClient;
use super::http::{Http, send};
use super::stats::Counters;
use crate::cache::{RefreshTimes, RefreshingCache, Source};
use crate::clock::Clock;
use crate::error::{ClerkError, VerifyError, VerifyErrorKind};
use crate::jwt::{KeySet, Proven, UnverifiedToken, unknown_key};
use std::time::Duration;

const REFRESH_AFTER: Duration = Duration::from_secs(5 * 60);
const MAX_AGE: Duration = Duration::from_secs(60 * 60);
const DEMAND_INTERVAL: Duration = Duration::from_secs(30);
/// How long the last good keys serve while no others can be fetched, unless it is said.
pub(crate) const DEFAULT_STALE_KEYS_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// The keys of one instance, fetched when they are needed.
#[derive(Debug)]
pub(crate) struct RemoteJwks<S: Source<Value = KeySet>>(RefreshingCache<S>);

impl<S: Source<Value = KeySet>> RemoteJwks<S> {
    pub(crate) fn new(source: S, stale_if_error: Duration, clock: Arc<dyn Clock>) -> Self {
        let limits = RefreshTimes {
            refresh_after: REFRESH_AFTER.min(stale_if_error),
            max_age: MAX_AGE.min(stale_if_error),
            stale_if_error,
            min_refresh_interval: DEMAND_INTERVAL,
        };
        Self(RefreshingCache::new(source, limits, clock))
    }

    /// Fetches the keys if there are none, or too old ones.
    pub(crate) async fn warm_up(&self) -> Result<(), ClerkError> {
        self.0.get().await.map(drop)
    }

    /// How old the keys at hand are.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.0.age()
    }

    /// Proves a token's signature.
    ///
    /// Where the keys at hand do not prove it, it may have been made with a newer one, be it of another id or of the
    /// same (Clerk's is that of the instance): then newer keys are asked for, once per interval. They are asked for a
    /// second time where those that came had been under way before this request.
    pub(crate) async fn verify_signature<'a>(
        &self,
        token: &'a UnverifiedToken<'_>,
    ) -> Result<Proven<'a>, VerifyError> {
        let id = token.key_id().ok_or_else(|| unknown_key("the header names no key"))?;
        let mark = self.0.mark();
        let mut set = self.0.get().await?;
        let mut outcome = set.verify_signature(token, id);
        for _ in 0..2 {
            let Err(refusal) = &outcome else { break };
            let newer = match self.0.newer_than(&set, mark).await {
                Ok(newer) => newer,
                // A key of that id is at hand, so the verdict stands; otherwise there can be none.
                Err(error) if refusal.kind() == VerifyErrorKind::UnknownKey => {
                    return Err(error.into());
                }
                Err(_) => break,
            };
            if Arc::ptr_eq(&newer, &set) {
                break;
            }
            outcome = newer.verify_signature(token, id);
            set = newer;
        }
        outcome
    }
}

/// Fetches the key set of an instance.
pub(super) struct JwksFetcher {
    pub(super) endpoint: Endpoint,
    pub(super) counters: Arc<Counters>,
}

/// Which of Clerk's two key set endpoints is asked.
pub(super) enum Endpoint {
    FrontendApi(Http),
    BackendApi(ClerkClient),
}

#[async_trait]
impl Source for JwksFetcher {
    type Value = KeySet;

    async fn fetch(&self) -> Result<KeySet, ClerkError> {
        let fetched = match &self.endpoint {
            Endpoint::FrontendApi(http) => fetch_public(http).await,
            Endpoint::BackendApi(client) => client.key_set().await,
        };
        self.counters.call(fetched.is_err());
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
