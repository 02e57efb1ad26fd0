//! One event for each rejected request.

use clerk_mcp_tools::access_policy::AccessPolicyLayer;
use clerk_mcp_tools::bearer_auth::{BearerAuthLayer, ResourcesByHost};
use clerk_mcp_tools::response::RejectionFormat;
use clerk_mcp_tools::testing::Fault;
use clerk_mcp_tools::{
    AuthInfo, ClerkMcp, Rejection, ScopeHierarchy, VerifyError, VerifyErrorKind,
};
use http::{HeaderMap, HeaderValue, Method};

use super::{bearer, builder, call_of, call_tool, post, scopes, token};
use crate::secrets::log_capture::LogCapture;
use crate::support::{Fixture, NOW, RESOURCE, TestService, guarded, request, send};

const OTHER: &str = "https://other.example/mcp";

/// The fields of the events at this level.
fn events(capture: &LogCapture, level: &str) -> Vec<String> {
    let start = format!("{level} clerk_mcp_tools::decision: rejected a request ");
    let text = capture.text();
    let lines = text.lines().filter_map(|line| line.trim_start().strip_prefix(&start));
    lines.map(str::to_owned).collect()
}

/// Sends a request, and returns the events that it causes, at `info` and at `debug`.
async fn events_of(
    service: &TestService,
    request: http::Request<http_body_util::Full<bytes::Bytes>>,
) -> (Vec<String>, usize) {
    let capture = LogCapture::default();
    let logging = capture.install();
    send(service, request).await;
    drop(logging);
    (events(&capture, "INFO"), events(&capture, "DEBUG").len())
}

