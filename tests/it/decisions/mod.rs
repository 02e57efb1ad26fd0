//! What an operator sees of decisions: events, spans, metrics, the audit hook and its example.

mod audit_log;
mod counters;
mod events;
mod hook;
mod spans;

use bytes::Bytes;
use clerk_mcp_tools::{AccessPolicy, ClerkMcpBuilder, Scopes};
use http::{Method, Request};
use http_body_util::Full;

use crate::support::{Fixture, RESOURCE, TestResponse, TestService, request, send};

fn scopes(list: &str) -> Scopes {
    Scopes::parse(list).unwrap()
}

/// A guard that requires `profile` and `email`, and has rules.
fn builder(fixture: &Fixture) -> ClerkMcpBuilder {
    let policy = AccessPolicy::deny_by_default()
        .tool("read", Scopes::none())
        .tool("delete", scopes("files:write email files:admin"))
        .build()
        .unwrap();
    fixture.clerk_mcp_builder().access_policy(policy)
}

/// A token for [`RESOURCE`] with these scopes.
fn token(fixture: &Fixture, scopes: &str) -> String {
    let mint = fixture.clerk.mint().audience(RESOURCE).client_id("client_1");
    mint.scopes(scopes.split(' ')).jwt()
}

fn call_of(tool: &str) -> String {
    let tool = serde_json::to_string(tool).unwrap();
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":{tool}}}}}"#)
}

fn post(headers: &[(&str, &str)], body: &str) -> Request<Full<Bytes>> {
    request(Method::POST, "/mcp", headers).map(|_| Full::from(body.to_owned()))
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Calls a tool with a token.
async fn call_tool(service: &TestService, token: &str, tool: &str) -> TestResponse {
    send(service, post(&[("authorization", &bearer(token))], &call_of(tool))).await
}
