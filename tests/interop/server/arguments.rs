//! A tool whose arguments say which scopes it needs.

use clerk_mcp_tools::access_policy::StepUp;
use clerk_mcp_tools::{ClerkMcp, Scopes};
use http::request::Parts;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::{Value, json};

/// Returns the server, which answers after the tool has run: only then the layer can still send the
/// challenge in place of the result.
pub(crate) fn service(clerk: &ClerkMcp) -> StreamableHttpService<ReadNote, NeverSessionManager> {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_allowed_hosts(["localhost", "127.0.0.1", clerk.resource().host()]);
    StreamableHttpService::new(|| Ok(ReadNote), NeverSessionManager::default().into(), config)
}

/// The tool `read_note`. Paths in `/private/` need a scope that no other path needs.
#[derive(Clone)]
pub(crate) struct ReadNote;

impl ServerHandler for ReadNote {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let path = json!({ "path": { "type": "string" } });
        let schema = json!({ "type": "object", "properties": path, "required": ["path"] });
        let Value::Object(schema) = schema else { return Ok(ListToolsResult::default()) };
        let tool = Tool::new("read_note", "Returns a note", schema);
        Ok(ListToolsResult { tools: vec![tool], ..Default::default() })
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let error = |text: String| ErrorData::invalid_request(text, None);
        let step_up = context.extensions.get::<Parts>().and_then(StepUp::from_parts);
        let step_up = step_up.ok_or_else(|| error("the server is not guarded".to_owned()))?;
        let path = request.arguments.as_ref().and_then(|all| all.get("path"));
        let path = path.and_then(Value::as_str).unwrap_or_default();
        if path.starts_with("/private/") {
            let needed = Scopes::parse("public_metadata").map_err(|e| error(e.to_string()))?;
            step_up.require_scopes(&needed).map_err(|missing| error(missing.to_string()))?;
        }
        let text = json!({ "path": path }).to_string();
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
}
