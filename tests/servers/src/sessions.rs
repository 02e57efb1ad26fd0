//! Sessions: the id of one user's session is of no use to another user.

use axum::Router;
use bytes::Bytes;
use clerk_mcp_tools::instance::FrontendApi;
use clerk_mcp_tools::testing::FakeClerk;
use clerk_mcp_tools::{ClerkMcp, ClerkMcpBuilder, ClerkVerifier, RejectionReason, Scopes};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use tower::Layer;

use crate::differential::RESOURCE;
use crate::readers::Reader;
use crate::services::{self, Answer, AnsweringService, Log, RmcpServer, answering, send};
use crate::table::{Table, now};
use crate::targets::Ran;

/// A stand-in for Clerk and a guard for its tokens.
pub(crate) struct Fixture {
    clerk: FakeClerk,
    verifier: ClerkVerifier,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let clerk = FakeClerk::builder().start().await.unwrap();
        let frontend_api = FrontendApi::parse(clerk.frontend_api_url()).unwrap();
        let verifier = ClerkVerifier::builder().frontend_api(frontend_api).build().unwrap();
        Self { clerk, verifier }
    }

    pub(crate) fn clerk_mcp(&self) -> ClerkMcpBuilder {
        ClerkMcp::builder()
            .resource(RESOURCE.parse().unwrap())
            .verifier(self.verifier.clone())
            .scopes(Scopes::none())
    }

    pub(crate) fn with_token<B>(&self, user: &str, mut request: Request<B>) -> Request<B> {
        let token = self.clerk.mint().subject(user).audience(RESOURCE).scopes(["profile"]).jwt();
        let credentials = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        request.headers_mut().insert("authorization", credentials);
        request
    }
}

pub(crate) const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}"#;
pub(crate) const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
const CALL: &str = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"list_files","arguments":{}}}"#;

pub(crate) fn message(method: Method, session: Option<&str>, body: &str) -> Request<Full<Bytes>> {
    let mut request = Request::builder()
        .method(method)
        .uri("/")
        .header("host", "mcp.example.com")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-06-18");
    if let Some(session) = session {
        request = request.header("mcp-session-id", session);
    }
    request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()
}

fn rmcp_with_sessions(log: &Log) -> Router {
    use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
    use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};

    let server = RmcpServer(log.clone());
    let config = StreamableHttpServerConfig::default().disable_allowed_hosts();
    let service: StreamableHttpService<_, LocalSessionManager> = StreamableHttpService::new(
        move || Ok(server.clone()),
        std::default::Default::default(),
        config,
    );
    Router::new().fallback_service(service)
}

/// Waits for what a session's task runs after the response has begun.
async fn ran(log: &Log) -> Vec<Ran> {
    for _ in 0..10_000 {
        let ran = log.take();
        if !ran.is_empty() {
            return ran;
        }
        tokio::task::yield_now().await;
    }
    Vec::new()
}

