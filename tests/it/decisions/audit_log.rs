//! The example `audit_log`.

#[path = "../../../examples/audit_log.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "the tests use its parts and leave the rest to `cargo run --example`"
)]
mod example;

use std::sync::mpsc::sync_channel;

use clerk_mcp_tools::testing::FakeClerk;
use http::Method;
use serde_json::{Value, json};

use super::{bearer, call_of, post};
use crate::support::{RESOURCE, collect_responses, request, send};

#[tokio::test]
async fn the_example_writes_a_line_for_each_decision() {
    let fake = FakeClerk::start().await.unwrap();
    let (sender, receiver) = sync_channel(16);
    let clerk = example::guard(&fake, RESOURCE.parse().unwrap(), sender).unwrap();
    let service = collect_responses(example::router(&clerk));
    let mint = fake.mint().audience(RESOURCE).client_id("client_1");
    let token = bearer(&mint.scopes(["profile", "email"]).jwt());
    let authorized = [("authorization", token.as_str())];
    assert_eq!(send(&service, post(&authorized, &call_of("list_notes"))).await.status, 200);
    assert_eq!(send(&service, post(&authorized, &call_of("delete_notes"))).await.status, 403);
    assert_eq!(send(&service, post(&authorized, &call_of("a\n\u{1b}"))).await.status, 403);
    assert_eq!(send(&service, request(Method::POST, "/mcp", &[])).await.status, 401);
    drop((service, clerk));

    let mut output = Vec::new();
    example::write_lines(&receiver, &mut output).unwrap();
    let output = String::from_utf8(output).unwrap();
    assert!(!output.contains('\u{1b}') && !output.contains(token.trim_start_matches("Bearer ")));
    let mut lines: Vec<Value> =
        output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &mut lines {
        assert!(line["time"].as_u64().unwrap() > 0);
        line["time"] = json!(0);
    }
    let line = |decision: &str, reason: Value, tool: &str, missing: Value| {
        json!({
            "time": 0, "decision": decision, "reason": reason, "client_id": "client_1",
            "principal": fake.default_user_id(), "token_type": "oauth_token",
            "operations": [{ "method": "tools/call", "name": tool }],
            "missing_scopes": missing, "resource": RESOURCE,
        })
    };
    let expected = [
        line("admitted", Value::Null, "list_notes", Value::Null),
        line("rejected", json!("insufficient_scope"), "delete_notes", json!("public_metadata")),
        line("rejected", json!("operation_denied"), "a\n\u{1b}", Value::Null),
        json!({
            "time": 0, "decision": "rejected", "reason": "missing_token", "client_id": null,
            "principal": null, "token_type": null, "operations": [], "missing_scopes": null,
            "resource": RESOURCE,
        }),
    ];
    assert_eq!(lines, expected);
}
