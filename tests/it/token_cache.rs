//! What is remembered of tokens, for how long, and how often Clerk is asked.

use std::time::Duration;

use clerk_mcp_tools::bearer_auth::{TokenRequest, VerifyToken};
use clerk_mcp_tools::testing::{Fault, Route};
use clerk_mcp_tools::{
    AuthInfo, ClerkVerifier, ResourceUrl, VerifyError, VerifyErrorKind as Kind, verify_clerk_token,
};
use http::StatusCode;

use crate::support::{Fixture, NOW, RESOURCE, call, guarded};

const OTHER: &str = "https://other.example.com/mcp";

impl Fixture {
    fn token_calls(&self) -> usize {
        self.clerk.calls(Route::VerifyAccessToken)
    }
}

async fn kind(verifier: &ClerkVerifier, token: &str) -> Option<Kind> {
    verify_clerk_token(verifier, token).await.err().map(|error| error.kind())
}

async fn hits_and_misses(verifier: &ClerkVerifier, token: &str) -> (u64, u64) {
    let before = verifier.stats();
    let _ = verify_clerk_token(verifier, token).await;
    let after = verifier.stats();
    (after.cache_hits - before.cache_hits, after.cache_misses - before.cache_misses)
}

#[tokio::test]
async fn a_token_is_verified_once_and_then_known_for_its_time() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    for (token, ttl) in [(fixture.jwt(), 300), (fixture.opaque(), 60)] {
        assert_eq!(hits_and_misses(&verifier, &token).await, (0, 1));
        fixture.clock.advance(Duration::from_millis(ttl * 1000 - 1));
        assert_eq!(hits_and_misses(&verifier, &token).await, (1, 0));
        fixture.clock.advance(Duration::from_millis(1));
        assert_eq!(hits_and_misses(&verifier, &token).await, (0, 1));
    }
}

#[tokio::test]
async fn the_time_can_be_set_and_zero_switches_it_off() {
    let fixture = Fixture::new().await;
    let builder = || fixture.verifier_builder();
    let ttl = Duration::from_secs(7);
    let short = builder().jwt_cache_ttl(ttl).opaque_token_cache_ttl(ttl).build().unwrap();
    let off = Duration::ZERO;
    let off = builder()
        .jwt_cache_ttl(off)
        .opaque_token_cache_ttl(off)
        .rejection_cache_ttl(off)
        .build()
        .unwrap();
    for token in [fixture.jwt(), fixture.opaque()] {
        assert_eq!(hits_and_misses(&short, &token).await, (0, 1));
        assert_eq!(hits_and_misses(&short, &token).await, (1, 0));
        assert_eq!(hits_and_misses(&off, &token).await, (0, 1));
        assert_eq!(hits_and_misses(&off, &token).await, (0, 1));
        fixture.advance(7);
        assert_eq!(hits_and_misses(&short, &token).await, (0, 1));
    }
    let calls = fixture.token_calls();
    assert_eq!(kind(&off, "oat_unknown").await, Some(Kind::UnknownToken));
    assert_eq!(kind(&off, "oat_unknown").await, Some(Kind::UnknownToken));
    assert_eq!(fixture.token_calls(), calls + 2);
    assert_eq!(off.stats().cached_tokens, 0);
}

#[tokio::test]
async fn a_known_token_expires_to_the_second() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    let jwt = fixture.clerk.mint().audience(RESOURCE).expires_at(NOW + 20).jwt();
    let opaque = fixture.clerk.mint().audience(RESOURCE).expires_at(NOW + 20).opaque();
    for token in [&jwt, &opaque] {
        assert_eq!(kind(&verifier, token).await, None);
    }
    fixture.advance(19);
    assert_eq!(hits_and_misses(&verifier, &opaque).await, (1, 0));
    fixture.advance(1);
    assert_eq!(kind(&verifier, &opaque).await, Some(Kind::Expired));
    // Five seconds later for a JWT: the leeway.
    fixture.advance(4);
    assert_eq!(hits_and_misses(&verifier, &jwt).await, (1, 0));
    fixture.advance(1);
    assert_eq!(kind(&verifier, &jwt).await, Some(Kind::Expired));
}

#[tokio::test]
async fn an_expired_token_stays_expired_when_somebody_sets_the_wall_clock() {
    let fixture = Fixture::new().await;
    let (verifier, token) = (fixture.verifier(), fixture.jwt());
    assert_eq!(kind(&verifier, &token).await, None);
    fixture.clock.set_unix_time(Duration::from_secs(NOW + 2 * 24 * 60 * 60));
    assert_eq!(kind(&verifier, &token).await, Some(Kind::Expired));
}

