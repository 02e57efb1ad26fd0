//! The page for a person who opens the endpoint in a browser.

use clerk_mcp_tools::bearer_auth::{BearerAuthLayer, ResourcesByHost};
use clerk_mcp_tools::{Rejection, RejectionReason};
use http::Method;

use crate::support::{Fixture, RESOURCE, TestResponse, guarded, request, resource, send};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
const POLICY: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const CHALLENGE: &str = "Bearer resource_metadata=\"https://mcp.example.com/.well-known/\
                         oauth-protected-resource/mcp\", scope=\"profile email\"";
const JSON: &str = r#"{"error":"unauthorized","error_description":"An access token is required"}"#;

fn assert_page(response: &TestResponse, case: &str) {
    assert_eq!(response.status, 401, "{case}");
    let headers = [
        ("access-control-allow-origin", "*"),
        ("access-control-expose-headers", "WWW-Authenticate"),
        ("cache-control", "no-store"),
        ("content-security-policy", POLICY),
        ("content-type", "text/html; charset=utf-8"),
        ("www-authenticate", CHALLENGE),
        ("x-content-type-options", "nosniff"),
    ];
    response.assert_headers(headers, case);
    let reason = response.extensions.get::<Rejection>().map(Rejection::reason);
    assert_eq!(reason, Some(RejectionReason::MissingToken), "{case}");
    assert!(response.body.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"), "{case}");
    assert!(response.body.contains(&format!("<pre>{RESOURCE}</pre>")), "{}", response.body);
}

fn assert_json(response: &TestResponse, case: &str) {
    assert_eq!((response.status.as_u16(), response.body.as_str()), (401, JSON), "{case}");
    let headers = [
        ("access-control-allow-origin", "*"),
        ("access-control-expose-headers", "WWW-Authenticate"),
        ("cache-control", "no-store"),
        ("content-type", "application/json"),
        ("www-authenticate", CHALLENGE),
    ];
    response.assert_headers(headers, case);
}

#[tokio::test]
async fn only_a_browser_without_a_token_gets_a_page() {
    let fixture = Fixture::new().await;
    let with_page = guarded(fixture.clerk_mcp_builder().build().unwrap().auth_layer());
    let without = fixture.clerk_mcp_builder().without_browser_page().build().unwrap();
    let without = guarded(without.auth_layer());
    type Row = (Method, &'static [(&'static str, &'static str)], bool);
    let rows: [Row; 8] = [
        (Method::GET, &[("accept", BROWSER)], true),
        (Method::HEAD, &[("accept", BROWSER)], true),
        (Method::GET, &[("accept", BROWSER), ("authorization", "Basic YTpi")], true),
        (Method::GET, &[("accept", "text/event-stream")], false),
        (Method::GET, &[("accept", "*/*")], false),
        (Method::GET, &[], false),
        (Method::POST, &[("accept", BROWSER)], false),
        (Method::DELETE, &[("accept", BROWSER)], false),
    ];
    for (method, headers, is_page) in rows {
        let case = format!("{method} {headers:?}");
        let send = |service| send(service, request(method.clone(), "/mcp", headers));
        match is_page {
            true => assert_page(&send(&with_page).await, &case),
            false => assert_json(&send(&with_page).await, &case),
        }
        assert_json(&send(&without).await, &case);
    }
    // A token that is rejected is no visit of a browser.
    let rejected = [("accept", BROWSER), ("authorization", "Bearer a b")];
    let response = send(&with_page, request(Method::GET, "/mcp", &rejected)).await;
    assert_eq!(response.status, 401);
    assert_eq!(response.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn the_page_names_the_resource_of_the_host_and_follows_the_cors_setting() {
    let fixture = Fixture::new().await;
    let hosts = ResourcesByHost::new([RESOURCE, "https://b.example/x"]).unwrap();
    let service = guarded(BearerAuthLayer::with_resolver(fixture.verifier(), hosts));
    let headers = [("accept", BROWSER), ("host", "b.example")];
    let response = send(&service, request(Method::GET, "/x", &headers)).await;
    assert!(response.body.contains("<pre>https://b.example/x</pre>"), "{}", response.body);

    let layer = BearerAuthLayer::new(fixture.verifier(), resource()).without_cors();
    let response =
        send(&guarded(layer), request(Method::GET, "/mcp", &[("accept", BROWSER)])).await;
    assert_eq!(response.header("content-security-policy"), Some(POLICY));
    assert_eq!(response.header("access-control-allow-origin"), None);
}
