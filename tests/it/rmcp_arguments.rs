//! The caller as an argument of rmcp's tools and prompts, over HTTP and over stdio.

use axum::Router;
use clerk_mcp_tools::bearer_auth::OptionalCaller;
use clerk_mcp_tools::{AuthInfo, ClerkMcp};
use http::{Method, Request};
use http_body_util::Full;
use rmcp::model::{CallToolRequestParams, GetPromptRequestParams, PromptMessage, Role};
use rmcp::service::{RoleClient, RunningService};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{
    ServerHandler, ServiceExt, prompt, prompt_handler, prompt_router, tool, tool_handler,
    tool_router,
};
use serde_json::{Value, json};

use crate::support::{Fixture, TestService, collect_responses, request, send};

#[derive(Clone)]
struct Tools;

fn id(caller: &AuthInfo) -> String {
    caller.principal().id().to_owned()
}

#[tool_router]
impl Tools {
    #[tool(description = "Returns the caller")]
    async fn whoami(&self, caller: AuthInfo) -> String {
        id(&caller)
    }

    #[tool(description = "Returns the caller, if there is one")]
    async fn greet(&self, OptionalCaller(caller): OptionalCaller) -> String {
        caller.as_ref().map_or("nobody".to_owned(), id)
    }
}

#[prompt_router]
impl Tools {
    #[prompt(name = "sign", description = "Signs as the caller")]
    async fn sign(&self, caller: AuthInfo) -> Vec<PromptMessage> {
        vec![PromptMessage::new_text(Role::User, id(&caller))]
    }
}

#[tool_handler]
#[prompt_handler]
impl ServerHandler for Tools {}

fn mcp() -> StreamableHttpService<Tools, NeverSessionManager> {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true);
    StreamableHttpService::new(|| Ok(Tools), NeverSessionManager::default().into(), config)
}

fn guarded(clerk: &ClerkMcp) -> TestService {
    collect_responses(clerk.mount(Router::new(), mcp()))
}

/// Sends a request, and returns the text of the result or the error.
async fn ask(service: &TestService, token: Option<&str>, method: &str, name: &str) -> Value {
    let message =
        json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": { "name": name } });
    let credentials = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![
        ("host", "localhost"),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ];
    headers.extend(credentials.as_deref().map(|value| ("authorization", value)));
    let request: Request<Full<_>> =
        request(Method::POST, "/mcp", &headers).map(|_| Full::from(message.to_string()));
    let response = send(service, request).await;
    let mut body: Value = serde_json::from_str(&response.body).unwrap();
    match body.get_mut("error") {
        Some(error) => error.take(),
        None => match method {
            "tools/call" => body["result"]["content"][0]["text"].take(),
            _ => body["result"]["messages"][0]["content"]["text"].take(),
        },
    }
}

#[tokio::test]
async fn over_http_tools_and_prompts_get_the_caller() {
    let fixture = Fixture::new().await;
    let user = json!(fixture.clerk.default_user_id());
    let service = guarded(&fixture.clerk_mcp_builder().build().unwrap());
    let token = fixture.jwt();
    for (method, name) in
        [("tools/call", "whoami"), ("tools/call", "greet"), ("prompts/get", "sign")]
    {
        assert_eq!(ask(&service, Some(&token), method, name).await, user, "{name}");
    }
    let service = guarded(&fixture.clerk_mcp_builder().optional().build().unwrap());
    assert_eq!(ask(&service, None, "tools/call", "greet").await, json!("nobody"));
    let needs_token = json!({
        "code": -32600, "message": "this tool or prompt needs an access token: sign in",
    });
    assert_eq!(ask(&service, None, "tools/call", "whoami").await, needs_token);
    assert_eq!(ask(&service, None, "prompts/get", "sign").await, needs_token);
}

#[tokio::test]
async fn over_http_without_the_layers_every_call_is_an_error() {
    let service = collect_responses(Router::new().route_service("/mcp", mcp()));
    let not_guarded = json!({ "code": -32603, "message": "the server is not guarded" });
    for (method, name) in
        [("tools/call", "whoami"), ("tools/call", "greet"), ("prompts/get", "sign")]
    {
        assert_eq!(ask(&service, None, method, name).await, not_guarded, "{name}");
    }
}

#[tokio::test]
async fn over_stdio_there_is_no_caller() {
    let (client_io, server_io) = tokio::io::duplex(4096);
    let server = tokio::spawn(async move { Tools.serve(server_io).await.unwrap().waiting().await });
    let client: RunningService<RoleClient, ()> = ().serve(client_io).await.unwrap();
    let greeting = client.call_tool(CallToolRequestParams::new("greet")).await.unwrap();
    assert_eq!(greeting.content[0].as_text().unwrap().text, "nobody");
    let problem = "this tool or prompt needs a signed-in caller, which calls over stdio do not \
                   have: call it over HTTP";
    let error = client.call_tool(CallToolRequestParams::new("whoami")).await.unwrap_err();
    assert!(error.to_string().contains(problem), "{error}");
    let error = client.get_prompt(GetPromptRequestParams::new("sign")).await.unwrap_err();
    assert!(error.to_string().contains(problem), "{error}");
    client.cancel().await.unwrap();
    server.await.unwrap().unwrap();
}
