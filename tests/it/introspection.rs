//! Introspection of opaque tokens: the request to Clerk, and how its responses are read.

use std::time::Duration;

use clerk_mcp_tools::testing::{Fault, Route, TokenBuilder};
use clerk_mcp_tools::{VerifyErrorKind as Kind, verify_clerk_token};
use http::Method;
use serde_json::{Value, json};

use crate::support::{Fixture, NOW, RESOURCE, error_kind, json_fault};

#[tokio::test]
async fn sends_the_documented_request_to_clerk() {
    let fixture = Fixture::new().await;
    let token = fixture.opaque();
    let caller = verify_clerk_token(&fixture.verifier(), &token).await.unwrap();
    assert_eq!(caller.user_id(), Some(fixture.clerk.default_user_id()));
    assert_eq!(caller.resource(), Some(RESOURCE));
    assert_eq!(caller.scopes().to_string(), "profile email");
    assert_eq!(caller.expires_at(), Some(NOW + 24 * 60 * 60));
    assert_eq!(caller.token().expose(), token);
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
    for body in ["", "not found", "<html>", "{}", r#"{"errors":[]}"#, r#"{"error":"not_found"}"#] {
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
