//! The key set of a Clerk instance (RFC 7517 section 5), fetched and kept.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::client::ClerkClient;
use super::http::{Http, send};
use super::stats::Counters;
use crate::cache::{Newer, RefreshTimes, RefreshingCache, Source};
use crate::clock::Clock;
use crate::error::{ClerkError, VerifyError, VerifyErrorKind};
use crate::jwt::{KeySet, UnverifiedToken, VerifiedSignature, unknown_key};

const REFRESH_AFTER: Duration = Duration::from_secs(5 * 60);
const MAX_AGE: Duration = Duration::from_secs(60 * 60);
const MIN_REFRESH_INTERVAL: Duration = Duration::from_secs(30);
/// A token that was issued this long before the key set was fetched is not signed with a newer key.
/// Five minutes for the difference between Clerk's clock and this one, the most that `leeway` allows
/// as well, and five for a copy of the key set that a cache on the way kept, as long as this crate
/// keeps its own.
const ISSUE_MARGIN: Duration = Duration::from_secs(10 * 60);
/// The detail of the one 503 that a caller can cause.
pub(super) const REFRESHED_RECENTLY: &str = "no key of the key set verifies the token, and it is \
    too early to look for newer keys";
/// How many key sets are tried for one token: the cached one, one whose fetch began before the
/// request came, and one whose fetch began after it.
const MAX_KEY_SETS: usize = 3;
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

    /// Fetches the key set if it is missing or too old.
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
    ///
    /// The token is invalid if the key set was fetched for this request, or if the token was issued
    /// before the key set was fetched. Otherwise it is not known whether a newer key signed it.
    pub(super) async fn verify_signature<'a>(
        &self,
        token: &'a UnverifiedToken<'_>,
    ) -> Result<VerifiedSignature<'a>, VerifyError> {
        let id = token.key_id().ok_or_else(|| unknown_key("the header has no `kid`"))?;
        let generation = self.0.generation();
        let mut keys = self.0.get().await?;
        for _ in 0..MAX_KEY_SETS {
            let rejection = match keys.verify_signature(token, id) {
                Ok(verified) => return Ok(verified),
                Err(rejection) => rejection,
            };
            let unknown = match self.0.newer_than(&keys, generation).await {
                Newer::Value(newer) => {
                    keys = newer;
                    continue;
                }
                Newer::None => return Err(rejection),
                Newer::TooEarly(wait) => refreshed_recently(wait),
                Newer::Failed(error) => error.into(),
            };
            return Err(if self.may_have_newer_key(token, &keys) { unknown } else { rejection });
        }
        Err(refreshed_recently(MIN_REFRESH_INTERVAL))
    }

    /// Returns whether a token that none of these keys verifies was issued late enough for a newer
    /// one. The time of issue is not proven: a wrong one only turns the bearer's own 401 into a 503.
    fn may_have_newer_key(&self, token: &UnverifiedToken<'_>, keys: &Arc<KeySet>) -> bool {
        // Without a time, the key set was replaced in this moment.
        self.0.fetched_at(keys).is_none_or(|fetched_at| {
            token.may_be_issued_since(fetched_at.saturating_sub(ISSUE_MARGIN))
        })
    }
}

fn refreshed_recently(wait: Duration) -> VerifyError {
    VerifyError::new(VerifyErrorKind::Unavailable)
        .with_detail(REFRESHED_RECENTLY)
        .with_retry_after(wait)
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
        fetched.inspect_err(|error| {
            tracing::warn!(%error, cause = ?error, "failed to fetch the key set");
        })
    }

    fn recorded(&self, failed: bool) {
        self.counters.key_set_call(failed);
    }

    fn reconcile(&self, old: &KeySet, new: KeySet) -> KeySet {
        new.replacing(old)
    }
}

async fn fetch_public(http: &Http) -> Result<KeySet, ClerkError> {
    KeySet::parse(&send(http.get("/.well-known/jwks.json")).await?.ok()?)
}
