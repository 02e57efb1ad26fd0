//! A clock that is set, or that stood still while the machine slept.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clerk_mcp_tools::clock::Clock;
use clerk_mcp_tools::testing::{Fault, Route};
use clerk_mcp_tools::{VerifyErrorKind as Kind, verify_clerk_token};

use super::ways::{Server, Way};
use super::{Site, Trouble};
use crate::answers::assert_invalid;
use crate::support::{Fixture, NOW};

const DAY: u64 = 24 * 60 * 60;
const HOUR: u64 = 60 * 60;

impl Site {
    fn set_wall_clock(&self, seconds: u64) {
        self.fixture.clock.set_unix_time(Duration::from_secs(seconds));
    }
}

/// While the wall clock is wrong, tokens are judged by it. Once it is right again, so are they.
#[tokio::test]
async fn the_wall_clock_jumps_and_comes_back() {
    let site = Site::new().await;
    for way in [Way::PublicKeys, Way::BackendKeys, Way::OpaqueTokens] {
        let server = Server::new(&site, way);
        let known = server.token();
        server.assert_accepts(&known, "the clock is right").await;
        for (seconds, known_is, unseen_is) in [
            (NOW + 2 * DAY, Some(Kind::Expired), Some(Kind::Expired)),
            (u64::MAX, Some(Kind::Expired), Some(Kind::Expired)),
            // Only a JWT says since when it is good, and what is known has been asked that.
            (NOW - HOUR, None, (way != Way::OpaqueTokens).then_some(Kind::NotYetValid)),
            (0, None, (way != Way::OpaqueTokens).then_some(Kind::NotYetValid)),
        ] {
            let unseen = server.token();
            site.set_wall_clock(seconds);
            for (token, refusal) in [(&known, known_is), (&unseen, unseen_is)] {
                let what = format!("{way:?} at {seconds}");
                match refusal {
                    Some(kind) => assert_invalid(&server.answer(token).await, kind, &what),
                    None => server.assert_accepts(token, &what).await,
                }
            }
            site.set_wall_clock(NOW);
            server.assert_accepts(&known, "a known token when the clock is right again").await;
            // What Clerk was asked about meanwhile is refused for a little longer.
            site.fixture.clock.advance(Duration::from_secs(10));
            server.assert_accepts(&unseen, "an unseen token when the clock is right again").await;
            site.set_wall_clock(NOW);
        }
    }
}

#[tokio::test]
async fn the_wall_clock_makes_nothing_older() {
    let site = Site::new().await;
    for way in [Way::PublicKeys, Way::BackendKeys, Way::Metadata] {
        let server = Server::new(&site, way);
        server.assert_accepts(&server.token(), "at first").await;
        let calls = site.clerk().calls(way.route());
        for seconds in [NOW + 400 * DAY, 0, u64::MAX, NOW] {
            site.set_wall_clock(seconds);
            // What is told of the token is not what is asked here.
            let _ = server.answer(&server.token()).await;
        }
        assert_eq!(site.clerk().calls(way.route()), calls, "{way:?}");
        server.assert_accepts(&server.token(), "at last").await;
    }
}

#[tokio::test]
async fn the_wall_clock_ends_no_pause() {
    let site = Site::new().await;
    let busy = Trouble::AtClerk(Fault::Status { status: 429, retry_after: Some(120) });
    for way in [Way::PublicKeys, Way::BackendKeys, Way::OpaqueTokens, Way::Metadata] {
        let server = Server::new(&site, way);
        site.trouble(way, &busy).await;
        assert_eq!(
            server.answer(&server.token()).await.header("retry-after"),
            Some("120"),
            "{way:?}"
        );
        site.heal();
        let calls = site.clerk().calls(way.route());
        for seconds in [NOW + DAY, 0, NOW] {
            site.set_wall_clock(seconds);
            assert_eq!(
                server.answer(&server.token()).await.header("retry-after"),
                Some("120"),
                "{way:?}"
            );
        }
        assert_eq!(site.clerk().calls(way.route()), calls, "{way:?}");
        site.fixture.advance(120);
        server.assert_works("after the pause").await;
        site.set_wall_clock(NOW);
    }
}

/// The machine slept, or its time ran on without anybody who asked.
#[tokio::test]
async fn time_passes_all_at_once() {
    let site = Site::new().await;
    for way in Way::ALL {
        let server = Server::new(&site, way);
        server.assert_works("at first").await;
        for seconds in [HOUR, DAY, 400 * DAY] {
            site.fixture.advance(seconds);
            server.assert_works("after a while").await;
            site.fixture.advance(seconds);
            site.trouble(way, &Trouble::AtClerk(Fault::Down)).await;
            // Nobody has seen anything of Clerk for more than a day.
            if way.keeps() && seconds >= DAY {
                assert_eq!(server.answer(&server.token()).await.status.as_u16(), 503, "{way:?}");
            }
            site.heal();
            site.fixture.advance(30);
            server.assert_works("after a while and an outage").await;
        }
    }
    // As far as a clock goes.
    site.fixture.clock.advance(Duration::MAX);
    for way in [Way::Metadata, Way::Users] {
        Server::new(&site, way).assert_works("at the end of time").await;
    }
}

/// A clock of somebody who did not read that it must never go back.
#[derive(Clone, Debug, Default)]
struct Restarted(Arc<AtomicU64>);

impl Clock for Restarted {
    fn unix_time(&self) -> Duration {
        Duration::from_secs(NOW)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

#[tokio::test]
async fn time_goes_back() {
    let fixture = Fixture::new().await;
    let clock = Restarted::default();
    clock.0.store(DAY, Ordering::SeqCst);
    let verifier = fixture.verifier_builder().clock(clock.clone()).build().unwrap();
    let known = [fixture.jwt(), fixture.opaque()];
    for token in &known {
        assert!(verify_clerk_token(&verifier, token).await.is_ok());
    }
    for seconds in [HOUR, 0] {
        clock.0.store(seconds, Ordering::SeqCst);
        for token in known.iter().chain(&[fixture.jwt(), fixture.opaque()]) {
            assert!(verify_clerk_token(&verifier, token).await.is_ok(), "{seconds}");
        }
    }
    // A change of keys is still noticed.
    fixture.clerk.rotate_keys().unwrap();
    assert!(verify_clerk_token(&verifier, &fixture.jwt()).await.is_ok());
    assert_eq!(fixture.clerk.calls(Route::Jwks), 2);
}
