//! A day without Clerk: 1,000 users with a request a minute each, and a clock that is set.

use std::time::{Duration, Instant};

use clerk_mcp_tools::testing::{Fault, ManualClock, Route};
use clerk_mcp_tools::verify_clerk_token;

use crate::report::Report;
use crate::support::fixture::{Fixture, RESOURCE};

const USERS: u64 = 1_000;
const MINUTES: u64 = 24 * 60;
/// One fetch a minute, and the first one.
const MAX_FETCHES: u64 = MINUTES + 1;

pub(crate) fn run(report: &mut Report) {
    let clock = ManualClock::new(1_800_000_000);
    let fixture = Fixture::with(|clerk| clerk.clock(clock.clone()));
    let lifetime = Duration::from_secs(2 * MINUTES * 60);
    let mint = |user: u64| {
        let token = fixture.clerk.mint().audience(RESOURCE).subject(format!("user_{user}"));
        token.expires_in(lifetime).jwt()
    };
    let tokens: Vec<_> = (0..USERS).map(mint).collect();
    let verifier = fixture.warm_up(fixture.builder().clock(clock.clone()));
    fixture.clerk.fault_all(Fault::Down);
    let began = Instant::now();
    let (mut requests, mut rejected) = (0_u64, 0_u64);
    for minute in 1..MINUTES {
        clock.advance(Duration::from_secs(60));
        fixture.runtime.block_on(async {
            // They do not all begin in the same minute, and so leave the cache in different ones.
            for (_, token) in (0..USERS).zip(&tokens).filter(|(user, _)| user % 5 < minute) {
                requests += 1;
                rejected += u64::from(verify_clerk_token(&verifier, token).await.is_err());
            }
        });
    }
    let fetches = fixture.clerk.calls(Route::Jwks) as u64;
    report.add_day(requests, rejected, fetches, MAX_FETCHES, began.elapsed());
}
