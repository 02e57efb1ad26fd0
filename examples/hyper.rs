//! An MCP server made with rmcp on plain hyper, without a framework or a router.
//!
//! ```sh
//! cargo run --example hyper
//! ```
//!
//! If no Clerk instance is configured, it starts a fake Clerk in the same process.
//!
//! ```sh
//! # A rejected request, with the challenge that makes a client sign its user in:
//! curl -i -w '\n' -X POST http://127.0.0.1:3000/mcp
//! # The metadata document that the challenge names:
//! curl -s -w '\n' http://127.0.0.1:3000/.well-known/oauth-protected-resource/mcp
//! # A tool call requires a token: see the output of the server.
//! ```

#![allow(clippy::print_stdout, reason = "the example prints commands to try")]

mod support;

use std::error::Error;
use std::time::Duration;

use clerk_mcp_tools::{AuthInfo, ClerkMcp};
use http::request::Parts;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rmcp::handler::server::common::Extension;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, ServerHandler, tool, tool_handler, tool_router};
use tower::ServiceBuilder;

use support::Environment;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    support::init_tracing();
    let listener = support::listen().await?;
    let address = listener.local_addr()?;
    let env = Environment::load(address, "/mcp").await?;

    // A server without a fake Clerk calls `ClerkMcp::from_env()` instead.
    let clerk = ClerkMcp::builder().env_from(|name| env.var(name)).build()?;

    // The metadata documents are outside the guard, since a client reads them before it has a
    // token. Every other path is the MCP endpoint, and guarded.
    let service = ServiceBuilder::new()
        .layer(clerk.well_known_layer())
        .layer(clerk.auth_layer())
        .service(mcp(&clerk));
    let service = TowerToHyperService::new(service);

    println!("listening on http://{address}");
    print_commands(&clerk, &env);

    let connections = GracefulShutdown::new();
    let mut stop = std::pin::pin!(support::ctrl_c());
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // The connection is gone, or too many files are open. Neither is permanent.
                    tracing::warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        // The timer enables hyper's timeout for clients that never finish their headers.
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service.clone());
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended with an error");
            }
        });
    }
    // Wait for requests in progress.
    let _ = tokio::time::timeout(Duration::from_secs(10), connections.shutdown()).await;
    Ok(())
}

fn mcp(clerk: &ClerkMcp) -> StreamableHttpService<Tools, NeverSessionManager> {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        // rmcp rejects every other `Host` with 403. Behind a proxy, the public host must be listed.
        .with_allowed_hosts(["localhost", "127.0.0.1", "[::1]", clerk.resource().host()]);
    StreamableHttpService::new(|| Ok(Tools), NeverSessionManager::default().into(), config)
}

#[derive(Clone)]
struct Tools;

#[tool_router]
impl Tools {
    #[tool(description = "Returns the caller's user ID and client ID")]
    async fn whoami(&self, Extension(parts): Extension<Parts>) -> Result<String, ErrorData> {
        let caller = AuthInfo::from_parts(&parts)
            .ok_or_else(|| ErrorData::internal_error("the server is not guarded", None))?;
        let client = caller.client_id().unwrap_or("an unknown client");
        Ok(format!("{} with {client}", caller.principal().id()))
    }
}

#[tool_handler]
impl ServerHandler for Tools {}

fn print_commands(clerk: &ClerkMcp, env: &Environment) {
    let url = clerk.resource();
    support::print_command("a rejected request", format!("curl -i -w '\\n' -X POST {url}"));
    let Some(fake) = env.fake_clerk() else { return };
    let token = fake.mint().audience(url.as_str()).scopes(clerk.scopes().iter()).jwt();
    support::print_command(
        &format!("a tool call, with a token of the fake Clerk at {}", fake.issuer()),
        format!("TOKEN={token}\n{}", support::call_tool(url, "whoami")),
    );
}
