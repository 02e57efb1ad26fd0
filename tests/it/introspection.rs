//! Introspection of opaque tokens: the request to Clerk, and how its responses are read.

use std::time::Duration;

use clerk_mcp_tools::bearer_auth::{TokenRequest, VerifyToken};
use clerk_mcp_tools::testing::{Fault, Route, TokenBuilder};
use clerk_mcp_tools::{
    ClerkVerifier, ClerkVerifierBuilder, ResourceUrl, SecretKey, VerifyErrorKind as Kind,
    verify_clerk_token,
};
use http::{HeaderName, Method, Response};
use serde_json::{Value, json};

use crate::support::{Fixture, NOW, RESOURCE, error_kind, json_fault};

const OTHER: &str = "https://other.example.com/mcp";

impl Fixture {
    fn verify_calls(&self) -> usize {
        self.clerk.calls(Route::VerifyAccessToken)
    }

    fn fail_verify_calls(&self, status: u16, retry_after: Option<u64>) {
        self.clerk.fault(Route::VerifyAccessToken, Fault::Status { status, retry_after });
    }

    /// A builder with the default rate, that of a development instance.
    fn rate_limited_builder(&self) -> ClerkVerifierBuilder {
        self.public_verifier_builder()
            .secret_key(SecretKey::parse(self.clerk.secret_key()).unwrap())
    }
}

#[tokio::test]
async fn sends_the_documented_request_to_clerk() {
    let fixture = Fixture::new().await;
    let token = fixture.opaque();
    let caller = verify_clerk_token(&fixture.verifier(), &token).await.unwrap();
    assert_eq!(caller.user_id(), Some(fixture.clerk.default_user_id()));
    assert_eq!(caller.resource(), Some(RESOURCE));
    assert_eq!(caller.scopes().to_string(), "profile email");
    assert_eq!(caller.expires_at(), Some(NOW + 24 * 60 * 60));
    assert_eq!(caller.token_for_this_server().expose(), token);
    assert!(!serde_json::to_string(caller.claims()).unwrap().contains(&token));

    let sent = fixture.clerk.last_request(Route::VerifyAccessToken).unwrap();
    assert_eq!(
        (sent.method, sent.path.as_str()),
        (Method::POST, "/v1/oauth_applications/access_tokens/verify")
    );
    assert_eq!(sent.headers["authorization"], format!("Bearer {}", fixture.clerk.secret_key()));
    assert_eq!(sent.headers["clerk-api-version"], "2026-05-12");
    assert_eq!(sent.headers["content-type"], "application/json");
    assert_eq!(sent.headers["user-agent"], concat!("clerk-mcp-tools/", env!("CARGO_PKG_VERSION")));
    assert_eq!(
        serde_json::from_slice::<Value>(&sent.body).unwrap(),
        json!({"access_token": token})
    );
}

#[tokio::test]
async fn the_expiration_is_null_seconds_or_milliseconds() {
    let fixture = Fixture::new().await;
    let rows = [
        (Value::Null, Ok(None)),
        (json!(NOW + 60), Ok(Some(NOW + 60))),
        (json!((NOW + 60) * 1000), Ok(Some(NOW + 60))),
        (json!(NOW - 4), Ok(Some(NOW - 4))),
        (json!(NOW - 5), Err(Kind::Expired)),
        (json!((NOW - 5) * 1000), Err(Kind::Expired)),
        (json!(0), Err(Kind::Expired)),
        (json!(-1), Err(Kind::Unavailable)),
        (json!("soon"), Err(Kind::Unavailable)),
        (json!(1e30), Err(Kind::Unavailable)),
    ];
    for (expiration, expected) in rows {
        let token = fixture.clerk.mint().audience(RESOURCE).expiration(expiration.clone()).opaque();
        let outcome = verify_clerk_token(&fixture.verifier(), &token).await;
        let outcome = outcome.map(|caller| caller.expires_at()).map_err(|error| error.kind());
        assert_eq!(outcome, expected, "{expiration}");
    }
}

