//! Token exchange (RFC 8693): what is exchanged, and every reason to refuse.

use std::time::Duration;

use clerk_mcp_tools::testing::{FakeClerk, FakeOAuthApplication, ManualClock, TokenFormat};
use serde_json::{Value, json};

use super::{
    JsonResponse, NOW, REDIRECT_URI, RESOURCE, changed, claims, form, post_json, send,
    start_with_clock,
};

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const API: &str = "https://api.example.com";

/// An application that stands for the server of `RESOURCE` and may exchange its tokens for `API`.
async fn start() -> (FakeClerk, ManualClock, FakeOAuthApplication) {
    let (clerk, clock) = start_with_clock().await;
    let application = clerk.create_oauth_application(RESOURCE);
    application.allow_exchange_for(API);
    (clerk, clock, application)
}

/// Sends a valid request with these changes; an empty value removes a parameter.
async fn exchange(
    clerk: &FakeClerk,
    application: &FakeOAuthApplication,
    token: &str,
    changes: &[(&str, &str)],
) -> JsonResponse {
    let valid = [
        ("grant_type", GRANT_TYPE),
        ("subject_token", token),
        ("subject_token_type", ACCESS_TOKEN),
        ("requested_token_type", ACCESS_TOKEN),
        ("resource", API),
        ("scope", "profile"),
    ];
    let request = form(clerk, "/oauth/token", &changed(&valid, changes));
    let (id, secret) = (application.client_id(), application.client_secret());
    send(request.basic_auth(id, Some(secret))).await
}

#[tokio::test]
async fn a_token_is_exchanged_for_one_of_the_same_user() {
    let (clerk, clock, application) = start().await;
    let mint = clerk.mint().subject("user_1").organization("org_1").audience(RESOURCE);
    let token = mint.expires_in(Duration::from_secs(60)).jwt();
    clock.advance(Duration::from_secs(59));
    let response = exchange(&clerk, &application, &token, &[]).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let exchanged = response.string("access_token");
    let expected = json!({
        "access_token": exchanged, "issued_token_type": ACCESS_TOKEN, "token_type": "Bearer",
        "expires_in": 86_400, "scope": "profile",
    });
    assert_eq!(response.json, expected);

    let mut claims = claims(&exchanged);
    claims["jti"].take();
    let user_without_scope = json!({
        "iss": clerk.issuer(), "sub": "user_1", "client_id": application.client_id(),
        "scope": "profile", "aud": API, "jti": null, "iat": NOW + 59, "nbf": NOW + 59,
        "exp": NOW + 59 + 86_400,
    });
    assert_eq!(claims, user_without_scope);
    let body = json!({ "access_token": exchanged });
    let known = post_json(&clerk, "/v1/oauth_applications/access_tokens/verify", body).await;
    assert_eq!((known.status.as_u16(), &known.json["aud"]), (200, &json!([API])));
}

#[tokio::test]
async fn scopes_and_parameters_that_may_be_omitted() {
    let (clerk, _, application) = start().await;
    let scopes = ["profile", "email", "user:org:read"];
    let mint = clerk
        .mint()
        .organization("org_1")
        .audiences(["https://a.example", RESOURCE])
        .scopes(scopes);
    let token = mint.opaque();
    for (changes, scope, organization) in [
        (vec![("scope", "")], "profile email user:org:read", json!("org_1")),
        (vec![("scope", "email user:org:read")], "email user:org:read", json!("org_1")),
        (vec![("scope", "email")], "email", json!(null)),
        (vec![("requested_token_type", "")], "profile", json!(null)),
    ] {
        let response = exchange(&clerk, &application, &token, &changes).await;
        let (json, mut claims) = (&response.json, claims(&response.string("access_token")));
        assert_eq!((json["scope"].as_str(), claims["org_id"].take()), (Some(scope), organization));
    }
    clerk.set_token_format(TokenFormat::Opaque);
    let response = exchange(&clerk, &application, &token, &[]).await;
    assert!(response.string("access_token").starts_with("oat_"));
}

