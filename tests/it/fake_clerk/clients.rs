//! Clients: dynamic registration, authentication, and client ID metadata documents.

use clerk_mcp_tools::testing::{FakeClerk, Fault, Route};
use serde_json::{Value, json};

use super::{REDIRECT_URI, authorize, exchange_code, form, post_json, send};

async fn register(clerk: &FakeClerk, metadata: Value) -> super::JsonResponse {
    post_json(clerk, "/oauth/register", metadata).await
}

#[tokio::test]
async fn registration_echoes_the_metadata() {
    let clerk = FakeClerk::start().await.unwrap();
    let metadata = json!({
        "redirect_uris": [REDIRECT_URI, "cursor://anysphere.cursor-mcp/oauth/callback", "https://app.example/cb"],
        "client_name": "Test", "token_endpoint_auth_method": "none", "client_secret": "mine",
        "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
    });
    let response = register(&clerk, metadata.clone()).await;

    assert_eq!(response.status, 201);
    assert!(response.string("client_id").starts_with("client_"));
    assert_eq!(response.json["redirect_uris"], metadata["redirect_uris"]);
    assert_eq!(response.json["client_name"], "Test");
    assert_eq!(response.json["grant_types"], json!(["authorization_code", "refresh_token"]));
    assert_eq!(response.json["response_types"], json!(["code"]));
    assert_eq!(response.json.get("client_secret"), None);
}

#[tokio::test]
async fn registration_rejects_invalid_metadata() {
    let clerk = FakeClerk::start().await.unwrap();
    for redirect_uris in [
        json!(null),
        json!([]),
        json!([1]),
        json!(["/callback"]),
        json!(["http://app.example/callback"]),
        json!(["https://app.example/callback#here"]),
        json!(["javascript:alert(1)"]),
        json!(["https://app.example/a b"]),
        json!([REDIRECT_URI, "http://127.0.0.1.evil.example/"]),
    ] {
        let response = register(&clerk, json!({ "redirect_uris": redirect_uris })).await;
        assert_eq!(response.error(), (400, "invalid_redirect_uri"), "{redirect_uris}");
    }
    for metadata in [
        json!({ "redirect_uris": [REDIRECT_URI], "token_endpoint_auth_method": "private_key_jwt" }),
        json!({ "redirect_uris": [REDIRECT_URI], "grant_types": ["client_credentials"] }),
        json!([]),
    ] {
        let response = register(&clerk, metadata.clone()).await;
        assert_eq!(response.error(), (400, "invalid_client_metadata"), "{metadata}");
    }
    let closed = FakeClerk::builder().without_dynamic_registration().start().await.unwrap();
    assert_eq!(register(&closed, json!({ "redirect_uris": [REDIRECT_URI] })).await.status, 404);
}

#[tokio::test]
async fn confidential_clients_authenticate_by_basic_or_post() {
    let clerk = FakeClerk::start().await.unwrap();
    let client = register(&clerk, json!({ "redirect_uris": [REDIRECT_URI] })).await;
    assert_eq!(client.json["token_endpoint_auth_method"], "client_secret_basic");
    assert_eq!(client.json["client_secret_expires_at"], 0);
    let (id, secret) = (client.string("client_id"), client.string("client_secret"));

    let code = authorize(&clerk, &id, &[]).await.redirect_parameter("code").unwrap();
    assert_eq!(exchange_code(&clerk, &id, &code, &[]).await.error(), (401, "invalid_client"));
    let posted = exchange_code(&clerk, &id, &code, &[("client_secret", &secret)]).await;
    assert_eq!(posted.status, 200);

    let token = posted.string("refresh_token");
    let pairs = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
    let request = || form(&clerk, "/oauth/token", &pairs);
    let wrong = send(request().basic_auth(&id, Some("wrong"))).await;
    assert_eq!(wrong.error(), (401, "invalid_client"));
    assert!(wrong.header("www-authenticate").unwrap().starts_with("Basic "));
    // RFC 6749 section 2.3.1: the credentials are form-encoded; %5F is the underscore.
    let escaped = id.replace('_', "%5F");
    assert_eq!(send(request().basic_auth(escaped, Some(&secret))).await.status, 200);
}

