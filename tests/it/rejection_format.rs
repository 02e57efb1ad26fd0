//! Rejected tool calls as tool results, for ChatGPT: the form of the response changes, and nothing
//! else.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use clerk_mcp_tools::access_policy::{RequestBody, Requirement};
use clerk_mcp_tools::response::RejectionFormat;
use clerk_mcp_tools::testing::{Fault, Route};
use clerk_mcp_tools::{AccessPolicy, ClerkMcpBuilder, Rejection, RejectionReason, Scopes};
use http::{Method, Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};
use tower::{Layer, service_fn};

use crate::support::{
    Fixture, NOW, RESOURCE, TestResponse, TestService, collect_responses, request, send,
};

const CHATGPT: &str = "openai-mcp/1.0.0 (ChatGPT)";
const CALL: &str =
    r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"delete_file"}}"#;

fn scopes(list: &str) -> Scopes {
    Scopes::parse(list).unwrap()
}

fn policy() -> AccessPolicy {
    AccessPolicy::baseline_by_default()
        .tool("delete_file", scopes("files:write"))
        .tool("format_disk", Requirement::Denied)
        .build()
        .unwrap()
}

/// A guarded service, and the number of requests that reached it.
struct Guarded {
    service: TestService,
    served: Arc<AtomicUsize>,
}

impl Guarded {
    fn new(builder: ClerkMcpBuilder, format: RejectionFormat) -> Self {
        let clerk = builder.rejection_format(format).build().unwrap();
        let served = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&served);
        let service = service_fn(move |_: Request<RequestBody<Full<Bytes>>>| {
            count.fetch_add(1, Ordering::Relaxed);
            async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("served"))) }
        });
        Self { service: collect_responses(clerk.auth_layer().layer(service)), served }
    }

    async fn send(
        &self,
        method: &Method,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (TestResponse, bool) {
        let before = self.served.load(Ordering::Relaxed);
        let request = request(method.clone(), "/mcp", headers);
        let body = Full::from(body.to_owned());
        let response = send(&self.service, request.map(|_| body)).await;
        (response, self.served.load(Ordering::Relaxed) > before)
    }
}

fn reason(response: &TestResponse) -> Option<RejectionReason> {
    response.extensions.get::<Rejection>().map(Rejection::reason)
}

/// The value of a parameter of a challenge.
fn param<'a>(challenge: &'a str, name: &str) -> Option<&'a str> {
    challenge.split_once(&format!("{name}=\""))?.1.split('"').next()
}

/// The challenge in a tool result, of which everything else is asserted.
#[track_caller]
fn challenge_of_result(response: &TestResponse, id: &Value, case: &str) -> String {
    assert_eq!(response.status.as_u16(), 200, "{case}");
    let headers = [
        ("access-control-allow-origin", "*"),
        ("cache-control", "no-store"),
        ("content-type", "application/json"),
    ];
    response.assert_headers(headers, case);
    let message: Value = serde_json::from_str(&response.body).unwrap();
    let challenge = message["result"]["_meta"]["mcp/www_authenticate"][0].as_str().unwrap();
    let text = param(challenge, "error_description").unwrap();
    let expected = json!({"jsonrpc": "2.0", "id": id, "result": {
        "content": [{"type": "text", "text": text}],
        "isError": true,
        "_meta": {"mcp/www_authenticate": [challenge]},
    }});
    assert_eq!(message, expected, "{case}");
    challenge.to_owned()
}

