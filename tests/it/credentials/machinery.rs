//! Shared calls, outages, caches and counters of each type.

use std::time::Duration;

use clerk_mcp_tools::bearer_auth::BearerAuthLayer;
use clerk_mcp_tools::testing::{Fault, Route};
use clerk_mcp_tools::{AuthInfo, TokenType, VerifyErrorKind as Kind, verify_clerk_token};

use super::{Instance, scopes};
use crate::support::{RESOURCE, call, error_kind, guarded, json_fault, resource, spawn_verify};

const ALL: [TokenType; 4] =
    [TokenType::OAuthToken, TokenType::ApiKey, TokenType::M2mToken, TokenType::SessionToken];

/// One token of each opaque type, with the endpoint that verifies it.
fn opaque_tokens(instance: &Instance) -> [(TokenType, Route, String); 3] {
    let access_token = instance.fixture.clerk.mint().scopes(["mcp"]).audience(RESOURCE).opaque();
    let machine_token = instance.caller.mint().opaque();
    [
        (TokenType::OAuthToken, Route::VerifyAccessToken, access_token),
        (TokenType::ApiKey, Route::VerifyApiKey, instance.api_key()),
        (TokenType::M2mToken, Route::VerifyMachineToken, machine_token),
    ]
}

#[tokio::test]
async fn ten_thousand_requests_with_an_unseen_token_are_one_call() {
    let instance = Instance::new().await;
    let verifier = instance.verifier(&ALL);
    for (token_type, route, token) in opaque_tokens(&instance) {
        let (fault, gate) = Fault::hold();
        instance.fixture.clerk.fault(route, fault);
        let callers: Vec<_> = (0..10_000).map(|_| spawn_verify(&verifier, &token)).collect();
        gate.open();
        for caller in callers {
            assert_eq!(
                caller.await.unwrap().map(|caller: AuthInfo| caller.token_type()).ok(),
                Some(token_type)
            );
        }
        assert_eq!(instance.fixture.clerk.calls(route), 1, "{token_type}");
        instance.fixture.clerk.heal(route);
    }
}

#[tokio::test]
async fn an_outage_of_one_endpoint_is_a_503_for_its_type_only() {
    let instance = Instance::new().await;
    let faults = [
        Fault::Down,
        Fault::Status { status: 429, retry_after: Some(7) },
        Fault::Status { status: 500, retry_after: None },
        json_fault("{}"),
    ];
    for fault in faults {
        for (failing, route, _) in opaque_tokens(&instance) {
            let verifier = instance.verifier(&ALL);
            let layer = BearerAuthLayer::new(verifier, resource());
            let service = guarded(layer.required_scopes(scopes("mcp")));
            instance.fixture.clerk.fault(route, fault.clone());
            for _ in 0..2 {
                for (token_type, _, token) in opaque_tokens(&instance) {
                    let response = call(&service, &token).await;
                    let expected = if token_type == failing { 503 } else { 200 };
                    assert_eq!(response.status, expected, "{token_type} while {failing} fails");
                    assert_eq!(response.header("retry-after").is_some(), expected == 503);
                    assert_eq!(response.header("www-authenticate"), None);
                }
            }
            instance.fixture.clerk.heal(route);
        }
    }
}

#[tokio::test]
async fn each_type_has_its_own_counters() {
    let instance = Instance::new().await;
    let verifier = instance.verifier(&ALL);
    for (token_type, route, token) in opaque_tokens(&instance) {
        verify_clerk_token(&verifier, &token).await.unwrap();
        verify_clerk_token(&verifier, &token).await.unwrap();
        instance.fixture.clerk.fault(route, Fault::Down);
        let token = match token_type {
            TokenType::ApiKey => instance.api_key(),
            TokenType::M2mToken => instance.machine_token().opaque(),
            _ => instance.fixture.opaque(),
        };
        assert_eq!(error_kind(&verifier, &token).await, Some(Kind::Unavailable));
        let stats = verifier.stats().of_type(token_type);
        let counts = (stats.cache_hits, stats.cache_misses);
        assert_eq!(counts, (1, 2), "{token_type}");
        assert_eq!((stats.upstream_calls, stats.upstream_failures), (2, 1), "{token_type}");
    }
    verify_clerk_token(&verifier, &instance.session().jwt()).await.unwrap();
    let stats = verifier.stats();
    assert_eq!(stats.of_type(TokenType::SessionToken).cache_misses, 1);
    assert_eq!((stats.cache_hits, stats.cache_misses), (3, 7));
    // The six calls, and one for the key set.
    assert_eq!((stats.upstream_calls, stats.upstream_failures), (7, 3));
}

