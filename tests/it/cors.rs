//! CORS: preflight requests, readable responses, and servers with their own CORS layer.

use std::convert::Infallible;

use bytes::Bytes;
use clerk_mcp_tools::bearer_auth::{BearerAuthLayer, ResourcesByHost};
use clerk_mcp_tools::services::CorsPreflightService;
use clerk_mcp_tools::testing::Route;
use http::header::HeaderName;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, service_fn};
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
async fn with_optional_tokens_only_preflights_for_a_token_are_answered() {
    let fixture = Fixture::new().await;
    let service = guarded(fixture.layer().optional());
    for names in ["authorization", "content-type, Authorization", "a,AUTHORIZATION ,b"] {
        let names = ("access-control-request-headers", names);
        let response = options(&service, &[PREFLIGHT[0], PREFLIGHT[1], names]).await;
        assert_eq!((response.status, response.body.as_str()), (StatusCode::NO_CONTENT, ""));
        assert_eq!(response.header("access-control-allow-origin"), Some("*"));
        // Otherwise the browser would use the answer for a request without a token.
        assert_eq!(response.header("access-control-max-age"), Some("0"));
    }
    for names in [None, Some("content-type"), Some("x-authorization"), Some("")] {
        let names = names.map(|names| ("access-control-request-headers", names));
        let headers: Vec<_> = PREFLIGHT[..2].iter().copied().chain(names).collect();
        let response = options(&service, &headers).await;
        assert_eq!((response.status, response.body.as_str()), (StatusCode::OK, ANONYMOUS));
        assert_eq!(response.header("access-control-allow-origin"), None);
    }
}

/// A service that sets these headers.
fn with_headers(
    fixture: &Fixture,
    headers: &'static [(&'static str, &'static str)],
) -> TestService {
    let service = service_fn(move |_: Request<Full<Bytes>>| async move {
        let mut response = Response::new(Full::<Bytes>::default());
        for (name, value) in headers {
            response.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        Ok::<_, Infallible>(response)
    });
    collect_responses(fixture.layer().layer(service))
}

#[tokio::test]
async fn the_headers_of_the_service_are_kept() {
    const OURS: &str = "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version";
    const ORIGIN: (&str, &str) = ("origin", "https://app.example");
    type Headers = &'static [(&'static str, &'static str)];
    type Row = (Method, Headers, Headers, &'static [&'static str], &'static [&'static str]);
    let rows: [Row; 9] = [
        (Method::POST, &[ORIGIN], &[], &[OURS], &["Origin"]),
        (
            Method::POST,
            &[ORIGIN],
            &[("access-control-expose-headers", "X-Total"), ("vary", "Accept")],
            &["X-Total", OURS],
            &["Accept", "Origin"],
        ),
        (Method::POST, &[ORIGIN], &[("vary", "accept, ORIGIN")], &[OURS], &["accept, ORIGIN"]),
        (Method::POST, &[ORIGIN], &[("vary", "*")], &[OURS], &["*"]),
        (Method::POST, &[ORIGIN], &[("vary", "X-Origin")], &[OURS], &["X-Origin", "Origin"]),
        // The service has decided on its own.
        (Method::POST, &[ORIGIN], &[("access-control-allow-origin", "null")], &[], &[]),
        // A cache may have the response to a request without `Origin`.
        (Method::GET, &[], &[], &[], &["Origin"]),
        (Method::HEAD, &[], &[], &[], &["Origin"]),
        (Method::POST, &[], &[], &[], &[]),
    ];
    let fixture = Fixture::new().await;
    let credentials = format!("Bearer {}", fixture.jwt());
    for (method, headers, own, exposed, vary) in rows {
        let service = with_headers(&fixture, own);
        let all = [headers, &[("authorization", credentials.as_str())]].concat();
        let response = send(&service, request(method.clone(), "/mcp", &all)).await;
        let values = |name: &str| -> Vec<_> {
            response.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
        };
        assert_eq!(values("access-control-expose-headers"), exposed, "{method} {own:?}");
        assert_eq!(values("vary"), vary, "{method} {own:?}");
    }
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
