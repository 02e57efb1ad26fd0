//! The token cache: what it keeps, for how long, and the calls to Clerk that remain.

use std::time::Duration;

use clerk_mcp_tools::bearer_auth::{TokenRequest, VerifyToken};
use clerk_mcp_tools::testing::{Fault, Route};
use clerk_mcp_tools::{
    AuthInfo, ClerkVerifier, ResourceUrl, VerifyError, VerifyErrorKind as Kind, verify_clerk_token,
};
use http::StatusCode;

use crate::support::{Fixture, NOW, RESOURCE, call, error_kind, guarded, spawn_verify};

const OTHER: &str = "https://other.example.com/mcp";

async fn hits_and_misses(verifier: &ClerkVerifier, token: &str) -> (u64, u64) {
    let before = verifier.stats();
    let _ = verify_clerk_token(verifier, token).await;
    let after = verifier.stats();
    (after.cache_hits - before.cache_hits, after.cache_misses - before.cache_misses)
}

#[tokio::test]
async fn a_verified_token_is_cached_for_the_ttl_of_its_format() {
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
async fn the_ttls_can_be_set_and_zero_disables_the_cache() {
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
    let calls = fixture.introspection_calls();
    assert_eq!(error_kind(&off, "oat_unknown").await, Some(Kind::UnknownToken));
    assert_eq!(error_kind(&off, "oat_unknown").await, Some(Kind::UnknownToken));
    assert_eq!(fixture.introspection_calls(), calls + 2);
    assert_eq!(off.stats().cached_tokens, 0);
}

#[tokio::test]
async fn a_cached_token_expires_at_the_exact_second() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    let jwt = fixture.clerk.mint().audience(RESOURCE).expires_at(NOW + 20).jwt();
    let opaque = fixture.clerk.mint().audience(RESOURCE).expires_at(NOW + 20).opaque();
    for token in [&jwt, &opaque] {
        assert_eq!(error_kind(&verifier, token).await, None);
    }
    fixture.advance(19);
    assert_eq!(hits_and_misses(&verifier, &opaque).await, (1, 0));
    fixture.advance(1);
    assert_eq!(error_kind(&verifier, &opaque).await, Some(Kind::Expired));
    // A JWT expires five seconds later, because of the leeway.
    fixture.advance(4);
    assert_eq!(hits_and_misses(&verifier, &jwt).await, (1, 0));
    fixture.advance(1);
    assert_eq!(error_kind(&verifier, &jwt).await, Some(Kind::Expired));
}

#[tokio::test]
async fn a_cached_token_expires_when_the_wall_clock_is_set_forward() {
    let fixture = Fixture::new().await;
    let (verifier, token) = (fixture.verifier(), fixture.jwt());
    assert_eq!(error_kind(&verifier, &token).await, None);
    fixture.clock.set_unix_time(Duration::from_secs(NOW + 2 * 24 * 60 * 60));
    assert_eq!(error_kind(&verifier, &token).await, Some(Kind::Expired));
}

/// The monotonic clock stands still meanwhile, as on Linux.
#[tokio::test]
async fn a_cached_token_is_verified_again_after_a_suspension() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    let (retired, revoked) = (fixture.jwt(), fixture.opaque());
    for token in [&retired, &revoked] {
        assert_eq!(error_kind(&verifier, token).await, None);
    }
    fixture.clerk.rotate_keys().unwrap();
    fixture.clerk.revoke(&revoked);
    // Just before the end of the lifetimes, and at it.
    fixture.clock.set_unix_time(Duration::from_millis((NOW + 60) * 1000 - 1));
    assert_eq!(hits_and_misses(&verifier, &revoked).await, (1, 0));
    fixture.clock.set_unix_time(Duration::from_secs(NOW + 60));
    assert_eq!(error_kind(&verifier, &revoked).await, Some(Kind::Revoked));
    fixture.clock.set_unix_time(Duration::from_millis((NOW + 300) * 1000 - 1));
    assert_eq!(hits_and_misses(&verifier, &retired).await, (1, 0));
    fixture.clock.set_unix_time(Duration::from_secs(NOW + 8 * 60 * 60));
    assert_eq!(error_kind(&verifier, &retired).await, Some(Kind::UnknownKey));
    assert_eq!(verifier.stats().key_set_age, Some(Duration::ZERO));
}