/// Both clocks of this machine are 3 seconds ahead of Clerk's: Clerk decides, as with a JWT.
#[tokio::test]
async fn the_leeway_applies_to_an_opaque_token_unless_clerk_says_that_it_has_expired() {
    let fixture = Fixture::new().await;
    let mint = || fixture.clerk.mint().audience(RESOURCE).expires_at(NOW + 2);
    let (opaque, jwt) = (mint().expired(false).opaque(), mint().jwt());
    let expired = mint().expired(true).opaque();
    let verifier = fixture.verifier();
    for (second, expected) in [(0, None), (3, None), (6, None), (7, Some(Kind::Expired))] {
        fixture.clock.set_unix_time(Duration::from_secs(NOW + second));
        for token in [&opaque, &jwt] {
            assert_eq!(error_kind(&verifier, token).await, expected, "second {second}");
            let anew = fixture.verifier();
            assert_eq!(error_kind(&anew, token).await, expected, "second {second}, not cached");
        }
        assert_eq!(error_kind(&verifier, &expired).await, Some(Kind::Expired), "second {second}");
    }
    let strict = fixture.verifier_builder().leeway(Duration::ZERO).build().unwrap();
    fixture.clock.set_unix_time(Duration::from_secs(NOW + 2));
    assert_eq!(error_kind(&strict, &opaque).await, Some(Kind::Expired));
}

#[tokio::test]
async fn status_200_alone_does_not_make_a_token_valid() {
    type Change = fn(TokenBuilder) -> TokenBuilder;
    let fixture = Fixture::new().await;
    let rows: [(&str, Change, Kind); 29] = [
        ("revoked", |t| t.revoked(true), Kind::Revoked),
        ("expired", |t| t.expired(true), Kind::Expired),
        ("not active", |t| t.record_member("active", false), Kind::UnknownToken),
        ("a machine", |t| t.record_member("subject", "mch_1"), Kind::WrongTokenType),
        ("an organization", |t| t.record_member("subject", "org_1"), Kind::WrongTokenType),
        ("a user without an id", |t| t.record_member("subject", "user_"), Kind::WrongTokenType),
        ("cnf", |t| t.record_member("cnf", json!({"jkt": "x"})), Kind::InvalidClaim),
        (
            "type a list",
            |t| t.record_member("type", json!(["oauth:access_token"])),
            Kind::Unavailable,
        ),
        (
            "201 scopes",
            |t| t.record_member("scopes", (0..201).map(|n| n.to_string()).collect::<Vec<_>>()),
            Kind::Unavailable,
        ),
        (
            "act of eleven",
            |t| {
                t.actor((0..10).fold(json!({"sub": "a"}), |act, _| json!({"sub": "a", "act": act})))
            },
            Kind::Unavailable,
        ),
        ("revoked missing", |t| t.without_record_member("revoked"), Kind::Unavailable),
        ("revoked null", |t| t.record_member("revoked", Value::Null), Kind::Unavailable),
        ("revoked a string", |t| t.record_member("revoked", "false"), Kind::Unavailable),
        ("expired missing", |t| t.without_record_member("expired"), Kind::Unavailable),
        ("object missing", |t| t.without_record_member("object"), Kind::Unavailable),
        (
            "object of another class",
            |t| t.record_member("object", "machine_to_machine_token"),
            Kind::Unavailable,
        ),
        ("subject missing", |t| t.without_record_member("subject"), Kind::Unavailable),
        ("subject empty", |t| t.record_member("subject", ""), Kind::Unavailable),
        ("subject a number", |t| t.record_member("subject", 1), Kind::Unavailable),
        ("client_id missing", |t| t.without_record_member("client_id"), Kind::Unavailable),
        (
            "type of another class",
            |t| t.record_member("type", "oauth:refresh_token"),
            Kind::Unavailable,
        ),
        ("active a string", |t| t.record_member("active", "false"), Kind::Unavailable),
        ("scopes missing", |t| t.without_record_member("scopes"), Kind::Unavailable),
        ("scopes a string", |t| t.record_member("scopes", "profile"), Kind::Unavailable),
        ("aud a number", |t| t.record_member("aud", 1), Kind::Unavailable),
        ("act a string", |t| t.record_member("act", "x"), Kind::Unavailable),
        ("act a list", |t| t.record_member("act", json!(["agent"])), Kind::Unavailable),
        ("aud null", |t| t.record_member("aud", Value::Null), Kind::InvalidAudience),
        ("aud missing", |t| t.without_record_member("aud"), Kind::InvalidAudience),
    ];
    for (case, change, kind) in rows {
        let token = change(fixture.clerk.mint().audience(RESOURCE)).opaque();
        let outcome =
            verify_clerk_token(&fixture.verifier(), &token).await.map_err(|error| error.kind());
        assert_eq!(outcome.map(|caller| caller.user_id().map(str::to_owned)), Err(kind), "{case}");
    }
}

