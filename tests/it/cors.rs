//! What a browser needs to let a page use the server.

use clerk_mcp_tools::bearer_auth::{BearerAuthLayer, ResourcesByHost};
use clerk_mcp_tools::services::CorsPreflightService;
use clerk_mcp_tools::testing::Route;
use http::header::HeaderName;
use http::{Method, StatusCode};
use tower_http::cors::CorsLayer;

use crate::support::{
    ANONYMOUS, Answer, Fixture, RESOURCE, TestService, guarded, request, send, whole_answers,
};

const PREFLIGHT: [(&str, &str); 3] = [
    ("origin", "https://inspector.example"),
    ("access-control-request-method", "POST"),
    ("access-control-request-headers", "authorization,content-type,mcp-protocol-version"),
];

async fn options(service: &TestService, headers: &[(&str, &str)]) -> Answer {
    send(service, request(Method::OPTIONS, "/mcp", headers)).await
}

#[tokio::test]
async fn a_preflight_is_answered_without_a_token_and_without_the_verifier() {
    let fixture = Fixture::new().await;
    let service = guarded(fixture.layer());
    let answer = options(&service, &PREFLIGHT).await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::NO_CONTENT, ""));
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
    let headers: Vec<_> =
        headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert_eq!(answer.sorted_headers(), headers);
    assert_eq!(fixture.clerk.calls(Route::Jwks), 0);
}

#[tokio::test]
async fn not_every_options_is_a_preflight() {
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
async fn with_optional_tokens_the_service_answers_preflights_itself() {
    let fixture = Fixture::new().await;
    let answer = options(&guarded(fixture.layer().optional()), &PREFLIGHT).await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, ANONYMOUS));
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn a_page_can_read_what_its_token_opened_and_why_it_was_refused() {
    let fixture = Fixture::new().await;
    let service = guarded(fixture.layer());
    let credentials = format!("Bearer {}", fixture.jwt());
    let page = ("origin", "https://inspector.example");

    let opened =
        send(&service, request(Method::POST, "/mcp", &[page, ("authorization", &credentials)]))
            .await;
    assert_eq!(opened.header("access-control-allow-origin"), Some("*"));
    let exposed = "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version";
    assert_eq!(opened.header("access-control-expose-headers"), Some(exposed));

    let refused = send(&service, request(Method::POST, "/mcp", &[page])).await;
    assert_eq!(refused.header("access-control-allow-origin"), Some("*"));
    assert_eq!(refused.header("access-control-expose-headers"), Some("WWW-Authenticate"));
}

#[tokio::test]
async fn an_answer_to_nobody_stays_as_the_service_made_it() {
    let fixture = Fixture::new().await;
    let service = guarded(fixture.layer().optional());
    let answer =
        send(&service, request(Method::POST, "/mcp", &[("origin", "https://evil.example")])).await;
    assert_eq!(
        (answer.body.as_str(), answer.header("access-control-allow-origin")),
        (ANONYMOUS, None)
    );
}

#[tokio::test]
async fn a_server_can_do_its_cors_elsewhere() {
    let fixture = Fixture::new().await;
    let (known, unknown) = ("https://inspector.example", "https://evil.example");
    let cors = CorsLayer::new().allow_origin([known.parse().unwrap()]);
    let service = guarded((cors, fixture.layer().without_cors()));
    let credentials = format!("Bearer {}", fixture.jwt());
    for token in ["Bearer abc", &credentials] {
        for (page, allowed) in [(known, Some(known)), (unknown, None)] {
            let headers = [("origin", page), ("authorization", token)];
            let answer = send(&service, request(Method::POST, "/mcp", &headers)).await;
            assert_eq!(answer.header("access-control-allow-origin"), allowed, "{page}");
        }
    }
    let bare = guarded(fixture.layer().without_cors());
    assert_eq!(options(&bare, &PREFLIGHT).await.status, StatusCode::UNAUTHORIZED);
    let hosts = ResourcesByHost::new([RESOURCE]).unwrap();
    let bare = guarded(BearerAuthLayer::with_resolver(fixture.verifier(), hosts).without_cors());
    let answer = send(&bare, request(Method::POST, "/mcp", &[("host", "evil.example")])).await;
    assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST);
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn cors_layers_outside_and_inside_replace_what_they_set() {
    let fixture = Fixture::new().await;
    let page = "https://inspector.example";
    let cors = || {
        CorsLayer::new()
            .allow_origin([page.parse().unwrap()])
            .expose_headers([HeaderName::from_static("www-authenticate")])
    };
    let credentials = format!("Bearer {}", fixture.jwt());
    let outside = guarded((cors(), fixture.layer()));
    let inside = guarded((fixture.layer(), cors()));
    for (service, token, what) in [
        (&outside, "Bearer abc", "outside, refused"),
        (&outside, &credentials, "outside, passed"),
        (&inside, &credentials, "inside, passed"),
    ] {
        let headers = [("origin", page), ("authorization", token)];
        let answer = send(service, request(Method::POST, "/mcp", &headers)).await;
        assert_eq!(answer.header("access-control-allow-origin"), Some(page), "{what}");
        assert_eq!(
            answer.header("access-control-expose-headers"),
            Some("www-authenticate"),
            "{what}"
        );
    }
}

#[tokio::test]
async fn the_preflight_service_answers_options_only() {
    for (service, methods) in [
        (CorsPreflightService::metadata(), "GET, HEAD, OPTIONS"),
        (CorsPreflightService::endpoint(), "GET, POST, DELETE, OPTIONS"),
    ] {
        let service = whole_answers(service);
        let answer = send(&service, request(Method::OPTIONS, RESOURCE, &[])).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
        assert_eq!(answer.header("access-control-allow-methods"), Some(methods));
        let answer = send(&service, request(Method::GET, RESOURCE, &[])).await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (StatusCode::METHOD_NOT_ALLOWED, Some("OPTIONS"))
        );
    }
}
