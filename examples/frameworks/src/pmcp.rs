//! pmcp, whose transport is an axum router.
//!
//! - **Without an `AuthProvider`, pmcp takes the caller from the header `X-PMCP-User-Id`**, which anybody
//!   can send with a good token of their own. With one, it ignores these headers.
//! - Neither the provider nor a tool sees the extensions of a request, so a middleware remembers the
//!   caller for the time of the request. An error of the provider becomes a 401 without a challenge.
//! - The router only answers at `/`, so it has to be nested; its own list of hosts and origins applies.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::middleware::from_fn;
use clerk_mcp_tools::ClerkMcp;
use pmcp::axum::{AllowedOrigins, RouterConfig, concurrent_router_with_config};
use pmcp::server::auth::{AuthContext, AuthProvider};
use pmcp::server::streamable_http_server::StreamableHttpServerConfig;
use pmcp::types::ToolInfo;
use pmcp::{Error, RequestHandlerExtra, Server, ToolHandler};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::caller;
use crate::notes::describe;

pub(crate) async fn serve(clerk: ClerkMcp, listener: TcpListener) -> io::Result<()> {
    let server = Server::builder()
        .name("notes")
        .version("1.0.0")
        .auth_provider(Caller)
        .tool("whoami", WhoAmI)
        .tool("delete_notes", DeleteNotes)
        .build()
        .map_err(io::Error::other)?;
    let config = RouterConfig {
        allowed_origins: Some(AllowedOrigins::explicit(vec![clerk.resource().origin().to_owned()])),
        server_config: StreamableHttpServerConfig::stateless(),
        ..RouterConfig::default()
    };
    let mcp = concurrent_router_with_config(Arc::new(server), config).layer(from_fn(caller::set));
    let mcp = Router::new().nest_service(clerk.resource().path(), mcp);
    axum::serve(listener, clerk.mount(Router::new(), mcp)).await
}

/// Tells pmcp who calls.
struct Caller;

#[async_trait]
impl AuthProvider for Caller {
    async fn validate_request(&self, _: Option<&str>) -> pmcp::Result<Option<AuthContext>> {
        let caller = caller::current().ok_or_else(|| Error::internal("not guarded"))?;
        let mut context = AuthContext::new(caller.principal().id());
        context.scopes = caller.scopes().iter().map(str::to_owned).collect();
        context.client_id = caller.client_id().map(str::to_owned);
        Ok(Some(context))
    }
}

struct WhoAmI;

#[async_trait]
impl ToolHandler for WhoAmI {
    async fn handle(&self, _: Value, extra: RequestHandlerExtra) -> pmcp::Result<Value> {
        let caller = extra.auth_context().ok_or_else(|| Error::internal("not guarded"))?;
        Ok(json!(describe(caller.user_id(), &caller.scopes.join(" "))))
    }

    fn metadata(&self) -> Option<ToolInfo> {
        Some(info("whoami", "Returns who calls, and with which scopes"))
    }
}

struct DeleteNotes;

#[async_trait]
impl ToolHandler for DeleteNotes {
    async fn handle(&self, _: Value, _: RequestHandlerExtra) -> pmcp::Result<Value> {
        Ok(json!("deleted"))
    }

    fn metadata(&self) -> Option<ToolInfo> {
        Some(info("delete_notes", "Deletes all notes. Requires the scope notes:write"))
    }
}

fn info(name: &str, description: &str) -> ToolInfo {
    ToolInfo::new(name, Some(description.to_owned()), json!({ "type": "object", "properties": {} }))
}
