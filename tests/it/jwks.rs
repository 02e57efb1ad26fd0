//! The key set: when it is fetched, how fetches are shared, and its use during outages.

use std::sync::Arc;

use clerk_mcp_tools::testing::{Fault, Route};
use clerk_mcp_tools::{VerifyErrorKind as Kind, verify_clerk_token};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::support::{Fixture, NOW, RESOURCE, error_kind, json_fault, spawn_verify};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

impl Fixture {
    fn jwt_with_key_id(&self, id: &str) -> String {
        self.clerk.mint().audience(RESOURCE).header("kid", id).jwt()
    }

    /// The same, issued long before the key set is fetched.
    fn earlier_jwt_with_key_id(&self, id: &str) -> String {
        self.clerk.mint().audience(RESOURCE).header("kid", id).issued_at(NOW - 24 * HOUR).jwt()
    }
}

#[tokio::test]
async fn concurrent_verifications_share_one_fetch() {
    let fixture = Fixture::new().await;
    let (fault, gate) = Fault::hold();
    fixture.clerk.fault(Route::Jwks, fault);
    let (verifier, token) = (fixture.verifier(), fixture.jwt());
    let waiting: Vec<_> = (0..100).map(|_| spawn_verify(&verifier, &token)).collect();
    gate.arrived(1).await;
    gate.open();
    for outcome in waiting {
        assert!(outcome.await.unwrap().is_ok());
    }
    assert_eq!(fixture.key_set_calls(), 1);
}

#[tokio::test]
async fn a_key_rotation_causes_one_fetch_and_no_rejection() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    let old = fixture.earlier_jwt();
    assert_eq!(error_kind(&verifier, &old).await, None);
    fixture.clerk.rotate_keys().unwrap();
    let new = fixture.jwt();
    for _ in 0..3 {
        assert_eq!(error_kind(&verifier, &new).await, None);
    }
    assert_eq!(fixture.key_set_calls(), 2);
    assert_eq!(
        error_kind(&verifier, &old).await,
        Some(Kind::UnknownKey),
        "its key is no longer in the set"
    );
    assert_eq!(fixture.key_set_calls(), 2);
}

#[tokio::test]
async fn unknown_key_ids_cause_a_fetch_every_thirty_seconds_at_most() {
    let fixture = Fixture::new().await;
    let verifier = fixture.warm_verifier().await;
    for round in 1..=3 {
        for n in 0..50 {
            assert_eq!(
                error_kind(&verifier, &fixture.earlier_jwt_with_key_id(&format!("ins_{n}"))).await,
                Some(Kind::UnknownKey)
            );
        }
        assert_eq!(fixture.key_set_calls(), 1 + round);
        fixture.advance(30);
    }
}

#[tokio::test]
async fn an_unknown_key_id_does_not_repeat_the_initial_fetch() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    assert_eq!(
        error_kind(&verifier, &fixture.jwt_with_key_id("ins_other")).await,
        Some(Kind::UnknownKey)
    );
    assert_eq!(fixture.key_set_calls(), 1);
}

#[tokio::test]
async fn cancelled_callers_do_not_cause_further_fetches() {
    let fixture = Fixture::new().await;
    let verifier = fixture.warm_verifier().await;
    let (fault, gate) = Fault::hold();
    fixture.clerk.fault(Route::Jwks, fault);
    for n in 0..10 {
        let waiting = spawn_verify(&verifier, &fixture.jwt_with_key_id(&format!("ins_{n}")));
        gate.arrived(1).await;
        waiting.abort();
        let _ = waiting.await;
    }
    // A token with a new key joins the fetch in progress, and is not rejected by the cool-down.
    fixture.clerk.rotate_keys().unwrap();
    let late = spawn_verify(&verifier, &fixture.jwt());
    gate.open();
    assert!(late.await.unwrap().is_ok());
    assert_eq!(fixture.key_set_calls(), 2);
}

#[tokio::test]
async fn serves_stale_keys_for_a_day_of_an_outage() {
    let fixture = Fixture::new().await;
    let verifier = fixture.warm_verifier().await;
    fixture.clerk.fault_all(Fault::Down);
    for _ in 0..23 {
        fixture.advance(HOUR);
        assert_eq!(error_kind(&verifier, &fixture.jwt()).await, None);
    }
    fixture.advance(HOUR);
    assert_eq!(error_kind(&verifier, &fixture.jwt()).await, Some(Kind::Unavailable));
    fixture.clerk.heal_all();
    fixture.advance(MINUTE);
    assert_eq!(error_kind(&verifier, &fixture.jwt()).await, None, "after the outage");
}

