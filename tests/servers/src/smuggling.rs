//! Bodies that a server reads line by line (rust-mcp-sdk), as if they came from standard input.

use bytes::Bytes;
use clerk_mcp_tools::{AccessPolicy, RejectionReason, Scopes};
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use tower::Layer;

use crate::readers::Reader;
use crate::services::{self, Log, answering, send};
use crate::sessions::Fixture;
use crate::targets::Ran;

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

/// A request of this method whose parameters have a member that spans lines.
fn body(method: &str, lines: &str) -> String {
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{method}\",\"params\":{{{META},\"x\":{lines}}}}}"
    )
}

fn call(tool: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{{"name":"{tool}",{META}}}}}"#
    )
}

fn request(body: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(Method::POST)
        .uri("/")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "server/discover")
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap()
}

#[tokio::test]
async fn a_call_on_a_line_of_its_own_is_judged() {
    let fixture = Fixture::new().await;
    let policy = AccessPolicy::deny_by_default()
        .tool("list_files", Scopes::none())
        .tool("delete_file", Scopes::parse("files:write").unwrap())
        .build()
        .unwrap();
    let clerk = fixture.clerk_mcp().access_policy(policy).build().unwrap();
    let log = Log::default();
    let server = services::stateless(Reader::RustMcpSdk, &log);
    let guarded = answering(clerk.auth_layer().layer(server.clone()));
    let server = answering(server);

    let smuggled = body("server/discover", &format!("\n{}\n", call("delete_file")));
    let answer = send(&server, request(&smuggled)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(log.take(), [Ran::Tool("delete_file".to_owned())]);

    let answer = send(&guarded, fixture.with_token("user_a", request(&smuggled))).await;
    assert_eq!(log.take(), []);
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(answer.rejection.unwrap().reason(), RejectionReason::InsufficientScope);

    // What the caller may do anyway is not rejected for its form.
    let open = body("server/discover", &format!("\n{}\n", call("list_files")));
    let answer = send(&guarded, fixture.with_token("user_a", request(&open))).await;
    assert_eq!((answer.status, answer.rejection.is_none()), (StatusCode::OK, true));
    assert_eq!(log.take(), [Ran::Tool("list_files".to_owned())]);
}