#[tokio::test]
async fn requests_are_refused_with_the_errors_of_the_rfcs() {
    let (clerk, _, application) = start().await;
    let token = clerk.mint().audience(RESOURCE).jwt();
    let of_jwt = "urn:ietf:params:oauth:token-type:jwt";
    let wrong_subject = "subject_token_type must be that of an access token";
    let wrong_requested = "requested_token_type must be that of an access token";
    let no_actor = "an actor_token is not supported";
    let not_allowed = "the resource is not registered, or the application may not exchange for it";
    let no_uri = "resource is not an absolute URI without a fragment";
    let unknown = "the subject_token is unknown, expired or revoked";
    let wider = "a scope was not granted to the subject_token";
    for (changes, code, description) in [
        (vec![("subject_token", "")], "invalid_request", "subject_token is missing"),
        (vec![("subject_token_type", "")], "invalid_request", "subject_token_type is missing"),
        (vec![("subject_token_type", of_jwt)], "invalid_request", wrong_subject),
        (vec![("requested_token_type", of_jwt)], "invalid_request", wrong_requested),
        (vec![("actor_token", &token)], "invalid_request", no_actor),
        (vec![("actor_token_type", ACCESS_TOKEN)], "invalid_request", no_actor),
        (vec![("audience", API)], "invalid_target", "audience is not supported"),
        (vec![("resource", "")], "invalid_request", "resource is missing"),
        (
            vec![("resource", API), ("resource", RESOURCE)],
            "invalid_target",
            "only one resource is supported",
        ),
        (vec![("resource", "https://api.example.com/")], "invalid_target", not_allowed),
        (vec![("resource", "https://API.example.com")], "invalid_target", not_allowed),
        (vec![("resource", RESOURCE)], "invalid_target", not_allowed),
        (vec![("resource", "https://api.example.com#a")], "invalid_target", no_uri),
        (vec![("resource", "/api")], "invalid_target", no_uri),
        (vec![("scope", "profile openid")], "invalid_scope", wider),
        (vec![("scope", "Profile")], "invalid_scope", wider),
        (vec![("subject_token", "oat_unknown")], "invalid_request", unknown),
        (
            vec![("subject_token", &token), ("subject_token", &token)],
            "invalid_request",
            "a parameter is repeated",
        ),
    ] {
        let response = exchange(&clerk, &application, &token, &changes).await;
        response.assert_error(400, code, description);
    }
    assert_eq!(exchange(&clerk, &application, &token, &[]).await.status, 200);
}

#[tokio::test]
async fn only_active_tokens_for_the_application_are_exchanged() {
    let (clerk, clock, application) = start().await;
    let mint = || clerk.mint().audience(RESOURCE);
    let unknown = "the subject_token is unknown, expired or revoked";
    let not_for = "the subject_token is not for the resource of the application";
    let revoked = mint().opaque();
    assert!(clerk.revoke(&revoked));
    for (subject, description) in [
        (revoked, unknown),
        (mint().revoked(true).jwt(), unknown),
        (mint().expires_at(NOW).jwt(), unknown),
        (mint().foreign_key().jwt(), unknown),
        (clerk.create_machine("CI").mint().opaque(), unknown),
        (clerk.create_api_key().secret(), unknown),
        (clerk.mint_session_token("https://app.example.com").jwt(), unknown),
        (clerk.mint().jwt(), not_for),
        (clerk.mint().audience(API).jwt(), not_for),
        (clerk.mint().audience(format!("{RESOURCE}/")).jwt(), not_for),
    ] {
        let response = exchange(&clerk, &application, &subject, &[]).await;
        response.assert_error(400, "invalid_request", description);
    }
    let token = mint().jwt();
    clock.advance(Duration::from_secs(86_399));
    assert_eq!(exchange(&clerk, &application, &token, &[]).await.status, 200);
    clock.advance(Duration::from_secs(1));
    let response = exchange(&clerk, &application, &token, &[]).await;
    response.assert_error(400, "invalid_request", unknown);
}

