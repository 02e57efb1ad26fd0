//! Verifies opaque credentials (access tokens, API keys and machine tokens) through the Backend API,
//! in the manner of RFC 7662, with shared calls, cached rejections, a limited rate and backoff.

mod backoff;
mod credential_response;
mod known_tokens;
mod response;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use quick_cache::sync::Cache;
use tokio::sync::{Semaphore, SemaphorePermit};

pub(super) use backoff::{Attempt, Backoff};
pub(super) use credential_response::CredentialResponse;
use known_tokens::KnownTokens;
pub(super) use response::IntrospectionResponse;

use super::audience::check_audience;
use super::client::ClerkClient;
use super::credentials::{ApiKeys, MachineTokens};
use super::stats::Counters;
use super::token_cache::{Lifetime, TokenCache};
use crate::cache::{Interrupted, Key, RateLimit, Share, SingleFlight};
use crate::clock::{Clock, Moment, timeout};
use crate::error::{ClerkError, ClerkErrorKind, VerifyError, VerifyErrorKind};
use crate::jwt::not_for_machine;
use crate::oauth::{
    Audience, AuthInfo, AuthInfoBuilder, OwnedTokenRequest, PrincipalKind, Scopes, TokenRequest,
    TokenType,
};

/// Calls that wait for a permit or are in flight. Further callers get a 503.
const MAX_IN_FLIGHT: usize = 1024;
/// How long a call waits for a permit.
const MAX_PERMIT_WAIT: Duration = Duration::from_secs(5);
/// Rejections that are cached. An entry takes some 300 bytes.
const MAX_REJECTIONS: usize = 10_000;
/// How long a token is not asked about again after a response that is neither a verdict nor an
/// outage, such as a 400. It may be due to this token, so the others are not affected.
const UNUSABLE_RESPONSE_TTL: Duration = Duration::from_secs(5);

/// Verifies opaque tokens of one type. A failing endpoint of Clerk affects no other type.
pub(super) struct Introspection {
    inner: Arc<Inner>,
    calls: SingleFlight<Result<AuthInfo, VerifyError>>,
}

/// The settings and collaborators of an [`Introspection`].
pub(super) struct IntrospectionConfig {
    pub(super) rules: OpaqueRules,
    pub(super) client: ClerkClient,
    /// The issuer of the instance's tokens.
    pub(super) issuer: Arc<str>,
    pub(super) leeway: Duration,
    pub(super) token_cache: Arc<TokenCache>,
    pub(super) token_cache_ttl: Duration,
    pub(super) rejection_cache_ttl: Duration,
    /// How long an accepted token stays good in an outage. Zero for not at all.
    pub(super) stale_ttl: Duration,
    /// The size of the cache for that.
    pub(super) stale_bytes: u64,
    pub(super) max_concurrent_calls: usize,
    /// Shared with the other types: Clerk's limit is that of the instance.
    pub(super) rate: Arc<RateLimit>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) counters: Arc<Counters>,
}

/// The type of opaque tokens, and what is accepted of it.
pub(super) enum OpaqueRules {
    AccessTokens(Audience),
    ApiKeys(ApiKeys),
    MachineTokens(MachineTokens),
}

impl OpaqueRules {
    fn token_type(&self) -> TokenType {
        match self {
            Self::AccessTokens(_) => TokenType::OAuthToken,
            Self::ApiKeys(_) => TokenType::ApiKey,
            Self::MachineTokens(_) => TokenType::M2mToken,
        }
    }
}

struct Inner {
    config: IntrospectionConfig,
    rejections: Cache<Key, CachedRejection>,
    known_tokens: KnownTokens,
    permits: Semaphore,
    backoff: Backoff,
}

/// A rejection, or the error of an [unusable response](UNUSABLE_RESPONSE_TTL).
#[derive(Clone)]
struct CachedRejection {
    error: VerifyError,
    evict_at: Moment,
}