#[tokio::test]
async fn each_rejected_request_has_one_event_with_what_is_known() {
    let fixture = Fixture::new().await;
    let user = fixture.clerk.default_user_id().to_owned();
    let (full, few) = (token(&fixture, "profile email"), token(&fixture, "profile"));
    let mint = || fixture.clerk.mint().audience(RESOURCE);
    let expired = mint().expires_at(NOW - 60).jwt();
    let foreign = fixture.clerk.mint().audience(OTHER).jwt();
    let caller = format!("token_type=\"oauth_token\" principal=\"{user}\" client_id=\"client_1\"");
    let headers = [("mcp-method", "tools/call"), ("mcp-name", "secret name")];
    let call = call_of("delete");
    let audience = format!("audience=[\"{OTHER}\"] resource=\"{RESOURCE}\"");
    let rows: Vec<(&str, String, &str, String)> = vec![
        (
            "a scope of every request",
            few.clone(),
            &call,
            format!(
                "reason=\"insufficient_scope\" {caller} method=\"tools/call\" name=\"delete\" \
                 missing_scopes=\"email\""
            ),
        ),
        (
            "scopes of the tool",
            full.clone(),
            &call,
            format!(
                "reason=\"insufficient_scope\" {caller} method=\"tools/call\" name=\"delete\" \
                 missing_scopes=\"files:write files:admin\""
            ),
        ),
        (
            "an operation that nobody may do",
            full.clone(),
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a\n\u001b[31mb"}}"#,
            // The formatter escapes once more.
            format!(
                "reason=\"operation_denied\" {caller} method=\"tools/call\" \
                 name=\"a\\\\n\\\\u{{1b}}[31mb\""
            ),
        ),
        (
            "a batch",
            full.clone(),
            r#"[{"method":"tools/call","params":{"name":"read"}},{"method":"x/y"}]"#,
            format!(
                "reason=\"operation_denied\" {caller} method=\"tools/call\" name=\"read\" \
                 operations=2"
            ),
        ),
        ("no message", full.clone(), "{", format!("reason=\"parse_error\" {caller}")),
        (
            "an expired token",
            expired,
            &call,
            "reason=\"expired_token\" method=\"tools/call\"".to_owned(),
        ),
        ("a malformed token", "a b".to_owned(), &call, "reason=\"malformed_token\"".to_owned()),
        (
            "a token of a type that is not accepted",
            format!("ak_{}", "a".repeat(40)),
            &call,
            "reason=\"wrong_token_type\" token_type=\"api_key\"".to_owned(),
        ),
        ("another audience", foreign, &call, format!("reason=\"invalid_audience\" {audience}")),
    ];
    for format in [RejectionFormat::HttpStatus, RejectionFormat::ToolResult] {
        let clerk = builder(&fixture).rejection_format(format).build().unwrap();
        let service = guarded(clerk.auth_layer());
        for (case, token, body, expected) in &rows {
            let request = post(&[("authorization", &bearer(token))], body);
            let (info, debug) = events_of(&service, request).await;
            let without_detail = info.iter().map(|event| without_detail(event));
            assert_eq!(
                without_detail.collect::<Vec<_>>(),
                [expected.as_str()],
                "{case} {format:?}"
            );
            assert_eq!(debug, 0, "{case} {format:?}");
        }
        // Of strangers, only methods that MCP has and no names.
        let mut with_names = vec![("authorization", "Bearer a b")];
        with_names.extend(headers);
        let (info, _) = events_of(&service, post(&with_names, &call)).await;
        let expected = "reason=\"malformed_token\" method=\"tools/call\"";
        assert_eq!(info.iter().map(|event| without_detail(event)).collect::<Vec<_>>(), [expected]);
    }
}

/// An event without the field `detail`, whose text is that of the error.
fn without_detail(event: &str) -> String {
    let Some((before, rest)) = event.split_once(" detail=\"") else { return event.to_owned() };
    let (_, after) = rest.split_once('"').unwrap();
    format!("{before}{after}")
}

#[tokio::test]
async fn the_likeliest_cause_of_a_wrong_audience_comes_first() {
    let fixture = Fixture::new().await;
    let clerk = builder(&fixture).build().unwrap();
    let token = fixture.clerk.mint().audiences(Vec::<String>::new()).jwt();
    let request = post(&[("authorization", &bearer(&token))], &call_of("read"));
    let (info, _) = events_of(&guarded(clerk.auth_layer()), request).await;
    let start = "reason=\"invalid_audience\" detail=\"the token names no audience: the URL of this \
                 server is not registered with Clerk (Dashboard, Agents, MCP servers";
    let [event] = info.as_slice() else { panic!("{info:?}") };
    assert!(event.starts_with(start), "{event}");
    assert!(event.ends_with(&format!("audience=[] resource=\"{RESOURCE}\"")), "{event}");
}

#[tokio::test]
async fn rejections_for_other_reasons_have_one_event_too() {
    let fixture = Fixture::new().await;
    let clerk = builder(&fixture).build().unwrap();
    let service = guarded(clerk.auth_layer());
    let token = bearer(&token(&fixture, "profile email"));
    let authorized = ("authorization", token.as_str());
    let call = call_of("read");
    let too_large = " ".repeat(5 * 1024 * 1024);
    type Row<'a> = (&'static str, &'a [(&'a str, &'a str)], &'a str);
    let rows: [Row<'_>; 6] = [
        ("ambiguous_credentials", &[authorized, authorized], ""),
        ("unknown_session", &[authorized, ("mcp-session-id", "made up")], &call),
        ("upgrade_not_allowed", &[authorized, ("upgrade", "websocket")], &call),
        ("body_too_large", &[authorized], &too_large),
        ("header_mismatch", &[authorized, ("mcp-method", "ping")], &call),
        ("invalid_message", &[authorized], "{\"method\":1}"),
    ];
    for (reason, headers, body) in rows {
        let (info, debug) = events_of(&service, post(headers, body)).await;
        assert_eq!((info.len(), debug), (1, 0), "{reason}: {info:?}");
        assert!(info[0].starts_with(&format!("reason=\"{reason}\"")), "{info:?}");
    }
    fixture.clerk.fault_all(Fault::Down);
    let opaque = bearer(&fixture.opaque());
    let (info, _) = events_of(&service, post(&[("authorization", &opaque)], &call)).await;
    assert!(info.len() == 1 && info[0].starts_with("reason=\"unavailable\""), "{info:?}");

    let hosts = ResourcesByHost::new([RESOURCE, OTHER]).unwrap();
    let layer = BearerAuthLayer::with_resolver(fixture.verifier(), hosts);
    let elsewhere = post(&[authorized, ("host", "elsewhere.example")], &call);
    let (info, _) = events_of(&guarded(layer), elsewhere).await;
    assert_eq!(info, ["reason=\"unknown_host\""]);

    // Layers that were not joined.
    let layers = builder(&fixture).build().unwrap().auth_layer().into_parts();
    let service = guarded(tower::layer::util::Stack::new(layers.1, layers.0));
    let (info, debug) = events_of(&service, post(&[authorized], &call_of("delete"))).await;
    assert_eq!((info.len(), debug), (1, 0), "{info:?}");
}

