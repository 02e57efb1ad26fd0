//! Servers of other frameworks, guarded with tokens of Clerk: one module each, which is all that such
//! a server needs. The comments at the top of each say what to watch out for.
//!
//! ```sh
//! cargo run --manifest-path examples/frameworks/Cargo.toml -- salvo
//! ```
//!
//! It prints a token and a command to try. Without `CLERK_PUBLISHABLE_KEY` in the environment, a
//! stand-in for Clerk runs in the same process.

mod actix_web;
#[cfg(test)]
mod api_gateway;
mod aws_lambda;
mod caller;
mod notes;
mod pmcp;
mod poem;
mod rust_mcp_sdk;
mod salvo;
#[cfg(test)]
mod tests;
mod tower_mcp;

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;

use clerk_mcp_tools::testing::FakeClerk;
use clerk_mcp_tools::{AccessPolicy, ClerkMcp, ConfigError, Scopes};
use tokio::net::TcpListener;

const USAGE: &str = "actix-web, lambda, pmcp, poem, rust-mcp-sdk, salvo or tower-mcp";

type Serving = Pin<Box<dyn Future<Output = io::Result<()>>>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let name = std::env::args().nth(1).unwrap_or_default();
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    let resource = format!("http://{}/mcp", listener.local_addr()?);
    let has_clerk = std::env::var_os("CLERK_PUBLISHABLE_KEY").is_some();
    let fake = if has_clerk { None } else { Some(FakeClerk::start().await?) };
    let clerk = guard(&resource, |name| {
        let of_fake = fake.as_ref().and_then(|fake| fake.env_var(name));
        of_fake.or_else(|| std::env::var(name).ok())
    })?;
    if let Some(fake) = &fake {
        let token = fake.mint().audience(&resource).scopes(clerk.scopes().iter()).jwt();
        println!("curl -i {resource} -H 'Authorization: Bearer {token}'");
    }
    serving(&name, clerk, listener).ok_or(USAGE)?.await?;
    Ok(())
}

/// Returns the guard of all these servers: every request needs the scope `profile`, and the tool
/// `delete_notes` also needs `notes:write`.
fn guard(resource: &str, var: impl Fn(&str) -> Option<String>) -> Result<ClerkMcp, ConfigError> {
    let policy = AccessPolicy::baseline_by_default()
        .tool("delete_notes", Scopes::parse("notes:write")?)
        .build()?;
    ClerkMcp::builder()
        .env_from(|name| match name {
            "MCP_RESOURCE_URL" => Some(resource.to_owned()),
            _ => var(name),
        })
        .scopes(Scopes::parse("profile")?)
        .access_policy(policy)
        .build()
}

/// Returns the server of this name, or `None` if there is none.
fn serving(name: &str, clerk: ClerkMcp, listener: TcpListener) -> Option<Serving> {
    Some(match name {
        "actix-web" => Box::pin(actix_web::serve(clerk, listener)),
        "lambda" => Box::pin(aws_lambda::run(clerk)),
        "pmcp" => Box::pin(pmcp::serve(clerk, listener)),
        "poem" => Box::pin(poem::serve(clerk, listener)),
        "rust-mcp-sdk" => Box::pin(rust_mcp_sdk::serve(clerk, listener)),
        "salvo" => Box::pin(salvo::serve(clerk, listener)),
        "tower-mcp" => Box::pin(tower_mcp::serve(clerk, listener)),
        _ => return None,
    })
}
