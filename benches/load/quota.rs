//! Ten minutes in which strangers send unknown tokens, with a clock that is set: the calls stay
//! below Clerk's limit, and users notice nothing.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use clerk_mcp_tools::testing::{ManualClock, Route};
use clerk_mcp_tools::verify_clerk_token;

use crate::report::Report;
use crate::support::fixture::{Fixture, RESOURCE};

const SECONDS: u64 = 600;
const USERS: u64 = 100;
const UNKNOWN_PER_SECOND: u64 = 40;
/// The default with the secret key of a development instance.
const MAX_CALLS: u32 = 80;

pub(crate) fn run(report: &mut Report) {
    let clock = ManualClock::new(1_800_000_000);
    let fixture = Fixture::with(|clerk| clerk.clock(clock.clone()));
    let mint = |user: u64| {
        let token = fixture.clerk.mint().audience(RESOURCE).subject(format!("user_{user}"));
        token.expires_in(Duration::from_secs(2 * SECONDS)).opaque()
    };
    let tokens: Vec<_> = (0..USERS).map(mint).collect();
    let builder = fixture.builder().clock(clock.clone()).max_calls_per_ten_seconds(MAX_CALLS);
    let verifier = builder.build().unwrap();
    let verify = |token: &str| fixture.runtime.block_on(verify_clerk_token(&verifier, token));
    // Users arrive one after another, before the strangers do.
    for token in &tokens {
        clock.advance(Duration::from_secs(1));
        assert!(verify(token).is_ok(), "a user without strangers");
    }
    let began = Instant::now();
    let (mut requests, mut rejected, mut limited, mut most) = (0_u64, 0_u64, 0_u64, 0);
    let mut calls = VecDeque::new();
    for second in 0..SECONDS {
        clock.advance(Duration::from_secs(1));
        for n in 0..UNKNOWN_PER_SECOND {
            limited += u64::from(
                verify(&format!("oat_unknown_{second}_{n}"))
                    .is_err_and(|error| !error.kind().is_invalid_token()),
            );
        }
        for (user, token) in (0..USERS).zip(&tokens).filter(|(user, _)| user % 10 == second % 10) {
            requests += 1;
            let is_right = verify(token)
                .is_ok_and(|caller| caller.user_id() == Some(&*format!("user_{user}")));
            rejected += u64::from(!is_right);
        }
        calls.push_back(fixture.clerk.calls(Route::VerifyAccessToken));
        let before = if calls.len() > 10 { calls.pop_front().unwrap_or(0) } else { calls[0] };
        most = most.max(fixture.clerk.calls(Route::VerifyAccessToken) - before);
    }
    report.add_quota(requests, rejected, limited, most, MAX_CALLS as usize, began.elapsed());
}
