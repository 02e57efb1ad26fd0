//! The authorization code flow (RFC 6749).

use std::time::Duration;

use clerk_mcp_tools::testing::{FakeClerk, Route, TokenFormat};
use serde_json::json;

use super::{
    CHALLENGE, NOW, REDIRECT_URI, RESOURCE, authorize, claims, code, encoded, exchange_code, form,
    http, part, send, start,
};

#[tokio::test]
async fn a_client_gets_a_jwt_for_its_resource() {
    let (clerk, _, client_id) = start().await;
    let redirect = authorize(&clerk, &client_id, &[("resource", RESOURCE)]).await;
    assert!(
        redirect
            .header("location")
            .unwrap()
            .starts_with("http://127.0.0.1:4000/callback?from=test&code=")
    );
    assert_eq!(redirect.redirect_parameter("state").unwrap(), "a state&more");
    assert_eq!(redirect.redirect_parameter("iss").unwrap(), clerk.issuer());

    let code = redirect.redirect_parameter("code").unwrap();
    let response = exchange_code(&clerk, &client_id, &code, &[("resource", RESOURCE)]).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert_eq!(response.json["token_type"], "Bearer");
    assert_eq!(response.json["expires_in"], 86_400);
    assert_eq!(response.json["scope"], "profile email");
    assert_eq!(response.json.get("id_token"), None);
    assert_eq!(response.json.get("refresh_token"), None);

    let token = response.string("access_token");
    let header = json!({ "alg": "RS256", "kid": clerk.key_id(), "typ": "at+jwt" });
    assert_eq!(part(&token, 0), header);
    let mut claims = claims(&token);
    assert!(claims["jti"].take().as_str().unwrap().starts_with("oat_"));
    let expected = json!({
        "iss": clerk.issuer(), "sub": clerk.default_user_id(), "client_id": client_id, "scope": "profile email",
        "jti": null, "iat": NOW, "nbf": NOW, "exp": NOW + 86_400, "aud": RESOURCE,
    });
    assert_eq!(claims, expected);
}

#[tokio::test]
async fn sign_in_runs_the_whole_flow() {
    let clerk = FakeClerk::start().await.unwrap();
    let sign_in =
        clerk.sign_in().scopes(["user:org:read"]).resource(RESOURCE).resource("https://b.example");
    let claims = claims(&sign_in.access_token().await.unwrap());

    assert_eq!(claims["aud"], json!([RESOURCE, "https://b.example"]));
    assert!(claims["org_id"].as_str().unwrap().starts_with("org_"));
    for route in [Route::Register, Route::Authorize, Route::Token] {
        assert_eq!(clerk.calls(route), 1);
    }
    let error = clerk.sign_in().scopes(["all"]).access_token().await.unwrap_err();
    assert!(error.to_string().contains("invalid_scope"), "{error}");
}

#[tokio::test]
async fn opaque_tokens_are_issued_on_request() {
    let builder =
        FakeClerk::builder().token_format(TokenFormat::Opaque).without_dynamic_registration();
    let clerk = builder.start().await.unwrap();

    assert!(clerk.sign_in().access_token().await.unwrap().starts_with("oat_"));
    clerk.set_token_format(TokenFormat::Jwt);
    assert!(clerk.sign_in().access_token().await.unwrap().starts_with("ey"));
}

#[tokio::test]
async fn the_openid_scope_yields_an_id_token() {
    let (clerk, _, client_id) = start().await;
    let code = code(&clerk, &client_id, &[("scope", "openid"), ("nonce", "n-1")]).await;
    let token = exchange_code(&clerk, &client_id, &code, &[]).await.string("id_token");

    assert_eq!(part(&token, 0)["typ"], "JWT");
    assert_eq!(claims(&token)["aud"], client_id);
    assert_eq!(claims(&token)["nonce"], "n-1");
}

#[tokio::test]
async fn errors_are_not_redirected_to_an_unregistered_uri() {
    let (clerk, _, client_id) = start().await;
    for (changes, error) in [
        ([("client_id", "client_unknown")], "invalid_client"),
        ([("client_id", "")], "invalid_request"),
        ([("redirect_uri", "http://127.0.0.1:4000/other")], "invalid_request"),
        ([("redirect_uri", "https://evil.example/callback?from=test")], "invalid_request"),
        (
            [("redirect_uri", "http://127.0.0.1:4000@evil.example/callback?from=test")],
            "invalid_request",
        ),
        ([("redirect_uri", "http://localhost:4000/callback?from=test")], "invalid_request"),
        // Other spellings of the registered URI.
        ([("redirect_uri", "http://127.1:4000/callback?from=test")], "invalid_request"),
        ([("redirect_uri", "http://127.0.0.1:4000/x/../callback?from=test")], "invalid_request"),
        ([("redirect_uri", "http:/127.0.0.1:4000/callback?from=test")], "invalid_request"),
    ] {
        let response = authorize(&clerk, &client_id, &changes).await;
        assert_eq!(response.error(), (400, error), "{changes:?}");
        assert_eq!(response.header("location"), None);
    }
}

