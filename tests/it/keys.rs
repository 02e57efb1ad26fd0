//! The key set: who fetches it, when, and what happens while nobody can.

use std::sync::Arc;

use clerk_mcp_tools::testing::{Fault, Route};
use clerk_mcp_tools::{ClerkVerifier, VerifyErrorKind as Kind, verify_clerk_token};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::support::{Fixture, RESOURCE};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

async fn kind(verifier: &ClerkVerifier, token: &str) -> Option<Kind> {
    verify_clerk_token(verifier, token).await.err().map(|error| error.kind())
}

impl Fixture {
    fn jwt_with_key_id(&self, id: &str) -> String {
        self.clerk.mint().audience(RESOURCE).header("kid", id).jwt()
    }

    fn key_set_calls(&self) -> usize {
        self.clerk.calls(Route::Jwks)
    }
}

#[tokio::test]
async fn one_fetch_serves_all_who_wait() {
    let fixture = Fixture::new().await;
    let (fault, gate) = Fault::hold();
    fixture.clerk.fault(Route::Jwks, fault);
    let (verifier, token) = (fixture.verifier(), fixture.jwt());
    let waiting: Vec<_> = (0..100)
        .map(|_| {
            let (verifier, token) = (verifier.clone(), token.clone());
            tokio::spawn(async move { verify_clerk_token(&verifier, &token).await })
        })
        .collect();
    gate.arrived(1).await;
    gate.open();
    for outcome in waiting {
        assert!(outcome.await.unwrap().is_ok());
    }
    assert_eq!(fixture.key_set_calls(), 1);
}

#[tokio::test]
async fn whoever_gives_up_harms_nobody() {
    let fixture = Fixture::new().await;
    let (fault, gate) = Fault::hold();
    fixture.clerk.fault(Route::Jwks, fault);
    let (verifier, token) = (fixture.verifier(), fixture.jwt());
    let first = tokio::spawn({
        let (verifier, token) = (verifier.clone(), token.clone());
        async move { verify_clerk_token(&verifier, &token).await }
    });
    gate.arrived(1).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let second = tokio::spawn(async move { verify_clerk_token(&verifier, &token).await });
    gate.open();
    assert!(second.await.unwrap().is_ok());
    assert_eq!(fixture.key_set_calls(), 1, "the fetch goes on without the one who started it");
}

#[tokio::test]
async fn a_new_key_costs_one_fetch_and_no_refusal() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    let old = fixture.jwt();
    assert_eq!(kind(&verifier, &old).await, None);
    fixture.clerk.rotate_keys().unwrap();
    let new = fixture.jwt();
    for _ in 0..3 {
        assert_eq!(kind(&verifier, &new).await, None);
    }
    assert_eq!(fixture.key_set_calls(), 2);
    assert_eq!(
        kind(&verifier, &old).await,
        Some(Kind::UnknownKey),
        "the key that signed it is gone"
    );
    assert_eq!(fixture.key_set_calls(), 2);
}

#[tokio::test]
async fn unknown_key_ids_ask_again_every_thirty_seconds_at_most() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    assert_eq!(kind(&verifier, &fixture.jwt()).await, None);
    for round in 1..=3 {
        for n in 0..50 {
            assert_eq!(
                kind(&verifier, &fixture.jwt_with_key_id(&format!("ins_{n}"))).await,
                Some(Kind::UnknownKey)
            );
        }
        assert_eq!(fixture.key_set_calls(), 1 + round);
        fixture.advance(30);
    }
}

#[tokio::test]
async fn the_first_fetch_counts_for_whoever_caused_it() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    assert_eq!(
        kind(&verifier, &fixture.jwt_with_key_id("ins_other")).await,
        Some(Kind::UnknownKey)
    );
    assert_eq!(fixture.key_set_calls(), 1);
}

#[tokio::test]
async fn giving_up_does_not_make_the_server_ask_again_and_again() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    assert_eq!(kind(&verifier, &fixture.jwt()).await, None);
    let (fault, gate) = Fault::hold();
    fixture.clerk.fault(Route::Jwks, fault);
    for n in 0..10 {
        let (verifier, token) = (verifier.clone(), fixture.jwt_with_key_id(&format!("ins_{n}")));
        let asked = tokio::spawn(async move { verify_clerk_token(&verifier, &token).await });
        gate.arrived(1).await;
        asked.abort();
        let _ = asked.await;
    }
    // Whoever really has a new key waits for the fetch that somebody else started, and is not refused by its cool-down.
    fixture.clerk.rotate_keys().unwrap();
    let token = fixture.jwt();
    let late = tokio::spawn(async move { verify_clerk_token(&verifier, &token).await });
    gate.open();
    assert!(late.await.unwrap().is_ok());
    assert_eq!(fixture.key_set_calls(), 2);
}

