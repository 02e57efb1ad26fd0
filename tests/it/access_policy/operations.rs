//! Which rule or default applies to an operation, and what a denied one gets.

use std::panic::Location;

use clerk_mcp_tools::access_policy::{AccessPolicyBuilder, Operation, Requirement};
use serde_json::{Value, json};

use super::*;
use crate::rmcp_client::example;

/// Sends a message to a layer with this policy. Returns the status, and the scopes that the
/// challenge names.
async fn needed(policy: AccessPolicyBuilder, message: &Value) -> (u16, Option<String>) {
    let layer = AccessPolicyLayer::new(policy.build().unwrap(), resource());
    let body = message.to_string();
    let (response, received) = send_to(&layer, post(&[JSON], body.clone(), Some(""))).await;
    let passed = response.status == StatusCode::OK;
    assert_eq!(received, if passed { vec![Bytes::from(body)] } else { vec![] }, "{message}");
    let challenge = response.header("www-authenticate");
    let scope = challenge.map(|challenge| challenge.rsplit_once("scope=").unwrap().1);
    (response.status.as_u16(), scope.map(|scope| scope.trim_matches('"').to_owned()))
}

/// Asserts what each message needs: scopes, `""` for the baseline, or `"denied"`.
#[track_caller]
fn assert_needed(policy: &AccessPolicyBuilder, rows: &[(Value, &str)]) -> impl Future<Output = ()> {
    let caller = Location::caller();
    async move {
        let mut wrong = Vec::new();
        for (message, expected) in rows {
            let expected = match *expected {
                "" => (200, None),
                "denied" => (403, None),
                scopes => (403, Some(scopes.to_owned())),
            };
            let actual = needed(policy.clone(), message).await;
            if actual != expected {
                wrong.push(format!("{message:.200}: {actual:?} instead of {expected:?}"));
            }
        }
        assert!(wrong.is_empty(), "{caller}: {wrong:#?}");
    }
}