#[tokio::test]
async fn a_loopback_redirect_may_use_another_port() {
    let (clerk, _, client_id) = start().await;
    let uri = "http://127.0.0.1:51234/callback?from=test";
    let code = code(&clerk, &client_id, &[("redirect_uri", uri)]).await;

    assert_eq!(
        exchange_code(&clerk, &client_id, &code, &[("redirect_uri", uri)]).await.status,
        200
    );
}

#[tokio::test]
async fn other_errors_are_redirected() {
    let (clerk, _, client_id) = start().await;
    for (changes, error) in [
        ([("response_type", "")], "invalid_request"),
        ([("response_type", "token")], "unsupported_response_type"),
        ([("scope", "profile everything")], "invalid_scope"),
        ([("resource", "/mcp")], "invalid_target"),
        ([("resource", "https://mcp.example.com/mcp#a")], "invalid_target"),
        ([("code_challenge", "")], "invalid_request"),
        ([("code_challenge", "short")], "invalid_request"),
        ([("code_challenge_method", "")], "invalid_request"),
        ([("code_challenge_method", "plain")], "invalid_request"),
    ] {
        let response = authorize(&clerk, &client_id, &changes).await;
        assert_eq!(response.redirect_parameter("error").as_deref(), Some(error), "{changes:?}");
        assert_eq!(response.redirect_parameter("state").as_deref(), Some("a state&more"));
        assert_eq!(response.redirect_parameter("code"), None);
    }
}

#[tokio::test]
async fn parameters_may_be_posted_but_not_repeated() {
    let (clerk, _, client_id) = start().await;
    let valid = [
        ("response_type", "code"),
        ("client_id", client_id.as_str()),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let posted = send(form(&clerk, "/oauth/authorize", &valid)).await;
    assert!(posted.redirect_parameter("code").is_some());

    let twice = encoded(&[valid.as_slice(), &[("scope", "email"), ("scope", "profile")]].concat());
    let twice = super::get(&clerk, &format!("/oauth/authorize?{twice}")).await;
    assert_eq!(twice.redirect_parameter("error").unwrap(), "invalid_request");
}

#[tokio::test]
async fn a_code_is_bound_to_its_authorization_request() {
    let (clerk, _, client_id) = start().await;
    let other = clerk.register_client(REDIRECT_URI);
    for (changes, error) in [
        ([("client_id", other.as_str())], "invalid_grant"),
        ([("redirect_uri", "http://127.0.0.1:4001/callback?from=test")], "invalid_grant"),
        ([("redirect_uri", "")], "invalid_grant"),
        ([("code_verifier", CHALLENGE)], "invalid_grant"),
        ([("code_verifier", "")], "invalid_request"),
        ([("resource", "https://other.example.com/mcp")], "invalid_target"),
        ([("code", "guessed")], "invalid_grant"),
        ([("grant_type", "password")], "unsupported_grant_type"),
    ] {
        let code = code(&clerk, &client_id, &[("resource", RESOURCE)]).await;
        let response = exchange_code(&clerk, &client_id, &code, &changes).await;
        assert_eq!(response.error(), (400, error), "{changes:?}");
    }
}

#[tokio::test]
async fn a_code_can_be_used_once_within_a_minute() {
    let (clerk, clock, client_id) = start().await;
    let used = code(&clerk, &client_id, &[]).await;
    assert_eq!(exchange_code(&clerk, &client_id, &used, &[]).await.status, 200);
    assert_eq!(exchange_code(&clerk, &client_id, &used, &[]).await.error(), (400, "invalid_grant"));

    let (in_time, late) =
        (code(&clerk, &client_id, &[]).await, code(&clerk, &client_id, &[]).await);
    clock.advance(Duration::from_secs(59));
    assert_eq!(exchange_code(&clerk, &client_id, &in_time, &[]).await.status, 200);
    clock.advance(Duration::from_secs(1));
    assert_eq!(exchange_code(&clerk, &client_id, &late, &[]).await.error(), (400, "invalid_grant"));
}

#[tokio::test]
async fn the_token_endpoint_accepts_forms_up_to_64_kib() {
    let clerk = FakeClerk::start().await.unwrap();
    let url = format!("{}/oauth/token", clerk.issuer());
    let json = send(http().post(&url).header("content-type", "application/json").body("{}")).await;
    assert_eq!(json.error(), (400, "invalid_request"));

    let at_limit = form(&clerk, "/oauth/token", &[]).body("a".repeat(64 * 1024));
    assert_eq!(send(at_limit).await.error(), (401, "invalid_client"));
    let over_limit = form(&clerk, "/oauth/token", &[]).body("a".repeat(64 * 1024 + 1));
    assert_eq!(send(over_limit).await.status, 413);
}
