//! Scopes that a tool requires while it runs: the 403 takes the place of its result.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use clerk_mcp_tools::access_policy::{RequestBody, StepUp};
use clerk_mcp_tools::response::RejectionFormat;
use clerk_mcp_tools::{
    AccessPolicy, ClerkMcp, ClerkMcpBuilder, InsufficientScope, Rejection, RejectionReason,
    ScopeHierarchy, Scopes,
};
use futures_util::future::join;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult,
    PaginatedRequestParams,
};
use rmcp::service::RequestContext;
use rmcp::transport::auth::{AuthClient, WWWAuthenticateParams};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use tokio::net::TcpListener;
use tower::{Layer, service_fn};

use crate::rmcp_client::{connect_with, request_scopes, sign_in, start_fake_clerk};
use crate::secrets::log_capture::LogCapture;
use crate::support::{
    Fixture, NOW, RESOURCE, TestResponse, TestService, collect_responses, post_message, request,
    send,
};

const TOO_LATE: &str =
    "a handler requires scopes that the caller lacks, but the client cannot be asked";

fn scopes(list: &str) -> Scopes {
    Scopes::parse(list).unwrap()
}

fn builder(fixture: &Fixture) -> ClerkMcpBuilder {
    let policy = AccessPolicy::baseline_by_default().tool("ban", scopes("admin")).build().unwrap();
    fixture.clerk_mcp_builder().access_policy(policy).step_up_from_handlers()
}

/// The handles that a handler got.
type Handles = Arc<Mutex<Vec<Option<StepUp>>>>;

/// A handler that requires the scopes that the arguments of each call name. It answers with the
/// number of calls that lack some.
fn service(clerk: &ClerkMcp) -> (TestService, Handles) {
    let handles = Handles::default();
    let all = Arc::clone(&handles);
    let service = service_fn(move |request: Request<RequestBody<Full<Bytes>>>| {
        let handles = Arc::clone(&handles);
        async move {
            let (parts, body) = request.into_parts();
            let step_up = StepUp::from_parts(&parts).cloned();
            handles.lock().unwrap().push(step_up.clone());
            let body = body.collect().await.unwrap().to_bytes();
            // Other requests run meanwhile.
            tokio::task::yield_now().await;
            let message: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            let calls = message.as_array().cloned().unwrap_or_else(|| vec![message]);
            let needed = calls.iter().filter_map(|call| call["params"]["arguments"].as_object());
            let needed = needed.flat_map(|arguments| arguments.keys()).map(|list| scopes(list));
            let missing = |needed: Scopes| match &step_up {
                Some(step_up) => step_up.require_scopes(&needed).is_err(),
                None => true,
            };
            let count = needed.map(missing).filter(|is_missing| *is_missing).count();
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(count.to_string())))
        }
    });
    (collect_responses(clerk.auth_layer().layer(service)), all)
}

/// A call whose arguments are named like the scopes that it needs.
fn call_needing(lists: &[&str]) -> String {
    let arguments: Vec<_> = lists.iter().map(|list| format!("\"{list}\":1")).collect();
    let arguments = arguments.join(",");
    format!(
        r#"{{"id":1,"method":"tools/call","params":{{"name":"x","arguments":{{{arguments}}}}}}}"#
    )
}

fn scope(response: &TestResponse) -> Option<String> {
    let challenge = response.header("www-authenticate")?;
    let scope = challenge.split_once("scope=\"")?.1;
    Some(scope.strip_suffix('"')?.to_owned())
}

