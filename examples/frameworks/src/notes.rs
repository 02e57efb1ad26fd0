//! The MCP server of the frameworks that are for HTTP only, made with rmcp.

use clerk_mcp_tools::{AuthInfo, ClerkMcp};
use http::request::Parts;
use rmcp::handler::server::common::Extension;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, tool, tool_handler, tool_router};

#[derive(Clone)]
pub(crate) struct Notes;

pub(crate) type Service = StreamableHttpService<Notes, NeverSessionManager>;

/// Returns the MCP server as a tower service. Without sessions, every process can answer every
/// request.
pub(crate) fn service(clerk: &ClerkMcp) -> Service {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_allowed_hosts(["localhost", "127.0.0.1", clerk.resource().host()]);
    StreamableHttpService::new(|| Ok(Notes), NeverSessionManager::default().into(), config)
}

#[tool_router]
impl Notes {
    #[tool(description = "Returns who calls, and with which scopes")]
    async fn whoami(&self, Extension(parts): Extension<Parts>) -> Result<String, String> {
        let caller = AuthInfo::from_parts(&parts).ok_or("the server is not guarded")?;
        Ok(describe(caller.principal().id(), &caller.scopes().to_string()))
    }

    // The access policy rejects calls without the scope before they reach rmcp.
    #[tool(description = "Deletes all notes. Requires the scope notes:write")]
    async fn delete_notes(&self) -> String {
        "deleted".to_owned()
    }
}

#[tool_handler]
impl ServerHandler for Notes {}

/// Returns what `whoami` of every server returns.
pub(crate) fn describe(id: &str, scopes: &str) -> String {
    format!("{id} with {scopes}")
}
