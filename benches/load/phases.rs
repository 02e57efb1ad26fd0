//! What is wrong with Clerk, by turns.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clerk_mcp_tools::testing::{FakeClerk, Fault};
use clerk_mcp_tools::{ClerkVerifier, verify_clerk_token};
use http::Response;

/// How long it takes until the calls that a fault spoiled have ended.
const RECOVERY: Duration = Duration::from_millis(150);
/// How long a call lasts that is not answered and cannot be healed.
const CALL: Duration = Duration::from_millis(5_500);
const QUICK: Duration = Duration::from_millis(150);
/// After this much longer nothing recovers any more.
const NEVER: Duration = Duration::from_secs(15);

/// What an answer may be besides what it has to be.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Excuses {
    /// Clerk cannot be asked: 503.
    pub(crate) outage: bool,
    /// Clerk refuses the server's key: 500.
    pub(crate) key_refused: bool,
}

struct Trouble {
    name: &'static str,
    fault: Fault,
    lasts: Duration,
    recovery: Duration,
    key_refused: bool,
}

/// One after another, since the start. What was excused while a request was under way is excused.
pub(crate) struct Phases(Mutex<Vec<(&'static str, Excuses)>>);

impl Phases {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(vec![("all is well", Excuses::default())]))
    }

    /// The number of the current one.
    pub(crate) fn now(&self) -> usize {
        self.0.lock().unwrap().len() - 1
    }

    pub(crate) fn excuses_since(&self, first: usize) -> Excuses {
        let phases = self.0.lock().unwrap();
        phases[first..].iter().fold(Excuses::default(), |all, (_, one)| Excuses {
            outage: all.outage || one.outage,
            key_refused: all.key_refused || one.key_refused,
        })
    }

    /// How many faults there were, and which.
    pub(crate) fn faults(&self) -> (usize, BTreeSet<&'static str>) {
        let phases = self.0.lock().unwrap();
        let faults = || phases.iter().filter(|(_, excuses)| excuses.outage).map(|(name, _)| *name);
        (faults().count(), faults().collect())
    }

    /// Lets one fault follow another for so long; those that take longer than the time left are left out. Returns the
    /// fault from which the verifier did not recover.
    pub(crate) async fn drive(
        &self,
        clerk: &FakeClerk,
        verifier: &ClerkVerifier,
        time: Duration,
    ) -> Option<&'static str> {
        let end = Instant::now() + time;
        let left = || end.saturating_duration_since(Instant::now());
        let troubles = troubles();
        let mut passed_over = 0;
        for trouble in troubles.iter().cycle() {
            if passed_over == troubles.len() {
                break;
            }
            if trouble.lasts + trouble.recovery + QUICK > left() {
                passed_over += 1;
                continue;
            }
            passed_over = 0;
            tokio::time::sleep(QUICK).await;
            self.enter(trouble.name, Excuses { outage: true, key_refused: trouble.key_refused });
            clerk.fault_all(trouble.fault.clone());
            tokio::time::sleep(trouble.lasts).await;
            clerk.heal_all();
            tokio::time::sleep(trouble.recovery).await;
            if !has_recovered(clerk, verifier).await {
                return Some(trouble.name);
            }
            self.enter("all is well", Excuses::default());
        }
        tokio::time::sleep(left()).await;
        None
    }

    fn enter(&self, name: &'static str, excuses: Excuses) {
        self.0.lock().unwrap().push((name, excuses));
    }
}

/// Whether Clerk is asked again, about tokens and about keys, once the pauses are over.
async fn has_recovered(clerk: &FakeClerk, verifier: &ClerkVerifier) -> bool {
    let began = Instant::now();
    for n in 0.. {
        let unknown =
            [format!("oat_recovered_{n}"), clerk.mint().header("kid", format!("ins_{n}")).jwt()];
        let mut is_asked = true;
        for token in &unknown {
            let outcome = verify_clerk_token(verifier, token).await;
            is_asked &= outcome.is_err_and(|error| error.kind().is_invalid_token());
        }
        if is_asked || began.elapsed() > NEVER {
            return is_asked;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

fn troubles() -> Vec<Trouble> {
    let html = Response::builder().header("content-type", "text/html").body(Bytes::from("<html>"));
    let status = |status, retry_after| Fault::Status { status, retry_after };
    let quick =
        |name, fault| Trouble { name, fault, lasts: QUICK, recovery: RECOVERY, key_refused: false };
    let slow = |name, fault| Trouble { recovery: CALL, ..quick(name, fault) };
    vec![
        quick("closed connections", Fault::Down),
        quick("HTML", Fault::Answer(html.unwrap())),
        Trouble { key_refused: true, ..quick("401", status(401, None)) },
        quick("no answers", Fault::Hang),
        quick("429 and a pause of 20 s", status(429, Some(20))),
        quick("bodies without end", Fault::Endless),
        quick("500", status(500, None)),
        quick("bodies cut short", Fault::Truncated),
        quick("redirects", Fault::Redirect("/".to_owned())),
        quick("answers half a second late", Fault::Slow(Duration::from_millis(500))),
        Trouble { lasts: CALL, ..quick("no answers, for longer than a call", Fault::Hang) },
        slow("bodies that stall", Fault::Stalled),
        slow("bodies byte by byte", Fault::Drip(Duration::from_millis(20))),
    ]
}