#[tokio::test]
async fn a_failed_requirement_becomes_the_response() {
    let fixture = Fixture::new().await;
    let hierarchy = ScopeHierarchy::new().implies("files", ["files:write"]).unwrap();
    let clerk = builder(&fixture).scope_hierarchy(hierarchy).build().unwrap();
    let (service, _) = service(&clerk);
    let rows: [(&str, &[&str], Result<&str, &str>); 7] = [
        ("profile email", &[], Ok("0")),
        ("profile email files:write", &["files:write"], Ok("0")),
        ("profile email files", &["files:write"], Ok("0")),
        ("profile email", &["files:write"], Err("profile email files:write")),
        ("profile email", &["files:write a"], Err("profile email files:write a")),
        // One consent for all, and nothing is lost that was granted before.
        ("profile email", &["a", "b", "a c"], Err("profile email a c b")),
        ("profile email other", &["files:write"], Err("profile email files:write other")),
    ];
    for (granted, needed, expected) in rows {
        let mint = || fixture.clerk.mint().audience(RESOURCE).scopes(granted.split(' '));
        for token in [mint().jwt(), mint().opaque()] {
            let response = post_message(&service, Some(&token), &[], &call_needing(needed)).await;
            let Err(scope_of_challenge) = expected else {
                assert_eq!((response.status.as_u16(), response.body.as_str()), (200, "0"));
                continue;
            };
            assert_eq!(response.status.as_u16(), 403);
            let body = r#"{"error":"insufficient_scope","error_description":"The access token lacks a required scope"}"#;
            assert_eq!(response.body, body);
            let challenge = format!(
                "Bearer error=\"insufficient_scope\", \
                 error_description=\"The access token lacks a required scope\", \
                 resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\", \
                 scope=\"{scope_of_challenge}\""
            );
            let headers = [
                ("access-control-allow-origin", "*"),
                ("access-control-expose-headers", "WWW-Authenticate"),
                ("cache-control", "no-store"),
                ("content-type", "application/json"),
                ("www-authenticate", &challenge),
            ];
            response.assert_headers(headers, granted);
            let rejection = response.extensions.get::<Rejection>().unwrap();
            assert_eq!(rejection.reason(), RejectionReason::InsufficientScope);
        }
    }
}

#[tokio::test]
async fn scopes_of_handlers_are_kept_in_every_other_challenge() {
    let fixture = Fixture::new().await;
    let (service, _) = service(&builder(&fixture).build().unwrap());
    let mint = || fixture.clerk.mint().audience(RESOURCE);
    let ban = call_needing(&[]).replace("\"x\"", "\"ban\"");
    let rows = [
        (mint().scopes(["profile", "email", "a"]).jwt(), 403),
        (mint().scopes(["profile", "a"]).jwt(), 403),
        (mint().scopes(["profile", "email", "a"]).expires_at(NOW - 60).jwt(), 401),
    ];
    for (token, status) in rows {
        let response = post_message(&service, Some(&token), &[], &ban).await;
        assert_eq!(response.status.as_u16(), status);
        assert_eq!(scope(&response).unwrap(), "profile email admin a");
    }
}

#[tokio::test]
async fn a_caller_without_a_token_is_asked_to_sign_in() {
    let fixture = Fixture::new().await;
    let (service, _) = service(&builder(&fixture).optional().build().unwrap());
    let response = post_message(&service, None, &[], &call_needing(&["a"])).await;
    assert_eq!(response.status.as_u16(), 401);
    assert_eq!(scope(&response).unwrap(), "profile email a");
    assert!(!response.header("www-authenticate").unwrap().contains("error="));
    let response = post_message(&service, None, &[], &call_needing(&[])).await;
    assert_eq!((response.status.as_u16(), response.body.as_str()), (200, "0"));
}

#[tokio::test]
async fn chatgpt_gets_a_tool_result() {
    let fixture = Fixture::new().await;
    let clerk = builder(&fixture).rejection_format(RejectionFormat::ByClient).build().unwrap();
    let (service, _) = service(&clerk);
    let agent = [("user-agent", "openai-mcp/1.0.0 (ChatGPT)")];
    let response =
        post_message(&service, Some(&fixture.jwt()), &agent, &call_needing(&["a"])).await;
    assert_eq!(response.status.as_u16(), 200);
    let message: serde_json::Value = serde_json::from_str(&response.body).unwrap();
    assert_eq!((&message["id"], &message["result"]["isError"]), (&1.into(), &true.into()));
    let challenge = message["result"]["_meta"]["mcp/www_authenticate"][0].as_str().unwrap();
    assert!(challenge.ends_with("scope=\"profile email a\""), "{challenge}");
}

