//! rust-mcp-sdk with rust-mcp-axum, whose transport is an axum router.
//!
//! - Its routes pass on the headers of a request and not its extensions, so the caller is remembered for
//!   the time of the request, and a middleware of the SDK's own kind gives it to the tools, which run in
//!   other tasks. An `AuthProvider` is not needed; one that is given to `McpHttpHandler::new` does not
//!   tell the tools who calls anyway.
//! - It has a type that is called `AuthInfo`, too, with fewer members.
//! - Version 2.0 knows MCP 2026-07-28 only, and has no sessions.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use axum::Router;
use axum::middleware::from_fn;
use clerk_mcp_tools::ClerkMcp;
use http::{Request, Response};
use rust_mcp_axum::mcp_routes;
use rust_mcp_sdk::auth::AuthInfo;
use rust_mcp_sdk::id_generator::{FastIdGenerator, UuidGenerator};
use rust_mcp_sdk::mcp_http::{
    GenericBody, McpAppState, McpHttpHandler, McpHttpResult, McpMountOptions, Middleware,
    MiddlewareNext,
};
use rust_mcp_sdk::mcp_server::ServerHandler;
use rust_mcp_sdk::schema::schema_utils::CallToolError;
use rust_mcp_sdk::schema::{
    CallToolRequestParams, CallToolResult, ListToolsResult, PaginatedRequestParams, RpcError,
    ServerResult,
};
use rust_mcp_sdk::{McpServer, RequestContext, ServerDetails, ToMcpServerHandler};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::caller;
use crate::notes::describe;

pub(crate) async fn serve(clerk: ClerkMcp, listener: TcpListener) -> io::Result<()> {
    let path = clerk.resource().path().to_owned();
    let mount = McpMountOptions { streamable_http_endpoint: path, ..McpMountOptions::default() };
    let middleware: Vec<Arc<dyn Middleware>> = vec![Arc::new(Caller)];
    let handler = McpHttpHandler::new(None, middleware, None);
    let mcp = mcp_routes(Arc::new(state()?), &mount, handler).layer(from_fn(caller::set));
    axum::serve(listener, clerk.mount(Router::new(), mcp)).await
}

/// Tells the SDK who calls.
struct Caller;

#[async_trait]
impl Middleware for Caller {
    async fn handle<'req>(
        &self,
        mut request: Request<&'req str>,
        state: Arc<McpAppState>,
        next: MiddlewareNext<'req>,
    ) -> McpHttpResult<Response<GenericBody>> {
        if let Some(caller) = caller::current() {
            let expires_at = caller.expires_at().map(Duration::from_secs);
            request.extensions_mut().insert(AuthInfo {
                token_unique_id: caller.principal().to_string(),
                client_id: caller.client_id().map(str::to_owned),
                user_id: caller.user_id().map(str::to_owned),
                scopes: Some(caller.scopes().iter().map(str::to_owned).collect()),
                expires_at: expires_at.map(|after| SystemTime::UNIX_EPOCH + after),
                audience: None,
                extra: None,
            });
        }
        next(request, state).await
    }
}

struct Notes;

#[async_trait]
impl ServerHandler for Notes {
    async fn handle_list_tools_request(
        &self,
        _: Option<PaginatedRequestParams>,
        _: &RequestContext,
        _: Arc<dyn McpServer>,
    ) -> Result<ListToolsResult, RpcError> {
        let tool = |name: &str, description: &str| {
            let schema = json!({ "type": "object", "properties": {} });
            json!({ "name": name, "description": description, "inputSchema": schema })
        };
        let tools = [
            tool("whoami", "Returns who calls, and with which scopes"),
            tool("delete_notes", "Deletes all notes. Requires the scope notes:write"),
        ];
        let list = json!({
            "tools": tools, "ttlMs": 0, "cacheScope": "private", "resultType": "complete",
        });
        serde_json::from_value(list).map_err(|_| RpcError::internal_error())
    }

    async fn handle_call_tool_request(
        &self,
        params: CallToolRequestParams,
        _: &RequestContext,
        server: Arc<dyn McpServer>,
    ) -> Result<ServerResult, CallToolError> {
        let text = match params.name.as_str() {
            "whoami" => {
                let caller = server.auth_info_cloned().await;
                let caller = caller
                    .ok_or_else(|| CallToolError::from_message("the server is not guarded"))?;
                let scopes = caller.scopes.unwrap_or_default().join(" ");
                describe(&caller.user_id.unwrap_or_default(), &scopes)
            }
            "delete_notes" => "deleted".to_owned(),
            _ => return Err(CallToolError::unknown_tool(params.name)),
        };
        Ok(CallToolResult::text_content(vec![text.into()]).into())
    }
}

fn state() -> io::Result<McpAppState> {
    fn details<T: serde::de::DeserializeOwned>(json: Value) -> io::Result<T> {
        Ok(serde_json::from_value(json)?)
    }
    Ok(McpAppState {
        id_generator: Arc::new(UuidGenerator {}),
        stream_id_gen: Arc::new(FastIdGenerator::new(Some("s_"))),
        server_details: Arc::new(ServerDetails {
            server_info: details(json!({ "name": "notes", "version": "1.0.0" }))?,
            capabilities: details(json!({ "tools": {} }))?,
            instructions: None,
            meta: None,
        }),
        handler: Notes.to_mcp_server_handler(),
        ping_interval: Duration::from_secs(12),
        transport_options: Default::default(),
        enable_json_response: true,
        message_observer: None,
        extensions: Default::default(),
        active_listen_streams: Default::default(),
        max_listen_streams: rust_mcp_sdk::mcp_http::DEFAULT_MAX_LISTEN_STREAMS,
    })
}