/// Clerk's limit is that of the instance.
#[tokio::test]
async fn all_types_share_one_limit_of_calls() {
    let instance = Instance::new().await;
    let verifier = instance.builder(&ALL).max_calls_per_ten_seconds(8).build().unwrap();
    // Unknown tokens may use half of the burst, which is half of the limit.
    for (token, expected) in [
        ("ak_1", Kind::UnknownToken),
        ("mt_1", Kind::UnknownToken),
        ("oat_1", Kind::Unavailable),
        ("ak_2", Kind::Unavailable),
        ("mt_2", Kind::Unavailable),
    ] {
        assert_eq!(error_kind(&verifier, token).await, Some(expected), "{token}");
    }
    let stats = verifier.stats();
    assert_eq!((stats.rate_limited, instance.calls()), (3, 2));
    assert_eq!(stats.of_type(TokenType::ApiKey).rate_limited, 1);
}

/// A machine that is suspended: its monotonic clock stands still.
#[tokio::test]
async fn a_rejection_ends_by_whichever_clock_says_so_first() {
    let instance = Instance::new().await;
    for by_wall_clock in [true, false] {
        for (token_type, route, token) in opaque_tokens(&instance) {
            let (clerk, clock) = (&instance.fixture.clerk, &instance.fixture.clock);
            let verifier = instance.verifier(&ALL);
            let unknown = format!("{token}x");
            clerk.reset_calls();
            for _ in 0..2 {
                assert_eq!(error_kind(&verifier, &unknown).await, Some(Kind::UnknownToken));
            }
            assert_eq!(clerk.calls(route), 1, "{token_type}");
            if by_wall_clock {
                let now = clerk_mcp_tools::clock::Clock::unix_time(clock);
                clock.set_unix_time(now + Duration::from_secs(10));
            } else {
                instance.fixture.advance(10);
            }
            assert_eq!(error_kind(&verifier, &unknown).await, Some(Kind::UnknownToken));
            assert_eq!(clerk.calls(route), 2, "{token_type}, wall clock: {by_wall_clock}");
        }
    }
}

#[tokio::test]
async fn a_revocation_is_seen_when_the_time_in_the_cache_is_over() {
    let instance = Instance::new().await;
    let verifier = instance.verifier(&ALL);
    for (token_type, _, token) in opaque_tokens(&instance) {
        verify_clerk_token(&verifier, &token).await.unwrap();
        assert!(instance.fixture.clerk.revoke(&token));
        instance.fixture.advance(59);
        assert_eq!(error_kind(&verifier, &token).await, None, "{token_type}");
        instance.fixture.advance(1);
        assert_eq!(error_kind(&verifier, &token).await, Some(Kind::Revoked), "{token_type}");
    }
}

/// A valid key that lacks a scope gets the answer of any other valid token that lacks it.
#[tokio::test]
async fn a_key_without_the_scopes_gets_the_answer_of_the_layer() {
    let instance = Instance::new().await;
    let verifier = instance.verifier(&ALL);
    let layer = BearerAuthLayer::new(verifier, resource()).required_scopes(scopes("mcp"));
    let service = guarded(layer);
    let key = instance.fixture.clerk.create_api_key().scopes(["other"]).secret();
    let access_token = instance.fixture.clerk.mint().scopes(["other"]).audience(RESOURCE).opaque();
    let by_verifier = call(&service, &key).await;
    let by_layer = call(&service, &access_token).await;
    assert_eq!((by_verifier.status.as_u16(), by_layer.status.as_u16()), (403, 403));
    assert_eq!(by_verifier.sorted_headers(), by_layer.sorted_headers());
    assert_eq!(by_verifier.body, by_layer.body);
    let challenge = by_verifier.header("www-authenticate").unwrap();
    assert!(challenge.contains("error=\"insufficient_scope\""), "{challenge}");
    assert!(challenge.contains("scope=\"mcp\""), "{challenge}");
    // Remembered, as other rejections.
    assert_eq!(call(&service, &key).await.status, 403);
    assert_eq!(instance.fixture.clerk.calls(Route::VerifyApiKey), 1);
}
