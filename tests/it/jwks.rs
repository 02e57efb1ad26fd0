//! The key set: when it is fetched, how fetches are shared, and its use during outages.

use std::sync::Arc;

use clerk_mcp_tools::testing::{Fault, Route};
use clerk_mcp_tools::{VerifyErrorKind as Kind, verify_clerk_token};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::support::{Fixture, RESOURCE, error_kind, json_fault, spawn_verify};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

impl Fixture {
    fn jwt_with_key_id(&self, id: &str) -> String {
        self.clerk.mint().audience(RESOURCE).header("kid", id).jwt()
    }

    fn key_set_calls(&self) -> usize {
        self.clerk.calls(Route::Jwks)
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
async fn a_cancelled_caller_does_not_cancel_the_fetch() {
    let fixture = Fixture::new().await;
    let (fault, gate) = Fault::hold();
    fixture.clerk.fault(Route::Jwks, fault);
    let (verifier, token) = (fixture.verifier(), fixture.jwt());
    let first = spawn_verify(&verifier, &token);
    gate.arrived(1).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let second = spawn_verify(&verifier, &token);
    gate.open();
    assert!(second.await.unwrap().is_ok());
    assert_eq!(fixture.key_set_calls(), 1, "the second caller joins the same fetch");
}

#[tokio::test]
async fn a_key_rotation_causes_one_fetch_and_no_rejection() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    let old = fixture.jwt();
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
    let verifier = fixture.verifier();
    assert_eq!(error_kind(&verifier, &fixture.jwt()).await, None);
    for round in 1..=3 {
        for n in 0..50 {
            assert_eq!(
                error_kind(&verifier, &fixture.jwt_with_key_id(&format!("ins_{n}"))).await,
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
    let verifier = fixture.verifier();
    assert_eq!(error_kind(&verifier, &fixture.jwt()).await, None);
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
    let verifier = fixture.verifier();
    assert_eq!(error_kind(&verifier, &fixture.jwt()).await, None);
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
    let old = fixture.jwt();
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
    let verifier = fixture.verifier();
    assert_eq!(error_kind(&verifier, &fixture.jwt()).await, None);
    let forged = || fixture.clerk.mint().audience(RESOURCE).foreign_key().jwt();
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
        "rejected without newer keys"
    );
}

#[tokio::test]
async fn a_failed_fetch_is_retried_after_a_second() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    assert_eq!(error_kind(&verifier, &fixture.jwt()).await, None);
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
    let verifier = fixture.verifier();
    assert_eq!(error_kind(&verifier, &fixture.jwt()).await, None);
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
        fixture.advance(MINUTE);
        assert_eq!(
            error_kind(&verifier, &fixture.jwt()).await,
            None,
            "uses the stale keys while the next refresh hangs"
        );
    }
    gate.open();
}

#[tokio::test]
async fn an_unknown_key_during_an_outage_is_unavailable() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    assert_eq!(error_kind(&verifier, &fixture.jwt()).await, None);
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
    let verifier = fixture.verifier();
    assert_eq!(error_kind(&verifier, &fixture.jwt()).await, None);
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
async fn failures_back_off_exponentially_and_retry_after_is_honored() {
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
    fixture.clerk.fault_all(Fault::Status { status: 429, retry_after: Some(120) });
    let error = verify_clerk_token(&verifier, &fixture.jwt()).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(std::time::Duration::from_secs(120)));
    fixture.advance(119);
    assert_eq!(error_kind(&verifier, &fixture.jwt()).await, Some(Kind::Unavailable));
    assert_eq!(fixture.key_set_calls(), calls + 1);
    fixture.clerk.heal_all();
    fixture.advance(1);
    assert_eq!(error_kind(&verifier, &fixture.jwt()).await, None);
}

#[tokio::test]
async fn the_wall_clock_does_not_change_the_age_of_the_keys() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    assert_eq!(error_kind(&verifier, &fixture.jwt()).await, None);
    fixture.clock.set_unix_time(std::time::Duration::from_secs(1));
    fixture.clock.set_unix_time(std::time::Duration::from_secs(crate::support::NOW + 48 * HOUR));
    assert_eq!(error_kind(&verifier, &fixture.jwt()).await, None);
    assert_eq!(fixture.key_set_calls(), 1);
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
