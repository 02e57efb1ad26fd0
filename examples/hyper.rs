//! An MCP server made with rmcp on plain hyper: no framework and no router.
//!
//! ```sh
//! cargo run --example hyper
//! ```
//!
//! With no Clerk key set it starts a stand-in for Clerk in the same process.
//!
//! ```sh
//! # A refusal, with the challenge that makes a client sign its user in:
//! curl -i -X POST http://127.0.0.1:3000/mcp
//! # The document that the challenge names:
//! curl -s http://127.0.0.1:3000/.well-known/oauth-protected-resource/mcp
//! # A call of the tool needs a token: see the line that the server prints.
//! ```

#![expect(clippy::print_stdout, reason = "an example talks to whoever started it")]

mod support;

use std::error::Error;
use std::time::Duration;

use clerk_mcp_tools::{AuthInfo, ClerkMcp, Scopes};
use http::request::Parts;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rmcp::handler::server::common::Extension;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, ServerHandler, tool, tool_handler, tool_router};
use tokio::net::TcpListener;
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let bind = support::var("MCP_BIND").unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(bind).await?;
    let address = listener.local_addr()?;
    let resource =
        support::var("MCP_RESOURCE_URL").unwrap_or_else(|| format!("http://{address}/mcp"));

    let (verifier, stand_in) = support::clerk(resource.parse()?).await?;
    let clerk = ClerkMcp::builder()
        .resource(resource.parse()?)
        .verifier(verifier)
        .scopes(Scopes::parse("profile email")?)
        .build()?;

    // The documents stand outside of the guard: whoever has no token yet has to read them. Every other path is the MCP
    // endpoint, and guarded.
    let service = ServiceBuilder::new()
        .layer(clerk.well_known_layer())
        .layer(clerk.bearer_auth_layer())
        .service(mcp(&clerk));
    let service = TowerToHyperService::new(service);

    println!("listening on http://{address}");
    println!("\n# a refusal:\ncurl -i -X POST {}", clerk.resource());
    if let Some(stand_in) = &stand_in {
        println!(
            "\n# a call, with a token of the stand-in for Clerk at {}:\n{}",
            stand_in.issuer(),
            call(
                clerk.resource().as_str(),
                &stand_in.mint().audience(clerk.resource().as_str()).jwt()
            ),
        );
    }

    let connections = GracefulShutdown::new();
    let mut stop = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // One connection that broke, or too many open files: neither is a reason to stop for good.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            _ = &mut stop => break,
        };
        // With a timer, hyper gives up on clients that never finish their headers.
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service.clone());
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    // Requests under way get a while to end.
    let _ = tokio::time::timeout(Duration::from_secs(10), connections.shutdown()).await;
    Ok(())
}

fn mcp(clerk: &ClerkMcp) -> StreamableHttpService<Tools, NeverSessionManager> {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        // rmcp answers 403 to every other `Host`; behind a proxy, the public one has to be on the list.
        .with_allowed_hosts(["localhost", "127.0.0.1", "::1", clerk.resource().host()]);
    StreamableHttpService::new(|| Ok(Tools), NeverSessionManager::default().into(), config)
}

#[derive(Clone)]
struct Tools;

#[tool_router]
impl Tools {
    #[tool(description = "Who is calling, and by way of which client")]
    async fn whoami(&self, Extension(parts): Extension<Parts>) -> Result<String, ErrorData> {
        let caller = AuthInfo::from_parts(&parts)
            .ok_or_else(|| ErrorData::internal_error("the server is not guarded", None))?;
        Ok(format!(
            "{} by way of {}",
            caller.user_id(),
            caller.client_id().unwrap_or("an unknown client")
        ))
    }
}

#[tool_handler]
impl ServerHandler for Tools {}

fn call(url: &str, token: &str) -> String {
    format!(
        "curl -s '{url}' -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' \
         -H 'Accept: application/json, text/event-stream' \
         -d '{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{{\"name\":\"whoami\"}}}}'"
    )
}