/// A token that was cached while the wall clock was right does not live longer because it was set
/// back.
#[tokio::test]
async fn a_cached_token_does_not_outlive_a_correction_of_the_wall_clock() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    let mint = || fixture.clerk.mint().audience(RESOURCE);
    for (token, lifetime) in [
        (fixture.jwt(), 300),
        (fixture.opaque(), 60),
        // Its own expiry, and the leeway.
        (mint().expires_at(NOW + 20).jwt(), 25),
        (mint().expires_at(NOW + 20).opaque(), 20),
    ] {
        fixture.clock.set_unix_time(Duration::from_secs(NOW));
        assert_eq!(error_kind(&verifier, &token).await, None);
        fixture.clock.set_unix_time(Duration::from_secs(NOW - 1000));
        fixture.clock.advance(Duration::from_millis(lifetime * 1000 - 1));
        assert_eq!(hits_and_misses(&verifier, &token).await, (1, 0), "{lifetime} s");
        fixture.clock.advance(Duration::from_millis(1));
        assert_eq!(hits_and_misses(&verifier, &token).await, (0, 1), "{lifetime} s");
    }
}

#[tokio::test]
async fn a_cached_token_is_rejected_once_its_key_is_removed() {
    let fixture = Fixture::new().await;
    let (verifier, old) = (fixture.verifier(), fixture.earlier_jwt());
    assert_eq!(error_kind(&verifier, &old).await, None);
    fixture.clerk.rotate_keys().unwrap();
    assert_eq!(
        hits_and_misses(&verifier, &old).await,
        (1, 0),
        "the new key set has not been fetched yet"
    );
    assert_eq!(error_kind(&verifier, &fixture.jwt()).await, None);
    assert_eq!(error_kind(&verifier, &old).await, Some(Kind::UnknownKey));
}

#[tokio::test]
async fn a_cached_token_survives_a_key_set_that_still_has_its_key() {
    let fixture = Fixture::new().await;
    let (verifier, old) = (fixture.verifier(), fixture.jwt());
    assert_eq!(error_kind(&verifier, &old).await, None);
    fixture.clerk.add_key().unwrap();
    assert_eq!(error_kind(&verifier, &fixture.jwt()).await, None);
    assert_eq!(fixture.clerk.calls(Route::Jwks), 2, "the new key was fetched");
    assert_eq!(hits_and_misses(&verifier, &old).await, (1, 0));
}

#[tokio::test]
async fn a_token_is_cached_per_resource() {
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
            "the verifier's resource is the default"
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
        // Neither entry replaces the other.
        for resource in [&own, &other] {
            let cached = verifier.cached(TokenRequest::new(&token).for_resource(resource));
            assert_eq!(cached.unwrap().unwrap().resource(), Some(resource.as_str()));
        }
    }
}

#[tokio::test]
async fn verifiers_do_not_share_a_cache_but_clones_do() {
    let fixture = Fixture::new().await;
    let (first, second, token) = (fixture.verifier(), fixture.verifier(), fixture.opaque());
    assert_eq!(error_kind(&first, &token).await, None);
    assert!(second.cached(TokenRequest::new(&token)).is_none());
    assert!(first.clone().cached(TokenRequest::new(&token)).is_some(), "a clone shares the cache");
}

/// The cache hashes only the end of a token, and compares the whole.
#[tokio::test]
async fn a_token_with_the_end_of_a_cached_one_is_not_a_hit() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    let (jwt, opaque) = (fixture.jwt(), fixture.opaque());
    let tail = &jwt[jwt.rfind('.').unwrap()..];
    let admin = fixture.clerk.mint().audience(RESOURCE).scopes(["admin"]).jwt();
    let altered = format!("{}{tail}", &admin[..admin.rfind('.').unwrap()]);
    assert_eq!(error_kind(&verifier, &jwt).await, None);
    assert_eq!(error_kind(&verifier, &altered).await, Some(Kind::InvalidSignature));
    assert!(verifier.cached(TokenRequest::new(&altered)).is_none());
    assert_eq!(error_kind(&verifier, tail).await, Some(Kind::Malformed));
    assert_eq!(error_kind(&verifier, &opaque).await, None);
    let longer = format!("oat_0{}", &opaque["oat_".len()..]);
    assert_eq!(error_kind(&verifier, &longer).await, Some(Kind::UnknownToken));
    assert!(
        verifier.cached(TokenRequest::new(&jwt)).is_some_and(|cached| cached.is_ok()),
        "the original is still cached"
    );
}