#[tokio::test]
async fn a_new_key_may_reuse_a_key_id() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    let old = fixture.earlier_jwt();
    assert_eq!(error_kind(&verifier, &old).await, None);
    let id = fixture.clerk.key_id();
    fixture.clerk.rotate_keys().unwrap();
    let mut changed = fixture.clerk.jwks();
    changed["keys"][0]["kid"] = id.clone().into();
    fixture.clerk.fault(Route::Jwks, json_fault(changed.to_string()));
    let new = fixture.jwt_with_key_id(&id);
    assert_eq!(error_kind(&verifier, &new).await, None);
    assert_eq!(
        error_kind(&verifier, &old).await,
        Some(Kind::InvalidSignature),
        "is no longer cached"
    );
    assert_eq!(fixture.key_set_calls(), 2);
}

#[tokio::test]
async fn two_keys_may_share_an_id() {
    let (fixture, other) = (Fixture::new().await, Fixture::new().await);
    let mut foreign = other.clerk.jwks()["keys"][0].clone();
    foreign["kid"] = fixture.clerk.key_id().into();
    fixture.clerk.publish_jwk(foreign);
    assert_eq!(error_kind(&fixture.verifier(), &fixture.jwt()).await, None);
}

#[tokio::test]
async fn invalid_signatures_cause_a_fetch_every_thirty_seconds_at_most() {
    let fixture = Fixture::new().await;
    let verifier = fixture.warm_verifier().await;
    let forged =
        || fixture.clerk.mint().audience(RESOURCE).issued_at(NOW - HOUR).foreign_key().jwt();
    for round in 1..=3 {
        for _ in 0..20 {
            assert_eq!(error_kind(&verifier, &forged()).await, Some(Kind::InvalidSignature));
        }
        assert_eq!(fixture.key_set_calls(), 1 + round);
        fixture.advance(30);
    }
    fixture.clerk.fault_all(Fault::Down);
    assert_eq!(
        error_kind(&verifier, &forged()).await,
        Some(Kind::InvalidSignature),
        "no newer key can have signed it"
    );
}

#[tokio::test]
async fn a_failed_fetch_is_retried_after_a_second() {
    let fixture = Fixture::new().await;
    let verifier = fixture.warm_verifier().await;
    fixture.clerk.rotate_keys().unwrap();
    fixture.clerk.fault(Route::Jwks, Fault::Down);
    assert_eq!(error_kind(&verifier, &fixture.jwt()).await, Some(Kind::Unavailable));
    fixture.clerk.heal_all();
    fixture.advance(1);
    assert_eq!(error_kind(&verifier, &fixture.jwt()).await, None);
}