#[tokio::test]
async fn a_known_token_dies_with_its_key() {
    let fixture = Fixture::new().await;
    let (verifier, old) = (fixture.verifier(), fixture.jwt());
    assert_eq!(kind(&verifier, &old).await, None);
    fixture.clerk.rotate_keys().unwrap();
    assert_eq!(
        hits_and_misses(&verifier, &old).await,
        (1, 0),
        "nobody has seen the new key set yet"
    );
    assert_eq!(kind(&verifier, &fixture.jwt()).await, None);
    assert_eq!(kind(&verifier, &old).await, Some(Kind::UnknownKey));
}

#[tokio::test]
async fn a_known_token_outlives_a_key_set_that_still_has_its_key() {
    let fixture = Fixture::new().await;
    let (verifier, old) = (fixture.verifier(), fixture.jwt());
    assert_eq!(kind(&verifier, &old).await, None);
    fixture.clerk.add_key().unwrap();
    assert_eq!(kind(&verifier, &fixture.jwt()).await, None);
    assert_eq!(fixture.clerk.calls(Route::Jwks), 2, "the new key was fetched");
    assert_eq!(hits_and_misses(&verifier, &old).await, (1, 0));
}

#[tokio::test]
async fn what_is_known_at_one_resource_is_nothing_at_another() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    let (own, other) = (ResourceUrl::parse(RESOURCE).unwrap(), ResourceUrl::parse(OTHER).unwrap());
    async fn at(
        verifier: &ClerkVerifier,
        token: &str,
        resource: &ResourceUrl,
    ) -> Result<AuthInfo, VerifyError> {
        verifier.verify_token(TokenRequest::new(token).for_resource(resource)).await
    }
    for token in [fixture.jwt(), fixture.opaque()] {
        assert!(at(&verifier, &token, &own).await.is_ok());
        assert!(verifier.cached(TokenRequest::new(&token).for_resource(&other)).is_none());
        assert_eq!(at(&verifier, &token, &other).await.unwrap_err().kind(), Kind::InvalidAudience);
        assert!(verifier.cached(TokenRequest::new(&token).for_resource(&own)).is_some());
        assert!(
            verifier.cached(TokenRequest::new(&token)).is_some(),
            "its own resource is the default"
        );
    }
    let both = fixture.clerk.mint().audiences([RESOURCE, OTHER]);
    for token in [both.clone().jwt(), both.opaque()] {
        for resource in [&own, &other, &own, &other] {
            assert_eq!(
                at(&verifier, &token, resource).await.unwrap().resource(),
                Some(resource.as_str())
            );
        }
    }
}

#[tokio::test]
async fn another_verifier_knows_nothing_of_it() {
    let fixture = Fixture::new().await;
    let (first, second, token) = (fixture.verifier(), fixture.verifier(), fixture.opaque());
    assert_eq!(kind(&first, &token).await, None);
    assert!(second.cached(TokenRequest::new(&token)).is_none());
    assert!(
        first.clone().cached(TokenRequest::new(&token)).is_some(),
        "a clone is the same verifier"
    );
}

/// What is looked up is found by the end of a token, and counts for the whole of it.
#[tokio::test]
async fn the_end_of_a_known_token_opens_nothing() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    let (jwt, opaque) = (fixture.jwt(), fixture.opaque());
    let tail = &jwt[jwt.rfind('.').unwrap()..];
    let admin = fixture.clerk.mint().audience(RESOURCE).scopes(["admin"]).jwt();
    let altered = format!("{}{tail}", &admin[..admin.rfind('.').unwrap()]);
    assert_eq!(kind(&verifier, &jwt).await, None);
    assert_eq!(kind(&verifier, &altered).await, Some(Kind::InvalidSignature));
    assert!(verifier.cached(TokenRequest::new(&altered)).is_none());
    assert_eq!(kind(&verifier, tail).await, Some(Kind::Malformed));
    assert_eq!(kind(&verifier, &opaque).await, None);
    let longer = format!("oat_0{}", &opaque["oat_".len()..]);
    assert_eq!(kind(&verifier, &longer).await, Some(Kind::UnknownToken));
    assert!(
        verifier.cached(TokenRequest::new(&jwt)).is_some_and(|known| known.is_ok()),
        "it is still known"
    );
}

#[tokio::test]
async fn a_header_that_was_good_before_is_not_read_again_and_decides_nothing() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    assert_eq!(kind(&verifier, &fixture.jwt()).await, None);
    let mint = || fixture.clerk.mint().audience(RESOURCE);
    // All have the very header of the first.
    assert_eq!(kind(&verifier, &mint().foreign_key().jwt()).await, Some(Kind::InvalidSignature));
    assert_eq!(kind(&verifier, &mint().expires_at(NOW - 100).jwt()).await, Some(Kind::Expired));
    assert_eq!(kind(&verifier, &mint().scopes(["x"]).jwt()).await, None);
    // Another one in between, and the first again.
    assert_eq!(kind(&verifier, &mint().header("typ", "application/at+jwt").jwt()).await, None);
    assert_eq!(
        kind(&verifier, &mint().header("typ", "JWT").jwt()).await,
        Some(Kind::WrongTokenType)
    );
    assert_eq!(kind(&verifier, &mint().scopes(["y"]).jwt()).await, None);
    fixture.clerk.rotate_keys().unwrap();
    fixture.advance(31);
    assert_eq!(kind(&verifier, &mint().jwt()).await, None);
}

