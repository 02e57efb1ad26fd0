//! Opaque tokens, which only Clerk can tell apart: asked once for all who wait, and not at all where the answer is
//! known or Clerk wants to be left alone.

mod backoff;
mod response;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use quick_cache::sync::Cache;
use tokio::sync::{Semaphore, SemaphorePermit};

use backoff::Backoff;
pub(crate) use response::IntrospectionResponse;

use super::client::ClerkClient;
use super::stats::Counters;
use super::token_cache::{Lifetime, TokenCache};
use crate::cache::{NoAnswer, SingleFlight};
use crate::clock::Clock;
use crate::error::{ClerkError, ClerkErrorKind, VerifyError, VerifyErrorKind};
use crate::oauth::{AuthInfo, OwnedTokenRequest, TokenRequest};

/// Calls that wait for their turn or are under way; past this, callers are told to come back.
const MAX_WAITING: usize = 1024;
/// How long a call waits for its turn.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// Rejected tokens that are remembered. An entry takes some 300 bytes.
const MAX_REJECTED: usize = 10_000;

type Digest = [u8; 32];

/// Asks the Backend API about opaque tokens.
pub(super) struct Introspection {
    shared: Arc<Shared>,
    flights: SingleFlight<Digest, Result<AuthInfo, VerifyError>>,
}

struct Shared {
    config: IntrospectionConfig,
    refused: Cache<Digest, Rejected>,
    turns: Semaphore,
    pause: Backoff,
}

#[derive(Clone)]
struct Rejected {
    error: VerifyError,
    evict_at: Duration,
}

/// What an [`Introspection`] is made of.
pub(super) struct IntrospectionConfig {
    pub(super) client: ClerkClient,
    pub(super) known: Arc<TokenCache>,
    pub(super) known_ttl: Duration,
    pub(super) refused_ttl: Duration,
    pub(super) most_calls: usize,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) counters: Arc<Counters>,
}

impl Introspection {
    pub(super) fn new(config: IntrospectionConfig) -> Self {
        let shared = Shared {
            refused: Cache::new(MAX_REJECTED),
            turns: Semaphore::new(config.most_calls),
            pause: Backoff::default(),
            config,
        };
        Self { shared: Arc::new(shared), flights: SingleFlight::new(MAX_WAITING) }
    }

    pub(super) fn refused_tokens(&self) -> usize {
        self.shared.refused.len()
    }

    /// Who presents this token, if Clerk vouches for it and `accept` finds nothing else to say against it.
    pub(super) async fn ask<F>(
        &self,
        request: TokenRequest<'_>,
        accept: F,
    ) -> Result<AuthInfo, VerifyError>
    where
        F: FnOnce(TokenRequest<'_>, IntrospectionResponse) -> Result<AuthInfo, VerifyError>
            + Send
            + 'static,
    {
        let digest = digest(request);
        if let Some(error) = self.shared.refused(&digest) {
            return Err(error);
        }
        let call = || Arc::clone(&self.shared).call(digest, request.into(), accept);
        self.flights.join(digest, call).await.unwrap_or_else(|why| Err(no_answer(why)))
    }
}

impl Shared {
    async fn call<F>(
        self: Arc<Self>,
        digest: Digest,
        request: OwnedTokenRequest,
        accept: F,
    ) -> Result<AuthInfo, VerifyError>
    where
        F: FnOnce(TokenRequest<'_>, IntrospectionResponse) -> Result<AuthInfo, VerifyError>,
    {
        let request = request.as_request();
        let _turn = self.turn().await?;
        // The answer to an earlier call about this token may have come between the caller's look-up and this call.
        if let Some(known) = self.answered(&digest, request) {
            return known;
        }
        self.check_pause()?;
        let outcome = self.verdict(request.token()).await.and_then(|token| accept(request, token));
        self.remember(digest, request, &outcome);
        outcome
    }

    /// A place among the calls that may be under way. While Clerk does not answer, the line does not move, and nobody
    /// should stand in it for longer than a call takes.
    async fn turn(&self) -> Result<SemaphorePermit<'_>, VerifyError> {
        let turn = tokio::time::timeout(MAX_WAIT, self.turns.acquire()).await;
        turn.map_err(|_| no_answer(NoAnswer::TooMany))?.map_err(|_| no_answer(NoAnswer::Stopped))
    }