/// The server delays its first response, which has the keys of the time of the request.
#[tokio::test]
async fn a_fetch_that_began_before_a_rotation_does_not_reject_new_tokens() {
    let fixture = Fixture::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let (arrived, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    tokio::spawn({
        let (arrived, release, clerk) =
            (Arc::clone(&arrived), Arc::clone(&release), fixture.clerk.clone());
        async move {
            for is_first in std::iter::once(true).chain(std::iter::repeat(false)) {
                let (mut socket, _) = listener.accept().await.unwrap();
                let _ = socket.read(&mut [0; 4096]).await.unwrap();
                let body = clerk.jwks().to_string();
                if is_first {
                    arrived.notify_one();
                    release.notified().await;
                }
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            }
        }
    });
    let verifier = fixture
        .public_verifier_builder()
        .frontend_api(clerk_mcp_tools::instance::FrontendApi::parse(&origin).unwrap())
        .build()
        .unwrap();
    let spawn = |token: String| {
        let verifier = verifier.clone();
        tokio::spawn(async move { error_kind(&verifier, &token).await })
    };
    let mint = || fixture.clerk.mint().audience(RESOURCE).claim("iss", origin.clone()).jwt();
    let first = spawn(mint());
    arrived.notified().await;
    fixture.clerk.rotate_keys().unwrap();
    let second = spawn(mint());
    // Lets the second task run until it waits for the fetch in progress.
    tokio::task::yield_now().await;
    release.notify_one();
    assert_eq!(first.await.unwrap(), None);
    assert_eq!(second.await.unwrap(), None);
}

#[tokio::test]
async fn after_a_failed_refresh_stale_keys_are_served_without_waiting() {
    let fixture = Fixture::new().await;
    let verifier = fixture.warm_verifier().await;
    fixture.advance(2 * HOUR);
    fixture.clerk.fault_all(Fault::Down);
    assert_eq!(
        error_kind(&verifier, &fixture.jwt()).await,
        None,
        "waits for the refresh, then uses the stale keys"
    );
    let (fault, gate) = Fault::hold();
    fixture.clerk.fault_all(fault);
    for _ in 0..5 {
        fixture.advance(20);
        assert_eq!(
            error_kind(&verifier, &fixture.jwt()).await,
            None,
            "uses the stale keys while the next refresh hangs"
        );
    }
    gate.open();
}

/// A failure of long ago does not excuse keys past their maximum age.
#[tokio::test]
async fn keys_past_their_maximum_age_are_refreshed_first_unless_a_fetch_has_just_failed() {
    let fixture = Fixture::new().await;
    // The maximum age is an hour; a failure at five minutes, or after it.
    for (failed_at, asked_again_at, is_refreshed) in [
        (5 * MINUTE, 23 * HOUR, true),
        (5 * MINUTE, HOUR, true),
        (HOUR - 2 * MINUTE, HOUR, true),
        (HOUR - 2 * MINUTE + 1, HOUR, false),
        (2 * HOUR, 2 * HOUR + 2 * MINUTE - 1, false),
        (2 * HOUR, 2 * HOUR + 2 * MINUTE, true),
    ] {
        let case = format!("failed at {failed_at} s, asked again at {asked_again_at} s");
        let verifier = fixture.warm_verifier().await;
        let retired = fixture.earlier_jwt();
        fixture.advance(failed_at);
        fixture.clerk.fault(Route::Jwks, Fault::Down);
        assert_eq!(error_kind(&verifier, &fixture.jwt()).await, None, "{case}");
        while verifier.stats().upstream_failures == 0 {
            tokio::task::yield_now().await;
        }
        fixture.clerk.rotate_keys().unwrap();
        let (fault, gate) = Fault::hold();
        fixture.clerk.fault(Route::Jwks, fault);
        fixture.advance(asked_again_at - failed_at);
        let waiting = spawn_verify(&verifier, &retired);
        gate.arrived(1).await;
        if is_refreshed {
            gate.open();
            let error = waiting.await.unwrap().unwrap_err();
            assert_eq!(error.kind(), Kind::UnknownKey, "{case}");
        } else {
            assert!(waiting.await.unwrap().is_ok(), "{case}");
            gate.open();
        }
        fixture.clerk.heal_all();
    }
}

/// The monotonic clock stands still meanwhile, as on Linux.
#[tokio::test]
async fn keys_age_while_the_machine_is_suspended() {
    let fixture = Fixture::new().await;
    let verifier = fixture.warm_verifier().await;
    let retired = fixture.earlier_jwt();
    fixture.clerk.rotate_keys().unwrap();
    fixture.clock.set_unix_time(std::time::Duration::from_secs(NOW + 8 * HOUR));
    assert_eq!(verifier.stats().key_set_age.map(|age| age.as_secs()), Some(8 * HOUR));
    assert_eq!(error_kind(&verifier, &retired).await, Some(Kind::UnknownKey));
    assert_eq!(fixture.key_set_calls(), 2, "the second one is fresh enough for the unknown key");
}

#[tokio::test]
async fn an_unknown_key_during_an_outage_is_unavailable() {
    let fixture = Fixture::new().await;
    let verifier = fixture.warm_verifier().await;
    fixture.clerk.fault_all(Fault::Status { status: 503, retry_after: None });
    for _ in 0..3 {
        assert_eq!(
            error_kind(&verifier, &fixture.jwt_with_key_id("ins_new")).await,
            Some(Kind::Unavailable)
        );
        assert_eq!(error_kind(&verifier, &fixture.jwt()).await, None, "known keys still work");
    }
    assert_eq!(fixture.key_set_calls(), 2, "a failed fetch is not repeated at once");
}

#[tokio::test]
async fn expired_keys_are_refreshed_before_use() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    let old = fixture.jwt();
    assert_eq!(error_kind(&verifier, &old).await, None);
    fixture.clerk.rotate_keys().unwrap();
    fixture.advance(HOUR);
    assert_eq!(
        error_kind(&verifier, &old).await,
        Some(Kind::UnknownKey),
        "the key was removed in the meantime"
    );
}

#[tokio::test]
async fn keys_are_refreshed_in_the_background() {
    let fixture = Fixture::new().await;
    let verifier = fixture.warm_verifier().await;
    fixture.advance(5 * MINUTE);
    let (fault, gate) = Fault::hold();
    fixture.clerk.fault(Route::Jwks, fault);
    for _ in 0..10 {
        assert_eq!(
            error_kind(&verifier, &fixture.jwt()).await,
            None,
            "served while the refresh hangs"
        );
    }
    gate.arrived(1).await;
    assert_eq!(fixture.key_set_calls(), 2);
    gate.open();
}