fn message(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

fn reading(uri: &str) -> Value {
    message("resources/read", json!({"uri": uri}))
}

fn listing(uri: &str) -> Value {
    message("resources/directory/read", json!({"uri": uri}))
}

fn completing(reference: Value) -> Value {
    message(
        "completion/complete",
        json!({"ref": reference, "argument": {"name": "a", "value": ""}}),
    )
}

fn listening(uris: &[&str]) -> Value {
    message("subscriptions/listen", json!({"notifications": {"resourceSubscriptions": uris}}))
}

#[tokio::test]
async fn a_denied_operation_is_a_403_without_a_challenge() {
    let policy = AccessPolicy::deny_by_default().tool("open", Scopes::none()).build().unwrap();
    let layer = AccessPolicyLayer::new(policy, resource()).required_scopes(scopes("profile"));
    let batch = format!("[{},{}]", call("open"), call("other"));
    let with_id = |id: &str| {
        let error = r#"{"code":-32000,"message":"This server does not allow the operation"}"#;
        format!(r#"{{"jsonrpc":"2.0",{id}"error":{error}}}"#)
    };
    let rows = [
        ("a tool without a rule", call("other"), with_id(r#""id":1,"#)),
        ("without an id", r#"{"method":"acme/do"}"#.to_owned(), with_id("")),
        (
            "with a string as its id",
            r#"{"id":"a","method":"acme/do"}"#.into(),
            with_id(r#""id":"a","#),
        ),
        ("one of a batch", batch, with_id("")),
    ];
    for (case, body, expected) in rows {
        // No scope helps, so callers without a token are not asked to sign in either.
        for granted in [None, Some(""), Some("profile files:write")] {
            let (response, received) = send_to(&layer, post(&[JSON], body.clone(), granted)).await;
            assert_eq!(response.status, StatusCode::FORBIDDEN, "{case}");
            assert_eq!(response.body, expected, "{case}");
            assert_headers(&response, None, case);
            let rejection = response.extensions.get::<Rejection>().unwrap();
            assert_eq!(rejection.reason(), RejectionReason::OperationDenied, "{case}");
            assert!(received.is_empty(), "{case}");
        }
    }
    let layer = layer.without_cors();
    let (response, _) = send_to(&layer, post(&[JSON], call("other"), Some(""))).await;
    let headers = [("cache-control", "no-store"), ("content-type", "application/json")];
    response.assert_headers(headers, "without CORS");
}

#[tokio::test]
async fn the_default_applies_to_every_method_without_a_rule() {
    let none = || json!({});
    let with_default = [
        "logging/setLevel",
        "tasks/get",
        "tasks/result",
        "tasks/update",
        "tasks/cancel",
        "tasks/later",
        "skills/later",
        "tools/later",
        "acme/do",
        "Tools/call",
        "tools/List",
        "Initialize",
        "notification/x",
        "",
    ];
    let baseline = [
        "initialize",
        "ping",
        "server/discover",
        "notifications/initialized",
        "notifications/cancelled",
        "notifications/acme",
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "skills/list",
        "tasks/list",
    ];
    let rows: Vec<_> = with_default
        .iter()
        .map(|method| (message(method, none()), "o"))
        .chain(baseline.iter().map(|method| (message(method, none()), "")))
        .chain([(json!({"id": 1, "result": {}}), ""), (json!({"id": 1, "error": {}}), "")])
        .collect();
    assert_needed(&AccessPolicy::scopes_by_default(scopes("o")), &rows).await;
    let denied: Vec<_> = rows
        .iter()
        .map(|(message, needed)| (message.clone(), if *needed == "o" { "denied" } else { "" }))
        .collect();
    assert_needed(&AccessPolicy::deny_by_default(), &denied).await;
    // A rule for the method takes the place of the default.
    let all = baseline.iter().chain(&with_default[..10]);
    let policy = all.clone().fold(AccessPolicy::deny_by_default(), |policy, method| {
        if *method == "Tools/call" { policy } else { policy.method(*method, scopes("m")) }
    });
    let rows: Vec<_> = all
        .filter(|method| **method != "Tools/call")
        .map(|method| (message(method, none()), "m"))
        .collect();
    assert_needed(&policy, &rows).await;
}

#[tokio::test]
async fn every_method_that_names_a_resource_is_judged_by_it() {
    let policy = AccessPolicy::deny_by_default()
        .resource("file:///a/*", scopes("a"))
        .resource("skill://x/SKILL.md", scopes("s"))
        .resource("users://{id}/notes", scopes("u"))
        .prompt("p", scopes("p"))
        .method("subscriptions/listen", Scopes::none());
    let uri = |method: &str, uri: &str| message(method, json!({"uri": uri}));
    let prompt = |name: &str| completing(json!({"type": "ref/prompt", "name": name}));
    let template = |uri: &str| completing(json!({"type": "ref/resource", "uri": uri}));
    let rows = [
        (uri("resources/read", "file:///a/b"), "a"),
        (uri("resources/subscribe", "file:///a/b"), "a"),
        (uri("resources/unsubscribe", "file:///a/b"), "a"),
        (uri("resources/later", "file:///a/b"), "a"),
        (uri("resources/read", "file:///b"), "denied"),
        (uri("resources/later", "file:///b"), "denied"),
        (uri("skills/get", "skill://x/SKILL.md"), "s"),
        (uri("skills/get", "skill://y/SKILL.md"), "denied"),
        (listing("file:///a/b"), "a"),
        (listing("file:///a/b/"), "a"),
        (listing("file:///a/"), "a"),
        (listing("file:///a"), "a"),
        (listing("file:///a?x"), "a"),
        (listing("file:///"), "denied"),
        (listing("file:///ab"), "denied"),
        (listing("file:///a/../b"), "denied"),
        (uri("resources/read", "file:///a"), "denied"),
        (prompt("p"), "p"),
        (prompt("q"), "denied"),
        (template("users://{id}/notes"), "u"),
        (template("users://{name}/notes"), "denied"),
        (uri("resources/read", "users://{id}/notes"), "denied"),
        (template("file:///a/{path}"), "denied"),
        (template("file:///a/b"), "a"),
        (completing(json!({"type": "ref/prompt", "name": "p", "uri": "file:///a/b"})), "p a"),
        (completing(json!({"type": "ref/other", "name": "p"})), "denied"),
        (listening(&[]), ""),
        (listening(&["file:///a/b"]), "a"),
        (listening(&["file:///a/b", "skill://x/SKILL.md"]), "a s"),
        (listening(&["file:///a/b", "file:///b"]), "denied"),
        (listening(&["file:///a/b"; 256]), "a"),
        (listening(&["file:///a/b"; 257]), "denied"),
    ];
    assert_needed(&policy, &rows).await;
    let policy = AccessPolicy::scopes_by_default(scopes("o")).resource("file:///*", scopes("a"));
    let rows = [
        (listening(&[]), "o"),
        (listening(&["file:///a"]), "o a"),
        (listening(&["file:///a"; 257]), "o a"),
        (template("file:///{path}"), "a o"),
        (template("file:///*"), "a"),
        (completing(json!({"type": "ref/other", "name": "p"})), "o a"),
        (listing("file:///"), "a"),
        (listing("file://"), "a o"),
        (reading("file://?x"), "a o"),
    ];
    assert_needed(&policy, &rows).await;
}

#[tokio::test]
async fn an_operation_without_a_name_needs_what_all_of_its_kind_need() {
    let rules = |policy: AccessPolicyBuilder| {
        policy
            .tool("a", scopes("t1"))
            .tool("b", scopes("t2"))
            .prompt("p", scopes("p"))
            .resource("file:///a", scopes("r1"))
            .resource("file:///*", scopes("r2"))
            .method("tasks/get", scopes("k"))
    };
    let nameless = |method: &str| message(method, json!({"arguments": {"name": "a"}}));
    let rows = [
        (nameless("tools/call"), "t1 t2 o"),
        (json!({"id": 1, "method": "tools/call"}), "t1 t2 o"),
        (message("tools/call", Value::Null), "t1 t2 o"),
        (nameless("prompts/get"), "p o"),
        (nameless("resources/read"), "r1 r2 o"),
        (nameless("resources/subscribe"), "r1 r2 o"),
        (nameless("resources/unsubscribe"), "r1 r2 o"),
        (nameless("resources/directory/read"), "r1 r2 o"),
        (nameless("skills/get"), "r1 r2 o"),
        (nameless("completion/complete"), "t1 t2 o p r1 r2"),
        (completing(json!({"type": "ref/prompt"})), "p o"),
        (completing(json!({"type": "ref/resource"})), "r1 r2 o"),
        (nameless("subscriptions/listen"), "o r1 r2"),
        (nameless("tasks/get"), "k"),
    ];
    assert_needed(&rules(AccessPolicy::scopes_by_default(scopes("o"))), &rows).await;
    let denied = rows
        .clone()
        .map(|(message, needed)| (message, if needed == "k" { needed } else { "denied" }));
    assert_needed(&rules(AccessPolicy::deny_by_default()), &denied).await;
    // Denied targets count, and a rule for every URI leaves none to the default.
    let policy = AccessPolicy::deny_by_default().resource("*", scopes("r"));
    let rows = [(nameless("resources/read"), "r"), (reading("file:///a b"), "r")];
    assert_needed(&policy, &rows).await;
    let policy = AccessPolicy::baseline_by_default().tool("a", Requirement::Denied);
    let rows = [(nameless("tools/call"), "denied"), (nameless("prompts/get"), "")];
    assert_needed(&policy, &rows).await;
}

#[tokio::test]
async fn a_uri_that_servers_read_differently_may_mean_any_resource() {
    let policy = AccessPolicy::scopes_by_default(scopes("o"))
        .resource("file:///a/*", scopes("a"))
        .resource("file:///b/*", scopes("b"));
    let long = |length: usize| format!("file:///a/{}", "x".repeat(length - 10));
    let rows = [
        (reading("file:///a/b"), "a"),
        (reading("file:///c"), "o"),
        (reading("file:///a/b c"), "a b o"),
        (reading("file:///a//b"), "a b o"),
        (reading("file:///a/./b"), "a b o"),
        (reading("file:///a/%62"), "a b o"),
        (reading(&long(2048)), "a"),
        (reading(&long(2049)), "a b o"),
        (reading(&long(100_000)), "a b o"),
    ];
    assert_needed(&policy, &rows).await;
}

#[tokio::test]
async fn the_work_for_one_request_is_bounded() {
    let patterns = (0..200).map(|n| format!("file:///*a*a*{n}*"));
    let policy = patterns.fold(AccessPolicy::baseline_by_default(), |policy, pattern| {
        policy.resource(pattern, scopes("x"))
    });
    let policy = policy.resource("other:*", scopes("other"));
    let uri = |n: usize| format!("file:///{}/{n}", "a".repeat(1_900));
    let batch = |count: usize| (0..count).map(|n| reading(&uri(n))).collect::<Value>();
    // A usual policy is not affected, and one with such patterns only by long URIs.
    let small = AccessPolicy::baseline_by_default()
        .resource("file:///*", scopes("x"))
        .resource("other:*", scopes("other"));
    assert_needed(&small, &[(batch(100), "x")]).await;
    assert_needed(&policy, &[(reading("file:///aa0"), "x"), (batch(100), "x other")]).await;
    // The same bound holds for one operation.
    let policy = policy.build().unwrap();
    let operation = Operation::new("resources/read").named(uri(0));
    assert_eq!(policy.required_by(&operation), Requirement::Scopes(scopes("x other")));
}

#[tokio::test]
async fn nested_members_that_parsers_read_differently_are_rejected() {
    let complete = |reference: &str| {
        format!(r#"{{"id":1,"method":"completion/complete","params":{{"ref":{reference}}}}}"#)
    };
    let listen = |params: &str| {
        format!(r#"{{"id":1,"method":"subscriptions/listen","params":{{{params}}}}}"#)
    };
    let bodies = [
        complete(r#"{"type":"ref/prompt","name":"a","name":"b"}"#),
        complete(r#"{"type":"ref/prompt","type":"ref/resource","name":"a"}"#),
        complete(r#"{"type":"ref/prompt","name":"a","Name":"b"}"#),
        complete(r#"{"type":"ref/resource","uri":"a:b","\u0055ri":"c:d"}"#),
        complete(r#"{"type":"ref/prompt","name":1}"#),
        complete(r#"["ref/prompt","a"]"#),
        complete(r#""a""#),
        complete("null"),
        complete(r#"{},"REF":{}"#),
        listen(r#""notifications":null"#),
        listen(r#""notifications":[null,null,null,["a:b"]]"#),
        listen(r#""notifications":{"resourceSubscriptions":"a:b"}"#),
        listen(r#""notifications":{"resourceSubscriptions":[["a:b"]]}"#),
        listen(r#""notifications":{"resourceSubscriptions":[],"resourceSubscriptions":["a:b"]}"#),
        listen(r#""notifications":{"resourceSubscriptions":[],"re\u017fourceSubscriptions":[]}"#),
        listen(r#""notifications":{},"notification\u017f":{}"#),
        r#"{"id":1,"method":"tasks/get","params":{"taskId":"a","tas\u212aId":"b"}}"#.to_owned(),
        "{\"id\":1,\"method\":\"tasks/get\",\"params\":{\"tas\u{212a}Id\":\"b\"}}".to_owned(),
        r#"{"id":1,"method":"skills/get","params":{"uri":["a:b"]}}"#.to_owned(),
        r#"{"id":1,"method":"resources/directory/read","params":{"uri":"a:b","URI":""}}"#
            .to_owned(),
    ];
    for body in bodies {
        let all = Some("files:write files:read");
        let (response, received) = send_to(&layer(), post(&[JSON], body.clone(), all)).await;
        let message = "The body is not a valid, unambiguous JSON-RPC message";
        let expected = format!(
            r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":-32600,"message":"{message}"}}}}"#
        );
        assert_eq!((response.status.as_u16(), response.body), (400, expected), "{body}");
        assert!(received.is_empty(), "{body}");
    }
    // Other methods may have such members.
    let open = [
        r#"{"method":"ping","params":{"ref":[1],"Ref":{"name":1,"name":2}}}"#,
        r#"{"method":"tools/call","params":{"name":"open","notifications":1,"NOTIFICATIONS":2}}"#,
    ];
    for body in open {
        let (response, _) = send_to(&layer(), post(&[JSON], body, Some(""))).await;
        assert_eq!(response.status, StatusCode::OK, "{body}");
    }
}

#[tokio::test]
async fn headers_agree_with_operations_that_name_several_targets_or_none() {
    let listen = listening(&["https://a.example/", "https://b.example/"]).to_string();
    let complete = completing(json!({"type": "ref/prompt", "name": "p"})).to_string();
    let skill = message("skills/get", json!({"uri": "skill://a/SKILL.md"})).to_string();
    let nameless = message("tasks/get", json!({})).to_string();
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], u16);
    let rows: [Row<'_>; 12] = [
        (&listen, &[("mcp-method", "subscriptions/listen")], 200),
        (&listen, &[("mcp-method", "subscriptions/listen"), ("mcp-name", "x")], 200),
        (&listen, &[("mcp-method", "ping")], 400),
        (&complete, &[("mcp-method", "completion/complete")], 200),
        (&complete, &[("mcp-method", "completion/complete"), ("mcp-name", "q")], 200),
        (&complete, &[("mcp-method", "prompts/get"), ("mcp-name", "p")], 400),
        (&skill, &[("mcp-method", "skills/get"), ("mcp-name", "skill://a/SKILL.md")], 200),
        (&skill, &[("mcp-name", "skill://b/SKILL.md")], 400),
        (&nameless, &[("mcp-method", "tasks/get")], 200),
        (&nameless, &[("mcp-method", "tasks/get"), ("mcp-name", "t")], 400),
        (&nameless, &[("mcp-name", "")], 400),
        (&nameless, &[], 200),
    ];
    for (body, headers, status) in rows {
        let request = post(&[&[JSON][..], headers].concat(), body.to_owned(), Some(""));
        let (response, _) = send_to(&layer(), request).await;
        assert_eq!(response.status.as_u16(), status, "{body} {headers:?}");
        assert_eq!(response.body.contains("-32020"), status == 400, "{body} {headers:?}");
    }
}

/// A server answers methods that it does not have, also to requests that do not name a target.
#[tokio::test]
async fn a_server_answers_a_nameless_request_itself() {
    let fixture = Fixture::new().await;
    let clerk = fixture.clerk_mcp_builder().access_policy(example::access_policy().unwrap());
    let service = collect_responses(example::router(&clerk.build().unwrap()));
    let token = |scopes: &[&str]| {
        let token = fixture.clerk.mint().audience(RESOURCE).scopes(scopes.iter().copied()).jwt();
        format!("Bearer {token}")
    };
    let baseline = token(&["profile", "email"]);
    let all = token(&["profile", "email", "public_metadata"]);
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let rows = [
        ("resources/subscribe", &baseline, 404, Some(-32601)),
        ("resources/unsubscribe", &baseline, 404, Some(-32601)),
        ("resources/read", &baseline, 404, Some(-32601)),
        ("prompts/get", &baseline, 404, Some(-32601)),
        ("tools/call", &baseline, 403, None),
        ("tools/call", &all, 404, Some(-32601)),
    ];
    for (method, credentials, status, code) in rows {
        let headers = [
            JSON,
            ("host", "mcp.example.com"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", method),
            ("authorization", credentials.as_str()),
        ];
        let body = message(method, json!({"_meta": meta.clone()})).to_string();
        let response = send(&service, post(&headers, body, None)).await;
        let body: Value = serde_json::from_str(&response.body).unwrap_or_default();
        assert_eq!(response.status.as_u16(), status, "{method} {}", response.body);
        assert_eq!(body["error"]["code"].as_i64(), code, "{method} {}", response.body);
    }
}
