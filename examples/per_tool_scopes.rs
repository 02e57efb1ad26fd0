//! An MCP server whose tools need different scopes: refused with a 403 before the tool runs, so that a client asks its
//! user for more.
//!
//! ```sh
//! cargo run --example per_tool_scopes
//! ```
//!
//! It needs no keys: a stand-in for Clerk runs in the same process, and the server prints two tokens. With them set as
//! `READER` and `WRITER`:
//!
//! ```sh
//! call() { curl -si http://127.0.0.1:3000/mcp -H "Authorization: Bearer $1" -H 'Content-Type: application/json' \
//!   -H 'Accept: application/json, text/event-stream' \
//!   -d "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"$2\"}}"; }
//! call "$READER" list_notes    # 200
//! call "$READER" delete_notes  # 403, and every scope that is needed in one challenge
//! call "$WRITER" delete_notes  # 200
//! call "$WRITER" list_notes    # 200: `public_metadata` implies `email` here
//! # A client of MCP 2026-07-28 says in the headers what it calls, and its first challenge names the scopes of that:
//! curl -si -X POST http://127.0.0.1:3000/mcp -H 'Mcp-Method: tools/call' -H 'Mcp-Name: delete_notes'
//! # What the headers say has to be so; this is a 400 with the JSON-RPC error -32020:
//! curl -si http://127.0.0.1:3000/mcp -H "Authorization: Bearer $READER" -H 'Content-Type: application/json' \
//!   -H 'Mcp-Method: tools/call' -H 'Mcp-Name: list_notes' \
//!   -d '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"delete_notes"}}'
//! ```
//!
//! Clerk grants a fixed list of scopes, so two of those stand for reading and writing here.

#![allow(clippy::print_stdout, reason = "an example talks to whoever started it")]

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use clerk_mcp_tools::instance::FrontendApi;
use clerk_mcp_tools::testing::FakeClerk;
use clerk_mcp_tools::{AccessPolicy, ClerkMcp, ClerkVerifier, ScopeHierarchy, Scopes};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, tool, tool_handler, tool_router};
use tokio::net::TcpListener;
use tower::Layer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    let resource = format!("http://{}/mcp", listener.local_addr()?);
    let stand_in = FakeClerk::start().await?;
    let clerk = guard(&stand_in, &resource)?;

    println!("listening on http://{}", listener.local_addr()?);
    let token =
        |scopes: &[&str]| stand_in.mint().audience(&resource).scopes(scopes.iter().copied()).jwt();
    println!("READER={}", token(&["profile", "email"]));
    println!("WRITER={}", token(&["profile", "public_metadata"]));
    axum::serve(listener, router(&clerk)).await?;
    Ok(())
}

/// Everybody needs `profile`; the tools need more.
fn guard(stand_in: &FakeClerk, resource: &str) -> Result<ClerkMcp, Box<dyn Error>> {
    let rules = AccessPolicy::builder()
        .tool("list_notes", Scopes::parse("email")?)
        .tool("delete_notes", Scopes::parse("public_metadata")?)
        // A tool that is added one day and forgotten here is for nobody rather than for everybody.
        .default_scopes(Scopes::parse("private_metadata")?)
        .build()?;
    let hierarchy = ScopeHierarchy::new().implies("public_metadata", ["email"])?;
    let verifier = ClerkVerifier::builder()
        .frontend_api(FrontendApi::parse(stand_in.frontend_api_url())?)
        .build()?;
    let clerk = ClerkMcp::builder()
        .resource(resource.parse()?)
        .verifier(verifier)
        .scopes(Scopes::parse("profile")?)
        .access_policy(rules)
        .scope_hierarchy(hierarchy)
        .build()?;
    Ok(clerk)
}

/// Both layers around the MCP service, and the routes of the metadata.
fn router(clerk: &ClerkMcp) -> Router {
    let notes = Notes(Arc::new(Mutex::new(vec!["buy milk".to_owned(), "call Ada".to_owned()])));
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true);
    let mcp = StreamableHttpService::new(
        move || Ok(notes.clone()),
        NeverSessionManager::default().into(),
        config,
    );
    let guarded = clerk.auth_layer().layer(mcp);

    let mut router = Router::new().route_service("/mcp", guarded);
    for (path, service) in clerk.well_known_routes() {
        router = router.route_service(&path, service);
    }
    router
}

#[derive(Clone)]
struct Notes(Arc<Mutex<Vec<String>>>);

#[tool_router]
impl Notes {
    #[tool(description = "All notes")]
    async fn list_notes(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    #[tool(description = "Deletes all notes")]
    async fn delete_notes(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
        "deleted".to_owned()
    }
}

#[tool_handler]
impl ServerHandler for Notes {}
