//! The failures of Clerk, one after another.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clerk_mcp_tools::testing::{FakeClerk, Fault, Route};
use clerk_mcp_tools::{ClerkVerifier, verify_clerk_token};
use http::Response;

use crate::changing_key::ChangingKey;
use crate::relay::Relay;

/// The time until calls that a fault has affected have ended.
const RECOVERY: Duration = Duration::from_millis(150);
/// The time until a call that is not affected by healing has timed out.
const CALL_TIMEOUT: Duration = Duration::from_millis(5_500);
/// The duration of most failures, and of the pauses between them.
const SHORT: Duration = Duration::from_millis(150);
/// The time after which a verifier counts as not recovered.
const MAX_RECOVERY: Duration = Duration::from_secs(15);

/// The error responses that are tolerated during a failure.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tolerated {
    /// 503, because Clerk is unavailable.
    pub(crate) outage: bool,
    /// 500, because Clerk rejects the secret key.
    pub(crate) key_rejected: bool,
}

struct Failure {
    name: &'static str,
    cause: Cause,
    lasts: Duration,
    recovery: Duration,
    key_rejected: bool,
}

/// What happens, besides a change of the keys.
enum Cause {
    Nothing,
    Fault(Fault),
    /// The open connections no longer respond.
    Deaf,
}

/// The phases since the start. A response may be any that a phase during its request tolerates.
pub(crate) struct Phases(Mutex<Vec<(&'static str, Tolerated)>>);

impl Phases {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(vec![("no failure", Tolerated::default())]))
    }

    /// Returns the index of the current phase.
    pub(crate) fn current(&self) -> usize {
        self.0.lock().unwrap().len() - 1
    }

    pub(crate) fn tolerated_since(&self, first: usize) -> Tolerated {
        let phases = self.0.lock().unwrap();
        phases[first..].iter().fold(Tolerated::default(), |all, (_, one)| Tolerated {
            outage: all.outage || one.outage,
            key_rejected: all.key_rejected || one.key_rejected,
        })
    }

    /// Returns the number of failures so far, and their names.
    pub(crate) fn failures(&self) -> (usize, BTreeSet<&'static str>) {
        let phases = self.0.lock().unwrap();
        let names =
            || phases.iter().filter(|(_, tolerated)| tolerated.outage).map(|(name, _)| *name);
        (names().count(), names().collect())
    }

    /// Runs one failure after another for this time, without those that take longer than the time
    /// left. Returns the failure that the verifier did not recover from.
    pub(crate) async fn drive(
        &self,
        clerk: &FakeClerk,
        relay: &Relay,
        verifier: &ClerkVerifier,
        changing_key: &ChangingKey,
        time: Duration,
    ) -> Option<&'static str> {
        let end = Instant::now() + time;
        let left = || end.saturating_duration_since(Instant::now());
        let failures = failures();
        let mut skipped = 0;
        for failure in failures.iter().cycle() {
            if skipped == failures.len() {
                break;
            }
            if failure.lasts + failure.recovery + SHORT > left() {
                skipped += 1;
                continue;
            }
            skipped = 0;
            tokio::time::sleep(SHORT).await;
            self.enter(
                failure.name,
                Tolerated { outage: true, key_rejected: failure.key_rejected },
            );
            match &failure.cause {
                Cause::Nothing => {}
                Cause::Fault(fault) => clerk.fault_all(fault.clone()),
                Cause::Deaf => relay.deafen(),
            }
            changing_key.change(clerk);
            tokio::time::sleep(failure.lasts).await;
            clerk.heal_all();
            tokio::time::sleep(failure.recovery).await;
            if !has_recovered(clerk, verifier, changing_key).await {
                return Some(failure.name);
            }
            self.enter("no failure", Tolerated::default());
        }
        tokio::time::sleep(left()).await;
        None
    }

    fn enter(&self, name: &'static str, tolerated: Tolerated) {
        self.0.lock().unwrap().push((name, tolerated));
    }
}

/// Returns whether the verifier calls Clerk again after its backoff, for tokens and for keys, and
/// knows the newest key.
async fn has_recovered(
    clerk: &FakeClerk,
    verifier: &ClerkVerifier,
    changing_key: &ChangingKey,
) -> bool {
    let began = Instant::now();
    let calls = clerk.calls(Route::Jwks);
    for n in 0.. {
        let unknown = verify_clerk_token(verifier, &format!("oat_recovered_{n}")).await;
        let newest = verify_clerk_token(verifier, &changing_key.tokens()[0].text).await;
        let is_called = unknown.is_err_and(|error| error.kind().is_invalid_token())
            && newest.is_ok()
            && clerk.calls(Route::Jwks) > calls;
        if is_called || began.elapsed() > MAX_RECOVERY {
            return is_called;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

fn failures() -> Vec<Failure> {
    let html = Response::builder().header("content-type", "text/html").body(Bytes::from("<html>"));
    let status = |status, retry_after| Fault::Status { status, retry_after };
    let short = |name, fault| Failure {
        name,
        cause: Cause::Fault(fault),
        lasts: SHORT,
        recovery: RECOVERY,
        key_rejected: false,
    };
    let slow = |name, fault| Failure { recovery: CALL_TIMEOUT, ..short(name, fault) };
    vec![
        Failure { cause: Cause::Nothing, ..short("a changed key", Fault::Down) },
        Failure { cause: Cause::Deaf, ..slow("connections that no longer respond", Fault::Hang) },
        short("closed connections", Fault::Down),
        short("HTML", Fault::Answer(html.unwrap())),
        Failure { key_rejected: true, ..short("401", status(401, None)) },
        short("no responses", Fault::Hang),
        short("429 with Retry-After: 20", status(429, Some(20))),
        short("endless bodies", Fault::Endless),
        short("500", status(500, None)),
        short("truncated bodies", Fault::Truncated),
        short("redirects", Fault::Redirect("/".to_owned())),
        short("responses delayed by half a second", Fault::Slow(Duration::from_millis(500))),
        Failure {
            lasts: CALL_TIMEOUT,
            ..short("no responses, for longer than the timeout", Fault::Hang)
        },
        slow("stalled bodies", Fault::Stalled),
        slow("bodies byte by byte", Fault::Drip(Duration::from_millis(20))),
    ]
}
