//! The MCP server that users connect to here, and the fake Clerk at which they sign in. Of another
//! application, in real life.

use std::error::Error;
use std::io;

use axum::Router;
use clerk_mcp_tools::testing::FakeClerk;
use clerk_mcp_tools::{AccessPolicy, AuthInfo, ClerkMcp, Scopes};
use http::request::Parts;
use rmcp::handler::server::common::Extension;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, tool, tool_handler, tool_router};
use serde_json::json;
use tokio::net::TcpListener;

/// A server that listens. It and its fake Clerk know nothing of earlier ones.
pub(crate) struct NotesServer {
    pub(crate) url: String,
    listener: TcpListener,
    router: Router,
    clerk: FakeClerk,
}

impl NotesServer {
    pub(crate) async fn bind() -> Result<Self, Box<dyn Error>> {
        let grace = json!({ "id": "user_grace", "first_name": "Grace", "last_name": "Hopper" });
        let clerk = FakeClerk::builder()
            .user(grace)
            .scopes_supported(["profile", "email", "offline_access", "notes:write"])
            .registration_limits_scopes(false)
            .interactive()
            .start()
            .await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/mcp", listener.local_addr()?);
        let policy = AccessPolicy::baseline_by_default();
        let guard = ClerkMcp::builder()
            .env_from(|name| clerk.env_var(name))
            .resource(url.parse()?)
            .scopes(Scopes::parse("profile email")?)
            .access_policy(policy.tool("add_note", Scopes::parse("notes:write")?).build()?)
            .build()?;
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .with_allowed_hosts(["127.0.0.1"]);
        let mcp =
            StreamableHttpService::new(|| Ok(Notes), NeverSessionManager::default().into(), config);
        Ok(Self { url, listener, router: guard.mount(Router::new(), mcp), clerk })
    }

    pub(crate) async fn serve(self) -> io::Result<()> {
        // The fake Clerk runs until it is dropped.
        let _clerk = self.clerk;
        axum::serve(self.listener, self.router).await
    }
}

#[derive(Clone)]
struct Notes;

#[tool_router]
impl Notes {
    #[tool(description = "Returns the user id and the scopes of the caller")]
    async fn whoami(&self, Extension(parts): Extension<Parts>) -> String {
        match AuthInfo::from_parts(&parts) {
            Some(caller) => format!("{} with {}", caller.principal().id(), caller.scopes()),
            None => "nobody".to_owned(),
        }
    }

    #[tool(description = "Adds a note")]
    async fn add_note(&self) -> String {
        "The note was added.".to_owned()
    }
}

#[tool_handler]
impl ServerHandler for Notes {}