#[tokio::test]
async fn an_outage_keeps_the_last_good_keys_for_a_day() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    assert_eq!(kind(&verifier, &fixture.jwt()).await, None);
    fixture.clerk.fault_all(Fault::Down);
    for _ in 0..23 {
        fixture.advance(HOUR);
        assert_eq!(kind(&verifier, &fixture.jwt()).await, None);
    }
    fixture.advance(HOUR);
    assert_eq!(kind(&verifier, &fixture.jwt()).await, Some(Kind::Unavailable));
    fixture.clerk.heal_all();
    fixture.advance(MINUTE);
    assert_eq!(kind(&verifier, &fixture.jwt()).await, None, "recovery needs no restart");
}

#[tokio::test]
async fn a_changed_key_may_keep_its_id() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    let old = fixture.jwt();
    assert_eq!(kind(&verifier, &old).await, None);
    let id = fixture.clerk.key_id();
    fixture.clerk.rotate_keys().unwrap();
    let mut changed = fixture.clerk.jwks();
    changed["keys"][0]["kid"] = id.clone().into();
    let body = changed.to_string().into();
    let fault = Fault::Body { status: 200, content_type: "application/json".into(), body };
    fixture.clerk.fault(Route::Jwks, fault);
    let new = fixture.jwt_with_key_id(&id);
    assert_eq!(kind(&verifier, &new).await, None);
    assert_eq!(kind(&verifier, &old).await, Some(Kind::InvalidSignature), "and is no longer known");
    assert_eq!(fixture.key_set_calls(), 2);
}

#[tokio::test]
async fn two_keys_may_share_an_id() {
    let (fixture, other) = (Fixture::new().await, Fixture::new().await);
    let mut foreign = other.clerk.jwks()["keys"][0].clone();
    foreign["kid"] = fixture.clerk.key_id().into();
    fixture.clerk.publish_jwk(foreign);
    assert_eq!(kind(&fixture.verifier(), &fixture.jwt()).await, None);
}

#[tokio::test]
async fn a_bad_signature_asks_again_every_thirty_seconds_at_most() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    assert_eq!(kind(&verifier, &fixture.jwt()).await, None);
    let bad = || fixture.clerk.mint().audience(RESOURCE).foreign_key().jwt();
    for round in 1..=3 {
        for _ in 0..20 {
            assert_eq!(kind(&verifier, &bad()).await, Some(Kind::InvalidSignature));
        }
        assert_eq!(fixture.key_set_calls(), 1 + round);
        fixture.advance(30);
    }
    fixture.clerk.fault_all(Fault::Down);
    assert_eq!(
        kind(&verifier, &bad()).await,
        Some(Kind::InvalidSignature),
        "a verdict needs no newer keys"
    );
}

#[tokio::test]
async fn one_failed_attempt_is_no_reason_to_wait_for_thirty_seconds() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    assert_eq!(kind(&verifier, &fixture.jwt()).await, None);
    fixture.clerk.rotate_keys().unwrap();
    fixture.clerk.fault(Route::Jwks, Fault::Down);
    assert_eq!(kind(&verifier, &fixture.jwt()).await, Some(Kind::Unavailable));
    fixture.clerk.heal_all();
    fixture.advance(1);
    assert_eq!(kind(&verifier, &fixture.jwt()).await, None);
}

