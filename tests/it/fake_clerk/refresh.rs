//! Refresh tokens: who gets one, rotation, expiry (RFC 6749 section 6).

use std::time::Duration;

use clerk_mcp_tools::testing::{FakeClerk, ManualClock};
use serde_json::json;

use super::{
    JsonResponse, NOW, REDIRECT_URI, authorize, exchange_code, post_json, refresh, sign_in, start,
};

const INVALID: &str =
    "the refresh token is unknown, used, expired or revoked, or was issued to another client";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test]
async fn a_refresh_token_needs_offline_access_and_the_grant_type() {
    let strict = FakeClerk::start().await.unwrap();
    let lenient = FakeClerk::builder().require_offline_access(false).start().await.unwrap();
    let both = json!(["authorization_code", "refresh_token"]);
    let code_only = json!(["authorization_code"]);
    for (name, clerk, grant_types, scope, expected) in [
        ("without offline_access", &strict, &both, "profile", false),
        ("with offline_access", &strict, &both, "profile offline_access", true),
        ("without the grant type", &strict, &code_only, "profile offline_access", false),
        ("without grant types", &strict, &json!(null), "profile offline_access", false),
        ("lenient", &lenient, &both, "profile", true),
        ("lenient without the grant type", &lenient, &code_only, "profile", false),
    ] {
        let mut metadata =
            json!({ "redirect_uris": [REDIRECT_URI], "token_endpoint_auth_method": "none" });
        if !grant_types.is_null() {
            metadata["grant_types"] = grant_types.clone();
        }
        let client_id = post_json(clerk, "/oauth/register", metadata).await.string("client_id");
        let redirect = authorize(clerk, &client_id, &[("scope", scope)]).await;
        let code = redirect.redirect_parameter("code").unwrap();
        let response = exchange_code(clerk, &client_id, &code, &[]).await;
        assert_eq!(response.status, 200, "{name}");
        assert_eq!(response.json.get("refresh_token").is_some(), expected, "{name}");
    }
}

#[tokio::test]
async fn a_client_without_the_grant_type_cannot_refresh() {
    let clerk = FakeClerk::start().await.unwrap();
    let metadata = json!({
        "redirect_uris": [REDIRECT_URI], "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code"],
    });
    let client_id = post_json(&clerk, "/oauth/register", metadata).await.string("client_id");
    refresh(&clerk, &client_id, "any", &[]).await.assert_error(
        400,
        "unauthorized_client",
        "the client is not registered for the grant type refresh_token",
    );
}

#[tokio::test]
async fn refresh_tokens_rotate_and_keep_the_grant() {
    let (clerk, _, client_id) = start().await;
    let first = sign_in(&clerk, &client_id).await.string("refresh_token");
    let wider = refresh(&clerk, &client_id, &first, &[("scope", "email openid")]).await;
    wider.assert_error(400, "invalid_scope", "a scope was not granted originally");
    let other = clerk.register_client(REDIRECT_URI);
    refresh(&clerk, &other, &first, &[]).await.assert_error(400, "invalid_grant", INVALID);

    let narrowed = refresh(&clerk, &client_id, &first, &[("scope", "email")]).await;
    assert_eq!(narrowed.json["scope"], "email");
    let second = narrowed.string("refresh_token");
    assert_ne!(second, first);
    assert!(!clerk.revoke(&first), "a used token is no longer there");
    let refreshed = refresh(&clerk, &client_id, &second, &[]).await;
    assert_eq!(refreshed.json["scope"], "profile email offline_access");
}

#[tokio::test]
async fn refresh_tokens_expire_unless_they_are_used() {
    let clock = ManualClock::new(NOW);
    let builder = FakeClerk::builder().clock(clock.clone()).refresh_token_lifetime(DAY);
    let clerk = builder.start().await.unwrap();
    let client_id = clerk.register_client(REDIRECT_URI);
    let first = sign_in(&clerk, &client_id).await.string("refresh_token");
    clock.advance(DAY - Duration::from_secs(1));
    let second = refresh(&clerk, &client_id, &first, &[]).await.string("refresh_token");
    clock.advance(DAY - Duration::from_secs(1));
    let third = refresh(&clerk, &client_id, &second, &[]).await.string("refresh_token");
    clock.advance(DAY);
    refresh(&clerk, &client_id, &third, &[]).await.assert_error(400, "invalid_grant", INVALID);
}

#[tokio::test]
async fn refresh_tokens_last_ten_years_by_default() {
    for (seconds, expected) in [(315_359_999, 200), (315_360_000, 400)] {
        let (clerk, clock, client_id) = start().await;
        let token = sign_in(&clerk, &client_id).await.string("refresh_token");
        clock.advance(Duration::from_secs(seconds));
        let response: JsonResponse = refresh(&clerk, &client_id, &token, &[]).await;
        assert_eq!(response.status, expected, "{seconds}");
    }
}
