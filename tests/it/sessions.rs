//! Sessions of an MCP server that keeps them (rmcp): only the user who opened one can use it.

use bytes::Bytes;
use clerk_mcp_tools::bearer_auth::SessionKey;
use clerk_mcp_tools::{ClerkMcp, RejectionReason, Scopes};
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use tower::{Layer, ServiceExt};

use crate::support::{Fixture, RESOURCE, TestResponse, TestService, request, send};

#[derive(Clone)]
struct Tools;

impl ServerHandler for Tools {}

/// rmcp with sessions, guarded with this key.
fn server(clerk: &ClerkMcp) -> TestService {
    let config = StreamableHttpServerConfig::default().with_allowed_hosts(["mcp.example.com"]);
    let mcp: StreamableHttpService<Tools, LocalSessionManager> =
        StreamableHttpService::new(|| Ok(Tools), Default::default(), config);
    let service = clerk.auth_layer().layer(mcp);
    // A stream of events does not end: only what comes before it is looked at.
    TestService::new(ServiceExt::<Request<Full<Bytes>>>::map_response(service, |response| {
        let (parts, _) = response.into_parts();
        TestResponse {
            status: parts.status,
            headers: parts.headers,
            body: String::new(),
            extensions: parts.extensions,
        }
    }))
}

fn message(method: Method, token: &str, session: Option<&str>, body: &str) -> Request<Full<Bytes>> {
    let credentials = format!("Bearer {token}");
    let mut headers = vec![
        ("authorization", credentials.as_str()),
        ("host", "mcp.example.com"),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2025-06-18"),
    ];
    headers.extend(session.map(|session| ("mcp-session-id", session)));
    request(method, "/mcp", &headers).map(|_| Full::new(Bytes::from(body.to_owned())))
}

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
const PING: &str = r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#;

#[tokio::test]
async fn a_session_id_is_of_no_use_to_another_user() {
    let fixture = Fixture::new().await;
    let clerk = fixture.clerk_mcp_builder().build().unwrap();
    let service = server(&clerk);
    let token = |user: &str| fixture.clerk.mint().subject(user).audience(RESOURCE).jwt();
    let (alice, again, bob) = (token("user_alice"), token("user_alice"), token("user_bob"));

    let response = send(&service, message(Method::POST, &alice, None, INITIALIZE)).await;
    assert_eq!(response.status, StatusCode::OK);
    let session = response.header("mcp-session-id").unwrap().to_owned();
    let response = send(&service, message(Method::POST, &alice, Some(&session), INITIALIZED)).await;
    assert_eq!(response.status, StatusCode::ACCEPTED);

    let (own_id, _) = session.rsplit_once('.').unwrap();
    let rows = [
        (Method::POST, PING, &bob, session.as_str()),
        (Method::GET, "", &bob, &session),
        (Method::DELETE, "", &bob, &session),
        (Method::POST, PING, &bob, own_id),
        (Method::POST, PING, &alice, own_id),
        (Method::DELETE, "", &alice, "made-up"),
    ];
    for (method, body, token, session) in rows {
        let mut request = message(method.clone(), token, Some(session), body);
        request.headers_mut().insert("last-event-id", "0/0".parse().unwrap());
        let response = send(&service, request).await;
        assert_eq!(response.status, StatusCode::NOT_FOUND, "{method} {session}");
        assert_eq!(response.header("www-authenticate"), None);
        let rejection = response.extensions.get::<clerk_mcp_tools::Rejection>().unwrap();
        assert_eq!(rejection.reason(), RejectionReason::UnknownSession);
    }

    // The session goes on for its user, also with a new token, until that user ends it.
    for token in [&alice, &again] {
        let response = send(&service, message(Method::POST, token, Some(&session), PING)).await;
        assert_eq!(response.status, StatusCode::OK);
    }
    let response = send(&service, message(Method::DELETE, &again, Some(&session), "")).await;
    assert!(response.status.is_success(), "{}", response.status);
}

#[tokio::test]
async fn processes_with_one_key_share_session_ids() {
    let fixture = Fixture::new().await;
    let token = fixture.jwt();
    let key = |byte| SessionKey::from_secret(&[byte; 32]).unwrap();
    let with_key = |key| fixture.clerk_mcp_builder().session_key(key).build().unwrap();
    let public = || {
        let verifier = fixture.public_verifier_builder().build().unwrap();
        fixture.clerk_mcp_builder().verifier(verifier).scopes(Scopes::none()).build().unwrap()
    };
    let by_secret_key = || fixture.clerk_mcp_builder().build().unwrap();
    let rows = [
        ("the same key", with_key(key(1)), with_key(key(1)), true),
        ("other keys", with_key(key(1)), with_key(key(2)), false),
        ("the same secret key", by_secret_key(), by_secret_key(), true),
        ("random keys", public(), public(), false),
    ];
    for (case, opened, used, accepted) in rows {
        let response =
            send(&server(&opened), message(Method::POST, &token, None, INITIALIZE)).await;
        let session = response.header("mcp-session-id").unwrap().to_owned();
        let response =
            send(&server(&used), message(Method::POST, &token, Some(&session), PING)).await;
        // rmcp does not know the session of another process; its 404 is not this crate's.
        assert_eq!(response.status, StatusCode::NOT_FOUND, "{case}");
        let rejection = response.extensions.get::<clerk_mcp_tools::Rejection>();
        assert_eq!(rejection.is_none(), accepted, "{case}");
    }
}
