//! The throughput of a real MCP server, made with rmcp and axum, on a thread of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use clerk_mcp_tools::bearer_auth::BearerAuthLayer;
use clerk_mcp_tools::{AccessPolicy, ClerkMcp, ClerkVerifier, Scopes};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, tool, tool_handler, tool_router};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::fixture::{Fixture, resource};
use crate::support::server::{Round, ServerThread, print_guarded};
use crate::support::table::print_head;

const CONNECTIONS: usize = 8;
const ROUNDS: usize = 25;
const ROUND: Duration = Duration::from_millis(400);

const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
const CALL: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"greet","arguments":{}}}"#;

pub(crate) fn run() {
    let fixture = Fixture::new();
    let verifier = fixture.warm_verifier();
    let bearer_auth = BearerAuthLayer::new(verifier.clone(), resource());
    let auth = clerk_mcp(verifier).auth_layer();
    let servers = [
        serve(Router::new().route_service("/mcp", mcp())),
        serve(Router::new().route_service("/mcp", mcp()).layer(bearer_auth)),
        serve(Router::new().route_service("/mcp", tower::Layer::layer(&auth, mcp()))),
    ];
    let token = fixture.jwt();
    print_head(&format!("An rmcp server over loopback on one thread, {CONNECTIONS} connections"));
    for (method, body) in [("tools/list", LIST), ("tools/call", CALL)] {
        let mut rounds = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            for (server, rounds) in servers.iter().zip(&mut rounds) {
                rounds.push(fixture.runtime.block_on(load(server, &token, body)));
            }
        }
        let [unguarded, bearer_auth, policy] = &rounds;
        print_guarded(&format!("{method}, bearer layer"), unguarded, bearer_auth, 98.5);
        print_guarded(&format!("{method}, bearer and policy layer"), unguarded, policy, 97.0);
    }
}

fn clerk_mcp(verifier: ClerkVerifier) -> ClerkMcp {
    let policy = AccessPolicy::deny_by_default()
        .tool("greet", Scopes::none())
        .tool("write", Scopes::parse("files:write").unwrap());
    let builder = ClerkMcp::builder().resource(resource()).verifier(verifier);
    builder.access_policy(policy.build().unwrap()).build().unwrap()
}

fn serve(router: Router) -> ServerThread {
    ServerThread::start(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        port
    })
}

fn mcp() -> StreamableHttpService<Tools, NeverSessionManager> {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true);
    StreamableHttpService::new(|| Ok(Tools), NeverSessionManager::default().into(), config)
}

#[derive(Clone)]
struct Tools;

#[tool_router]
impl Tools {
    #[tool(description = "Returns a greeting")]
    async fn greet(&self) -> String {
        "hello".to_owned()
    }
}

#[tool_handler]
impl ServerHandler for Tools {}

async fn load(server: &ServerThread, token: &str, body: &str) -> Round {
    let length = body.len();
    let request: Arc<str> = format!(
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\naccept: application/json, text/event-stream\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into();
    let stop = Arc::new(AtomicBool::new(false));
    let (began, before) = (Instant::now(), server.processor_time());
    let connections: Vec<_> = (0..CONNECTIONS)
        .map(|_| tokio::spawn(connection(server.port, Arc::clone(&request), Arc::clone(&stop))))
        .collect();
    tokio::time::sleep(ROUND).await;
    stop.store(true, Ordering::Relaxed);
    let mut responses = 0;
    for connection in connections {
        responses += connection.await.unwrap();
    }
    let used = server.processor_time().zip(before).map(|(after, before)| after - before);
    Round::new(responses, began.elapsed(), used)
}

async fn connection(port: u16, request: Arc<str>, stop: Arc<AtomicBool>) -> u64 {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut responses, mut buffer) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        stream.write_all(request.as_bytes()).await.unwrap();
        buffer.clear();
        while !is_complete(&buffer) {
            assert_ne!(stream.read_buf(&mut buffer).await.unwrap(), 0, "closed");
        }
        let is_result = buffer.starts_with(b"HTTP/1.1 200") && buffer.ends_with(b"}}");
        assert!(is_result, "{}", String::from_utf8_lossy(&buffer));
        responses += 1;
    }
    responses
}

/// Returns whether the bytes are a whole response, with as many bytes of body as it announces.
fn is_complete(response: &[u8]) -> bool {
    let text = std::str::from_utf8(response).unwrap();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.split("\r\n").find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.expect("a length").parse().unwrap()
}
