//! CORS: preflight requests, readable responses, and servers with their own CORS layer.

use clerk_mcp_tools::bearer_auth::{BearerAuthLayer, ResourcesByHost};
use clerk_mcp_tools::services::CorsPreflightService;
use clerk_mcp_tools::testing::Route;
use http::header::HeaderName;
use http::{Method, StatusCode};
use tower_http::cors::CorsLayer;

use crate::support::{
    ANONYMOUS, Fixture, RESOURCE, TestResponse, TestService, collect_responses, guarded, request,
    send,
};

const PREFLIGHT: [(&str, &str); 3] = [
    ("origin", "https://inspector.example"),
    ("access-control-request-method", "POST"),
    ("access-control-request-headers", "authorization,content-type,mcp-protocol-version"),
];

async fn options(service: &TestService, headers: &[(&str, &str)]) -> TestResponse {
    send(service, request(Method::OPTIONS, "/mcp", headers)).await
}

#[tokio::test]
async fn a_preflight_needs_no_token_and_does_not_reach_the_verifier() {
    let fixture = Fixture::new().await;
    let service = guarded(fixture.layer());
    let response = options(&service, &PREFLIGHT).await;
    assert_eq!((response.status, response.body.as_str()), (StatusCode::NO_CONTENT, ""));
    let headers = [
        (
            "access-control-allow-headers",
            "Authorization, Content-Type, Accept, Last-Event-ID, MCP-Protocol-Version, Mcp-Session-Id, Mcp-Method, \
             Mcp-Name, *",
        ),
        ("access-control-allow-methods", "GET, POST, DELETE, OPTIONS"),
        ("access-control-allow-origin", "*"),
        ("access-control-max-age", "86400"),
    ];
    response.assert_headers(headers, "a preflight");
    assert_eq!(fixture.clerk.calls(Route::Jwks), 0);
}

#[tokio::test]
async fn options_requests_other_than_preflights_need_a_token() {
    let fixture = Fixture::new().await;
    let service = guarded(fixture.layer());
    for headers in [&PREFLIGHT[..0], &PREFLIGHT[..1], &PREFLIGHT[1..2]] {
        assert_eq!(
            options(&service, headers).await.status,
            StatusCode::UNAUTHORIZED,
            "{headers:?}"
        );
    }
}

#[tokio::test]
async fn with_optional_tokens_preflights_reach_the_inner_service() {
    let fixture = Fixture::new().await;
    let response = options(&guarded(fixture.layer().optional()), &PREFLIGHT).await;
    assert_eq!((response.status, response.body.as_str()), (StatusCode::OK, ANONYMOUS));
    assert_eq!(response.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn a_page_can_read_accepted_and_rejected_responses() {
    let fixture = Fixture::new().await;
    let service = guarded(fixture.layer());
    let credentials = format!("Bearer {}", fixture.jwt());
    let page = ("origin", "https://inspector.example");

    let accepted =
        send(&service, request(Method::POST, "/mcp", &[page, ("authorization", &credentials)]))
            .await;
    assert_eq!(accepted.header("access-control-allow-origin"), Some("*"));
    let exposed = "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version";
    assert_eq!(accepted.header("access-control-expose-headers"), Some(exposed));

    let rejected = send(&service, request(Method::POST, "/mcp", &[page])).await;
    assert_eq!(rejected.header("access-control-allow-origin"), Some("*"));
    assert_eq!(rejected.header("access-control-expose-headers"), Some("WWW-Authenticate"));
}

#[tokio::test]
async fn responses_to_anonymous_requests_get_no_cors_headers() {
    let fixture = Fixture::new().await;
    let service = guarded(fixture.layer().optional());
    let response =
        send(&service, request(Method::POST, "/mcp", &[("origin", "https://evil.example")])).await;
    assert_eq!(
        (response.body.as_str(), response.header("access-control-allow-origin")),
        (ANONYMOUS, None)
    );
}

#[tokio::test]
async fn a_server_can_use_its_own_cors_layer() {
    let fixture = Fixture::new().await;
    let (allowed_page, other_page) = ("https://inspector.example", "https://evil.example");
    let cors = CorsLayer::new().allow_origin([allowed_page.parse().unwrap()]);
    let service = guarded((cors, fixture.layer().without_cors()));
    let credentials = format!("Bearer {}", fixture.jwt());
    for token in ["Bearer abc", &credentials] {
        for (page, allowed) in [(allowed_page, Some(allowed_page)), (other_page, None)] {
            let headers = [("origin", page), ("authorization", token)];
            let response = send(&service, request(Method::POST, "/mcp", &headers)).await;
            assert_eq!(response.header("access-control-allow-origin"), allowed, "{page}");
        }
    }
    let without_cors = guarded(fixture.layer().without_cors());
    assert_eq!(options(&without_cors, &PREFLIGHT).await.status, StatusCode::UNAUTHORIZED);

    let hosts = ResourcesByHost::new([RESOURCE]).unwrap();
    let without_cors =
        guarded(BearerAuthLayer::with_resolver(fixture.verifier(), hosts).without_cors());
    let headers = [("host", "evil.example")];
    let response = send(&without_cors, request(Method::POST, "/mcp", &headers)).await;
    assert_eq!(response.status, StatusCode::MISDIRECTED_REQUEST);
    assert_eq!(response.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn the_headers_of_outer_and_inner_cors_layers_take_precedence() {
    let fixture = Fixture::new().await;
    let page = "https://inspector.example";
    let cors = || {
        CorsLayer::new()
            .allow_origin([page.parse().unwrap()])
            .expose_headers([HeaderName::from_static("www-authenticate")])
    };
    let credentials = format!("Bearer {}", fixture.jwt());
    let outer = guarded((cors(), fixture.layer()));
    let inner = guarded((fixture.layer(), cors()));
    for (service, token, case) in [
        (&outer, "Bearer abc", "outer layer, rejected"),
        (&outer, &credentials, "outer layer, accepted"),
        (&inner, &credentials, "inner layer, accepted"),
    ] {
        let headers = [("origin", page), ("authorization", token)];
        let response = send(service, request(Method::POST, "/mcp", &headers)).await;
        assert_eq!(response.header("access-control-allow-origin"), Some(page), "{case}");
        assert_eq!(
            response.header("access-control-expose-headers"),
            Some("www-authenticate"),
            "{case}"
        );
    }
}

#[tokio::test]
async fn the_preflight_service_accepts_options_only() {
    for (service, methods) in [
        (CorsPreflightService::metadata(), "GET, HEAD, OPTIONS"),
        (CorsPreflightService::endpoint(), "GET, POST, DELETE, OPTIONS"),
    ] {
        let service = collect_responses(service);
        let response = send(&service, request(Method::OPTIONS, RESOURCE, &[])).await;
        assert_eq!(response.status, StatusCode::NO_CONTENT);
        assert_eq!(response.header("access-control-allow-methods"), Some(methods));
        let response = send(&service, request(Method::GET, RESOURCE, &[])).await;
        assert_eq!(
            (response.status, response.header("allow")),
            (StatusCode::METHOD_NOT_ALLOWED, Some("OPTIONS"))
        );
    }
}
