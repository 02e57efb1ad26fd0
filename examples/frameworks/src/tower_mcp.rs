//! tower-mcp, whose transport is an axum router.
//!
//! - Tools only see extensions that are named with `bridge_extension`, and so do sessions.
//! - tower-mcp binds sessions by itself as well. What is the key has to be said, or every caller counts
//!   as the same anonymous one.

use std::io;

use axum::Router;
use clerk_mcp_tools::{AuthInfo, ClerkMcp};
use tokio::net::TcpListener;
use tower_mcp::extract::Context;
use tower_mcp::{CallToolResult, HttpTransport, McpRouter, ToolBuilder};

use crate::notes::describe;

pub(crate) async fn serve(clerk: ClerkMcp, listener: TcpListener) -> io::Result<()> {
    let mcp = HttpTransport::new(router())
        .allowed_hosts(vec![clerk.resource().host().to_owned()])
        .bridge_extension::<AuthInfo>()
        .session_principal_from_extension(|caller: &AuthInfo| caller.principal().to_string())
        .into_router_at(clerk.resource().path());
    axum::serve(listener, clerk.mount(Router::new(), mcp)).await
}

fn router() -> McpRouter {
    let whoami = ToolBuilder::new("whoami")
        .description("Returns who calls, and with which scopes")
        .extractor_handler((), |context: Context| async move {
            Ok(match context.extension::<AuthInfo>() {
                Some(caller) => {
                    let scopes = caller.scopes().to_string();
                    CallToolResult::text(describe(caller.principal().id(), &scopes))
                }
                None => CallToolResult::error("the server is not guarded"),
            })
        });
    let delete_notes = ToolBuilder::new("delete_notes")
        .description("Deletes all notes. Requires the scope notes:write")
        .no_params_handler(|| async { Ok(CallToolResult::text("deleted")) });
    McpRouter::new().server_info("notes", "1.0.0").tool(whoami.build()).tool(delete_notes.build())
}
