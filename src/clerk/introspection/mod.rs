//! Verifies opaque tokens through the Backend API (in the manner of RFC 7662), with shared calls,
//! cached rejections and backoff.

mod backoff;
mod response;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use quick_cache::sync::Cache;
use tokio::sync::{Semaphore, SemaphorePermit};

use backoff::Backoff;
pub(super) use response::IntrospectionResponse;

use super::audience::check_audience;
use super::client::ClerkClient;
use super::stats::Counters;
use super::token_cache::{Lifetime, TokenCache};
use crate::cache::{Interrupted, Key, SingleFlight};
use crate::clock::{Clock, timeout};
use crate::error::{ClerkError, ClerkErrorKind, VerifyError, VerifyErrorKind};
use crate::oauth::{Audience, AuthInfo, AuthInfoBuilder, OwnedTokenRequest, TokenRequest};

/// Calls that wait for a permit or are in flight. Further callers get a 503.
const MAX_IN_FLIGHT: usize = 1024;
/// How long a call waits for a permit.
const MAX_PERMIT_WAIT: Duration = Duration::from_secs(5);
/// Rejections that are cached. An entry takes some 300 bytes.
const MAX_REJECTIONS: usize = 10_000;

/// Verifies opaque tokens.
pub(super) struct Introspection {
    inner: Arc<Inner>,
    calls: SingleFlight<Result<AuthInfo, VerifyError>>,
}

/// The settings and collaborators of an [`Introspection`].
pub(super) struct IntrospectionConfig {
    pub(super) client: ClerkClient,
    /// The issuer of the instance's tokens.
    pub(super) issuer: Arc<str>,
    pub(super) audience: Audience,
    pub(super) leeway: Duration,
    pub(super) token_cache: Arc<TokenCache>,
    pub(super) token_cache_ttl: Duration,
    pub(super) rejection_cache_ttl: Duration,
    pub(super) max_concurrent_calls: usize,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) counters: Arc<Counters>,
}

struct Inner {
    config: IntrospectionConfig,
    rejections: Cache<Key, CachedRejection>,
    permits: Semaphore,
    backoff: Backoff,
}

#[derive(Clone)]
struct CachedRejection {
    error: VerifyError,
    /// Measured on the monotonic clock.
    evict_at: Duration,
}

impl Introspection {
    pub(super) fn new(config: IntrospectionConfig) -> Self {
        let inner = Inner {
            rejections: Cache::new(MAX_REJECTIONS),
            permits: Semaphore::new(config.max_concurrent_calls),
            backoff: Backoff::default(),
            config,
        };
        Self { inner: Arc::new(inner), calls: SingleFlight::new(MAX_IN_FLIGHT) }
    }

    /// Returns the number of cached rejections.
    pub(super) fn rejected_tokens(&self) -> usize {
        self.inner.rejections.len()
    }

    /// Verifies a token that is not in the token cache.
    pub(super) async fn verify(&self, request: TokenRequest<'_>) -> Result<AuthInfo, VerifyError> {
        let key = key(request);
        if let Some(error) = self.inner.cached_rejection(&key) {
            return Err(error);
        }
        let call = || Arc::clone(&self.inner).call(key, request.into());
        self.calls.join(key, call).await.unwrap_or_else(|why| Err(interrupted(why)))
    }
}

impl Inner {
    async fn call(
        self: Arc<Self>,
        key: Key,
        request: OwnedTokenRequest,
    ) -> Result<AuthInfo, VerifyError> {
        let request = request.as_request();
        let _permit = self.acquire_permit().await?;
        // An earlier call about this token may have ended between the caller's look-up and this
        // one.
        if let Some(outcome) = self.cached(&key, request) {
            return outcome;
        }
        self.check_backoff()?;
        let outcome = self.introspect(request).await;
        self.remember(key, request, &outcome);
        outcome
    }