#[tokio::test]
async fn unusable_responses_count_as_an_outage() {
    let fixture = Fixture::new().await;
    let token = fixture.opaque();
    let duplicate = r#"{"revoked":true,"revoked":false}"#;
    let in_actor = r#"{"active":false,"act":{"sub":"a","sub":"b"}}"#;
    for body in ["", "null", "[]", "true", "{", r#"{"active":true}"#, "<html>", duplicate, in_actor]
    {
        fixture.clerk.fault(Route::VerifyAccessToken, json_fault(body));
        let error = verify_clerk_token(&fixture.verifier(), &token).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{body}");
    }
    fixture.clerk.fault(Route::VerifyAccessToken, json_fault(r#"{"active":false}"#));
    assert_eq!(
        verify_clerk_token(&fixture.verifier(), &token).await.unwrap_err().kind(),
        Kind::UnknownToken
    );
}

#[tokio::test]
async fn only_a_404_with_clerks_error_means_an_unknown_token() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    for body in [
        "",
        "not found",
        "<html>",
        "{}",
        r#"{"errors":[]}"#,
        r#"{"error":"not_found"}"#,
        r#"{"errors":[{"code":"url_not_found"}]}"#,
        r#"{"errors":[{"status":"404","title":"Not Found"}]}"#,
        r#"[[["resource_not_found"]]]"#,
    ] {
        let fault =
            Fault::Body { status: 404, content_type: "text/html".into(), body: body.into() };
        fixture.clerk.fault(Route::VerifyAccessToken, fault);
        let error = verify_clerk_token(&verifier, &fixture.opaque()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{body}");
    }
    fixture.clerk.heal_all();
    assert_eq!(
        verify_clerk_token(&verifier, "oat_unknown").await.unwrap_err().kind(),
        Kind::UnknownToken
    );
}

#[tokio::test]
async fn errors_do_not_show_responses_of_clerk() {
    let fixture = Fixture::new().await;
    for body in [r#""MARKED""#, r#"{"keys":"MARKED"}"#, r#"{"id":["MARKED"]}"#] {
        fixture.clerk.fault_all(json_fault(body));
        let verifier = fixture.verifier();
        let token_error = verify_clerk_token(&verifier, &fixture.opaque()).await.unwrap_err();
        let keys_error = verify_clerk_token(&verifier, &fixture.jwt()).await.unwrap_err();
        let user_error = verifier.client().unwrap().get_user("user_1").await.unwrap_err();
        assert!(
            !format!("{token_error:?} {keys_error:?} {user_error:?} {user_error}")
                .contains("MARKED"),
            "{body}"
        );
    }
}

#[tokio::test]
async fn malformed_opaque_tokens_do_not_cause_a_call() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    for token in ["oat_", "oat_a.b", "oat_a/../b", "mt_abc", "ak_abc", "sk_test_abc", "abc", ""] {
        assert!(
            verify_clerk_token(&verifier, token).await.unwrap_err().kind().is_invalid_token(),
            "{token}"
        );
    }
    assert!(verify_clerk_token(&verifier, &format!("oat_{}", "a".repeat(600))).await.is_err());
    assert_eq!(fixture.clerk.calls(Route::VerifyAccessToken), 0);
}

#[tokio::test]
async fn an_outage_pauses_the_calls_for_all_tokens() {
    let fixture = Fixture::new().await;
    let with_retry_after = |status: u16, value: &str| {
        let name = HeaderName::from_static("retry-after");
        let response = Response::builder().status(status).header(name, value);
        Fault::Answer(response.body(Default::default()).unwrap())
    };
    let rows = [
        (Fault::Status { status: 429, retry_after: None }, Kind::Unavailable, 1),
        (with_retry_after(429, "0"), Kind::Unavailable, 1),
        (with_retry_after(429, "1.5"), Kind::Unavailable, 2),
        (with_retry_after(429, "soon"), Kind::Unavailable, 1),
        (with_retry_after(503, "Fri, 31 Dec 9999 23:59:59 GMT"), Kind::Unavailable, 300),
        (Fault::Status { status: 500, retry_after: None }, Kind::Unavailable, 1),
        (Fault::Down, Kind::Unavailable, 1),
        (Fault::Status { status: 401, retry_after: None }, Kind::Misconfigured, 1),
    ];
    for (fault, kind, pause) in rows {
        let case = format!("{fault:?}");
        let verifier = fixture.verifier();
        let calls = fixture.verify_calls();
        fixture.clerk.fault(Route::VerifyAccessToken, fault);
        for _ in 0..20 {
            let error = verify_clerk_token(&verifier, &fixture.opaque()).await.unwrap_err();
            let expected = (kind, Some(Duration::from_secs(pause)));
            assert_eq!((error.kind(), error.retry_after()), expected, "{case}");
        }
        assert_eq!(fixture.verify_calls(), calls + 1, "{case}");
        fixture.clerk.heal_all();
        assert_eq!(error_kind(&verifier, &fixture.opaque()).await, Some(kind), "{case}");
        fixture.advance(pause);
        for _ in 0..3 {
            assert_eq!(error_kind(&verifier, &fixture.opaque()).await, None, "{case}");
        }
    }
}

#[tokio::test]
async fn a_long_pause_ends_soon_after_clerk_works_again() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    fixture.fail_verify_calls(429, Some(300));
    assert_eq!(error_kind(&verifier, &fixture.opaque()).await, Some(Kind::Unavailable));
    fixture.advance(30);
    // One call is let through, and no second one.
    for _ in 0..3 {
        assert_eq!(error_kind(&verifier, &fixture.opaque()).await, Some(Kind::Unavailable));
    }
    assert_eq!(fixture.verify_calls(), 2);
    fixture.clerk.heal_all();
    fixture.advance(29);
    let error = verify_clerk_token(&verifier, &fixture.opaque()).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(271)));
    fixture.advance(1);
    for _ in 0..3 {
        assert_eq!(error_kind(&verifier, &fixture.opaque()).await, None);
    }
    assert_eq!(fixture.verify_calls(), 5);
}

