//! The metadata documents, the publishable key, CORS, and routing.

use clerk_mcp_tools::instance::InstanceType;
use clerk_mcp_tools::testing::{FakeClerk, Route};
use http::Method;
use serde_json::json;

use super::{get, http, send};

#[tokio::test]
async fn the_document_names_the_issuer_and_its_endpoints() {
    let clerk = FakeClerk::start().await.unwrap();
    let issuer = clerk.issuer();
    let document = get(&clerk, "/.well-known/oauth-authorization-server").await;

    assert_eq!(document.header("content-type"), Some("application/json"));
    let document = document.json;
    assert_eq!(document["issuer"], issuer);
    assert_eq!(document["authorization_endpoint"], format!("{issuer}/oauth/authorize"));
    assert_eq!(document["token_endpoint"], format!("{issuer}/oauth/token"));
    assert_eq!(document["revocation_endpoint"], format!("{issuer}/oauth/token/revoke"));
    assert_eq!(document["registration_endpoint"], format!("{issuer}/oauth/register"));
    assert_eq!(document["jwks_uri"], format!("{issuer}/.well-known/jwks.json"));
    assert_eq!(document["code_challenge_methods_supported"], json!(["S256"]));
    assert_eq!(document["scopes_supported"][3], "offline_access");
    assert_eq!(clerk.calls(Route::AuthorizationServerMetadata), 1);
}

#[tokio::test]
async fn the_openid_document_has_the_required_members() {
    let clerk = FakeClerk::start().await.unwrap();
    let document = get(&clerk, "/.well-known/openid-configuration").await.json;

    assert_eq!(document["issuer"], clerk.issuer());
    assert_eq!(document["subject_types_supported"], json!(["public"]));
    assert_eq!(document["id_token_signing_alg_values_supported"], json!(["RS256"]));
}

#[tokio::test]
async fn the_document_reflects_the_configuration() {
    let builder = FakeClerk::builder().scopes_supported(["email"]).without_dynamic_registration();
    let clerk = builder.start().await.unwrap();
    let document = get(&clerk, "/.well-known/oauth-authorization-server").await.json;

    assert_eq!(document["scopes_supported"], json!(["email"]));
    assert_eq!(document.get("registration_endpoint"), None);
}

#[tokio::test]
async fn the_publishable_key_names_the_server() {
    let clerk = FakeClerk::start().await.unwrap();
    let key = clerk.publishable_key();

    assert_eq!(format!("http://{}", key.frontend_api_host()), clerk.issuer());
    assert_eq!(key.instance_type(), InstanceType::Development);
    assert!(clerk.secret_key().starts_with("sk_test_"));
}

#[tokio::test]
async fn browsers_may_call_the_frontend_api_but_not_the_authorization_endpoint() {
    let clerk = FakeClerk::start().await.unwrap();
    for (path, allowed) in [
        ("/.well-known/oauth-authorization-server", true),
        ("/oauth/token", true),
        ("/oauth/register", true),
        ("/oauth/authorize", false),
        ("/v1/jwks", false),
    ] {
        let url = format!("{}{path}", clerk.issuer());
        let preflight = send(http().request(Method::OPTIONS, url)).await;
        let origin = preflight.header("access-control-allow-origin");
        assert_eq!((preflight.status == 204, origin == Some("*")), (allowed, allowed), "{path}");
    }
    assert_eq!(clerk.calls(Route::Token), 0);

    let response = get(&clerk, "/.well-known/jwks.json").await;
    assert_eq!(response.header("access-control-allow-origin"), Some("*"));
}

#[tokio::test]
async fn other_methods_and_paths_are_rejected() {
    let clerk = FakeClerk::start().await.unwrap();
    let wrong_method = get(&clerk, "/oauth/token").await;

    assert_eq!(wrong_method.status, 405);
    assert_eq!(wrong_method.header("allow"), Some("POST, OPTIONS"));
    assert_eq!(get(&clerk, "/v1/users/").await.status, 404);
    assert_eq!(get(&clerk, "/").await.status, 404);
}