#[tokio::test]
async fn a_revocation_is_seen_after_a_minute_at_the_latest() {
    let fixture = Fixture::new().await;
    let (verifier, token) = (fixture.verifier(), fixture.opaque());
    assert_eq!(kind(&verifier, &token).await, None);
    assert!(fixture.clerk.revoke(&token));
    fixture.advance(59);
    assert_eq!(kind(&verifier, &token).await, None);
    fixture.advance(1);
    assert_eq!(kind(&verifier, &token).await, Some(Kind::Revoked));
}

#[tokio::test]
async fn refusals_are_remembered_shortly_and_outages_never() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    let for_another = fixture.clerk.mint().audience(OTHER).opaque();
    let rows = [("oat_unknown", Kind::UnknownToken), (for_another.as_str(), Kind::InvalidAudience)];
    for (token, refusal) in rows {
        let calls = fixture.token_calls();
        for _ in 0..3 {
            assert_eq!(kind(&verifier, token).await, Some(refusal));
        }
        assert_eq!(fixture.token_calls(), calls + 1);
        fixture.advance(10);
        assert_eq!(kind(&verifier, token).await, Some(refusal));
        assert_eq!(fixture.token_calls(), calls + 2);
    }
    fixture.clerk.fault_all(Fault::Status { status: 500, retry_after: None });
    let token = fixture.opaque();
    let calls = fixture.token_calls();
    for asked in 1..=3 {
        assert_eq!(kind(&verifier, &token).await, Some(Kind::Unavailable));
        assert_eq!(fixture.token_calls(), calls + asked);
    }
    fixture.clerk.heal_all();
    assert_eq!(kind(&verifier, &token).await, None);
}

#[tokio::test]
async fn known_tokens_outlive_an_outage_and_a_flood_of_garbage() {
    let fixture = Fixture::new().await;
    let (verifier, token) = (fixture.verifier(), fixture.opaque());
    assert_eq!(kind(&verifier, &token).await, None);
    for n in 0..2_000 {
        assert!(kind(&verifier, &format!("a.b.{n}")).await.is_some());
    }
    for n in 0..200 {
        assert_eq!(kind(&verifier, &format!("oat_{n}")).await, Some(Kind::UnknownToken));
    }
    fixture.clerk.fault_all(Fault::Down);
    assert_eq!(hits_and_misses(&verifier, &token).await, (1, 0));
    let stats = verifier.stats();
    assert_eq!((stats.cached_tokens, stats.rejected_tokens), (1, 200));
}

#[tokio::test]
async fn what_is_held_is_bounded() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier_builder().token_cache_bytes(64 * 1024).build().unwrap();
    for _ in 0..100 {
        assert_eq!(kind(&verifier, &fixture.jwt()).await, None);
    }
    let held = verifier.stats().cached_tokens;
    assert!((1..=64 * 1024 / 1024).contains(&held), "{held}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_requests_with_one_unseen_token_are_one_call() {
    let fixture = Fixture::new().await;
    let (fault, gate) = Fault::hold();
    fixture.clerk.fault(Route::VerifyAccessToken, fault);
    let service = guarded(fixture.layer());
    let token = fixture.opaque();
    let waiting: Vec<_> = (0..10_000)
        .map(|_| {
            let (service, token) = (service.clone(), token.clone());
            tokio::spawn(async move { call(&service, &token).await.status })
        })
        .collect();
    gate.arrived(1).await;
    gate.open();
    for status in waiting {
        assert_eq!(status.await.unwrap(), StatusCode::OK);
    }
    assert_eq!(fixture.token_calls(), 1);
}

#[tokio::test]
async fn whoever_gives_up_harms_nobody_who_asks_the_same() {
    let fixture = Fixture::new().await;
    let (fault, gate) = Fault::hold();
    fixture.clerk.fault(Route::VerifyAccessToken, fault);
    let (verifier, token) = (fixture.verifier(), fixture.opaque());
    let ask = || {
        let (verifier, token) = (verifier.clone(), token.clone());
        tokio::spawn(async move { verify_clerk_token(&verifier, &token).await })
    };
    let first = ask();
    gate.arrived(1).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let second = ask();
    gate.open();
    assert!(second.await.unwrap().is_ok());
    assert_eq!(fixture.token_calls(), 1);
}

