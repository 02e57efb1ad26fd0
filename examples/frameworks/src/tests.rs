//! What every server answers over HTTP: the same responses, whatever the framework.

use std::thread;

use clerk_mcp_tools::testing::FakeClerk;
use reqwest::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, CONTENT_TYPE, HeaderMap, WWW_AUTHENTICATE,
};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime;

use crate::{api_gateway, aws_lambda, guard, serving};

const MODERN: &str = "2026-07-28";
const LEGACY: &str = "2025-06-18";

macro_rules! servers {
    ($($test:ident: $name:literal, $version:expr;)*) => {$(
        mod $test {
            use super::*;

            #[tokio::test]
            async fn rejects_and_passes() {
                Server::start($name, $version).await.rejects_and_passes().await;
            }

            #[tokio::test]
            async fn serves_documents_and_preflights() {
                Server::start($name, $version).await.serves_documents_and_preflights().await;
            }
        }
    )*};
}

servers! {
    actix_web: "actix-web", LEGACY;
    lambda: "lambda", LEGACY;
    pmcp: "pmcp", LEGACY;
    poem: "poem", LEGACY;
    rust_mcp_sdk: "rust-mcp-sdk", MODERN;
    salvo: "salvo", LEGACY;
    tower_mcp: "tower-mcp", LEGACY;
}

/// poem-mcpserver keeps the caller of `initialize` for the whole session, tower-mcp does not.
#[tokio::test]
async fn a_session_knows_its_first_or_its_current_token() {
    for (name, whoami) in
        [("poem", "user_a with profile"), ("tower-mcp", "user_a with profile notes:write")]
    {
        let server = Server::start(name, LEGACY).await;
        let session = server.initialize(&server.token("user_a", "profile")).await;
        let stepped_up = server.token("user_a", "profile notes:write");
        let answer = server.call(&stepped_up, &session, "delete_notes").await;
        assert_eq!(answer.text(), "deleted", "{name}");
        let answer = server.call(&stepped_up, &session, "whoami").await;
        assert_eq!(answer.text(), whoami, "{name}");

        let other = server.token("user_b", "profile notes:write");
        let answer = server.call(&other, &session, "whoami").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{name}");
    }
}

/// The guide is in the package of the crate, these servers are not.
#[test]
fn the_code_of_the_guide_is_that_of_the_servers() {
    let servers = [
        include_str!("actix_web.rs"),
        include_str!("aws_lambda.rs"),
        include_str!("caller.rs"),
        include_str!("pmcp.rs"),
        include_str!("poem.rs"),
        include_str!("rust_mcp_sdk.rs"),
        include_str!("salvo.rs"),
        include_str!("tower_mcp.rs"),
    ];
    let code = |text: &str| text.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    let servers = servers.map(code).join("\n");
    let guide = include_str!("../../../src/guide/frameworks.md");
    let blocks = guide.split("```rust,ignore\n").skip(1);
    let blocks: Vec<_> = blocks.map(|rest| rest.split("\n```").next().unwrap()).collect();
    assert!(blocks.len() >= 8);
    for block in blocks {
        assert!(servers.contains(&code(block)), "{block}");
    }
}

struct Server {
    name: &'static str,
    version: &'static str,
    fake: FakeClerk,
    origin: String,
    client: Client,
}

