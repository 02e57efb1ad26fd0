//! A fake Clerk as a program of its own, to run a guarded server against without a Clerk account.
//!
//! ```sh
//! cargo run --example fake_clerk -- http://127.0.0.1:3000/mcp
//! ```
//!
//! It prints the variables that configure a server, and a token for the resource of the argument
//! (or of `MCP_RESOURCE_URL`; defaults to `http://127.0.0.1:3000/mcp`) with the scopes `MCP_SCOPES`
//! (defaults to `profile email`). Paste them into another shell, start your server there, and call
//! it:
//!
//! ```sh
//! export CLERK_FAPI=http://127.0.0.1:... CLERK_API_URL=http://127.0.0.1:... CLERK_SECRET_KEY=...
//! export TOKEN=...
//! cargo run --example rmcp_axum &
//! curl http://127.0.0.1:3000/mcp -H "Authorization: Bearer $TOKEN" ...
//! ```
//!
//! It prints an API key and a machine token as well, for a server that accepts them (`MCP_ACCEPTS`).
//!
//! MCP clients can sign in as well, since the server's metadata names the fake Clerk. As with
//! Clerk, the resource is registered byte for byte: tokens for another URL have no audience. It
//! stops at Ctrl-C.

#![allow(clippy::print_stdout, reason = "the example prints the settings of the fake Clerk")]

mod support;

use std::error::Error;

use clerk_mcp_tools::{ResourceUrl, Scopes};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let resource: ResourceUrl = std::env::args()
        .nth(1)
        .or_else(|| support::var("MCP_RESOURCE_URL"))
        .unwrap_or_else(|| "http://127.0.0.1:3000/mcp".to_owned())
        .parse()?;
    let scopes: Scopes =
        support::var("MCP_SCOPES").unwrap_or_else(|| "profile email".to_owned()).parse()?;

    // Tokens for other resources have no audience, so that a server with another URL rejects them.
    let fake = support::fake_clerk().register_resource(resource.as_str()).start().await?;
    println!("export CLERK_FAPI={}", fake.frontend_api_url());
    println!("export CLERK_API_URL={}", fake.backend_api_url());
    println!("export CLERK_SECRET_KEY={}", fake.secret_key());
    println!("export MCP_RESOURCE_URL={resource}");
    let server = support::server_machine(&fake);
    println!("export CLERK_MACHINE_SECRET_KEY={}", server.secret_key());
    println!("export CLERK_MACHINE_ID={}", server.id());
    println!("\n# a token for {resource}:");
    println!(
        "export TOKEN={}",
        fake.mint().audience(resource.as_str()).scopes(scopes.iter()).jwt()
    );
    let ci = fake.create_machine("CI");
    ci.allow_calls_to(&server);
    let key = fake.create_api_key().name("CI").scopes(scopes.iter()).secret();
    println!("\n# for a server with MCP_ACCEPTS='oauth_token api_key m2m_token':");
    println!("export API_KEY={key} MACHINE_TOKEN={}", ci.mint().opaque());
    support::print_command("a tool call of rmcp_axum", support::call_tool(&resource, "whoami"));
    support::ctrl_c().await;
    Ok(())
}
