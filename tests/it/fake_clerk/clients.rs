//! Client ID metadata documents, and concurrent use of a code.

use clerk_mcp_tools::testing::{FakeClerk, Fault, Route};
use serde_json::{Value, json};

use super::{REDIRECT_URI, authorize, exchange_code};

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
async fn a_metadata_document_limits_grant_types_and_scopes() {
    let clerk = FakeClerk::start().await.unwrap();
    let host = FakeClerk::start().await.unwrap();
    let client_id = format!("{}/.well-known/jwks.json", host.issuer());
    for (members, scope, expected) in [
        (json!({}), "offline_access", Ok(false)),
        (json!({ "grant_types": ["authorization_code"] }), "offline_access", Ok(false)),
        (json!({ "grant_types": ["refresh_token"] }), "offline_access", Ok(true)),
        (json!({ "grant_types": ["refresh_token"] }), "profile", Ok(false)),
        // A document is written for all servers, so it may name scopes of others.
        (json!({ "scope": "profile other:scope" }), "profile", Ok(false)),
        (json!({ "scope": "profile other:scope" }), "email", Err("invalid_scope")),
        (json!({ "scope": "profile other:scope" }), "other:scope", Err("invalid_scope")),
    ] {
        let mut metadata = json!({ "client_id": client_id, "redirect_uris": [REDIRECT_URI] });
        metadata.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        host.fault(Route::Jwks, document(metadata));

        let response = authorize(&clerk, &client_id, &[("scope", scope)]).await;
        let error = response.redirect_parameter("error");
        assert_eq!(error.as_deref(), expected.err(), "{members} {scope}");
        let Some(code) = response.redirect_parameter("code") else { continue };
        let tokens = exchange_code(&clerk, &client_id, &code, &[]).await;
        let refreshes = tokens.json.get("refresh_token").is_some();
        assert_eq!(Ok(refreshes), expected, "{members} {scope}");
    }
}

#[tokio::test]
async fn invalid_metadata_documents_are_rejected() {
    type JsonResponse = fn(&str) -> Fault;
    let rows: [(JsonResponse, &str); 8] = [
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
        (
            |id| document(json!({ "client_id": id, "redirect_uris": [REDIRECT_URI], "scope": 1 })),
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
