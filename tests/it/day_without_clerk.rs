//! A day without Clerk, in steps of a minute: nobody who is known is rejected, and Clerk is hardly
//! called.

use std::time::Duration;

use clerk_mcp_tools::testing::Fault;
use clerk_mcp_tools::{ClerkVerifier, VerifyErrorKind as Kind, verify_clerk_token};

use crate::support::{Fixture, RESOURCE, error_kind};

const DAY: u64 = 24 * 60;

#[tokio::test]
async fn connections_are_closed() {
    // A fetch a minute from the fifth on, when the keys are to be refreshed.
    assert_serves_all(Fault::Down, 20, |minute| minute.saturating_sub(4)).await;
}

#[tokio::test]
async fn clerk_asks_to_retry_after_five_minutes() {
    let busy = Fault::Status { status: 429, retry_after: Some(300) };
    assert_serves_all(busy, 10, |minute| minute / 5).await;
}

/// Each user sends a request a minute. `failures` are the failed fetches up to a minute.
async fn assert_serves_all(fault: Fault, users: u64, failures: fn(u64) -> u64) {
    let fixture = Fixture::new().await;
    let mint = |user: u64| {
        let token = fixture.clerk.mint().audience(RESOURCE).subject(format!("user_{user}"));
        token.expires_in(Duration::from_secs((DAY + 60) * 60)).jwt()
    };
    let tokens: Vec<_> = (0..users).map(mint).collect();
    let verifier = fixture.warm_verifier().await;
    fixture.clerk.fault_all(fault);
    let mut requests = 0;
    for minute in 1..DAY {
        fixture.advance(60);
        // They do not all begin in the same minute, and so leave the cache in different ones.
        for (user, token) in (0..users).zip(&tokens).filter(|(user, _)| user % 5 < minute) {
            let caller = verify_clerk_token(&verifier, token).await;
            let user_id = caller.as_ref().map(|caller| caller.principal().id());
            assert_eq!(user_id.ok(), Some(&*format!("user_{user}")), "{minute}: {caller:?}");
            requests += 1;
        }
        wait_for_failures(&verifier, failures(minute)).await;
    }
    // Keys may be used for a day, and no longer.
    fixture.advance(60);
    assert_eq!(error_kind(&verifier, &mint(0)).await, Some(Kind::Unavailable));
    let calls = fixture.key_set_calls();
    assert!(calls as u64 <= 2 + failures(DAY), "{calls} fetches for {requests} requests");
    fixture.clerk.heal_all();
    fixture.advance(30);
    assert_eq!(error_kind(&verifier, &tokens[0]).await, None, "after the outage");
}

/// Lets the refreshes in the background end.
async fn wait_for_failures(verifier: &ClerkVerifier, count: u64) {
    while verifier.stats().upstream_failures < count {
        // The users of this minute may have found the refresh of the last one still in flight.
        assert!(verifier.warm_up().await.is_ok());
        tokio::task::yield_now().await;
    }
    assert_eq!(verifier.stats().upstream_failures, count);
}
