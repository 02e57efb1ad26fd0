//! Dynamic registration (RFC 7591), and what it limits: authentication, scopes.

use clerk_mcp_tools::testing::FakeClerk;
use serde_json::{Value, json};

use super::{JsonResponse, REDIRECT_URI, authorize, code, encoded, exchange_code, http, send};

const REDIRECT_URI_RULE: &str = "a redirect URI must be https, http on 127.0.0.1, [::1] or \
                                 localhost, or of a private-use scheme with a dot, without user \
                                 information, wildcard and fragment";

async fn register(clerk: &FakeClerk, metadata: Value) -> JsonResponse {
    super::post_json(clerk, "/oauth/register", metadata).await
}

#[tokio::test]
async fn registration_echoes_the_metadata() {
    let clerk = FakeClerk::start().await.unwrap();
    let metadata = json!({
        "redirect_uris": [REDIRECT_URI, "com.example.app:/callback", "https://app.example/cb"],
        "client_name": "Test", "token_endpoint_auth_method": "none", "client_secret": "mine",
        "grant_types": [
            "authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code",
        ],
        "scope": "profile email",
    });
    let response = register(&clerk, metadata.clone()).await;

    assert_eq!(response.status, 201);
    assert!(response.string("client_id").starts_with("client_"));
    assert_eq!(response.json["redirect_uris"], metadata["redirect_uris"]);
    assert_eq!(response.json["client_name"], "Test");
    assert_eq!(response.json["grant_types"], json!(["authorization_code", "refresh_token"]));
    assert_eq!(response.json["response_types"], json!(["code"]));
    assert_eq!(response.json["scope"], "profile email");
    assert_eq!(response.json.get("client_secret"), None);
}

#[tokio::test]
async fn registration_rejects_invalid_redirect_uris() {
    let clerk = FakeClerk::start().await.unwrap();
    for redirect_uris in [json!(null), json!([])] {
        let response = register(&clerk, json!({ "redirect_uris": redirect_uris })).await;
        let description = "at least one redirect URI is required";
        response.assert_error(400, "invalid_redirect_uri", description);
    }
    for redirect_uri in [
        json!(1),
        json!("/callback"),
        json!("http://app.example/callback"),
        json!("https://app.example/callback#here"),
        json!("https://*.example/callback"),
        json!("https://u:p@a.example/callback"),
        json!("intent://x"),
        json!("javascript:alert(1)"),
        json!("cursor://anysphere.cursor-mcp/oauth/callback"),
        json!("https://app.example/a b"),
        json!("http://127.0.0.1.evil.example/"),
        json!("http://127.1/callback"),
    ] {
        let metadata = json!({ "redirect_uris": [REDIRECT_URI, redirect_uri] });
        let response = register(&clerk, metadata).await;
        response.assert_error(400, "invalid_redirect_uri", REDIRECT_URI_RULE);
    }
    let clerk = FakeClerk::builder().allow_redirect_scheme("cursor").start().await.unwrap();
    for (redirect_uri, status) in [("cursor://anysphere.cursor-mcp", 201), ("vscode://x", 400)] {
        let response = register(&clerk, json!({ "redirect_uris": [redirect_uri] })).await;
        assert_eq!(response.status, status, "{redirect_uri}");
    }
}

#[tokio::test]
async fn registration_rejects_invalid_metadata() {
    let clerk = FakeClerk::builder().grantable_scopes(["profile", "extra"]).start().await.unwrap();
    let with = |name: &str, value: Value| json!({ "redirect_uris": [REDIRECT_URI], name: value });
    for (metadata, description) in [
        (
            with("token_endpoint_auth_method", json!("private_key_jwt")),
            "token_endpoint_auth_method is not supported",
        ),
        (
            with("grant_types", json!(["client_credentials"])),
            "only the authorization code grant is supported",
        ),
        (with("scope", json!("nonsense")), "scope contains a scope that is not supported"),
        (with("scope", json!("profile all")), "scope contains a scope that is not supported"),
        (with("scope", json!(["profile"])), "scope is not a string"),
        (json!([]), "the body is not a JSON object"),
    ] {
        let response = register(&clerk, metadata).await;
        response.assert_error(400, "invalid_client_metadata", description);
    }
    // Advertised, and grantable only.
    for scope in ["email profile", "extra", ""] {
        assert_eq!(register(&clerk, with("scope", json!(scope))).await.status, 201, "{scope}");
    }
    let closed = FakeClerk::builder().without_dynamic_registration().start().await.unwrap();
    assert_eq!(register(&closed, json!({ "redirect_uris": [REDIRECT_URI] })).await.status, 404);
}

