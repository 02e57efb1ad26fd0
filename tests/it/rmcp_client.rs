//! rmcp's client against the example server: rejection, sign-in, tool calls, step-up, refresh.

#[path = "../../examples/rmcp_axum.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "the tests use the router and leave the rest to `cargo run --example`"
)]
pub(crate) mod example;

use std::sync::Arc;

use clerk_mcp_tools::instance::FrontendApi;
use clerk_mcp_tools::testing::{FakeClerk, Route, TokenFormat};
use clerk_mcp_tools::{ClerkMcp, ClerkVerifier, Scopes, SecretKey};
use reqwest::redirect::Policy;
use rmcp::ServiceExt;
use rmcp::model::{CallToolRequestParams, CallToolResult};
use rmcp::service::{RoleClient, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::auth::{
    AuthClient, AuthorizationCallback, AuthorizationManager, AuthorizationRequest, OAuthState,
    WWWAuthenticateParams,
};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::Value;
use tokio::net::TcpListener;

const REDIRECT_URI: &str = "http://127.0.0.1:8080/callback";

/// rmcp registers the scopes of the first challenge, and steps up with the same client.
pub(crate) async fn start_fake_clerk(format: TokenFormat) -> FakeClerk {
    let builder = FakeClerk::builder().token_format(format).registration_limits_scopes(false);
    builder.start().await.unwrap()
}

/// Starts the example server on a free port, with the fake Clerk.
async fn serve(clerk: &FakeClerk) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let verifier = ClerkVerifier::builder()
        .frontend_api(FrontendApi::parse(clerk.frontend_api_url()).unwrap())
        .secret_key(SecretKey::parse(clerk.secret_key()).unwrap())
        .backend_api(clerk.backend_api_url().parse().unwrap())
        .build()
        .unwrap();
    let scopes = Scopes::parse("profile email").unwrap();
    let guard = ClerkMcp::builder()
        .resource(url.parse().unwrap())
        .verifier(verifier)
        .scopes(scopes)
        .access_policy(example::access_policy().unwrap())
        .build()
        .unwrap();
    let router = example::router(&guard);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

/// Signs in as a user's browser would; the fake Clerk approves without interaction.
pub(crate) async fn sign_in(url: &str) -> AuthorizationManager {
    let rejected = reqwest::Client::new().post(url).send().await.unwrap();
    assert_eq!(rejected.status(), 401);
    let challenge = rejected.headers()["www-authenticate"].to_str().unwrap();

    let mut state = OAuthState::new(url, None).await.unwrap();
    let request = AuthorizationRequest::new(REDIRECT_URI)
        .with_client_name("rmcp test")
        .with_challenge(challenge);
    state.start_authorization(request).await.unwrap();
    let callback = approve(&state.get_authorization_url().await.unwrap()).await;
    state.handle_callback_url(&callback).await.unwrap();
    state.into_authorization_manager().unwrap()
}

/// Returns the URL that the authorization server redirects to.
pub(crate) async fn approve(authorization_url: &str) -> String {
    let browser = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
    let approved = browser.get(authorization_url).send().await.unwrap();
    approved.headers()["location"].to_str().unwrap().to_owned()
}

/// Asks the user for more scopes, and goes on with the new token.
pub(crate) async fn request_scopes(manager: &AuthorizationManager, scope: &str) {
    let callback = approve(&manager.request_scope_upgrade(scope).await.unwrap()).await;
    let callback = AuthorizationCallback::from_redirect_url(&callback).unwrap();
    manager
        .exchange_code_for_token_with_issuer(
            &callback.code,
            &callback.csrf_token,
            callback.issuer.as_deref(),
        )
        .await
        .unwrap();
}

async fn connect(url: &str, manager: AuthorizationManager) -> RunningService<RoleClient, ()> {
    connect_with(url, AuthClient::new(reqwest::Client::default(), manager)).await
}

pub(crate) async fn connect_with(
    url: &str,
    client: AuthClient<reqwest::Client>,
) -> RunningService<RoleClient, ()> {
    let config = StreamableHttpClientTransportConfig::with_uri(url);
    ().serve(StreamableHttpClientTransport::with_client(client, config)).await.unwrap()
}

async fn call(client: &RunningService<RoleClient, ()>, tool: &'static str) -> CallToolResult {
    client.call_tool(CallToolRequestParams::new(tool)).await.unwrap()
}

fn json(result: &CallToolResult) -> Value {
    serde_json::from_str(&result.content[0].as_text().unwrap().text).unwrap()
}

#[tokio::test]
async fn a_client_without_a_token_is_rejected() {
    let clerk = FakeClerk::start().await.unwrap();
    let url = serve(&clerk).await;
    let outcome = ().serve(StreamableHttpClientTransport::from_uri(url)).await;
    let error = format!("{:?}", outcome.err().unwrap());
    assert!(error.contains("AuthRequired"), "{error}");
    assert!(error.contains("oauth-protected-resource/mcp"), "{error}");
}

#[tokio::test]
async fn a_client_signs_in_and_calls_the_tools_with_both_token_formats() {
    for format in [TokenFormat::Jwt, TokenFormat::Opaque] {
        let clerk = start_fake_clerk(format).await;
        let url = serve(&clerk).await;
        let client = connect(&url, sign_in(&url).await).await;

        let mut tools: Vec<_> =
            client.list_all_tools().await.unwrap().into_iter().map(|tool| tool.name).collect();
        tools.sort();
        assert_eq!(tools, ["get_clerk_user_data", "get_public_metadata", "whoami"]);

        let identity = json(&call(&client, "whoami").await);
        assert_eq!(identity["userId"], clerk.default_user_id());
        // The client requests `offline_access` if the authorization server supports it.
        assert_eq!(identity["scopes"], serde_json::json!(["profile", "email", "offline_access"]));

        let user = json(&call(&client, "get_clerk_user_data").await);
        assert_eq!(user["id"], clerk.default_user_id());
        assert_eq!(user["primaryEmailAddress"], "ada@example.com");
        assert_eq!(clerk.calls(Route::User), 1);
        client.cancel().await.unwrap();
    }
}

#[tokio::test]
async fn a_client_steps_up_its_scopes_for_a_tool() {
    for format in [TokenFormat::Jwt, TokenFormat::Opaque] {
        let clerk = start_fake_clerk(format).await;
        let url = serve(&clerk).await;
        let client = AuthClient::new(reqwest::Client::default(), sign_in(&url).await);
        let manager = Arc::clone(&client.auth_manager);
        let client = connect_with(&url, client).await;

        let rejected =
            client.call_tool(CallToolRequestParams::new("get_public_metadata")).await.unwrap_err();
        let challenge = rejected.auth_challenge().unwrap();
        let challenge = WWWAuthenticateParams::parse(challenge, &url.parse().unwrap());
        assert!(challenge.is_insufficient_scope());
        let scope = challenge.scope.unwrap();
        assert_eq!(scope, "profile email public_metadata");
        assert_eq!(clerk.calls(Route::User), 0, "the tool did not run");
        // The rejection affects this call only.
        assert_eq!(json(&call(&client, "whoami").await)["userId"], clerk.default_user_id());

        request_scopes(&*manager.lock().await, &scope).await;
        let metadata = json(&call(&client, "get_public_metadata").await);
        let expected = serde_json::json!({"id": clerk.default_user_id(), "publicMetadata": {}});
        assert_eq!(metadata, expected);
        client.cancel().await.unwrap();
    }
}

#[tokio::test]
async fn a_client_refreshes_its_token() {
    let clerk = FakeClerk::builder().token_format(TokenFormat::Opaque).start().await.unwrap();
    let url = serve(&clerk).await;
    let manager = sign_in(&url).await;
    let first = manager.get_access_token().await.unwrap();
    manager.refresh_token().await.unwrap();
    assert_ne!(manager.get_access_token().await.unwrap(), first);
    let client = connect(&url, manager).await;
    assert_eq!(json(&call(&client, "whoami").await)["userId"], clerk.default_user_id());
    client.cancel().await.unwrap();
}

/// However rmcp would read these bodies, none of them reaches the tool without the scope.
#[tokio::test]
async fn unusual_messages_do_not_bypass_the_access_policy() {
    let clerk = FakeClerk::start().await.unwrap();
    let url = serve(&clerk).await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_public_metadata","arguments":{}}}"#;
    let harmless = call.replace("get_public_metadata", "whoami");
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let bodies: Vec<Vec<u8>> = [
        call.to_owned(),
        call.replace("\"id\":1,", ""),
        call.replace("method", "m\\u0065thod").replace("get_", "\\u0067et_"),
        call.replace("\"name\"", "\"name\":\"whoami\",\"name\""),
        call.replace("\"method\"", "\"method\":\"ping\",\"method\""),
        call.replace("\"params\"", "\"params\":{\"name\":\"whoami\"},\"params\""),
        call.replace("\"name\"", "\"NAME\":\"whoami\",\"name\""),
        call.replace("\"name\"", "\"uri\":\"u:v\",\"taskId\":\"t\",\"name\""),
        call.replace("\"params\"", "\"_meta\":{},\"result\":{},\"params\""),
        call.replace("\"params\"", "\"error\":{\"code\":1,\"message\":\"\"},\"params\""),
        call.replace(
            "{\"name\":\"get_public_metadata\",\"arguments\":{}}",
            "[null,\"get_public_metadata\",{}]",
        ),
        format!("[{call}]"),
        format!("[{harmless},{call}]"),
        format!("{harmless}{call}"),
        format!("{harmless}\n{call}"),
        format!("\u{feff}{call}"),
        format!(" \t\r\n{call}\n"),
        format!("{call}\0"),
        format!("/* x */{call}"),
    ]
    .map(String::into_bytes)
    .into_iter()
    .chain([utf16(call), [b"\xff\xfe".to_vec(), utf16(call)].concat()])
    .collect();
    let token = clerk.mint().audience(&url).scopes(["profile", "email"]).jwt();
    let client = reqwest::Client::new();
    for body in &bodies {
        for content_type in ["application/json", "application/json; charset=utf-16", "text/plain"] {
            let request =
                client.post(&url).bearer_auth(&token).header("content-type", content_type);
            let request =
                request.header("accept", "application/json, text/event-stream").body(body.clone());
            let status = request.send().await.unwrap().status().as_u16();
            let case = String::from_utf8_lossy(body);
            assert!(matches!(status, 400 | 403), "{status} {content_type}: {case}");
            assert_eq!(clerk.calls(Route::User), 0, "{content_type}: {case}");
        }
    }
    // With the scope, the same call reaches the tool.
    let token = clerk.mint().audience(&url).scopes(["profile", "email", "public_metadata"]).jwt();
    let request = client.post(&url).bearer_auth(&token).header("content-type", "application/json");
    let request = request.header("accept", "application/json, text/event-stream").body(call);
    assert_eq!(request.send().await.unwrap().status().as_u16(), 200);
    assert_eq!(clerk.calls(Route::User), 1);
}