#[tokio::test]
async fn two_methods_of_client_authentication_are_rejected() {
    let clerk = FakeClerk::start().await.unwrap();
    let client = register(&clerk, json!({ "redirect_uris": [REDIRECT_URI] })).await;
    let (id, secret) = (client.string("client_id"), client.string("client_secret"));
    let request = |pair| form(&clerk, "/oauth/token", &[pair]).basic_auth(&id, Some(&secret));

    let both = send(request(("client_secret", &secret))).await;
    assert_eq!(both.error(), (400, "invalid_request"));
    let other = send(request(("client_id", "client_other"))).await;
    assert_eq!(other.error(), (400, "invalid_request"));
}

/// Authorizes with a client ID metadata document, which a second fake Clerk serves.
async fn authorize_by_document(
    response: impl FnOnce(&str) -> Fault,
) -> (FakeClerk, String, super::JsonResponse) {
    let clerk = FakeClerk::start().await.unwrap();
    let host = FakeClerk::start().await.unwrap();
    let client_id = format!("{}/.well-known/jwks.json", host.issuer());
    host.fault(Route::Jwks, response(&client_id));
    let response = authorize(&clerk, &client_id, &[]).await;
    (clerk, client_id, response)
}

fn document(body: Value) -> Fault {
    Fault::Body {
        status: 200,
        content_type: "application/json".to_owned(),
        body: body.to_string().into(),
    }
}

#[tokio::test]
async fn a_client_can_use_a_metadata_document_as_its_id() {
    let (clerk, client_id, response) = authorize_by_document(|client_id| {
        document(json!({ "client_id": client_id, "client_name": "Test", "redirect_uris": [REDIRECT_URI] }))
    })
    .await;
    let code = response.redirect_parameter("code").unwrap();

    let response = exchange_code(&clerk, &client_id, &code, &[]).await;
    assert_eq!(super::claims(&response.string("access_token"))["client_id"], client_id);
}

#[tokio::test]
async fn invalid_metadata_documents_are_rejected() {
    type JsonResponse = fn(&str) -> Fault;
    let rows: [(JsonResponse, &str); 7] = [
        (
            |_| document(json!({ "client_id": "other", "redirect_uris": [REDIRECT_URI] })),
            "invalid_client",
        ),
        (|id| document(json!({ "client_id": id })), "invalid_redirect_uri"),
        (
            |id| {
                document(
                    json!({ "client_id": id, "redirect_uris": [REDIRECT_URI], "client_secret": "s" }),
                )
            },
            "invalid_client",
        ),
        (
            |id| {
                document(
                    json!({ "client_id": id, "redirect_uris": [REDIRECT_URI], "x": "x".repeat(65_536) }),
                )
            },
            "invalid_client",
        ),
        (|id| Fault::Redirect(format!("{id}?again")), "invalid_client"),
        (|_| Fault::Endless, "invalid_client"),
        (|_| Fault::Down, "invalid_client"),
    ];
    for (index, (response, error)) in rows.into_iter().enumerate() {
        let (_, _, response) = authorize_by_document(response).await;
        assert_eq!(response.error(), (400, error), "row {index}");
    }
}

#[tokio::test]
async fn only_https_or_loopback_urls_are_fetched() {
    let clerk = FakeClerk::start().await.unwrap();
    for client_id in [
        "http://app.example/client.json",
        "https://app.example",
        "https://u@app.example/client.json",
    ] {
        let response = authorize(&clerk, client_id, &[]).await;
        assert_eq!(
            response.json["error_description"], "no such client is registered",
            "{client_id}"
        );
    }
}

#[tokio::test]
async fn a_code_used_concurrently_is_redeemed_once() {
    let clerk = FakeClerk::start().await.unwrap();
    let client_id = clerk.register_client(REDIRECT_URI);
    let code = authorize(&clerk, &client_id, &[]).await.redirect_parameter("code").unwrap();
    let requests = (0..8).map(|_| {
        let (clerk, client_id, code) = (clerk.clone(), client_id.clone(), code.clone());
        tokio::spawn(async move { exchange_code(&clerk, &client_id, &code, &[]).await.status })
    });
    let mut redeemed = 0;
    for request in requests.collect::<Vec<_>>() {
        redeemed += usize::from(request.await.unwrap() == 200);
    }
    assert_eq!(redeemed, 1);
}