#[tokio::test]
async fn failures_back_off_exponentially() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    fixture.clerk.fault_all(Fault::Status { status: 500, retry_after: None });
    let mut calls = 0;
    for pause in [1, 2, 4, 8, 16, 30, 30] {
        assert_eq!(error_kind(&verifier, &fixture.jwt()).await, Some(Kind::Unavailable));
        calls += 1;
        assert_eq!(fixture.key_set_calls(), calls);
        fixture.clock.advance(std::time::Duration::from_millis(pause * 1000 - 1));
        let error = verify_clerk_token(&verifier, &fixture.jwt()).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(std::time::Duration::from_millis(1)));
        assert_eq!(fixture.key_set_calls(), calls, "within the backoff of {pause} s");
        fixture.clock.advance(std::time::Duration::from_millis(1));
    }
    fixture.clerk.heal_all();
    assert_eq!(error_kind(&verifier, &fixture.jwt()).await, None);
}

#[tokio::test]
async fn a_wall_clock_that_is_set_back_does_not_extend_the_age_of_the_keys() {
    let fixture = Fixture::new().await;
    let verifier = fixture.warm_verifier().await;
    let retired = fixture.earlier_jwt();
    fixture.clerk.rotate_keys().unwrap();
    fixture.advance(HOUR - 1);
    fixture.clock.set_unix_time(std::time::Duration::from_secs(NOW - HOUR));
    assert_eq!(verifier.stats().key_set_age.map(|age| age.as_secs()), Some(HOUR - 1));
    fixture.advance(1);
    assert_eq!(error_kind(&verifier, &retired).await, Some(Kind::UnknownKey));
    assert_eq!(verifier.stats().key_set_age.map(|age| age.as_secs()), Some(0));
}

/// Without keys everybody is rejected, so Clerk is asked again sooner than it wants.
#[tokio::test]
async fn without_keys_a_long_retry_after_counts_as_thirty_seconds() {
    let fixture = Fixture::new().await;
    let busy = || Fault::Status { status: 429, retry_after: Some(300) };
    let retry_after = async |verifier: &clerk_mcp_tools::ClerkVerifier, token: &str| {
        let error = verify_clerk_token(verifier, token).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable);
        error.retry_after().map(|wait| wait.as_secs())
    };
    let verifier = fixture.verifier();
    fixture.clerk.fault(Route::Jwks, busy());
    for calls in 1..=3 {
        assert_eq!(retry_after(&verifier, &fixture.jwt()).await, Some(30));
        fixture.advance(29);
        assert_eq!(retry_after(&verifier, &fixture.jwt()).await, Some(1));
        assert_eq!(fixture.key_set_calls(), calls);
        fixture.advance(1);
    }
    fixture.clerk.heal_all();
    assert_eq!(error_kind(&verifier, &fixture.jwt()).await, None, "a success ends it");

    // With keys, Clerk's wish is granted, until the keys are too old to be used.
    fixture.clerk.fault(Route::Jwks, busy());
    let unknown = fixture.jwt_with_key_id("ins_new");
    assert_eq!(retry_after(&verifier, &unknown).await, Some(300));
    fixture.advance(299);
    assert_eq!(retry_after(&verifier, &unknown).await, Some(1));
    assert_eq!(fixture.key_set_calls(), 5);
    fixture.advance(24 * HOUR - 299 - 60);
    assert_eq!(retry_after(&verifier, &fixture.jwt_with_key_id("ins_new")).await, Some(300));
    fixture.advance(59);
    assert_eq!(error_kind(&verifier, &fixture.jwt()).await, None, "the keys are still usable");
    fixture.advance(1);
    assert_eq!(retry_after(&verifier, &fixture.jwt()).await, Some(30));
    fixture.clerk.heal_all();
    fixture.advance(30);
    assert_eq!(error_kind(&verifier, &fixture.jwt()).await, None);
}

#[tokio::test]
async fn keys_can_be_fetched_from_the_backend_api() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier_builder().keys_from_backend_api().build().unwrap();
    assert_eq!(error_kind(&verifier, &fixture.jwt()).await, None);
    assert_eq!((fixture.clerk.calls(Route::BackendJwks), fixture.key_set_calls()), (1, 0));
    let sent = fixture.clerk.last_request(Route::BackendJwks).unwrap();
    assert_eq!(sent.path, "/v1/jwks");

    let wrong = clerk_mcp_tools::SecretKey::parse("sk_test_wrong").unwrap();
    let verifier = fixture
        .public_verifier_builder()
        .secret_key(wrong)
        .keys_from_backend_api()
        .build()
        .unwrap();
    assert_eq!(error_kind(&verifier, &fixture.jwt()).await, Some(Kind::Misconfigured));
}