#[tokio::test]
async fn tokens_with_the_same_header_are_verified_independently() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    assert_eq!(error_kind(&verifier, &fixture.jwt()).await, None);
    let mint = || fixture.clerk.mint().audience(RESOURCE);
    // These have the same header as the first.
    assert_eq!(
        error_kind(&verifier, &mint().foreign_key().jwt()).await,
        Some(Kind::InvalidSignature)
    );
    assert_eq!(
        error_kind(&verifier, &mint().expires_at(NOW - 100).jwt()).await,
        Some(Kind::Expired)
    );
    assert_eq!(error_kind(&verifier, &mint().scopes(["x"]).jwt()).await, None);
    // Other headers in between, then the first again.
    assert_eq!(
        error_kind(&verifier, &mint().header("typ", "application/at+jwt").jwt()).await,
        None
    );
    assert_eq!(
        error_kind(&verifier, &mint().header("typ", "JWT").jwt()).await,
        Some(Kind::WrongTokenType)
    );
    assert_eq!(error_kind(&verifier, &mint().scopes(["y"]).jwt()).await, None);
    fixture.clerk.rotate_keys().unwrap();
    fixture.advance(31);
    assert_eq!(error_kind(&verifier, &mint().jwt()).await, None);
}

#[tokio::test]
async fn a_revocation_takes_effect_within_a_minute() {
    let fixture = Fixture::new().await;
    let (verifier, token) = (fixture.verifier(), fixture.opaque());
    assert_eq!(error_kind(&verifier, &token).await, None);
    assert!(fixture.clerk.revoke(&token));
    fixture.advance(59);
    assert_eq!(error_kind(&verifier, &token).await, None);
    fixture.advance(1);
    assert_eq!(error_kind(&verifier, &token).await, Some(Kind::Revoked));
}

#[tokio::test]
async fn rejections_are_cached_for_ten_seconds_and_outages_never() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    let for_other_resource = fixture.clerk.mint().audience(OTHER).opaque();
    let rows =
        [("oat_unknown", Kind::UnknownToken), (for_other_resource.as_str(), Kind::InvalidAudience)];
    for (token, rejection) in rows {
        let calls = fixture.introspection_calls();
        for _ in 0..3 {
            assert_eq!(error_kind(&verifier, token).await, Some(rejection));
        }
        assert_eq!(fixture.introspection_calls(), calls + 1);
        fixture.advance(10);
        assert_eq!(error_kind(&verifier, token).await, Some(rejection));
        assert_eq!(fixture.introspection_calls(), calls + 2);
    }
    fixture.clerk.fault_all(Fault::Status { status: 500, retry_after: None });
    let token = fixture.opaque();
    let calls = fixture.introspection_calls();
    for count in 1..=3 {
        assert_eq!(error_kind(&verifier, &token).await, Some(Kind::Unavailable));
        assert_eq!(fixture.introspection_calls(), calls + count);
        fixture.advance(4);
    }
    fixture.clerk.heal_all();
    assert_eq!(error_kind(&verifier, &token).await, None);
}

#[tokio::test]
async fn cached_tokens_survive_an_outage_and_a_flood_of_invalid_tokens() {
    let fixture = Fixture::new().await;
    let (verifier, token) = (fixture.verifier(), fixture.opaque());
    assert_eq!(error_kind(&verifier, &token).await, None);
    for n in 0..2_000 {
        assert!(error_kind(&verifier, &format!("a.b.{n}")).await.is_some());
    }
    for n in 0..200 {
        assert_eq!(error_kind(&verifier, &format!("oat_{n}")).await, Some(Kind::UnknownToken));
    }
    fixture.clerk.fault_all(Fault::Down);
    assert_eq!(hits_and_misses(&verifier, &token).await, (1, 0));
    let stats = verifier.stats();
    assert_eq!((stats.cached_tokens, stats.rejected_tokens), (1, 200));
}

#[tokio::test]
async fn the_cache_is_bounded_in_bytes() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier_builder().token_cache_bytes(64 * 1024).build().unwrap();
    for _ in 0..100 {
        assert_eq!(error_kind(&verifier, &fixture.jwt()).await, None);
    }
    let held = verifier.stats().cached_tokens;
    assert!((1..=64 * 1024 / 1024).contains(&held), "{held}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_requests_with_the_same_token_share_one_call() {
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
    assert_eq!(fixture.introspection_calls(), 1);
}

