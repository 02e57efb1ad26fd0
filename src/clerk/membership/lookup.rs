//! Asks Clerk for memberships: with shared calls, a limited rate, backoff, and known answers.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use tokio::sync::Semaphore;

use super::known::KnownMemberships;
use super::response::parse;
use super::{MemberIds, MembershipSettings};
use crate::cache::{Interrupted, Key, RateLimit, Share, SingleFlight};
use crate::clerk::client::ClerkClient;
use crate::clerk::introspection::{Attempt, Backoff};
use crate::clerk::stats::Counters;
use crate::clock::{Clock, Moment, timeout};
use crate::error::{ClerkError, ClerkErrorKind};
use crate::oauth::Membership;

/// Calls that wait for a permit or are in flight. Further callers get a 503.
const MAX_IN_FLIGHT: usize = 1024;
/// How long a call waits for a permit.
const MAX_PERMIT_WAIT: Duration = Duration::from_secs(5);

/// The memberships of an instance's users.
pub(in crate::clerk) struct Memberships {
    inner: Arc<Inner>,
    calls: SingleFlight<Result<Membership, ClerkError>>,
}

/// The settings and collaborators of [`Memberships`].
pub(in crate::clerk) struct MembershipConfig {
    pub(in crate::clerk) settings: MembershipSettings,
    pub(in crate::clerk) client: ClerkClient,
    pub(in crate::clerk) max_concurrent_calls: usize,
    /// Shared with the calls about opaque tokens: Clerk's limit is that of the instance.
    pub(in crate::clerk) rate: Arc<RateLimit>,
    pub(in crate::clerk) clock: Arc<dyn Clock>,
    pub(in crate::clerk) counters: Arc<Counters>,
}

struct Inner {
    client: ClerkClient,
    known: KnownMemberships,
    rate: Arc<RateLimit>,
    permits: Semaphore,
    backoff: Backoff,
    clock: Arc<dyn Clock>,
    counters: Arc<Counters>,
}

/// What a call is about.
struct Call {
    key: Key,
    user: Box<str>,
    organization: Box<str>,
    /// How often something had been forgotten when it began.
    epoch: u64,
}

impl Memberships {
    pub(in crate::clerk) fn new(config: MembershipConfig) -> Self {
        let inner = Inner {
            client: config.client,
            known: KnownMemberships::new(config.settings),
            rate: config.rate,
            permits: Semaphore::new(config.max_concurrent_calls),
            backoff: Backoff::default(),
            clock: config.clock,
            counters: config.counters,
        };
        Self { inner: Arc::new(inner), calls: SingleFlight::new(MAX_IN_FLIGHT) }
    }

    /// Returns what is known without a call.
    pub(super) fn known(&self, ids: MemberIds<'_>) -> Option<Membership> {
        self.inner.known.fresh(&key(ids, None), &*self.inner.clock)
    }

    pub(super) async fn look_up(&self, ids: MemberIds<'_>) -> Result<Membership, ClerkError> {
        let key = key(ids, None);
        if let Some(membership) = self.inner.known.fresh(&key, &*self.inner.clock) {
            return Ok(membership);
        }
        let outcome = self.ask(key, ids).await;
        outcome.or_else(|error| match error.kind() {
            ClerkErrorKind::Unavailable => {
                self.inner.known.stale(&key, &*self.inner.clock).ok_or(error)
            }
            _ => Err(error),
        })
    }

    async fn ask(&self, key: Key, ids: MemberIds<'_>) -> Result<Membership, ClerkError> {
        self.inner.backoff.check(self.inner.clock.monotonic())?;
        let epoch = self.inner.known.epoch();
        let (user, organization) = (ids.user.into(), ids.organization.into());
        let call = Call { key, user, organization, epoch };
        let call = || Arc::clone(&self.inner).call(call);
        // Who comes after something was forgotten does not share an earlier call.
        let outcome = self.calls.join(self::key(ids, Some(epoch)), call).await;
        outcome.unwrap_or_else(|why| Err(interrupted(why)))
    }

    /// Forgets the memberships that are selected.
    pub(super) fn forget(&self, is_forgotten: impl Fn(MemberIds<'_>) -> bool) {
        self.inner.known.forget(is_forgotten);
    }
}

impl Inner {
    async fn call(self: Arc<Self>, call: Call) -> Result<Membership, ClerkError> {
        // An earlier call may have ended between the caller's look-up and this one.
        if let Some(membership) = self.known.fresh(&call.key, &*self.clock) {
            return Ok(membership);
        }
        self.check_rate()?;
        let permit = timeout(&*self.clock, MAX_PERMIT_WAIT, self.permits.acquire()).await;
        let _permit = permit
            .ok_or_else(|| interrupted(Interrupted::TooMany))?
            .map_err(|_| interrupted(Interrupted::Stopped))?;
        let attempt = self.backoff.begin(self.clock.monotonic())?;
        let as_of = Moment::now(&*self.clock);
        let ids = MemberIds { user: &call.user, organization: &call.organization };
        let membership = self.fetch(ids, attempt).await?;
        self.known.insert(call.key, ids, &membership, (as_of, call.epoch));
        Ok(membership)
    }

    fn check_rate(&self) -> Result<(), ClerkError> {
        // The caller was authenticated, so this is no call that a stranger can cause.
        self.rate.take(Share::Whole, self.clock.monotonic()).map_err(|wait| {
            self.counters.membership_rate_limited();
            let detail = "the limit of calls to Clerk is reached";
            ClerkError::new(ClerkErrorKind::Unavailable, detail).with_retry_after(Some(wait))
        })
    }

    async fn fetch(&self, ids: MemberIds<'_>, attempt: Attempt) -> Result<Membership, ClerkError> {
        let MemberIds { user, organization } = ids;
        let path = format!("organizations/{organization}/memberships?user_id={user}&limit=1");
        let body = self.client.get(&path).await;
        let failed = body.as_ref().is_err_and(|error| error.kind() != ClerkErrorKind::NotFound);
        self.counters.membership_call(failed);
        let outcome = match body {
            Ok(body) => parse(&body, ids),
            // The organization was deleted.
            Err(error) if error.kind() == ClerkErrorKind::NotFound => Ok(Membership::NotMember),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(membership) => {
                self.backoff.succeeded(attempt);
                Ok(membership)
            }
            Err(error)
                if matches!(
                    error.kind(),
                    ClerkErrorKind::Unavailable | ClerkErrorKind::Unauthorized
                ) =>
            {
                Err(self.backoff.failed(attempt, error, self.clock.monotonic()))
            }
            Err(error) => Err(error),
        }
    }
}

/// Returns a digest of the two ids, and of what else a caller that shares a call has to agree in.
fn key(ids: MemberIds<'_>, epoch: Option<u64>) -> Key {
    let mut context = Context::new(&SHA256);
    context.update(ids.user.as_bytes());
    // A separator that no id contains.
    context.update(&[0]);
    context.update(ids.organization.as_bytes());
    if let Some(epoch) = epoch {
        context.update(&[0]);
        context.update(&epoch.to_be_bytes());
    }
    let mut key = Key::default();
    key.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    key
}

fn interrupted(why: Interrupted) -> ClerkError {
    let error = ClerkError::new(ClerkErrorKind::Unavailable, why.to_string());
    error.with_retry_after(Some(Duration::from_secs(1)))
}