impl Introspection {
    pub(super) fn new(config: IntrospectionConfig) -> Self {
        let inner = Inner {
            rejections: Cache::new(MAX_REJECTIONS),
            known_tokens: KnownTokens::new(config.stale_ttl, config.stale_bytes, &config.clock),
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
        let outcome = self.ask(key(request), request).await;
        outcome.or_else(|error| match error.kind() {
            VerifyErrorKind::Unavailable => self.inner.known_tokens.stale(request).ok_or(error),
            _ => Err(error),
        })
    }

    async fn ask(&self, key: Key, request: TokenRequest<'_>) -> Result<AuthInfo, VerifyError> {
        if let Some(error) = self.inner.cached_rejection(&key) {
            return Err(error);
        }
        self.inner.backoff.check(self.inner.config.clock.monotonic())?;
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
        // An earlier call about this token may have ended between the caller's look-up and this
        // one.
        if let Some(outcome) = self.cached(&key, request) {
            return outcome;
        }
        // First of all, so that calls that may not be made take up no permits.
        self.check_rate(request)?;
        let _permit = self.acquire_permit().await?;
        let outcome = self.introspect(request).await;
        self.remember(key, request, &outcome);
        outcome
    }

    /// Counts a call. Unknown tokens may use a part of the rate only: made-up ones must not use up
    /// that of good ones, whose time in the cache is over.
    fn check_rate(&self, request: TokenRequest<'_>) -> Result<(), VerifyError> {
        let is_known = self.known_tokens.contains(request);
        let share = if is_known { Share::Whole } else { Share::Limited };
        self.config.rate.take(share, self.config.clock.monotonic()).map_err(|wait| {
            self.config.counters.rate_limited(self.token_type());
            VerifyError::new(VerifyErrorKind::Unavailable)
                .with_detail("the limit of calls to Clerk about opaque tokens is reached")
                .with_retry_after(wait)
        })
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
        (!rejection.evict_at.has_come(&*self.config.clock)).then_some(rejection.error)
    }

    async fn introspect(&self, request: TokenRequest<'_>) -> Result<AuthInfo, VerifyError> {
        let attempt = self.backoff.begin(self.config.clock.monotonic())?;
        let token_type = self.token_type();
        let body = self.config.client.verify_opaque(token_type, request.token()).await;
        let failed = body.as_ref().is_err_and(|error| error.kind() != ClerkErrorKind::NotFound);
        self.config.counters.upstream_call(token_type, failed);
        let body = body.map_err(|error| self.call_error(error, attempt))?;
        let outcome = self.auth_info(request, &body);
        if outcome.as_ref().err().is_none_or(|error| !is_unusable(error)) {
            self.backoff.succeeded(attempt);
        }
        outcome.map_err(unusable_later)
    }

    fn token_type(&self) -> TokenType {
        self.config.rules.token_type()
    }

    /// Returns the caller that the body of a 200 describes.
    fn auth_info(&self, request: TokenRequest<'_>, body: &[u8]) -> Result<AuthInfo, VerifyError> {
        let config = &self.config;
        let now = config.clock.unix_time().as_secs();
        let credential =
            |token_type| CredentialResponse::parse(token_type, body, now, config.leeway);
        match &config.rules {
            OpaqueRules::AccessTokens(audience) => {
                let response = IntrospectionResponse::parse(body, now, config.leeway)?;
                self.access_token(request, response, *audience)
            }
            OpaqueRules::ApiKeys(rules) => {
                self.api_key(request, credential(TokenType::ApiKey)?, rules)
            }
            OpaqueRules::MachineTokens(rules) => {
                self.machine_token(request, credential(TokenType::M2mToken)?, rules)
            }
        }
    }

    fn call_error(&self, error: ClerkError, attempt: Attempt) -> VerifyError {
        match error.kind() {
            ClerkErrorKind::NotFound => {
                self.backoff.succeeded(attempt);
                VerifyError::new(VerifyErrorKind::UnknownToken)
                    .with_detail("Clerk does not know the token")
            }
            ClerkErrorKind::Unavailable | ClerkErrorKind::Unauthorized => {
                self.backoff.failed(attempt, error, self.config.clock.monotonic()).into()
            }
            ClerkErrorKind::InvalidResponse | ClerkErrorKind::InvalidRequest => {
                unusable_later(error.into())
            }
        }
    }

    fn access_token(
        &self,
        request: TokenRequest<'_>,
        response: IntrospectionResponse,
        audience: Audience,
    ) -> Result<AuthInfo, VerifyError> {
        let builder = AuthInfo::for_user(response.subject, request.token().into())
            .issuer(Arc::clone(&self.config.issuer))
            .client_id(response.client_id)
            .scopes(response.scopes)
            .set_if_some(response.expires_at, AuthInfoBuilder::expires_at)
            .set_if_some(response.org_id, AuthInfoBuilder::org_id)
            .set_if_some(response.actor, AuthInfoBuilder::actor)
            .claims(response.rest);
        check_audience(audience, builder, response.audience, request)
    }

    fn api_key(
        &self,
        request: TokenRequest<'_>,
        response: CredentialResponse,
        rules: &ApiKeys,
    ) -> Result<AuthInfo, VerifyError> {
        // More of them than a token may have: none is granted, as for any list that is cut off.
        let scopes = Scopes::granted(response.scopes.iter().map(String::as_str))
            .ok_or_else(|| ClerkError::new(ClerkErrorKind::InvalidResponse, "too many scopes"))?;
        rules.check(&scopes, &response.claims)?;
        Ok(self.credential(request, response, scopes))
    }

    fn machine_token(
        &self,
        request: TokenRequest<'_>,
        response: CredentialResponse,
        rules: &MachineTokens,
    ) -> Result<AuthInfo, VerifyError> {
        let names_machine = |id: &str| response.scopes.iter().any(|scope| scope == id);
        // Without an id, Clerk has compared: the call was made with the machine's own key.
        let is_for_machine = rules.own_id().map_or(rules.own_key().is_some(), names_machine);
        if !is_for_machine {
            return Err(not_for_machine());
        }
        rules.check_caller(&response.subject)?;
        let scopes = rules.granted(&response.subject);
        Ok(self.credential(request, response, scopes))
    }

    fn credential(
        &self,
        request: TokenRequest<'_>,
        response: CredentialResponse,
        scopes: Scopes,
    ) -> AuthInfo {
        let new = match response.subject_kind {
            PrincipalKind::User => AuthInfo::for_user,
            PrincipalKind::Organization => AuthInfo::for_organization,
            PrincipalKind::Machine => AuthInfo::for_machine,
        };
        // An id that is the secret itself is not passed on.
        let id = response.id.filter(|id| !id.is_empty() && id != request.token());
        new(response.subject, request.token().into())
            .token_type(self.token_type())
            .issuer(Arc::clone(&self.config.issuer))
            .scopes(scopes)
            .set_if_some(id, AuthInfoBuilder::credential_id)
            .set_if_some(response.expires_at, AuthInfoBuilder::expires_at)
            .claims(response.claims)
            .build()
    }

    /// Caches accepted and rejected tokens, and for a moment those that Clerk's response said nothing
    /// about. Outages are never cached.
    fn remember(
        &self,
        key: Key,
        request: TokenRequest<'_>,
        outcome: &Result<AuthInfo, VerifyError>,
    ) {
        let config = &self.config;
        let ttl = match outcome {
            Ok(caller) => {
                let lifetime = Lifetime {
                    ttl: config.token_cache_ttl,
                    // Without leeway: past it, Clerk is asked again.
                    expires_at: caller.expires_at(),
                    key: None,
                };
                config.token_cache.entry(request).insert(caller, lifetime);
                return self.known_tokens.accept(request, caller);
            }
            Err(error) if error.kind().is_verdict() => {
                self.known_tokens.reject(request, error.kind());
                config.rejection_cache_ttl
            }
            Err(error) if is_unusable(error) => {
                UNUSABLE_RESPONSE_TTL.min(config.rejection_cache_ttl)
            }
            Err(_) => return,
        };
        if let (Err(error), false) = (outcome, ttl.is_zero()) {
            let evict_at = Moment::now(&*config.clock).after(ttl);
            self.rejections.insert(key, CachedRejection { error: error.clone(), evict_at });
        }
    }
}

/// Returns whether Clerk's response was neither a verdict nor an outage.
fn is_unusable(error: &VerifyError) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<ClerkError>());
    source.is_some_and(|error| error.kind() == ClerkErrorKind::InvalidResponse)
}

/// Sets when the token is asked about again, if the response was neither a verdict nor an outage.
fn unusable_later(error: VerifyError) -> VerifyError {
    if !is_unusable(&error) {
        return error;
    }
    error.with_retry_after(UNUSABLE_RESPONSE_TTL)
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