    /// Waits for a concurrency permit, at most as long as one call may take.
    async fn acquire_permit(&self) -> Result<SemaphorePermit<'_>, VerifyError> {
        timeout(&*self.config.clock, MAX_PERMIT_WAIT, self.permits.acquire())
            .await
            .ok_or_else(|| interrupted(Interrupted::TooMany))?
            .map_err(|_| interrupted(Interrupted::Stopped))
    }

    fn cached(
        &self,
        key: &Key,
        request: TokenRequest<'_>,
    ) -> Option<Result<AuthInfo, VerifyError>> {
        let accepted = self.config.token_cache.entry(request).get().map(Ok);
        accepted.or_else(|| self.cached_rejection(key).map(Err))
    }

    fn cached_rejection(&self, key: &Key) -> Option<VerifyError> {
        let rejection = self.rejections.get(key)?;
        (self.config.clock.monotonic() < rejection.evict_at).then_some(rejection.error)
    }

    /// Rejects without a call while Clerk wants none (429 and 503 with `Retry-After`).
    fn check_backoff(&self) -> Result<(), VerifyError> {
        let Some(remaining) = self.backoff.remaining(self.config.clock.monotonic()) else {
            return Ok(());
        };
        let error = ClerkError::new(ClerkErrorKind::Unavailable, "Clerk asked to retry later");
        Err(error.with_retry_after(Some(remaining)).into())
    }

    async fn introspect(&self, request: TokenRequest<'_>) -> Result<AuthInfo, VerifyError> {
        let body = self.config.client.verify_access_token(request.token()).await;
        let failed = body.as_ref().is_err_and(|error| error.kind() != ClerkErrorKind::NotFound);
        self.config.counters.upstream_call(failed);
        let body = body.map_err(|error| self.call_error(error))?;
        let now = self.config.clock.unix_time().as_secs();
        self.auth_info(request, IntrospectionResponse::parse(&body, now, self.config.leeway)?)
    }

    fn call_error(&self, error: ClerkError) -> VerifyError {
        if error.kind() == ClerkErrorKind::NotFound {
            return VerifyError::new(VerifyErrorKind::UnknownToken)
                .with_detail("Clerk does not know the token");
        }
        if let Some(after) = error.retry_after() {
            self.backoff.extend_to(self.config.clock.monotonic().saturating_add(after));
        }
        error.into()
    }

    fn auth_info(
        &self,
        request: TokenRequest<'_>,
        response: IntrospectionResponse,
    ) -> Result<AuthInfo, VerifyError> {
        let builder = AuthInfo::for_user(response.subject, request.token().into())
            .issuer(Arc::clone(&self.config.issuer))
            .client_id(response.client_id)
            .scopes(response.scopes)
            .set_if_some(response.expires_at, AuthInfoBuilder::expires_at)
            .set_if_some(response.org_id, AuthInfoBuilder::org_id)
            .set_if_some(response.actor, AuthInfoBuilder::actor)
            .claims(response.rest);
        check_audience(self.config.audience, builder, response.audience, request)
    }

    /// Caches accepted and rejected tokens. Outages are never cached.
    fn remember(
        &self,
        key: Key,
        request: TokenRequest<'_>,
        outcome: &Result<AuthInfo, VerifyError>,
    ) {
        let config = &self.config;
        match outcome {
            Ok(caller) => {
                let lifetime = Lifetime {
                    ttl: config.token_cache_ttl,
                    expires_at: caller
                        .expires_at()
                        .map(|at| at.saturating_add(config.leeway.as_secs())),
                    key: None,
                };
                config.token_cache.entry(request).insert(caller, lifetime);
            }
            Err(error) if error.kind().is_invalid_token() => {
                if config.rejection_cache_ttl.is_zero() {
                    return;
                }
                let evict_at = config.clock.monotonic().saturating_add(config.rejection_cache_ttl);
                self.rejections.insert(key, CachedRejection { error: error.clone(), evict_at });
            }
            Err(_) => {}
        }
    }
}

/// Returns a digest of the token and of the resource that it is presented to: an outcome at one
/// resource says nothing about another.
///
/// The digest is not keyed. Opaque tokens are random, and what is stored under it is about that
/// very token.
fn key(request: TokenRequest<'_>) -> Key {
    let mut context = Context::new(&SHA256);
    context.update(request.token().as_bytes());
    if let Some(resource) = request.resource() {
        // A separator that no token contains.
        context.update(&[0]);
        context.update(resource.as_str().as_bytes());
    }
    let mut key = Key::default();
    key.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    key
}

fn interrupted(why: Interrupted) -> VerifyError {
    VerifyError::new(VerifyErrorKind::Unavailable)
        .with_detail(why.to_string())
        .with_retry_after(Duration::from_secs(1))
}