#[tokio::test]
async fn the_registered_scopes_limit_what_is_granted() {
    let strict = FakeClerk::start().await.unwrap();
    let lenient = FakeClerk::builder().registration_limits_scopes(false).start().await.unwrap();
    for (clerk, registered, requested, expected) in [
        (&strict, "profile", "profile", Ok("profile")),
        (&strict, "profile", "", Ok("profile")),
        (&strict, "", "profile private_metadata", Ok("profile private_metadata")),
        (&strict, "profile", "profile private_metadata", Err("invalid_scope")),
        (&strict, "profile", "email", Err("invalid_scope")),
        (&lenient, "profile", "private_metadata", Ok("private_metadata")),
        (&lenient, "profile", "everything", Err("invalid_scope")),
    ] {
        let metadata = json!({
            "redirect_uris": [REDIRECT_URI], "token_endpoint_auth_method": "none",
            "scope": registered,
        });
        let client_id = register(clerk, metadata).await.string("client_id");
        let response = authorize(clerk, &client_id, &[("scope", requested)]).await;
        assert_eq!(
            response.redirect_parameter("error").as_deref(),
            expected.err(),
            "{registered} {requested}"
        );
        let Some(code) = response.redirect_parameter("code") else { continue };
        let tokens = exchange_code(clerk, &client_id, &code, &[]).await;
        assert_eq!(Ok(tokens.json["scope"].as_str().unwrap()), expected);
    }
}

/// How a token request presents the secret of its client.
#[derive(Clone, Copy, Debug)]
enum Presented {
    Nothing,
    Basic,
    EmptyBasic,
    Posted,
}

/// A client uses the method that it registered, and no other one.
#[tokio::test]
async fn clients_authenticate_by_the_registered_method() {
    let clerk = FakeClerk::start().await.unwrap();
    for (method, presented, expected) in [
        ("none", Presented::Nothing, 200),
        ("none", Presented::EmptyBasic, 401),
        ("none", Presented::Basic, 401),
        ("none", Presented::Posted, 401),
        ("client_secret_basic", Presented::Basic, 200),
        ("client_secret_basic", Presented::Posted, 401),
        ("client_secret_basic", Presented::Nothing, 401),
        ("client_secret_basic", Presented::EmptyBasic, 401),
        ("client_secret_post", Presented::Posted, 200),
        ("client_secret_post", Presented::Basic, 401),
        ("client_secret_post", Presented::Nothing, 401),
    ] {
        let metadata =
            json!({ "redirect_uris": [REDIRECT_URI], "token_endpoint_auth_method": method });
        let client = register(&clerk, metadata).await;
        assert_eq!(client.json["token_endpoint_auth_method"], method);
        let secret = client.json["client_secret"].as_str().unwrap_or("invented").to_owned();
        let response = redeem(&clerk, &client.string("client_id"), &secret, presented).await;
        assert_eq!(response.status, expected, "{method} {presented:?}");
        if expected == 401 {
            response.assert_error(401, "invalid_client", "client authentication failed");
        }
    }
}

async fn redeem(clerk: &FakeClerk, id: &str, secret: &str, presented: Presented) -> JsonResponse {
    let code = code(clerk, id, &[]).await;
    match presented {
        Presented::Nothing => exchange_code(clerk, id, &code, &[]).await,
        Presented::Posted => exchange_code(clerk, id, &code, &[("client_secret", secret)]).await,
        Presented::Basic | Presented::EmptyBasic => {
            let secret = if matches!(presented, Presented::Basic) { secret } else { "" };
            let pairs = [
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", REDIRECT_URI),
                ("code_verifier", super::VERIFIER),
            ];
            // RFC 6749 section 2.3.1: the credentials are form-encoded; %5F is the underscore.
            let id = id.replace('_', "%5F");
            let request = http().post(format!("{}/oauth/token", clerk.issuer()));
            let request = request.header("content-type", "application/x-www-form-urlencoded");
            send(request.basic_auth(id, Some(secret)).body(encoded(&pairs))).await
        }
    }
}

#[tokio::test]
async fn wrong_secrets_and_two_methods_are_rejected() {
    let clerk = FakeClerk::start().await.unwrap();
    let client = register(&clerk, json!({ "redirect_uris": [REDIRECT_URI] })).await;
    assert_eq!(client.json["token_endpoint_auth_method"], "client_secret_basic");
    assert_eq!(client.json["client_secret_expires_at"], 0);
    let (id, secret) = (client.string("client_id"), client.string("client_secret"));
    let wrong = redeem(&clerk, &id, "wrong", Presented::Basic).await;
    wrong.assert_error(401, "invalid_client", "client authentication failed");

    let form = |pair| super::form(&clerk, "/oauth/token", &[pair]);
    let both = send(form(("client_secret", &secret)).basic_auth(&id, Some(&secret))).await;
    let description = "more than one method of client authentication";
    both.assert_error(400, "invalid_request", description);
    let other = send(form(("client_id", "client_other")).basic_auth(&id, Some(&secret))).await;
    other.assert_error(400, "invalid_request", "client_id differs from HTTP Basic");
    let bearer = send(form(("client_id", &id)).bearer_auth(&secret)).await;
    let description = "the Authorization header is not HTTP Basic";
    bearer.assert_error(401, "invalid_client", description);
}