#[tokio::test]
async fn a_call_without_a_scope_gets_the_whole_result_byte_by_byte() {
    let fixture = Fixture::new().await;
    let builder = fixture.clerk_mcp_builder().access_policy(policy());
    let guarded = Guarded::new(builder, RejectionFormat::ByClient);
    let credentials = format!("Bearer {}", fixture.jwt());
    let json = concat!(
        r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"#,
        r#""The access token lacks a required scope"}],"isError":true,"_meta":"#,
        r#"{"mcp/www_authenticate":["Bearer error=\"insufficient_scope\", "#,
        r#"error_description=\"The access token lacks a required scope\", resource_metadata="#,
        r#"\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\", "#,
        r#"scope=\"profile email files:write\""]}}}"#,
    );
    type Row = (&'static [(&'static str, &'static str)], &'static str, String);
    let rows: [Row; 4] = [
        (&[], "application/json", json.to_owned()),
        (&[("accept", "application/json, text/event-stream")], "application/json", json.to_owned()),
        (
            &[("accept", "text/event-stream")],
            "text/event-stream",
            format!("event: message\ndata: {json}\n\n"),
        ),
        (
            &[("mcp-protocol-version", "2026-07-28")],
            "application/json",
            json.replacen(r#""result":{"#, r#""result":{"resultType":"complete","#, 1),
        ),
    ];
    for (headers, content_type, body) in rows {
        let common = [("authorization", credentials.as_str()), ("user-agent", CHATGPT)];
        let headers = [&common, headers].concat();
        let (response, served) = guarded.send(&Method::POST, &headers, CALL).await;
        assert_eq!((response.status.as_u16(), served), (200, false));
        assert_eq!(response.body, body);
        assert_eq!(response.header("content-type"), Some(content_type));
        assert_eq!(reason(&response), Some(RejectionReason::InsufficientScope));
    }
}

/// Every way to present credentials, by the answers that they get.
async fn credentials(fixture: &Fixture) -> Vec<(&'static str, Vec<String>)> {
    let mint = || fixture.clerk.mint().audience(RESOURCE);
    let bearer = |token: String| vec![format!("Bearer {token}")];
    let full = ["profile", "email", "files:write"];
    vec![
        ("no header", vec![]),
        ("an empty token", vec!["Bearer ".to_owned()]),
        ("another scheme", vec!["Basic dXNlcjpwYXNz".to_owned()]),
        ("two headers", [bearer(fixture.jwt()), bearer(fixture.jwt())].concat()),
        ("a malformed token", bearer("a b".to_owned())),
        ("another class", bearer("ak_abc".to_owned())),
        ("a foreign key", bearer(mint().issued_at(NOW - 3600).foreign_key().jwt())),
        ("a foreign key, lately", bearer(mint().foreign_key().jwt())),
        ("another issuer", bearer(mint().claim("iss", "https://o.example").jwt())),
        ("another audience", bearer(fixture.clerk.mint().audience("https://o.example").jwt())),
        ("expired", bearer(mint().scopes(full).expires_at(NOW - 60).jwt())),
        ("not yet valid", bearer(mint().not_before(NOW + 60).jwt())),
        ("revoked", bearer(mint().revoked(true).opaque())),
        ("unknown", bearer("oat_unknown".to_owned())),
        ("without a scope of every request", bearer(mint().scopes(["profile"]).jwt())),
        ("without a scope of the tool", bearer(fixture.jwt())),
        ("with all scopes", bearer(mint().scopes(full).jwt())),
    ]
}

type Headers = Vec<(&'static str, &'static str)>;

/// Every kind of request, and whether it is a tool call that can be answered with a result.
fn requests() -> Vec<(&'static str, Method, Headers, String, bool)> {
    let list = r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#;
    let named = vec![("mcp-method", "tools/call"), ("mcp-name", "delete_file")];
    let denied = CALL.replace("delete_file", "format_disk");
    vec![
        ("a call", Method::POST, vec![], CALL.to_owned(), true),
        ("a call named by headers", Method::POST, named.clone(), CALL.to_owned(), true),
        ("a call of another tool", Method::POST, vec![], CALL.replace("delete", "read"), true),
        ("a denied call", Method::POST, vec![], denied, true),
        ("a call without an id", Method::POST, vec![], CALL.replace(r#""id":7,"#, ""), false),
        ("a call that headers contradict", Method::POST, named, list.to_owned(), false),
        ("a batch", Method::POST, vec![], format!("[{CALL}]"), false),
        ("a list", Method::POST, vec![], list.to_owned(), false),
        ("no JSON", Method::POST, vec![], "{".to_owned(), false),
        (
            "duplicate members",
            Method::POST,
            vec![],
            CALL.replace("\"id\"", "\"id\":1,\"id\""),
            false,
        ),
        (
            "a compressed call",
            Method::POST,
            vec![("content-encoding", "gzip")],
            CALL.to_owned(),
            false,
        ),
        ("an upgrade", Method::POST, vec![("upgrade", "websocket")], CALL.to_owned(), false),
        ("a stream", Method::GET, vec![], String::new(), false),
        ("a call by PUT", Method::PUT, vec![], CALL.to_owned(), false),
        ("a session's end", Method::DELETE, vec![], String::new(), false),
        (
            "a preflight",
            Method::OPTIONS,
            vec![("origin", "https://a.example"), ("access-control-request-method", "POST")],
            String::new(),
            false,
        ),
    ]
}

#[tokio::test]
async fn verdict_scopes_and_everything_else_are_the_same_in_both_forms() {
    let fixture = Fixture::new().await;
    for optional in [false, true] {
        let builder = || {
            let builder = fixture.clerk_mcp_builder().access_policy(policy());
            let builder = builder.initial_scopes(scopes("profile email calendar"));
            if optional { builder.optional() } else { builder }
        };
        let by_status = Guarded::new(builder(), RejectionFormat::HttpStatus);
        let formats = [RejectionFormat::ByClient, RejectionFormat::ToolResult];
        let others = formats.map(|format| (format, Guarded::new(builder(), format)));
        let agents =
            [(CHATGPT, true), ("openai-mcp/1.0.0 (Codex)", false), ("claude-code/2", false)];
        let (mut results, mut calls) = (0, 0);
        for (credentials, values) in credentials(&fixture).await {
            for (name, method, further, body, is_call) in requests() {
                for (agent, is_chatgpt) in agents {
                    let mut headers = vec![("user-agent", agent)];
                    headers.extend(values.iter().map(|value| ("authorization", value.as_str())));
                    headers.extend(further.clone());
                    let (expected, passed) = by_status.send(&method, &headers, &body).await;
                    for (format, guarded) in &others {
                        let case =
                            format!("{credentials}, {name}, {agent}, {format:?}, {optional}");
                        let (response, served) = guarded.send(&method, &headers, &body).await;
                        assert_eq!(served, passed, "{case}");
                        assert_eq!(reason(&response), reason(&expected), "{case}");
                        calls += 1;
                        let in_form =
                            is_call && (is_chatgpt || *format == RejectionFormat::ToolResult);
                        let challenge = expected.header("www-authenticate");
                        if !in_form || expected.status.as_u16() == 400 || challenge.is_none() {
                            assert_eq!(response.status, expected.status, "{case}");
                            assert_eq!(response.body, expected.body, "{case}");
                            let headers = expected.sorted_headers();
                            assert_eq!(response.sorted_headers(), headers, "{case}");
                            continue;
                        }
                        results += 1;
                        assert!(matches!(expected.status.as_u16(), 401 | 403), "{case}");
                        let result = challenge_of_result(&response, &json!(7), &case);
                        for name in ["scope", "resource_metadata"] {
                            assert_eq!(
                                param(&result, name),
                                param(challenge.unwrap(), name),
                                "{case}"
                            );
                        }
                        let error = param(challenge.unwrap(), "error").unwrap_or("invalid_token");
                        assert_eq!(param(&result, "error"), Some(error), "{case}");
                        let description = param(challenge.unwrap(), "error_description");
                        if description.is_some() {
                            let in_result = param(&result, "error_description");
                            assert_eq!(in_result, description, "{case}");
                        }
                    }
                }
            }
        }
        assert!(results > 200 && calls > 1000, "{results} of {calls}");
    }
}

#[tokio::test]
async fn an_outage_and_a_wrong_setting_are_no_reason_to_sign_in() {
    let fixture = Fixture::new().await;
    fixture.clerk.fault(Route::VerifyAccessToken, Fault::Status { status: 500, retry_after: None });
    let without_key = fixture.public_verifier_builder().build().unwrap();
    let rows = [
        (fixture.clerk_mcp_builder(), 503),
        (fixture.clerk_mcp_builder().verifier(without_key), 500),
    ];
    for (builder, status) in rows {
        let guarded = Guarded::new(builder.access_policy(policy()), RejectionFormat::ToolResult);
        let credentials = format!("Bearer {}", fixture.opaque());
        let headers = [("authorization", credentials.as_str()), ("user-agent", CHATGPT)];
        let (response, _) = guarded.send(&Method::POST, &headers, CALL).await;
        assert_eq!(response.status.as_u16(), status);
        assert_eq!(response.header("www-authenticate"), None);
    }
}

#[tokio::test]
async fn a_server_without_a_policy_can_answer_with_results_too() {
    let fixture = Fixture::new().await;
    let guarded = Guarded::new(fixture.clerk_mcp_builder(), RejectionFormat::ByClient);
    let narrow = fixture.clerk.mint().audience(RESOURCE).scopes(["profile"]).jwt();
    let rows = [
        (vec![], "invalid_token", "An access token is required"),
        (
            vec![("authorization", format!("Bearer {narrow}"))],
            "insufficient_scope",
            "The access token lacks a required scope",
        ),
    ];
    for (credentials, error, description) in rows {
        let mut headers = vec![("user-agent", CHATGPT)];
        headers.extend(credentials.iter().map(|(name, value)| (*name, value.as_str())));
        let (response, served) = guarded.send(&Method::POST, &headers, CALL).await;
        assert!(!served);
        let challenge = challenge_of_result(&response, &json!(7), error);
        assert_eq!(param(&challenge, "error"), Some(error));
        assert_eq!(param(&challenge, "error_description"), Some(description));
        assert_eq!(param(&challenge, "scope"), Some("profile email"));
        let list = r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#;
        let (response, _) = guarded.send(&Method::POST, &headers, list).await;
        assert!(matches!(response.status.as_u16(), 401 | 403));
    }
    // Bodies of callers that pass are not read.
    let credentials = format!("Bearer {}", fixture.jwt());
    let headers = [("authorization", credentials.as_str()), ("user-agent", CHATGPT)];
    let (response, served) = guarded.send(&Method::POST, &headers, "{").await;
    assert_eq!((response.status.as_u16(), served), (200, true));
}

/// Anybody can send these: what is read of them takes nothing from the budget for bodies.
#[tokio::test]
async fn little_is_read_of_the_body_of_a_stranger() {
    let fixture = Fixture::new().await;
    let builder = fixture.clerk_mcp_builder().access_policy(policy());
    let guarded = Guarded::new(builder, RejectionFormat::ByClient);
    let padded = |length: usize| {
        let padding = "x".repeat(length - CALL.len() - r#","x":"""#.len());
        CALL.replacen("\"id\":7", &format!("\"id\":7,\"x\":\"{padding}\""), 1)
    };
    let foreign = fixture.clerk.mint().audience(RESOURCE).issued_at(NOW - 3600).foreign_key().jwt();
    let expired = fixture.clerk.mint().audience(RESOURCE).expires_at(NOW - 60).jwt();
    let rows = [
        (None, 16 * 1024, 200),
        (None, 16 * 1024 + 1, 401),
        (Some(&foreign), 16 * 1024, 200),
        (Some(&foreign), 16 * 1024 + 1, 401),
        // Issued by Clerk.
        (Some(&expired), 16 * 1024 + 1, 200),
        (Some(&expired), 4 * 1024 * 1024, 200),
        (Some(&expired), 4 * 1024 * 1024 + 1, 401),
    ];
    for (token, length, status) in rows {
        let credentials = token.map(|token| format!("Bearer {token}"));
        let mut headers = vec![("user-agent", CHATGPT)];
        headers.extend(credentials.as_deref().map(|value| ("authorization", value)));
        let body = padded(length);
        assert_eq!(body.len(), length);
        let (response, served) = guarded.send(&Method::POST, &headers, &body).await;
        assert_eq!((response.status.as_u16(), served), (status, false), "{length}");
        // The announced length is enough.
        let announced = length.to_string();
        headers.push(("content-length", &announced));
        let (response, _) = guarded.send(&Method::POST, &headers, &body).await;
        assert_eq!(response.status.as_u16(), status, "{length}");
    }
}