#[tokio::test]
async fn both_resources_have_to_be_registered() {
    let not_for = "the subject_token is not for the resource of the application";
    let not_allowed = "the resource is not registered, or the application may not exchange for it";
    for (registered, expected) in [
        (vec![RESOURCE, API], None),
        (vec![RESOURCE], Some(("invalid_target", not_allowed))),
        (vec![API], Some(("invalid_request", not_for))),
        (vec![], None),
    ] {
        let (clerk, _, application) = start().await;
        let token = clerk.mint().audience(RESOURCE).jwt();
        for resource in registered {
            clerk.register_resource(resource);
        }
        let response = exchange(&clerk, &application, &token, &[]).await;
        match expected {
            None => assert_eq!(response.status, 200),
            Some((code, description)) => response.assert_error(400, code, description),
        }
    }
}

#[tokio::test]
async fn only_applications_with_their_secret_may_exchange() {
    let (clerk, _, application) = start().await;
    let token = clerk.mint().audience(RESOURCE).jwt();
    let parameters = [
        ("grant_type", GRANT_TYPE),
        ("subject_token", token.as_str()),
        ("subject_token_type", ACCESS_TOKEN),
        ("resource", API),
    ];
    let request = |more: &[(&str, &str)]| {
        let all: Vec<_> = parameters.iter().chain(more).copied().collect();
        form(&clerk, "/oauth/token", &all)
    };
    let (id, secret) = (application.client_id(), application.client_secret());
    let failed = "client authentication failed";
    for (request, description) in [
        (request(&[]), "client_id is missing"),
        (request(&[("client_id", id)]), failed),
        (request(&[("client_id", id), ("client_secret", secret)]), failed),
        (request(&[]).basic_auth(id, Some("wrong")), failed),
        (request(&[]).basic_auth("client_unknown", Some(secret)), failed),
    ] {
        send(request).await.assert_error(401, "invalid_client", description);
    }

    // Clients that sign users in, public and confidential.
    let public = clerk.register_client(REDIRECT_URI);
    let metadata = json!({ "redirect_uris": [REDIRECT_URI] }).to_string();
    let url = format!("{}/oauth/register", clerk.issuer());
    let registered = send(super::http().post(url).body(metadata)).await;
    let (id, secret) = (registered.string("client_id"), registered.string("client_secret"));
    let description = "the client is not an application that may exchange tokens";
    for request in [request(&[("client_id", &public)]), request(&[]).basic_auth(id, Some(secret))] {
        send(request).await.assert_error(400, "unauthorized_client", description);
    }

    // Another application that stands for another server.
    let other = clerk.create_oauth_application("https://other.example.com/mcp");
    other.allow_exchange_for(API);
    let not_for = "the subject_token is not for the resource of the application";
    exchange(&clerk, &other, &token, &[]).await.assert_error(400, "invalid_request", not_for);
}

#[tokio::test]
async fn the_end_of_a_grant_ends_exchanged_tokens() {
    let (clerk, _, application) = start().await;
    let scopes = ["profile", "offline_access"];
    let tokens = clerk.sign_in().resource(RESOURCE).scopes(scopes).token_response().await.unwrap();
    let token = tokens["access_token"].as_str().unwrap();
    let exchanged = exchange(&clerk, &application, token, &[]).await.string("access_token");
    assert!(!super::is_revoked(&clerk, &exchanged).await);
    assert!(clerk.revoke(tokens["refresh_token"].as_str().unwrap()));
    assert!(super::is_revoked(&clerk, &exchanged).await);
}

#[tokio::test]
async fn the_environment_names_the_application_of_the_server() {
    let (clerk, _, application) = start().await;
    let variables = ["CLERK_OAUTH_CLIENT_ID", "CLERK_OAUTH_CLIENT_SECRET"];
    let of_clerk = || variables.map(|name| clerk.env_var(name));
    assert_eq!(of_clerk(), [None, None]);
    clerk.set_server_application(&application);
    let expected = [application.client_id(), application.client_secret()];
    assert_eq!(of_clerk(), expected.map(|value| Some(value.to_owned())));
    assert_eq!(Value::Null, json!(clerk.env_var("CLERK_MACHINE_ID")));
}