#[tokio::test]
async fn every_request_has_a_handle_of_its_own() {
    let fixture = Fixture::new().await;
    let (service, handles) = service(&builder(&fixture).build().unwrap());
    let token = fixture.jwt();
    for _ in 0..2 {
        let (lacking, other) = (call_needing(&["a"]), call_needing(&[]));
        let calls = join(
            post_message(&service, Some(&token), &[], &lacking),
            post_message(&service, Some(&token), &[], &other),
        );
        let (first, second) = calls.await;
        assert_eq!((first.status.as_u16(), second.status.as_u16()), (403, 200));
    }
    // A handle that outlives its request has no effect on the next one.
    let kept = handles.lock().unwrap().iter().flatten().cloned().collect::<Vec<_>>();
    assert_eq!(kept.len(), 4);
    for step_up in kept {
        let error = step_up.require_scopes(&scopes("b")).unwrap_err();
        assert_eq!(error, InsufficientScope::new(scopes("b")));
    }
    let response = post_message(&service, Some(&token), &[], &call_needing(&[])).await;
    assert_eq!(response.status.as_u16(), 200);
}

#[tokio::test]
async fn a_batch_and_a_response_that_has_begun_stay_as_they_are() {
    let capture = LogCapture::default();
    let _logging = capture.install();
    let fixture = Fixture::new().await;
    let (service, handles) = service(&builder(&fixture).build().unwrap());
    let token = fixture.jwt();
    let batch = format!("[{},{}]", call_needing(&["a"]), call_needing(&[]));
    let response = post_message(&service, Some(&token), &[], &batch).await;
    assert_eq!((response.status.as_u16(), response.body.as_str()), (200, "1"));
    let warning = format!("{TOO_LATE} required=a problem=\"the request is not a single message\"");
    assert!(capture.text().contains(&warning), "{}", capture.text());

    // At most one warning in ten seconds.
    post_message(&service, Some(&token), &[], &batch).await;
    assert_eq!(capture.text().matches(TOO_LATE).count(), 1);
    fixture.advance(10);
    let response = post_message(&service, Some(&token), &[], &call_needing(&[])).await;
    assert_eq!(response.status.as_u16(), 200);
    let last = handles.lock().unwrap().last().cloned().flatten().unwrap();
    assert!(last.require_scopes(&scopes("profile")).is_ok());
    assert!(last.require_scopes(&scopes("late")).is_err());
    let warning = format!("{TOO_LATE} required=late problem=\"the response has begun\" omitted=1");
    assert!(capture.text().contains(&warning), "{}", capture.text());
}

#[tokio::test]
async fn only_posts_have_a_handle_and_only_where_it_is_on() {
    let fixture = Fixture::new().await;
    let token = format!("Bearer {}", fixture.jwt());
    let headers = [("authorization", token.as_str())];
    let on = || fixture.clerk_mcp_builder().step_up_from_handlers().build().unwrap();
    let off = fixture.clerk_mcp_builder().build().unwrap();
    let rows = [
        (on(), Method::POST, "{", true),
        (on(), Method::POST, "", true),
        (on(), Method::GET, "", false),
        (on(), Method::DELETE, "", false),
        (on(), Method::PUT, "{", false),
        (off, Method::POST, "", false),
    ];
    for (clerk, method, body, expected) in rows {
        let (service, handles) = service(&clerk);
        let request = request(method.clone(), "/mcp", &headers).map(|_| Full::from(body));
        // Without rules, no body is wrong.
        assert_eq!(send(&service, request).await.status.as_u16(), 200);
        let handles = handles.lock().unwrap();
        assert_eq!(handles.iter().map(Option::is_some).collect::<Vec<_>>(), [expected], "{method}");
    }
}