    fn answered(
        &self,
        digest: &Digest,
        request: TokenRequest<'_>,
    ) -> Option<Result<AuthInfo, VerifyError>> {
        self.config.known.entry(request).get().map(Ok).or_else(|| self.refused(digest).map(Err))
    }

    /// Keeps a yes and a no. That Clerk could not be asked is neither.
    fn remember(
        &self,
        digest: Digest,
        request: TokenRequest<'_>,
        outcome: &Result<AuthInfo, VerifyError>,
    ) {
        match outcome {
            Ok(caller) => {
                let lifetime = Lifetime {
                    ttl: self.config.known_ttl,
                    expires_at: caller.expires_at(),
                    key: None,
                };
                self.config.known.entry(request).insert(caller, lifetime);
            }
            Err(error) if error.kind().is_invalid_token() && !self.config.refused_ttl.is_zero() => {
                let evict_at =
                    self.config.clock.monotonic().saturating_add(self.config.refused_ttl);
                self.refused.insert(digest, Rejected { error: error.clone(), evict_at });
            }
            Err(_) => {}
        }
    }

    async fn verdict(&self, token: &str) -> Result<IntrospectionResponse, VerifyError> {
        let answer = self.config.client.verify_access_token(token).await;
        let failed = answer.as_ref().is_err_and(|error| error.kind() != ClerkErrorKind::NotFound);
        self.config.counters.call(failed);
        let answer = answer.map_err(|error| self.meaning(error))?;
        IntrospectionResponse::parse(&answer, self.config.clock.unix_time().as_secs())
    }

    fn meaning(&self, error: ClerkError) -> VerifyError {
        if error.kind() == ClerkErrorKind::NotFound {
            return VerifyError::new(VerifyErrorKind::UnknownToken)
                .with_detail("Clerk does not know the token");
        }
        if let Some(after) = error.retry_after() {
            let until = self.config.clock.monotonic().saturating_add(after);
            self.pause.extend_to(until);
        }
        error.into()
    }

    /// Clerk said when to ask again (429, 503): until then, nobody asks.
    fn check_pause(&self) -> Result<(), VerifyError> {
        let Some(left) = self.pause.left(self.config.clock.monotonic()) else {
            return Ok(());
        };
        let error = ClerkError::new(ClerkErrorKind::Unavailable, "Clerk asked for a pause");
        Err(error.with_retry_after(Some(left)).into())
    }

    fn refused(&self, digest: &Digest) -> Option<VerifyError> {
        let refused = self.refused.get(digest)?;
        (self.config.clock.monotonic() < refused.evict_at).then_some(refused.error)
    }
}

/// Of the token and of the resource that it is presented to. Not keyed: opaque tokens are random, and what is looked up
/// by this is an answer about that very token.
fn digest(request: TokenRequest<'_>) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(request.token().as_bytes());
    if let Some(resource) = request.resource() {
        // No token has a zero in it.
        context.update(&[0]);
        context.update(resource.as_str().as_bytes());
    }
    let mut digest = Digest::default();
    digest.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    digest
}

fn no_answer(why: NoAnswer) -> VerifyError {
    let detail = match why {
        NoAnswer::TooMany => "too many opaque tokens wait to be verified",
        NoAnswer::Stopped => "the call was stopped",
    };
    VerifyError::new(VerifyErrorKind::Unavailable)
        .with_detail(detail)
        .with_retry_after(Duration::from_secs(1))
}

impl fmt::Debug for Introspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspection")
            .field("client", &self.shared.config.client)
            .finish_non_exhaustive()
    }
}