#[tokio::test]
async fn no_more_calls_are_under_way_than_were_allowed() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier_builder().max_concurrent_calls(3).build().unwrap();
    let (fault, gate) = Fault::hold();
    fixture.clerk.fault(Route::VerifyAccessToken, fault);
    let waiting: Vec<_> = (0..2_000)
        .map(|n| {
            let verifier = verifier.clone();
            tokio::spawn(async move { kind(&verifier, &format!("oat_{n}")).await })
        })
        .collect();
    gate.arrived(3).await;
    tokio::task::yield_now().await;
    assert_eq!(gate.waiting(), 3);
    gate.open();
    let mut refused = 0;
    let mut turned_away = 0;
    for outcome in waiting {
        match outcome.await.unwrap() {
            Some(Kind::UnknownToken) => refused += 1,
            Some(Kind::Unavailable) => turned_away += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(refused + turned_away, 2_000);
    assert!(refused <= 1_024, "the line is bounded, and {refused} stood in it");
    assert_eq!(fixture.token_calls(), refused);
}

/// The time of the runtime goes by as fast as nothing else happens in it.
#[tokio::test(start_paused = true)]
async fn nobody_waits_long_in_a_line_that_does_not_move() {
    let fixture = Fixture::new().await;
    fixture.clerk.fault_all(Fault::Hang);
    let verifier = fixture.verifier_builder().max_concurrent_calls(1).build().unwrap();
    let began = tokio::time::Instant::now();
    let waiting: Vec<_> = (0..20)
        .map(|n| {
            let verifier = verifier.clone();
            tokio::spawn(async move { kind(&verifier, &format!("oat_{n}")).await })
        })
        .collect();
    for outcome in waiting {
        assert_eq!(outcome.await.unwrap(), Some(Kind::Unavailable));
    }
    assert!(
        began.elapsed() <= Duration::from_secs(11),
        "{:?} of the runtime's own time",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_pause_that_clerk_asks_for_is_kept_and_passed_on() {
    let fixture = Fixture::new().await;
    let (verifier, token) = (fixture.verifier(), fixture.opaque());
    fixture
        .clerk
        .fault(Route::VerifyAccessToken, Fault::Status { status: 429, retry_after: Some(7) });
    let error = verify_clerk_token(&verifier, &token).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry_after()),
        (Kind::Unavailable, Some(Duration::from_secs(7)))
    );
    fixture.clerk.heal_all();
    fixture.advance(5);
    let error = verify_clerk_token(&verifier, &fixture.opaque()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry_after()),
        (Kind::Unavailable, Some(Duration::from_secs(2)))
    );
    assert_eq!(fixture.token_calls(), 1);
    fixture.advance(2);
    assert_eq!(kind(&verifier, &token).await, None);
    assert_eq!(fixture.token_calls(), 2);
}

#[tokio::test]
async fn a_verifier_can_be_warmed_up_and_looked_into() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    assert_eq!(verifier.stats(), Default::default());
    fixture.clerk.fault_all(Fault::Down);
    assert!(verifier.warm_up().await.is_err());
    fixture.clerk.heal_all();
    fixture.advance(1);
    verifier.warm_up().await.unwrap();
    fixture.advance(3);
    let token = fixture.opaque();
    for _ in 0..4 {
        assert_eq!(kind(&verifier, &token).await, None);
    }
    assert_eq!(kind(&verifier, "oat_unknown").await, Some(Kind::UnknownToken));
    assert_eq!(kind(&verifier, "garbage").await, Some(Kind::Malformed));
    let stats = verifier.stats();
    assert_eq!(stats.key_set_age, Some(Duration::from_secs(3)));
    assert_eq!((stats.cached_tokens, stats.rejected_tokens), (1, 1));
    assert_eq!((stats.cache_hits, stats.cache_misses), (3, 2));
    assert_eq!((stats.upstream_calls, stats.upstream_failures), (4, 1));

    let pem = fixture
        .verifier_builder()
        .jwt_key(fixture.clerk.jwt_key().parse().unwrap())
        .build()
        .unwrap();
    pem.warm_up().await.unwrap();
    assert_eq!(pem.stats().key_set_age, None);
}

#[tokio::test]
async fn how_long_old_keys_serve_can_be_set() {
    let fixture = Fixture::new().await;
    let verifier =
        fixture.verifier_builder().stale_keys_ttl(Duration::from_secs(60)).build().unwrap();
    assert_eq!(kind(&verifier, &fixture.jwt()).await, None);
    fixture.clerk.fault_all(Fault::Down);
    fixture.advance(59);
    assert_eq!(kind(&verifier, &fixture.jwt()).await, None);
    fixture.advance(1);
    assert_eq!(kind(&verifier, &fixture.jwt()).await, Some(Kind::Unavailable));
}
