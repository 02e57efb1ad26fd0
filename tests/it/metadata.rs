//! The metadata documents: their paths, their content, and how they are served during an outage.

use clerk_mcp_tools::clerk::fetch_clerk_authorization_server_metadata;
use clerk_mcp_tools::instance::FrontendApi;
use clerk_mcp_tools::metadata::ProtectedResourceMetadata;
use clerk_mcp_tools::services::AuthorizationServerService;
use clerk_mcp_tools::testing::{Fault, Route};
use clerk_mcp_tools::{ClerkErrorKind, ClerkMcp, PublishableKey, Scopes};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{
    Fixture, RESOURCE, TestResponse, TestService, collect_responses, guarded, json_fault, request,
    send,
};

const CORS: [(&str, &str); 4] = [
    (
        "access-control-allow-headers",
        "Authorization, Content-Type, Accept, Last-Event-ID, MCP-Protocol-Version, Mcp-Session-Id, Mcp-Method, \
         Mcp-Name, *",
    ),
    ("access-control-allow-methods", "GET, HEAD, OPTIONS"),
    ("access-control-allow-origin", "*"),
    ("access-control-max-age", "86400"),
];

fn clerk_mcp(fixture: &Fixture) -> ClerkMcp {
    fixture.clerk_mcp_builder().build().unwrap()
}

/// A server without a router: the well-known layer around the guarded service.
fn server(clerk: &ClerkMcp) -> TestService {
    guarded((clerk.well_known_layer(), clerk.auth_layer()))
}

async fn get(service: &TestService, path: &str) -> TestResponse {
    send(service, request(Method::GET, path, &[])).await
}

#[track_caller]
fn assert_document(response: &TestResponse, expected: &Value, case: &str) {
    assert_eq!(response.status, StatusCode::OK, "{case}");
    assert_eq!(serde_json::from_str::<Value>(&response.body).unwrap(), *expected, "{case}");
    let length = response.body.len().to_string();
    let mut headers = CORS.to_vec();
    headers.extend([
        ("cache-control", "public, max-age=3600"),
        ("content-length", length.as_str()),
        ("content-type", "application/json"),
    ]);
    response.assert_headers(headers, case);
}

fn protected_resource(fixture: &Fixture) -> Value {
    json!({
        "resource": RESOURCE,
        "authorization_servers": [fixture.clerk.issuer()],
        "scopes_supported": ["profile", "email"],
        "bearer_methods_supported": ["header"],
    })
}

async fn authorization_server(fixture: &Fixture) -> Value {
    let url = format!("{}/.well-known/oauth-authorization-server", fixture.clerk.issuer());
    serde_json::from_str(&reqwest::get(url).await.unwrap().text().await.unwrap()).unwrap()
}

#[tokio::test]
async fn both_documents_are_served_at_every_well_known_path() {
    let fixture = Fixture::new().await;
    let server = server(&clerk_mcp(&fixture));
    let documents = [
        ("/.well-known/oauth-protected-resource", protected_resource(&fixture)),
        ("/.well-known/oauth-authorization-server", authorization_server(&fixture).await),
    ];
    for (well_known, document) in documents {
        for suffix in ["", "/", "/mcp", "/mcp/", "?x=y", "/mcp?x=y"] {
            let path = format!("{well_known}{suffix}");
            assert_document(&get(&server, &path).await, &document, &path);
        }
        for suffix in ["/other", "/mcp/other", "//", "x"] {
            let path = format!("{well_known}{suffix}");
            assert_eq!(get(&server, &path).await.status, StatusCode::UNAUTHORIZED, "{path}");
        }
    }
}

#[tokio::test]
async fn the_routes_are_the_paths_that_the_layer_serves() {
    let fixture = Fixture::new().await;
    let mut paths: Vec<_> =
        clerk_mcp(&fixture).well_known_routes().into_iter().map(|(path, _)| path).collect();
    paths.sort();
    let expected =
        ["oauth-authorization-server", "oauth-protected-resource"].iter().flat_map(|name| {
            ["", "/", "/mcp", "/mcp/"].map(|suffix| format!("/.well-known/{name}{suffix}"))
        });
    assert_eq!(paths, expected.collect::<Vec<_>>());
}

#[tokio::test]
async fn head_and_options_are_served_and_other_methods_rejected() {
    let fixture = Fixture::new().await;
    let server = server(&clerk_mcp(&fixture));
    for path in
        ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-authorization-server"]
    {
        let document = get(&server, path).await;
        let head = send(&server, request(Method::HEAD, path, &[])).await;
        assert_eq!((head.status, head.body.as_str()), (StatusCode::OK, ""), "{path}");
        assert_eq!(head.sorted_headers(), document.sorted_headers(), "{path}");

        let options = send(&server, request(Method::OPTIONS, path, &[])).await;
        assert_eq!((options.status, options.body.as_str()), (StatusCode::NO_CONTENT, ""), "{path}");
        options.assert_headers(CORS, path);

        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            let response = send(&server, request(method.clone(), path, &[])).await;
            assert_eq!(response.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            assert_eq!(response.header("allow"), Some("GET, HEAD, OPTIONS"));
        }
    }
}