/// A response that is neither a verdict nor an outage may be due to the token.
#[tokio::test]
async fn an_unusable_response_affects_only_its_token() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    for status in [400, 403, 422] {
        let (odd, calls) = (fixture.opaque(), fixture.verify_calls());
        fixture.fail_verify_calls(status, None);
        for _ in 0..20 {
            let error = verify_clerk_token(&verifier, &odd).await.unwrap_err();
            let expected = (Kind::Unavailable, Some(Duration::from_secs(5)));
            assert_eq!((error.kind(), error.retry_after()), expected, "{status}");
        }
        assert_eq!(fixture.verify_calls(), calls + 1, "{status}");
        fixture.clerk.heal_all();
        assert_eq!(error_kind(&verifier, &fixture.opaque()).await, None, "{status}");
        fixture.advance(5);
        assert_eq!(error_kind(&verifier, &odd).await, None, "{status}");
    }
}

#[tokio::test]
async fn unknown_tokens_cannot_use_up_the_calls_of_known_ones() {
    let fixture = Fixture::new().await;
    let verifier =
        fixture.rate_limited_builder().opaque_token_cache_ttl(Duration::ZERO).build().unwrap();
    let known = fixture.opaque();
    assert_eq!(error_kind(&verifier, &known).await, None);
    for n in 0..100 {
        let kind = if n < 19 { Kind::UnknownToken } else { Kind::Unavailable };
        assert_eq!(error_kind(&verifier, &format!("oat_{n}")).await, Some(kind), "{n}");
    }
    let error = verify_clerk_token(&verifier, "oat_next").await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_millis(250)));
    assert_eq!((fixture.verify_calls(), verifier.stats().rate_limited), (20, 82));
    for n in 0..30 {
        let expected = (n >= 20).then_some(Kind::Unavailable);
        assert_eq!(error_kind(&verifier, &known).await, expected, "{n}");
    }
    // A token is no longer known once Clerk rejects it.
    fixture.advance(10);
    fixture.clerk.revoke(&known);
    assert_eq!(error_kind(&verifier, &known).await, Some(Kind::Revoked));
    for n in 0..19 {
        assert_eq!(error_kind(&verifier, &format!("oat_{n}")).await, Some(Kind::UnknownToken));
    }
    fixture.clock.advance(Duration::from_millis(100));
    assert_eq!(error_kind(&verifier, "oat_more").await, Some(Kind::Unavailable));
}

#[tokio::test]
async fn a_flood_of_unknown_tokens_neither_spends_the_quota_nor_stops_others() {
    let fixture = Fixture::new().await;
    let verifier =
        fixture.rate_limited_builder().opaque_token_cache_ttl(Duration::ZERO).build().unwrap();
    let known = fixture.opaque();
    for second in 0..20 {
        assert_eq!(error_kind(&verifier, &known).await, None, "{second}");
        for n in 0..40 {
            assert!(error_kind(&verifier, &format!("oat_{second}_{n}")).await.is_some());
            fixture.clock.advance(Duration::from_millis(25));
        }
        if second == 9 {
            assert!(fixture.verify_calls() <= 80, "{} calls", fixture.verify_calls());
            fixture.clerk.reset_calls();
        }
    }
    assert!(fixture.verify_calls() <= 80, "{} calls", fixture.verify_calls());
}

