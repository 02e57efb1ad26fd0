//! An audit log: one line of JSON for each request that the guard decided about.
//!
//! ```sh
//! cargo run --example audit_log
//! ```
//!
//! It starts a fake Clerk in the same process, prints calls to try, and writes lines such as
//!
//! ```json
//! {"time":1795946400,"decision":"rejected","reason":"insufficient_scope","principal":"user_1",
//!  "client_id":"client_1","token_type":"oauth_token","operations":[{"method":"tools/call",
//!  "name":"delete_notes"}],"missing_scopes":"public_metadata","resource":"http://127.0.0.1:3000/mcp"}
//! ```
//!
//! (each on one line) to the standard output. The guard calls the hook on the path of a request, so
//! the hook only makes the line and hands it to a thread, which writes it.

#![allow(clippy::print_stdout, reason = "the example prints commands to try")]

mod support;

use std::error::Error;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::SystemTime;

use axum::{Router, routing};
use clerk_mcp_tools::response::Decision;
use clerk_mcp_tools::testing::FakeClerk;
use clerk_mcp_tools::{
    AccessPolicy, AuthInfo, ClerkMcp, ClerkVerifier, ConfigError, ResourceUrl, Scopes,
};
use serde_json::{Value, json};

/// The lines that may wait for the writer. A line that finds no place is lost, and counted in the log
/// of the process; a server that must not lose any has to end the request instead.
const MAX_WAITING_LINES: usize = 1024;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    support::init_tracing();
    let listener = support::listen().await?;
    let address = listener.local_addr()?;
    let fake = FakeClerk::start().await?;
    let (lines, waiting) = sync_channel(MAX_WAITING_LINES);
    let clerk = guard(&fake, format!("http://{address}/mcp").parse()?, lines)?;
    let writer = thread::spawn(move || write_lines(&waiting, io::stdout()));

    println!("listening on http://{address}");
    print_commands(&fake, clerk.resource());
    axum::serve(listener, router(&clerk)).with_graceful_shutdown(support::ctrl_c()).await?;
    // The sender of the lines ends with the guard, and with it the thread.
    drop(clerk);
    writer.join().map_err(|_| "the writer panicked")??;
    Ok(())
}

/// Returns the guard, which sends a line for each decision.
pub fn guard(
    fake: &FakeClerk,
    resource: ResourceUrl,
    lines: SyncSender<Value>,
) -> Result<ClerkMcp, ConfigError> {
    let policy = AccessPolicy::deny_by_default()
        .tool("list_notes", Scopes::parse("email")?)
        .tool("delete_notes", Scopes::parse("public_metadata")?)
        .build()?;
    ClerkMcp::builder()
        .resource(resource)
        .verifier(ClerkVerifier::builder().frontend_api(fake.frontend_api()).build()?)
        .scopes(Scopes::parse("profile")?)
        .access_policy(policy)
        .on_decision(move |decision| {
            if lines.try_send(line(decision)).is_err() {
                tracing::error!("the audit log is full or closed: a line is lost");
            }
        })
        .build()
}

/// Returns what is written about a decision. It has no token; names are those that the client sent,
/// in which JSON escapes every control character.
pub fn line(decision: &Decision<'_>) -> Value {
    let operations: Vec<_> = decision
        .operations()
        .iter()
        .map(|operation| json!({ "method": operation.method(), "name": operation.name() }))
        .collect();
    let caller = decision.caller();
    json!({
        "time": SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs(),
        "decision": if decision.is_admitted() { "admitted" } else { "rejected" },
        "reason": decision.reason().map(|reason| reason.as_str()),
        "principal": caller.map(|caller| caller.principal().id()),
        "client_id": caller.and_then(AuthInfo::client_id),
        "token_type": decision.token_type().map(|token_type| token_type.as_str()),
        "operations": operations,
        "missing_scopes": decision.missing_scopes().map(ToString::to_string),
        "resource": decision.resource().map(ToString::to_string),
    })
}

/// Writes lines until no more can come.
pub fn write_lines(lines: &Receiver<Value>, mut output: impl Write) -> io::Result<()> {
    for line in lines {
        writeln!(output, "{line}")?;
        output.flush()?;
    }
    Ok(())
}

/// Returns the guarded service, which stands for an MCP server here, and the metadata documents.
pub fn router(clerk: &ClerkMcp) -> Router {
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#;
    clerk.mount(Router::new(), routing::any(move || async move { answer }))
}

fn print_commands(fake: &FakeClerk, resource: &ResourceUrl) {
    let token = fake.mint().audience(resource.as_str()).scopes(["profile", "email"]).jwt();
    println!("\nTOKEN={token}");
    support::print_command("admitted", support::call_tool(resource, "list_notes"));
    support::print_command("rejected: a scope", support::call_tool(resource, "delete_notes"));
    support::print_command("rejected: denied to all", support::call_tool(resource, "drop_table"));
    support::print_command("rejected: no token", format!("curl -i -X POST {resource}"));
}
