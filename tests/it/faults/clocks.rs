//! Changes of the wall clock, long suspensions, and a monotonic clock that goes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clerk_mcp_tools::clock::Clock;
use clerk_mcp_tools::testing::{Fault, Route};
use clerk_mcp_tools::{VerifyErrorKind as Kind, verify_clerk_token};

use super::upstream::{Server, Upstream};
use super::{Failure, ProxiedFixture};
use crate::responses::assert_invalid_token;
use crate::support::{Fixture, NOW};

const DAY: u64 = 24 * 60 * 60;
const HOUR: u64 = 60 * 60;

impl ProxiedFixture {
    fn set_wall_clock(&self, seconds: u64) {
        self.fixture.clock.set_unix_time(Duration::from_secs(seconds));
    }
}

/// A wrong wall clock affects the verdicts only while it is wrong.
#[tokio::test]
async fn tokens_are_valid_again_after_the_wall_clock_is_corrected() {
    let fixture = ProxiedFixture::new().await;
    for upstream in [Upstream::PublicKeys, Upstream::BackendKeys, Upstream::OpaqueTokens] {
        let server = Server::new(&fixture, upstream);
        let cached = server.token();
        server.assert_accepts(&cached, "with the right time").await;
        for (seconds, cached_kind, uncached_kind) in [
            (NOW + 2 * DAY, Some(Kind::Expired), Some(Kind::Expired)),
            (u64::MAX, Some(Kind::Expired), Some(Kind::Expired)),
            // Only JWTs have `nbf` and `iat`, which are not checked again for cached tokens.
            (NOW - HOUR, None, (upstream != Upstream::OpaqueTokens).then_some(Kind::NotYetValid)),
            (0, None, (upstream != Upstream::OpaqueTokens).then_some(Kind::NotYetValid)),
        ] {
            let uncached = server.token();
            fixture.set_wall_clock(seconds);
            for (token, rejection) in [(&cached, cached_kind), (&uncached, uncached_kind)] {
                let case = format!("{upstream:?} at {seconds}");
                match rejection {
                    Some(kind) => assert_invalid_token(&server.response(token).await, kind, &case),
                    None => server.assert_accepts(token, &case).await,
                }
            }
            fixture.set_wall_clock(NOW);
            server.assert_accepts(&cached, "a cached token after the correction").await;
            // Rejections stay in the cache for ten seconds.
            fixture.clock.advance(Duration::from_secs(10));
            server.assert_accepts(&uncached, "a new token after the correction").await;
            fixture.set_wall_clock(NOW);
        }
    }
}

/// A wall clock that is set forward, as after a suspension, at most ages what is cached; one that is
/// set back does not make it younger.
#[tokio::test]
async fn changes_of_the_wall_clock_cause_one_fetch_each_at_most() {
    let fixture = ProxiedFixture::new().await;
    for upstream in [Upstream::PublicKeys, Upstream::BackendKeys, Upstream::Metadata] {
        let server = Server::new(&fixture, upstream);
        server.assert_accepts(&server.token(), "at the start").await;
        let calls = || fixture.clerk.calls(upstream.route());
        let at_the_start = calls();
        for (seconds, fetches) in
            [(NOW + 400 * DAY, 1), (0, 1), (NOW, 1), (u64::MAX, 2), (NOW, 2), (NOW - DAY, 2)]
        {
            fixture.set_wall_clock(seconds);
            for _ in 0..3 {
                // The verdict on the token does not matter here.
                let _ = server.response(&server.token()).await;
                assert_eq!(calls() - at_the_start, fetches, "{upstream:?} at {seconds}");
            }
        }
        fixture.set_wall_clock(NOW);
        server.assert_accepts(&server.token(), "at the end").await;
    }
}

#[tokio::test]
async fn the_wall_clock_does_not_end_a_backoff() {
    let fixture = ProxiedFixture::new().await;
    let busy = Failure::Response(Fault::Status { status: 429, retry_after: Some(120) });
    for upstream in
        [Upstream::PublicKeys, Upstream::BackendKeys, Upstream::OpaqueTokens, Upstream::Metadata]
    {
        let server = Server::new(&fixture, upstream);
        fixture.fail(upstream, &busy).await;
        // Without an old value the pause is cut to thirty seconds.
        let pause = if upstream.is_cached() { "30" } else { "120" };
        assert_eq!(
            server.response(&server.token()).await.header("retry-after"),
            Some(pause),
            "{upstream:?}"
        );
        fixture.heal();
        let calls = fixture.clerk.calls(upstream.route());
        for seconds in [NOW + DAY, 0, NOW] {
            fixture.set_wall_clock(seconds);
            assert_eq!(
                server.response(&server.token()).await.header("retry-after"),
                Some(pause),
                "{upstream:?}"
            );
        }
        assert_eq!(fixture.clerk.calls(upstream.route()), calls, "{upstream:?}");
        fixture.advance(120);
        server.assert_works("after the backoff").await;
        fixture.set_wall_clock(NOW);
    }
}

/// As after a suspension of the machine, or a long time without requests.
#[tokio::test]
async fn recovers_after_long_jumps_of_both_clocks() {
    let fixture = ProxiedFixture::new().await;
    for upstream in Upstream::ALL {
        let server = Server::new(&fixture, upstream);
        server.assert_works("at the start").await;
        for seconds in [HOUR, DAY, 400 * DAY] {
            fixture.advance(seconds);
            server.assert_works("after a while").await;
            fixture.advance(seconds);
            fixture.fail(upstream, &Failure::Response(Fault::Down)).await;
            // Cached keys and documents are older than a day.
            if upstream.is_cached() && seconds >= DAY {
                assert_eq!(
                    server.response(&server.token()).await.status.as_u16(),
                    503,
                    "{upstream:?}"
                );
            }
            fixture.heal();
            fixture.advance(30);
            server.assert_works("after a while and an outage").await;
        }
    }
    // The maximum value of the clock.
    fixture.clock.advance(Duration::MAX);
    for upstream in [Upstream::Metadata, Upstream::Users] {
        Server::new(&fixture, upstream).assert_works("at the maximum time").await;
    }
}

/// A clock that violates its contract: its monotonic time goes back.
#[derive(Clone, Debug, Default)]
struct NonMonotonic(Arc<AtomicU64>);

impl Clock for NonMonotonic {
    fn unix_time(&self) -> Duration {
        Duration::from_secs(NOW)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

#[tokio::test]
async fn survives_a_monotonic_clock_that_goes_back() {
    let fixture = Fixture::new().await;
    let clock = NonMonotonic::default();
    clock.0.store(DAY, Ordering::SeqCst);
    let verifier = fixture.verifier_builder().clock(clock.clone()).build().unwrap();
    let cached = [fixture.jwt(), fixture.opaque()];
    for token in &cached {
        assert!(verify_clerk_token(&verifier, token).await.is_ok());
    }
    for seconds in [HOUR, 0] {
        clock.0.store(seconds, Ordering::SeqCst);
        for token in cached.iter().chain(&[fixture.jwt(), fixture.opaque()]) {
            assert!(verify_clerk_token(&verifier, token).await.is_ok(), "{seconds}");
        }
    }
    // A key rotation is still noticed.
    fixture.clerk.rotate_keys().unwrap();
    assert!(verify_clerk_token(&verifier, &fixture.jwt()).await.is_ok());
    assert_eq!(fixture.clerk.calls(Route::Jwks), 2);
}