#[test]
fn the_rate_has_limits_and_follows_the_type_of_the_instance() {
    let builder = || {
        let api = clerk_mcp_tools::instance::FrontendApi::parse("https://clerk.example.com");
        ClerkVerifier::builder().frontend_api(api.unwrap())
    };
    for calls in [0, 3, 1_000_001] {
        let error = builder().max_calls_per_ten_seconds(calls).build().unwrap_err();
        assert_eq!(
            error.to_string(),
            "max_calls_per_ten_seconds is not between 4 and 1,000,000",
            "{calls}"
        );
    }
    assert!(builder().max_calls_per_ten_seconds(4).build().is_ok());
    assert!(builder().build().is_ok());
}

const STALE_TTL: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn an_accepted_token_stays_valid_in_an_outage_if_the_server_wants_it() {
    let fixture = Fixture::new().await;
    let (default, stale) = (
        fixture.verifier(),
        fixture.verifier_builder().opaque_token_stale_ttl(STALE_TTL).build().unwrap(),
    );
    let token = fixture.opaque();
    for verifier in [&default, &stale] {
        assert_eq!(error_kind(verifier, &token).await, None);
    }
    fixture.advance(60);
    for (status, default_kind, stale_kind) in [
        (500, Kind::Unavailable, None),
        (429, Kind::Unavailable, None),
        (401, Kind::Misconfigured, Some(Kind::Misconfigured)),
    ] {
        fixture.fail_verify_calls(status, None);
        for _ in 0..2 {
            assert_eq!(error_kind(&default, &token).await, Some(default_kind), "{status}");
            assert_eq!(error_kind(&stale, &token).await, stale_kind, "{status}");
        }
        assert_eq!(error_kind(&stale, &fixture.opaque()).await, Some(default_kind), "another");
        fixture.advance(30);
    }
    fixture.clerk.fault_all(Fault::Down);
    fixture.advance(3600 - 60 - 3 * 30 - 1);
    let caller = verify_clerk_token(&stale, &token).await.unwrap();
    assert_eq!(caller.user_id(), Some(fixture.clerk.default_user_id()));
    fixture.advance(1);
    assert_eq!(error_kind(&stale, &token).await, Some(Kind::Unavailable));
    // Clerk is asked first, also while a token could be used without.
    fixture.clerk.heal_all();
    fixture.advance(30);
    assert_eq!(error_kind(&stale, &token).await, None);
    fixture.advance(60);
    assert!(fixture.clerk.revoke(&token));
    assert_eq!(error_kind(&stale, &token).await, Some(Kind::Revoked));
}

#[tokio::test]
async fn a_token_is_not_used_in_an_outage_after_it_has_expired() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier_builder().opaque_token_stale_ttl(STALE_TTL).build().unwrap();
    let token = fixture.clerk.mint().audience(RESOURCE).expires_at(NOW + 120).opaque();
    assert_eq!(error_kind(&verifier, &token).await, None);
    fixture.clerk.fault_all(Fault::Down);
    fixture.advance(119);
    assert_eq!(error_kind(&verifier, &token).await, None);
    fixture.advance(1);
    assert_eq!(error_kind(&verifier, &token).await, Some(Kind::Unavailable));
}

#[tokio::test]
async fn a_rejected_token_is_not_used_in_an_outage_at_any_resource() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier_builder().opaque_token_stale_ttl(STALE_TTL).build().unwrap();
    let resources: [ResourceUrl; 2] = [RESOURCE.parse().unwrap(), OTHER.parse().unwrap()];
    let token = fixture.clerk.mint().audiences([RESOURCE, OTHER]).opaque();
    let verify = async |resource: &ResourceUrl| {
        let request = TokenRequest::new(&token).for_resource(resource);
        verifier.verify_token(request).await.err().map(|error| error.kind())
    };
    for resource in &resources {
        assert_eq!(verify(resource).await, None);
    }
    fixture.clerk.revoke(&token);
    fixture.advance(60);
    assert_eq!(verify(&resources[0]).await, Some(Kind::Revoked));
    fixture.clerk.fault_all(Fault::Down);
    fixture.advance(10);
    for resource in &resources {
        assert_eq!(verify(resource).await, Some(Kind::Unavailable));
    }
}