/// A server of rmcp whose tool needs a scope for some arguments.
#[derive(Clone)]
struct Files;

impl ServerHandler for Files {
    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::default())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let error = |text: String| ErrorData::invalid_request(text, None);
        let parts = context.extensions.get::<http::request::Parts>();
        let step_up = parts.and_then(StepUp::from_parts).ok_or_else(|| error("off".into()))?;
        tokio::task::yield_now().await;
        if request.arguments.is_some_and(|arguments| arguments.contains_key("shared")) {
            let needed = scopes("public_metadata");
            step_up.require_scopes(&needed).map_err(|missing| error(missing.to_string()))?;
        }
        Ok(CallToolResult::success(vec![ContentBlock::text("deleted")]).into())
    }
}

async fn serve_files(clerk: &clerk_mcp_tools::testing::FakeClerk, json_response: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let guard = ClerkMcp::builder()
        .env_from(|name| clerk.env_var(name))
        .resource(url.parse().unwrap())
        .scopes(scopes("profile email"))
        .step_up_from_handlers()
        .build()
        .unwrap();
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(json_response);
    let sessions = NeverSessionManager::default().into();
    let mcp = StreamableHttpService::new(|| Ok(Files), sessions, config);
    let router = guard.mount(axum::Router::new(), mcp);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

fn delete(shared: bool) -> CallToolRequestParams {
    let mut request = CallToolRequestParams::new("delete");
    let mut arguments = serde_json::Map::new();
    if shared {
        arguments.insert("shared".to_owned(), true.into());
    }
    request.arguments = Some(arguments);
    request
}

#[tokio::test]
async fn a_client_of_rmcp_steps_up_for_the_arguments_of_a_tool_and_goes_on() {
    let clerk = start_fake_clerk(clerk_mcp_tools::testing::TokenFormat::Jwt).await;
    let url = serve_files(&clerk, true).await;
    let client = AuthClient::new(reqwest::Client::default(), sign_in(&url).await);
    let manager = Arc::clone(&client.auth_manager);
    let client = connect_with(&url, client).await;

    client.call_tool(delete(false)).await.unwrap();
    let rejected = client.call_tool(delete(true)).await.unwrap_err();
    let challenge = rejected.auth_challenge().unwrap();
    let challenge = WWWAuthenticateParams::parse(challenge, &url.parse().unwrap());
    assert!(challenge.is_insufficient_scope());
    let scope = challenge.scope.unwrap();
    assert_eq!(scope, "profile email public_metadata");

    request_scopes(&*manager.lock().await, &scope).await;
    client.call_tool(delete(true)).await.unwrap();
    client.cancel().await.unwrap();
}

#[tokio::test]
async fn an_event_stream_of_rmcp_begins_before_its_tool_ends() {
    let capture = LogCapture::default();
    let _logging = capture.install();
    let clerk = start_fake_clerk(clerk_mcp_tools::testing::TokenFormat::Jwt).await;
    let url = serve_files(&clerk, false).await;
    let token = clerk.mint().audience(&url).scopes(["profile", "email"]).jwt();
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"delete","arguments":{"shared":true}}}"#;
    let request = reqwest::Client::new().post(&url).bearer_auth(token).body(body);
    let request = request.header("content-type", "application/json");
    let request = request.header("accept", "application/json, text/event-stream");
    let response = request.send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let body = response.text().await.unwrap();
    assert!(body.contains("the operation requires public_metadata"), "{body}");
    let warning = format!("{TOO_LATE} required=public_metadata problem=\"the response has begun\"");
    assert!(capture.text().contains(&warning), "{}", capture.text());
}