#[tokio::test]
async fn a_cancelled_caller_does_not_cancel_the_shared_call() {
    let fixture = Fixture::new().await;
    for (route, token) in
        [(Route::Jwks, fixture.jwt()), (Route::VerifyAccessToken, fixture.opaque())]
    {
        let (fault, gate) = Fault::hold();
        fixture.clerk.fault(route, fault);
        let verifier = fixture.verifier();
        let first = spawn_verify(&verifier, &token);
        gate.arrived(1).await;
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        let second = spawn_verify(&verifier, &token);
        gate.open();
        assert!(second.await.unwrap().is_ok());
        assert_eq!(fixture.clerk.calls(route), 1, "the second caller joins the same call");
    }
}

#[tokio::test]
async fn concurrent_calls_are_bounded() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier_builder().max_concurrent_calls(3).build().unwrap();
    let (fault, gate) = Fault::hold();
    fixture.clerk.fault(Route::VerifyAccessToken, fault);
    let waiting: Vec<_> = (0..2_000)
        .map(|n| {
            let verifier = verifier.clone();
            tokio::spawn(async move { error_kind(&verifier, &format!("oat_{n}")).await })
        })
        .collect();
    gate.arrived(3).await;
    tokio::task::yield_now().await;
    assert_eq!(gate.waiting(), 3);
    gate.open();
    let mut rejected = 0;
    let mut unavailable = 0;
    for outcome in waiting {
        match outcome.await.unwrap() {
            Some(Kind::UnknownToken) => rejected += 1,
            Some(Kind::Unavailable) => unavailable += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(rejected + unavailable, 2_000);
    assert!(rejected <= 1_024, "the queue is bounded, but {rejected} calls were made");
    assert_eq!(fixture.introspection_calls(), rejected);
}

#[tokio::test]
async fn queued_calls_time_out_while_clerk_hangs() {
    let fixture = Fixture::new().await;
    fixture.clerk.fault_all(Fault::Hang);
    let verifier = fixture.verifier_builder().max_concurrent_calls(1).build().unwrap();
    let waiting: Vec<_> = (0..20).map(|n| spawn_verify(&verifier, &format!("oat_{n}"))).collect();
    while !waiting.iter().all(|task| task.is_finished()) {
        fixture.advance(5);
        tokio::task::yield_now().await;
    }
    for outcome in waiting {
        assert_eq!(outcome.await.unwrap().unwrap_err().kind(), Kind::Unavailable);
    }
    assert_eq!(verifier.stats().cached_tokens, 0);
}

#[tokio::test]
async fn retry_after_is_honored_and_passed_on() {
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
    assert_eq!(fixture.introspection_calls(), 1);
    fixture.advance(2);
    assert_eq!(error_kind(&verifier, &token).await, None);
    assert_eq!(fixture.introspection_calls(), 2);
}

#[tokio::test]
async fn warm_up_fetches_the_keys_and_stats_count_the_calls() {
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
        assert_eq!(error_kind(&verifier, &token).await, None);
    }
    assert_eq!(error_kind(&verifier, "oat_unknown").await, Some(Kind::UnknownToken));
    assert_eq!(error_kind(&verifier, "garbage").await, Some(Kind::Malformed));
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
async fn the_ttl_of_stale_keys_can_be_set() {
    let fixture = Fixture::new().await;
    let verifier =
        fixture.verifier_builder().stale_keys_ttl(Duration::from_secs(60)).build().unwrap();
    assert_eq!(error_kind(&verifier, &fixture.jwt()).await, None);
    fixture.clerk.fault_all(Fault::Down);
    fixture.advance(59);
    assert_eq!(error_kind(&verifier, &fixture.jwt()).await, None);
    fixture.advance(1);
    assert_eq!(error_kind(&verifier, &fixture.jwt()).await, Some(Kind::Unavailable));
}

#[tokio::test]
async fn a_rejection_at_one_resource_says_nothing_about_another() {
    let fixture = Fixture::new().await;
    let (verifier, token) = (fixture.verifier(), fixture.opaque());
    let (own, other): (ResourceUrl, ResourceUrl) =
        (RESOURCE.parse().unwrap(), OTHER.parse().unwrap());
    let verify = |resource| verifier.verify_token(TokenRequest::new(&token).for_resource(resource));
    for _ in 0..2 {
        let error = verify(&other).await.unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidAudience);
        assert_eq!(verify(&own).await.unwrap().resource(), Some(RESOURCE));
    }
    assert_eq!(fixture.introspection_calls(), 2, "both outcomes are cached");
}
