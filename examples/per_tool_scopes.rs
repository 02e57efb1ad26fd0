//! An MCP server whose tools require different scopes. A call without them is rejected with a 403
//! before the tool runs, so that the client asks its user for more.
//!
//! ```sh
//! cargo run --example per_tool_scopes
//! ```
//!
//! It starts a fake Clerk in the same process and prints two tokens, a function that calls a tool
//! with one of them, and calls to try:
//!
//! ```sh
//! call "$READER" list_notes    # 200
//! call "$READER" delete_notes  # 403, with all required scopes in one challenge
//! call "$WRITER" delete_notes  # 200
//! call "$WRITER" list_notes    # 200: `public_metadata` implies `email` here
//! call "$WRITER" drop_database # 403 without a challenge: what has no rule is denied to everybody
//! # A client of MCP 2026-07-28 names the tool in headers as well, so that even the first
//! # challenge, for a request without a token, names the tool's scopes:
//! curl -si -w '\n' -X POST http://127.0.0.1:3000/mcp \
//!   -H 'Mcp-Method: tools/call' -H 'Mcp-Name: delete_notes'
//! # Headers that contradict the body are a 400 with the JSON-RPC error -32020:
//! call "$READER" delete_notes -H 'Mcp-Method: tools/call' -H 'Mcp-Name: list_notes'
//! ```
//!
//! Clerk has a fixed list of scopes, so two of those represent reading and writing here.

#![allow(clippy::print_stdout, reason = "the example prints commands to try")]

mod support;

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use clerk_mcp_tools::testing::FakeClerk;
use clerk_mcp_tools::{AccessPolicy, ClerkMcp, ClerkVerifier, ResourceUrl, ScopeHierarchy, Scopes};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, tool, tool_handler, tool_router};
use tower::Layer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    support::init_tracing();
    let listener = support::listen().await?;
    let address = listener.local_addr()?;
    let fake = FakeClerk::start().await?;
    let clerk = guard(&fake, format!("http://{address}/mcp").parse()?)?;

    println!("listening on http://{address}");
    print_commands(&fake, clerk.resource());
    axum::serve(listener, router(&clerk)).with_graceful_shutdown(support::ctrl_c()).await?;
    Ok(())
}

/// Every request requires `profile`; the tools require more, and nobody may do anything else but
/// list them.
fn guard(fake: &FakeClerk, resource: ResourceUrl) -> Result<ClerkMcp, Box<dyn Error>> {
    let scopes = |list| Scopes::parse(list);
    // A tool that is added later and forgotten here is closed, not open.
    let policy = AccessPolicy::deny_by_default()
        .tool("list_notes", scopes("email")?)
        .tool("delete_notes", scopes("public_metadata")?)
        .build()?;
    let hierarchy = ScopeHierarchy::new().implies("public_metadata", ["email"])?;
    let verifier = ClerkVerifier::builder().frontend_api(fake.frontend_api()).build()?;
    let clerk = ClerkMcp::builder()
        .resource(resource)
        .verifier(verifier)
        .scopes("profile".parse()?)
        .access_policy(policy)
        .scope_hierarchy(hierarchy)
        .build()?;
    Ok(clerk)
}

/// Returns the guarded MCP service and the metadata documents.
fn router(clerk: &ClerkMcp) -> Router {
    let notes = Notes(Arc::new(Mutex::new(vec!["buy milk".to_owned(), "call Ada".to_owned()])));
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_allowed_hosts(["localhost", "127.0.0.1", "[::1]", clerk.resource().host()]);
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
    #[tool(description = "Returns all notes")]
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

fn print_commands(fake: &FakeClerk, resource: &ResourceUrl) {
    let token = |scopes: [&str; 2]| fake.mint().audience(resource.as_str()).scopes(scopes).jwt();
    println!("\nREADER={}", token(["profile", "email"]));
    println!("WRITER={}", token(["profile", "public_metadata"]));
    println!("{}", call_function(resource));
    support::print_command("200", r#"call "$READER" list_notes"#);
    support::print_command(
        "403, with all required scopes in one challenge",
        r#"call "$READER" delete_notes"#,
    );
    support::print_command("200", r#"call "$WRITER" delete_notes"#);
    support::print_command(
        "403 without a challenge: what has no rule is denied to everybody",
        r#"call "$WRITER" drop_database"#,
    );
    support::print_command(
        "400: the headers contradict the body",
        r#"call "$READER" delete_notes -H 'Mcp-Method: tools/call' -H 'Mcp-Name: list_notes'"#,
    );
}

/// Returns a shell function: `call TOKEN TOOL [CURL OPTIONS]`.
fn call_function(url: &ResourceUrl) -> String {
    format!(
        r#"call() {{ TOKEN=$1 TOOL=$2; shift 2; curl -si -w '\n' '{url}' "$@" \
  -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
  -H 'Accept: application/json, text/event-stream' \
  -d '{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"'"$TOOL"'"}}}}'; }}"#
    )
}