async fn of_no_use_to_another_user(name: &str, server: Router, log: Log) {
    let fixture = Fixture::new().await;
    let clerk = fixture.clerk_mcp().build().unwrap();
    let service = answering(clerk.auth_layer().layer(server));
    let as_user =
        async |user: &str, request| send(&service, fixture.with_token(user, request)).await;

    let answer = as_user("user_a", message(Method::POST, None, INITIALIZE)).await;
    assert_eq!(answer.status, StatusCode::OK, "{name}: {}", answer.body);
    let session = answer.header("mcp-session-id").unwrap().to_owned();
    let own = Some(session.as_str());
    let answer = as_user("user_a", message(Method::POST, own, INITIALIZED)).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{name}: {}", answer.body);
    let expected = [Ran::Tool("list_files".to_owned())];
    let answer = as_user("user_a", message(Method::POST, own, CALL)).await;
    assert_eq!((answer.status, ran(&log).await), (StatusCode::OK, expected.to_vec()), "{name}");

    let mut table = Table::new(&format!("Sessions of {name}: another user with the id of one"));
    let (inner_id, _) = session.rsplit_once('.').unwrap();
    for (user, id) in [("user_b", session.as_str()), ("user_b", inner_id), ("user_a", inner_id)] {
        let requests = [
            (message(Method::POST, Some(id), CALL), "POST"),
            (message(Method::POST, Some(id), INITIALIZE), "POST of initialize"),
            (message(Method::GET, Some(id), ""), "GET"),
            (message(Method::DELETE, Some(id), ""), "DELETE"),
        ];
        for (mut request, method) in requests {
            for last_event in [None, Some("0"), Some("0/1")] {
                request.headers_mut().remove("last-event-id");
                if let Some(last_event) = last_event {
                    let value = HeaderValue::from_static(last_event);
                    request.headers_mut().insert("last-event-id", value);
                }
                let answer = as_user(user, request.clone()).await;
                assert_unknown(&answer, &format!("{name}: {method} {user} {id}"));
                if (user, id) == ("user_b", session.as_str()) && last_event != Some("0") {
                    let case = format!("`{method}` with `Last-Event-ID: {last_event:?}`");
                    let before = match (name, method, last_event) {
                        ("rmcp", "GET", Some("0/1")) => "200, the result of the other's call",
                        ("rmcp", "POST", None) => "200",
                        ("rmcp", "DELETE", None) => "202, the session was gone",
                        _ => "not tried",
                    };
                    table.add(&case, &now(&answer), before);
                }
            }
        }
        let mut doubled = message(Method::POST, Some(id), CALL);
        doubled.headers_mut().append("mcp-session-id", HeaderValue::from_str(&session).unwrap());
        let answer = as_user(user, doubled).await;
        assert!(answer.status.is_client_error(), "{name}: {}", answer.status);
    }
    assert_eq!(ran(&log).await, [], "{name}");

    let answer = as_user("user_a", message(Method::POST, own, CALL)).await;
    assert_eq!((answer.status, ran(&log).await), (StatusCode::OK, expected.to_vec()), "{name}");
    let answer = as_user("user_a", message(Method::DELETE, own, "")).await;
    assert!(answer.status.is_success(), "{name}: {}", answer.status);
    let answer = as_user("user_a", message(Method::POST, own, CALL)).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND, "{name}");
}

fn assert_unknown(answer: &Answer, case: &str) {
    assert_eq!(
        (answer.status, answer.header("www-authenticate")),
        (StatusCode::NOT_FOUND, None),
        "{case}"
    );
    let rejection = answer.rejection.as_ref().unwrap_or_else(|| panic!("{case}"));
    assert_eq!(rejection.reason(), RejectionReason::UnknownSession, "{case}");
}

#[tokio::test]
async fn a_session_of_rmcp_is_of_no_use_to_another_user() {
    let log = Log::default();
    of_no_use_to_another_user("rmcp", rmcp_with_sessions(&log), log).await;
}

#[tokio::test]
async fn a_session_of_tower_mcp_is_of_no_use_to_another_user() {
    let log = Log::default();
    let server = services::tower_mcp_transport(&log).into_router();
    of_no_use_to_another_user("tower-mcp", server, log).await;
}

#[tokio::test]
async fn a_session_of_pmcp_is_of_no_use_to_another_user() {
    let log = Log::default();
    let server = services::pmcp(
        &log,
        pmcp::server::streamable_http_server::StreamableHttpServerConfig::default(),
    );
    of_no_use_to_another_user("pmcp", server, log).await;
}

/// Version 2.0 of rust-mcp-sdk has no sessions: there is nothing to take over.
#[tokio::test]
async fn rust_mcp_sdk_opens_no_session() {
    let fixture = Fixture::new().await;
    let clerk = fixture.clerk_mcp().build().unwrap();
    let log = Log::default();
    let server = services::stateless(Reader::RustMcpSdk, &log);
    let service: AnsweringService = answering(clerk.auth_layer().layer(server));
    let rows = [
        (message(Method::POST, None, INITIALIZE), StatusCode::BAD_REQUEST, None),
        (message(Method::GET, None, ""), StatusCode::METHOD_NOT_ALLOWED, None),
        (message(Method::DELETE, None, ""), StatusCode::METHOD_NOT_ALLOWED, None),
        (message(Method::POST, Some("made-up"), CALL), StatusCode::NOT_FOUND, Some(())),
        (message(Method::GET, Some("made-up"), ""), StatusCode::NOT_FOUND, Some(())),
    ];
    for (request, status, rejection) in rows {
        let answer = send(&service, fixture.with_token("user_b", request)).await;
        assert_eq!((answer.status, answer.rejection.map(drop)), (status, rejection));
        assert!(!answer.headers.contains_key("mcp-session-id"));
    }
    assert_eq!(log.take(), []);
}
