//! The example server with every type of token: who calls, and what the tools answer.

use clerk_mcp_tools::ClerkMcp;
use clerk_mcp_tools::testing::{FakeClerk, FakeMachine};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::rmcp_client::example;

const PARTY: &str = "https://app.example.com";
const METADATA: &str = "public_metadata";

/// Starts the example server with these types of tokens. It is the machine that is returned.
async fn serve(accepts: &'static str, scopes: &'static str) -> (FakeClerk, FakeMachine, String) {
    let clerk = FakeClerk::start().await.unwrap();
    let server = clerk.create_machine("MCP server");
    clerk.set_server_machine(&server);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let own = |name: &str| match name {
        "MCP_RESOURCE_URL" => Some(url.clone()),
        "MCP_SCOPES" => Some(scopes.to_owned()),
        "MCP_ACCEPTS" => Some(accepts.to_owned()),
        "MCP_AUTHORIZED_PARTIES" => Some(PARTY.to_owned()),
        _ => None,
    };
    let guard = ClerkMcp::builder()
        .env_from(|name| clerk.env_var(name).or_else(|| own(name)))
        .access_policy(example::access_policy().unwrap())
        .build()
        .unwrap();
    let router = example::router(&guard);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (clerk, server, url)
}

/// Calls a tool and returns the status and the body.
async fn call(url: &str, token: &str, tool: &str) -> (u16, Value) {
    let message =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool}});
    let response = reqwest::Client::new()
        .post(url)
        .bearer_auth(token)
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .body(message.to_string())
        .send()
        .await
        .unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
}

/// Returns the JSON of a successful tool call, or the text of a tool error.
async fn result(url: &str, token: &str, tool: &str) -> Value {
    let (status, body) = call(url, token, tool).await;
    assert_eq!(status, 200, "{body}");
    let text = body["result"]["content"][0]["text"].as_str().unwrap();
    match &body["result"]["isError"] {
        Value::Bool(true) => json!(text),
        _ => serde_json::from_str(text).unwrap(),
    }
}

fn ci(clerk: &FakeClerk, server: &FakeMachine) -> FakeMachine {
    let ci = clerk.create_machine("CI");
    ci.allow_calls_to(server);
    ci
}

#[tokio::test]
async fn whoami_names_the_caller_and_the_type_of_its_token() {
    let all = "oauth_token api_key m2m_token session_token";
    let (clerk, server, url) = serve(all, METADATA).await;
    let ci = ci(&clerk, &server);
    let (user, organization) = (clerk.default_user_id(), clerk.default_organization_id());
    let no_data =
        |caller: String| json!(format!("the caller is not a user ({caller}) and has no user data"));
    let no_data_of_machine = || no_data(format!("machine {}", ci.id()));
    let key = || clerk.create_api_key().scopes([METADATA]);
    let session = clerk.mint_session_token(PARTY).organization(organization).jwt();
    let machine = json!({ "machineId": ci.id(), "tokenType": "m2m_token", "scopes": [METADATA] });
    for (token, identity, data) in [
        (
            clerk.mint().audience(&url).client_id("client_1").scopes([METADATA]).jwt(),
            json!({
                "userId": user, "clientId": "client_1", "tokenType": "oauth_token", "scopes": [METADATA],
            }),
            None,
        ),
        (
            key().secret(),
            json!({ "userId": user, "tokenType": "api_key", "scopes": [METADATA] }),
            None,
        ),
        (
            key().subject(organization).secret(),
            json!({ "orgId": organization, "tokenType": "api_key", "scopes": [METADATA] }),
            Some(no_data(format!("organization {organization}"))),
        ),
        (
            key().subject(ci.id()).secret(),
            json!({ "machineId": ci.id(), "tokenType": "api_key", "scopes": [METADATA] }),
            Some(no_data_of_machine()),
        ),
        (ci.mint().opaque(), machine.clone(), Some(no_data_of_machine())),
        (ci.mint().jwt(), machine, Some(no_data_of_machine())),
        (
            session,
            json!({
                "userId": user, "orgId": organization, "tokenType": "session_token",
                "scopes": [METADATA],
            }),
            None,
        ),
    ] {
        assert_eq!(result(&url, &token, "whoami").await, identity);
        for (tool, of_user) in [
            ("get_clerk_user_data", "primaryEmailAddress"),
            ("get_public_metadata", "publicMetadata"),
        ] {
            let answer = result(&url, &token, tool).await;
            match &data {
                Some(error) => assert_eq!(&answer, error, "{tool} {identity}"),
                None => assert!(!answer[of_user].is_null(), "{tool} {identity}: {answer}"),
            }
        }
    }
}

#[tokio::test]
async fn by_default_only_oauth_tokens_are_accepted() {
    let (clerk, server, url) = serve("", METADATA).await;
    let key = clerk.create_api_key().scopes([METADATA]).secret();
    let ci = ci(&clerk, &server);
    let session = clerk.mint_session_token(PARTY).jwt();
    for token in [key, ci.mint().opaque(), ci.mint().jwt(), session] {
        let (status, body) = call(&url, &token, "whoami").await;
        assert_eq!((status, &body["error"]), (401, &json!("invalid_token")), "{body}");
    }
}

#[tokio::test]
async fn keys_without_the_scopes_and_tokens_for_others_are_rejected() {
    let (clerk, server, url) = serve("api_key m2m_token", METADATA).await;
    let self_made = clerk.create_api_key().secret();
    let (status, body) = call(&url, &self_made, "whoami").await;
    assert_eq!((status, &body["error"]), (403, &json!("insufficient_scope")));

    let ci = ci(&clerk, &server);
    let other = clerk.create_machine("other");
    let revoked = ci.mint().revoked(true).opaque();
    let oauth = clerk.mint().audience(&url).scopes([METADATA]).jwt();
    for token in [other.mint().opaque(), other.mint().jwt(), revoked, oauth] {
        let (status, body) = call(&url, &token, "whoami").await;
        assert_eq!((status, &body["error"]), (401, &json!("invalid_token")), "{body}");
    }
}
