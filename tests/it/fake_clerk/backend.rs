//! The Backend API: secret key, introspection, revocation, users.

use std::time::Duration;

use clerk_mcp_tools::testing::{FakeClerk, Route};
use serde_json::json;

use super::{NOW, RESOURCE, form, get, get_backend, http, post_json, send, start_with_clock};

const VERIFY: &str = "/v1/oauth_applications/access_tokens/verify";

#[tokio::test]
async fn the_secret_key_is_required() {
    let clerk = FakeClerk::builder().secret_key("sk_test_mine").start().await.unwrap();
    let user = format!("/v1/users/{}", clerk.default_user_id());
    for path in ["/v1/jwks", &user] {
        assert_eq!(
            get(&clerk, path).await.json["errors"][0]["code"],
            "authorization_header_format_invalid"
        );
        let wrong =
            http().get(format!("{}{path}", clerk.backend_api_url())).bearer_auth("sk_test_other");
        let wrong = send(wrong).await;
        assert_eq!(wrong.status, 401);
        assert_eq!(wrong.json["errors"][0]["code"], "clerk_key_invalid");
        assert!(wrong.json["clerk_trace_id"].is_string());
        assert_eq!(get_backend(&clerk, path).await.status, 200);
    }
    let url = format!("{}{VERIFY}", clerk.backend_api_url());
    assert_eq!(send(http().post(url).bearer_auth("sk_test_other").body("{}")).await.status, 401);
}

#[tokio::test]
async fn introspection_describes_an_issued_token() {
    let (clerk, _) = start_with_clock().await;
    let token = clerk.mint().client_id("client_1").audience(RESOURCE).opaque();
    for path in [VERIFY, "/oauth_applications/access_tokens/verify"] {
        let mut response = post_json(&clerk, path, json!({ "access_token": token })).await;
        assert_eq!(response.status, 200);
        assert!(response.json["id"].take().as_str().unwrap().starts_with("oat_"));
        let expected = json!({
            "object": "clerk_idp_oauth_access_token", "id": null, "client_id": "client_1", "type": "oauth:access_token",
            "subject": clerk.default_user_id(), "scopes": ["profile", "email"], "revoked": false,
            "revocation_reason": null, "expired": false, "expiration": NOW + 86_400, "created_at": NOW,
            "updated_at": NOW, "aud": [RESOURCE],
        });
        assert_eq!(response.json, expected);
    }
    assert_eq!(clerk.calls(Route::VerifyAccessToken), 2);
    let last = clerk.last_request(Route::VerifyAccessToken).unwrap();
    assert_eq!(last.body, json!({ "access_token": token }).to_string());
    assert!(!format!("{last:?}").contains(clerk.secret_key()));
}

#[tokio::test]
async fn introspection_of_an_unknown_token_is_404() {
    let (clerk, _) = start_with_clock().await;
    let response = post_json(&clerk, VERIFY, json!({ "access_token": "oat_unknown" })).await;

    assert_eq!(response.status, 404);
    assert_eq!(response.json["errors"][0]["code"], "resource_not_found");
    assert_eq!(post_json(&clerk, VERIFY, json!({})).await.status, 422);
}

#[tokio::test]
async fn introspection_reports_expiry_and_revocation() {
    let (clerk, clock) = start_with_clock().await;
    let token = clerk.mint().expires_in(Duration::from_secs(60)).opaque();
    let verify = || post_json(&clerk, VERIFY, json!({ "access_token": token }));
    clock.advance(Duration::from_secs(59));
    assert_eq!(verify().await.json["expired"], false);
    clock.advance(Duration::from_secs(1));
    assert_eq!(verify().await.json["expired"], true);
    assert!(clerk.revoke(&token));
    assert_eq!(verify().await.json["revoked"], true);
    assert!(!clerk.revoke("oat_unknown"));
}

#[tokio::test]
async fn the_introspection_response_can_be_changed() {
    let (clerk, _) = start_with_clock().await;
    let mint =
        clerk.mint().expired(true).expiration((NOW + 5) * 1000).record_member("active", false);
    let token = mint.without_record_member("type").opaque();
    let response = post_json(&clerk, VERIFY, json!({ "access_token": token })).await.json;

    assert_eq!(response["expired"], true);
    assert_eq!(response["expiration"], (NOW + 5) * 1000);
    assert_eq!(response["active"], false);
    assert_eq!(response.get("type"), None);
    assert_eq!(response.get("aud"), None);
}

#[tokio::test]
async fn clients_can_revoke_only_their_own_tokens() {
    let (clerk, _) = start_with_clock().await;
    let tokens = clerk.sign_in().scopes(["profile", "offline_access"]).token_response();
    let tokens = tokens.await.unwrap();
    let access_token = tokens["access_token"].as_str().unwrap();
    let refresh_token = tokens["refresh_token"].as_str().unwrap();
    let client_id = super::claims(access_token)["client_id"].as_str().unwrap().to_owned();
    let other = clerk.register_client("https://app.example/callback");
    let revoked = async || {
        post_json(&clerk, VERIFY, json!({ "access_token": access_token })).await.json["revoked"]
            == true
    };

    for (client_id, token, expected) in [
        (other.as_str(), access_token, false),
        (other.as_str(), refresh_token, false),
        (client_id.as_str(), "unknown", false),
        (client_id.as_str(), refresh_token, true),
    ] {
        let response = send(form(
            &clerk,
            "/oauth/token/revoke",
            &[("client_id", client_id), ("token", token)],
        ))
        .await;
        assert_eq!((response.status.as_u16(), revoked().await), (200, expected), "{token}");
    }
    let unknown_client =
        send(form(&clerk, "/oauth/token/revoke", &[("client_id", "client_?"), ("token", "t")]))
            .await;
    assert_eq!(unknown_client.error(), (401, "invalid_client"));
}

#[tokio::test]
async fn users_have_the_form_of_clerk() {
    let builder = FakeClerk::builder().user(json!({ "id": "user_grace", "first_name": "Grace" }));
    let clerk = builder.start().await.unwrap();
    let default = get_backend(&clerk, &format!("/v1/users/{}", clerk.default_user_id())).await.json;
    assert_eq!(default["object"], "user");
    assert_eq!(default["primary_email_address_id"], default["email_addresses"][0]["id"]);
    assert_eq!(default["email_addresses"][0]["verification"]["status"], "verified");

    assert_eq!(get_backend(&clerk, "/v1/users/user_grace").await.json["first_name"], "Grace");
    let unknown = get_backend(&clerk, "/v1/users/user_unknown").await;
    assert_eq!(
        (unknown.status.as_u16(), &unknown.json["errors"][0]["code"]),
        (404, &json!("resource_not_found"))
    );

    let without_id = FakeClerk::builder().user(json!({ "first_name": "Ada" })).start().await;
    assert_eq!(without_id.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}