#[tokio::test]
async fn a_missing_token_is_logged_at_debug_only_and_an_admitted_request_not_at_all() {
    let fixture = Fixture::new().await;
    let clerk = builder(&fixture).build().unwrap();
    let service = guarded(clerk.auth_layer());
    let (info, debug) = events_of(&service, post(&[], &call_of("read"))).await;
    assert_eq!((info.len(), debug), (0, 1));
    let token = bearer(&token(&fixture, "profile email"));
    let (info, debug) =
        events_of(&service, post(&[("authorization", &token)], &call_of("read"))).await;
    assert_eq!((info.len(), debug), (0, 0));
}

#[tokio::test]
async fn ten_events_of_a_reason_in_ten_seconds_and_the_number_of_the_others() {
    let capture = LogCapture::default();
    let fixture = Fixture::new().await;
    let clerk = builder(&fixture).build().unwrap();
    let service = guarded(clerk.auth_layer());
    let token = token(&fixture, "profile email");
    call_tool(&service, &token, "read").await;
    let logging = capture.install();
    for _ in 0..13 {
        call_tool(&service, &token, "delete").await;
        call_tool(&service, &token, "other").await;
    }
    let of = |level: &str, reason: &str| {
        let start = format!("reason=\"{reason}\"");
        events(&capture, level).into_iter().filter(|e| e.starts_with(&start)).collect::<Vec<_>>()
    };
    for reason in ["insufficient_scope", "operation_denied"] {
        assert_eq!((of("INFO", reason).len(), of("DEBUG", reason).len()), (10, 3), "{reason}");
    }
    fixture.advance(10);
    call_tool(&service, &token, "delete").await;
    call_tool(&service, &token, "delete").await;
    drop(logging);
    let last = of("INFO", "insufficient_scope");
    assert_eq!(last.len(), 12);
    assert!(last[10].ends_with(" omitted=3"), "{last:?}");
    assert!(!last[11].contains("omitted"), "{last:?}");
}

#[tokio::test]
async fn upgrades_are_warned_of_once_in_ten_seconds() {
    let capture = LogCapture::default();
    let fixture = Fixture::new().await;
    let clerk = builder(&fixture).build().unwrap();
    let service = guarded(clerk.auth_layer());
    let token = bearer(&token(&fixture, "profile email"));
    let _logging = capture.install();
    for _ in 0..3 {
        send(&service, post(&[("authorization", &token), ("upgrade", "x")], "")).await;
    }
    fixture.advance(10);
    send(&service, post(&[("authorization", &token), ("upgrade", "x")], "")).await;
    let text = capture.text();
    let warnings: Vec<_> =
        text.lines().filter(|line| line.contains("rejected an upgrade")).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[1].ends_with("omitted=2"), "{warnings:?}");
}