#[tokio::test]
async fn the_challenge_points_to_the_document_of_the_same_resource() {
    let fixture = Fixture::new().await;
    let clerk = clerk_mcp(&fixture);
    let server = server(&clerk);
    let challenge = get(&server, "/mcp").await;
    let challenge = challenge.header("www-authenticate").unwrap();
    let url = challenge.split("resource_metadata=\"").nth(1).unwrap().split('"').next().unwrap();
    let document = get(&server, url).await;
    let document: Value = serde_json::from_str(&document.body).unwrap();
    assert_eq!(document["resource"], RESOURCE);
    assert_eq!(clerk.metadata().resource, RESOURCE);
    assert_eq!(document["scopes_supported"], json!(["profile", "email"]));
    assert!(challenge.ends_with("scope=\"profile email\""));
    let token = fixture.clerk.mint().audience(document["resource"].as_str().unwrap()).jwt();
    assert_eq!(crate::support::call(&server, &token).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_documents_can_be_customized() {
    let fixture = Fixture::new().await;
    let clerk = ClerkMcp::builder()
        .resource(RESOURCE.parse().unwrap())
        .verifier(fixture.verifier())
        .scopes(Scopes::parse("profile").unwrap())
        .scopes_supported(Scopes::parse("profile email offline_access").unwrap())
        .restrict_advertised_scopes()
        .customize_metadata(|_| {
            let other = "https://other.example/mcp".parse().unwrap();
            let document = ProtectedResourceMetadata::builder(&other);
            let document = document.resource_name("Example").extra("resource_name#de", "Beispiel");
            // Values that would contradict the layer have no effect.
            document.authorization_server("https://other.example").scopes_supported(&Scopes::none())
        })
        .build()
        .unwrap();
    let server = server(&clerk);
    let document = get(&server, "/.well-known/oauth-protected-resource").await;
    let mut expected = protected_resource(&fixture);
    expected["resource_name"] = "Example".into();
    expected["resource_name#de"] = "Beispiel".into();
    assert_document(&document, &expected, "protected resource");
    assert!(
        get(&server, "/mcp")
            .await
            .header("www-authenticate")
            .unwrap()
            .ends_with("scope=\"profile\"")
    );

    let mut expected = authorization_server(&fixture).await;
    expected["scopes_supported"] = json!(["profile", "email"]);
    let document = get(&server, "/.well-known/oauth-authorization-server").await;
    assert_document(&document, &expected, "authorization server");
}

#[tokio::test]
async fn the_last_document_is_served_for_a_day_of_an_outage() {
    let fixture = Fixture::new().await;
    let server = server(&clerk_mcp(&fixture));
    let path = "/.well-known/oauth-authorization-server";
    let expected = get(&server, path).await.body;
    fixture.clerk.fault_all(Fault::Down);
    for _ in 0..23 {
        fixture.advance(60 * 60);
        let response = get(&server, path).await;
        assert_eq!((response.status, &response.body), (StatusCode::OK, &expected));
    }
    fixture.advance(60 * 60);
    let response = get(&server, path).await;
    assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE);
    let retry_after: u64 = response.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=30).contains(&retry_after), "{retry_after}");
    assert_eq!(response.header("www-authenticate"), None);
    assert_eq!(response.header("access-control-allow-origin"), Some("*"));
    assert_eq!(
        response.body,
        r#"{"error":"temporarily_unavailable","error_description":"The metadata of the authorization server cannot be fetched at the moment"}"#,
    );
    fixture.clerk.heal_all();
    fixture.advance(60);
    assert_eq!(get(&server, path).await.body, expected);
}

#[tokio::test]
async fn concurrent_requests_share_one_fetch() {
    let fixture = Fixture::new().await;
    let server = server(&clerk_mcp(&fixture));
    let (fault, gate) = Fault::hold();
    fixture.clerk.fault(Route::AuthorizationServerMetadata, fault);
    let requests: Vec<_> = (0..50)
        .map(|_| {
            let server = server.clone();
            tokio::spawn(async move {
                get(&server, "/.well-known/oauth-authorization-server").await.status
            })
        })
        .collect();
    gate.arrived(1).await;
    gate.open();
    for status in requests {
        assert_eq!(status.await.unwrap(), StatusCode::OK);
    }
    assert_eq!(fixture.clerk.calls(Route::AuthorizationServerMetadata), 1);
}

#[tokio::test]
async fn a_document_of_another_issuer_is_not_served() {
    let fixture = Fixture::new().await;
    let instance = FrontendApi::parse(fixture.clerk.issuer()).unwrap();
    let valid = fetch_clerk_authorization_server_metadata(&instance).await.unwrap();
    assert_eq!(valid.issuer, fixture.clerk.issuer());
    let rows = [
        r#"{"issuer":"https://evil.example"}"#.to_owned(),
        format!(r#"{{"issuer":"{}/"}}"#, fixture.clerk.issuer()),
        format!(
            r#"{{"issuer":"{}","token_endpoint":"http://evil.example/token"}}"#,
            fixture.clerk.issuer()
        ),
        "{}".to_owned(),
        "[]".to_owned(),
        "<html>".to_owned(),
    ];
    for body in rows {
        fixture.clerk.fault(Route::AuthorizationServerMetadata, json_fault(body.clone()));
        let error = fetch_clerk_authorization_server_metadata(&instance).await.unwrap_err();
        assert_eq!(error.kind(), ClerkErrorKind::InvalidResponse, "{body}");
        let service = collect_responses(AuthorizationServerService::for_clerk(&instance).unwrap());
        assert_eq!(get(&service, "/").await.status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
    }
}

#[tokio::test]
async fn a_publishable_key_identifies_the_instance() {
    let key = PublishableKey::parse("pk_test_Zm9vLWJhci0xMy5jbGVyay5hY2NvdW50cy5kZXYk").unwrap();
    assert_eq!(FrontendApi::from(&key).issuer(), "https://foo-bar-13.clerk.accounts.dev");
}