impl Server {
    async fn start(name: &'static str, version: &'static str) -> Self {
        let fake = FakeClerk::start().await.unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let clerk = guard(&format!("{origin}/mcp"), |name| fake.env_var(name)).unwrap();
        // A runtime of its own, since not every server can be moved to another thread.
        thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                if name == "lambda" {
                    return api_gateway::serve(aws_lambda::router(&clerk), listener).await;
                }
                serving(name, clerk, listener).unwrap().await
            })
        });
        Self { name, version, fake, origin, client: Client::new() }
    }

    fn resource(&self) -> String {
        format!("{}/mcp", self.origin)
    }

    fn token(&self, user: &str, scopes: &str) -> String {
        let mint = self.fake.mint().subject(user).audience(self.resource());
        mint.scopes(scopes.split(' ')).jwt()
    }

    async fn rejects_and_passes(&self) {
        let name = self.name;
        let metadata = format!("{}/.well-known/oauth-protected-resource/mcp", self.origin);
        let end = |scopes: &str| format!("resource_metadata=\"{metadata}\", scope=\"{scopes}\"");
        let good = self.token("user_a", "profile");
        let session = self.initialize(&good).await;

        let list = message("tools/list", json!({}));
        let answer = self.post(&[], &session, list.clone()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{name}");
        assert_eq!(answer.challenge(), format!("Bearer {}", end("profile")), "{name}");

        let foreign = self.fake.mint().audience("https://other.example.com/mcp").jwt();
        let answer = self.post(&[&foreign], &session, list.clone()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{name}");
        let description = "The access token was not issued for this resource";
        assert_eq!(
            answer.challenge(),
            format!(
                "Bearer error=\"invalid_token\", error_description=\"{description}\", {}",
                end("profile")
            ),
            "{name}"
        );

        let other = self.token("user_b", "profile");
        let answer = self.post(&[&other, &good], &session, list.clone()).await;
        // An API Gateway makes one header of both, which is not a token.
        let status =
            if name == "lambda" { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
        assert_eq!(answer.status, status, "{name}: {}", answer.body);

        let answer = self.post(&[&good], &session, list).await;
        assert_eq!(answer.status, StatusCode::OK, "{name}: {}", answer.body);
        let tools = answer.body["result"]["tools"].as_array().unwrap();
        let mut tools: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
        tools.sort_unstable();
        assert_eq!(tools, ["delete_notes", "whoami"], "{name}");

        let answer = self.call(&good, &session, "whoami").await;
        assert_eq!(answer.text(), "user_a with profile", "{name}");

        let answer = self.call(&good, &session, "delete_notes").await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name}");
        let description = "The access token lacks a required scope";
        assert_eq!(
            answer.challenge(),
            format!(
                "Bearer error=\"insufficient_scope\", error_description=\"{description}\", {}",
                end("profile notes:write")
            ),
            "{name}"
        );
        let stepped_up = self.token("user_a", "profile notes:write");
        let answer = self.call(&stepped_up, &session, "delete_notes").await;
        assert_eq!(answer.text(), "deleted", "{name}");
    }

    async fn serves_documents_and_preflights(&self) {
        let name = self.name;
        for (path, member, value) in [
            ("oauth-protected-resource/mcp", "resource", self.resource().as_str()),
            ("oauth-protected-resource", "resource", self.resource().as_str()),
            ("oauth-authorization-server", "issuer", self.fake.issuer()),
        ] {
            let url = format!("{}/.well-known/{path}", self.origin);
            let answer = read(self.client.get(&url)).await;
            assert_eq!(answer.status, StatusCode::OK, "{name}: {path}");
            assert_eq!(answer.body[member], value, "{name}: {path}");
            self.preflight(&url, "GET").await;
        }
        self.preflight(&self.resource(), "POST").await;
    }

    async fn preflight(&self, url: &str, method: &str) {
        let request = self
            .client
            .request(Method::OPTIONS, url)
            .header("origin", "https://inspector.example.com")
            .header("access-control-request-method", method)
            .header("access-control-request-headers", "authorization");
        let answer = read(request).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}: {url}", self.name);
        assert_eq!(answer.headers[ACCESS_CONTROL_ALLOW_ORIGIN], "*", "{}: {url}", self.name);
    }

    /// Begins a session, and returns its id if the server has sessions.
    async fn initialize(&self, token: &str) -> Option<String> {
        if self.version == MODERN {
            return None;
        }
        let client_info = json!({ "name": "test", "version": "1" });
        let parameters = json!({
            "protocolVersion": self.version, "capabilities": {}, "clientInfo": client_info,
        });
        let answer = self.post(&[token], &None, message("initialize", parameters)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}: {}", self.name, answer.body);
        let session = answer.headers.get("mcp-session-id")?.to_str().unwrap().to_owned();
        let session = Some(session);
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        self.post(&[token], &session, initialized).await;
        session
    }

    async fn call(&self, token: &str, session: &Option<String>, tool: &str) -> Answer {
        let parameters = json!({ "name": tool, "arguments": {} });
        self.post(&[token], session, message("tools/call", parameters)).await
    }

    async fn post(&self, tokens: &[&str], session: &Option<String>, mut message: Value) -> Answer {
        let mut request = self
            .client
            .post(self.resource())
            .header(CONTENT_TYPE, "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", self.version)
            // Whatever a client calls itself, the token says who it is.
            .header("x-pmcp-user-id", "user_admin");
        for token in tokens {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(session) = session {
            request = request.header("mcp-session-id", session);
        }
        if self.version == MODERN {
            message["params"]["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": MODERN,
                "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
                "io.modelcontextprotocol/clientCapabilities": {},
            });
            request = request.header("mcp-method", message["method"].as_str().unwrap());
            if let Some(name) = message["params"]["name"].as_str() {
                request = request.header("mcp-name", name);
            }
        }
        read(request.body(message.to_string())).await
    }
}

fn message(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    /// The message in the body, also if it is in a list or an event.
    body: Value,
}

impl Answer {
    fn challenge(&self) -> &str {
        self.headers[WWW_AUTHENTICATE].to_str().unwrap()
    }

    /// Returns the text in the result of a tool, which pmcp writes as JSON.
    fn text(&self) -> &str {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        let text = self.body["result"]["content"][0]["text"].as_str();
        text.unwrap_or_else(|| panic!("{}", self.body)).trim_matches('"')
    }
}

async fn read(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    assert!(headers.get_all(ACCESS_CONTROL_ALLOW_ORIGIN).iter().count() <= 1, "{headers:?}");
    let text = response.text().await.unwrap();
    let event = text.lines().find_map(|line| line.strip_prefix("data: "));
    let body = match serde_json::from_str(event.unwrap_or(&text)) {
        Ok(Value::Array(list)) => list.into_iter().next().unwrap_or_default(),
        Ok(message) => message,
        Err(_) => Value::String(text),
    };
    Answer { status, headers, body }
}