#[tokio::test]
async fn a_rejection_by_a_handler_without_layers_is_logged_when_it_becomes_a_response() {
    let fixture = Fixture::new().await;
    let clerk: ClerkMcp = builder(&fixture).build().unwrap();
    let capture = LogCapture::default();
    let _logging = capture.install();
    let credentials = bearer(&token(&fixture, "profile email"));
    let headers =
        HeaderMap::from_iter([(http::header::AUTHORIZATION, credentials.parse().unwrap())]);
    let caller = clerk.authenticate(&headers).await.unwrap();
    let body = call_of("delete");
    let rejection = clerk
        .authorize(&Method::POST, &HeaderMap::new(), body.as_bytes(), Some(&caller))
        .await
        .unwrap_err();
    assert!(events(&capture, "INFO").is_empty());
    assert_eq!(clerk.reject(rejection).status(), 403);
    let user = fixture.clerk.default_user_id();
    let expected = format!(
        "reason=\"insufficient_scope\" token_type=\"oauth_token\" principal=\"{user}\" \
         client_id=\"client_1\" method=\"tools/call\" name=\"delete\" \
         missing_scopes=\"files:write files:admin\""
    );
    assert_eq!(events(&capture, "INFO"), [expected]);

    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("Bearer a b"));
    headers.insert("mcp-method", HeaderValue::from_static("tools/call"));
    let rejection = clerk.authenticate(&headers).await.unwrap_err();
    drop(clerk.reject(rejection));
    let last = events(&capture, "INFO").pop().unwrap();
    assert_eq!(without_detail(&last), "reason=\"malformed_token\" method=\"tools/call\"");
}

#[tokio::test]
async fn a_rejection_displays_as_one_line() {
    let fixture = Fixture::new().await;
    let service = guarded(builder(&fixture).build().unwrap().auth_layer());
    let user = fixture.clerk.default_user_id();
    let of = |response: crate::support::TestResponse| {
        response.extensions.get::<Rejection>().unwrap().clone()
    };
    let rejection = of(call_tool(&service, &token(&fixture, "profile email"), "delete").await);
    assert_eq!(
        rejection.to_string(),
        format!(
            "the access token lacks a required scope; missing scopes files:write files:admin; \
             operation tools/call delete; caller {user}, client client_1"
        )
    );
    assert_eq!(rejection.missing_scopes(), &scopes("files:write files:admin"));

    let foreign = fixture.clerk.mint().audience(OTHER).jwt();
    let text = of(call_tool(&service, &foreign, "read").await).to_string();
    let start = "access token was not issued for this resource: the token was issued for another";
    let end = format!("; audience [\"{OTHER}\"], resource {RESOURCE}");
    assert!(text.starts_with(start) && text.ends_with(&end), "{text}");

    let rows: [(Rejection, &str); 4] = [
        (
            of(send(&service, request(Method::POST, "/mcp", &[])).await),
            "an access token is required",
        ),
        (VerifyError::new(VerifyErrorKind::Revoked).into(), "access token was revoked"),
        (
            VerifyError::new(VerifyErrorKind::Unavailable).with_detail("a\nb").into(),
            "access token cannot be verified at the moment: a\\nb",
        ),
        (
            of(call_tool(&service, &token(&fixture, "profile email"), "x\r\ny").await),
            &format!(
                "this server does not allow the operation; operation tools/call x\\r\\ny; \
                 caller {user}, client client_1"
            ),
        ),
    ];
    for (rejection, expected) in rows {
        assert_eq!(rejection.to_string(), expected);
    }
}

#[test]
fn a_scope_that_is_implied_is_not_missing() {
    let hierarchy = ScopeHierarchy::new().implies("files", ["files:read"]).unwrap();
    let caller = AuthInfo::for_user("user_1", "t".into()).scopes(scopes("files")).build();
    let policy = clerk_mcp_tools::AccessPolicy::deny_by_default()
        .tool("delete", scopes("files:read files:write"))
        .build()
        .unwrap();
    let layer =
        AccessPolicyLayer::new(policy, RESOURCE.parse().unwrap()).scope_hierarchy(hierarchy);
    let mut request = post(&[], &call_of("delete"));
    request.extensions_mut().insert(caller);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let response = runtime.block_on(send(&guarded(layer), request));
    let rejection = response.extensions.get::<Rejection>().unwrap();
    assert_eq!(rejection.missing_scopes(), &scopes("files:write"));
}