/// A server that answers its first request with what was true when that request came, and only once it is told to.
#[tokio::test]
async fn a_fetch_that_began_before_the_key_changed_is_no_verdict() {
    let fixture = Fixture::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let (arrived, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    tokio::spawn({
        let (arrived, go, clerk) = (Arc::clone(&arrived), Arc::clone(&go), fixture.clerk.clone());
        async move {
            for is_first in std::iter::once(true).chain(std::iter::repeat(false)) {
                let (mut socket, _) = listener.accept().await.unwrap();
                let _ = socket.read(&mut [0; 4096]).await.unwrap();
                let body = clerk.jwks().to_string();
                if is_first {
                    arrived.notify_one();
                    go.notified().await;
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
    let ask = |token: String| {
        let verifier = verifier.clone();
        tokio::spawn(async move { kind(&verifier, &token).await })
    };
    let mint = || fixture.clerk.mint().audience(RESOURCE).claim("iss", origin.clone()).jwt();
    let first = ask(mint());
    arrived.notified().await;
    fixture.clerk.rotate_keys().unwrap();
    let second = ask(mint());
    // The second one runs until it waits for the fetch that is under way.
    tokio::task::yield_now().await;
    go.notify_one();
    assert_eq!(first.await.unwrap(), None);
    assert_eq!(second.await.unwrap(), None);
}

#[tokio::test]
async fn who_has_been_let_down_once_does_not_wait_again() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    assert_eq!(kind(&verifier, &fixture.jwt()).await, None);
    fixture.advance(2 * HOUR);
    fixture.clerk.fault_all(Fault::Down);
    assert_eq!(
        kind(&verifier, &fixture.jwt()).await,
        None,
        "waits for the attempt, and does without it"
    );
    let (fault, gate) = Fault::hold();
    fixture.clerk.fault_all(fault);
    for _ in 0..5 {
        fixture.advance(MINUTE);
        assert_eq!(
            kind(&verifier, &fixture.jwt()).await,
            None,
            "served while the next attempt is held"
        );
    }
    gate.open();
}

#[tokio::test]
async fn an_unknown_key_during_an_outage_is_no_verdict() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    assert_eq!(kind(&verifier, &fixture.jwt()).await, None);
    fixture.clerk.fault_all(Fault::Status { status: 503, retry_after: None });
    for _ in 0..3 {
        assert_eq!(
            kind(&verifier, &fixture.jwt_with_key_id("ins_new")).await,
            Some(Kind::Unavailable)
        );
        assert_eq!(kind(&verifier, &fixture.jwt()).await, None, "known keys go on working");
    }
    assert_eq!(fixture.key_set_calls(), 2, "a failed attempt is not repeated at once");
}

#[tokio::test]
async fn old_keys_are_renewed_before_they_are_used() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    let old = fixture.jwt();
    assert_eq!(kind(&verifier, &old).await, None);
    fixture.clerk.rotate_keys().unwrap();
    fixture.advance(HOUR);
    assert_eq!(
        kind(&verifier, &old).await,
        Some(Kind::UnknownKey),
        "the key left the set while nobody asked"
    );
}

#[tokio::test]
async fn keys_are_renewed_beside_the_requests() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    assert_eq!(kind(&verifier, &fixture.jwt()).await, None);
    fixture.advance(5 * MINUTE);
    let (fault, gate) = Fault::hold();
    fixture.clerk.fault(Route::Jwks, fault);
    for _ in 0..10 {
        assert_eq!(
            kind(&verifier, &fixture.jwt()).await,
            None,
            "nobody waits while the fetch is held"
        );
    }
    gate.arrived(1).await;
    assert_eq!(fixture.key_set_calls(), 2);
    gate.open();
}

#[tokio::test]
async fn after_failures_the_pauses_grow_and_clerk_is_listened_to() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    fixture.clerk.fault_all(Fault::Status { status: 500, retry_after: None });
    let mut calls = 0;
    for pause in [1, 2, 4, 8, 16, 30, 30] {
        assert_eq!(kind(&verifier, &fixture.jwt()).await, Some(Kind::Unavailable));
        calls += 1;
        assert_eq!(fixture.key_set_calls(), calls);
        fixture.clock.advance(std::time::Duration::from_millis(pause * 1000 - 1));
        let error = verify_clerk_token(&verifier, &fixture.jwt()).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(std::time::Duration::from_millis(1)));
        assert_eq!(fixture.key_set_calls(), calls, "still in the pause of {pause} s");
        fixture.clock.advance(std::time::Duration::from_millis(1));
    }
    fixture.clerk.fault_all(Fault::Status { status: 429, retry_after: Some(120) });
    let error = verify_clerk_token(&verifier, &fixture.jwt()).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(std::time::Duration::from_secs(120)));
    fixture.advance(119);
    assert_eq!(kind(&verifier, &fixture.jwt()).await, Some(Kind::Unavailable));
    assert_eq!(fixture.key_set_calls(), calls + 1);
    fixture.clerk.heal_all();
    fixture.advance(1);
    assert_eq!(kind(&verifier, &fixture.jwt()).await, None);
}

#[tokio::test]
async fn the_wall_clock_may_jump_without_moving_the_keys_age() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    assert_eq!(kind(&verifier, &fixture.jwt()).await, None);
    fixture.clock.set_unix_time(std::time::Duration::from_secs(1));
    fixture.clock.set_unix_time(std::time::Duration::from_secs(crate::support::NOW + 48 * HOUR));
    assert_eq!(kind(&verifier, &fixture.jwt()).await, None);
    assert_eq!(fixture.key_set_calls(), 1);
}

#[tokio::test]
async fn the_backend_api_serves_keys_to_the_secret_key() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier_builder().keys_from_backend_api().build().unwrap();
    assert_eq!(kind(&verifier, &fixture.jwt()).await, None);
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
    assert_eq!(kind(&verifier, &fixture.jwt()).await, Some(Kind::Misconfigured));
}
