//! An MCP server whose tools need a role in the organization of the caller, and a tool that calls
//! another guarded server for its caller.
//!
//! ```sh
//! cargo run --example organizations
//! ```
//!
//! It starts a fake Clerk in the same process and prints three tokens, a function that calls a tool
//! with one of them, and calls to try:
//!
//! ```sh
//! call "$MEMBER" list_projects   # 200
//! call "$MEMBER" delete_projects # 403 without a challenge: the role does not suffice
//! call "$ADMIN" delete_projects  # 200
//! call "$OTHER" list_projects    # 403 with a challenge: `user:org:read` was not granted
//! call "$MEMBER" read_notes      # 200: the other server gets a token of its own
//! # The other server does not accept the token of this one:
//! curl -i http://127.0.0.1:3000/notes -H "Authorization: Bearer $MEMBER"
//! ```

#![allow(clippy::print_stdout, reason = "the example prints commands to try")]

mod support;

use std::error::Error;

use axum::routing::get;
use axum::{Extension as AxumExtension, Router};
use clerk_mcp_tools::access_policy::{Requirement, StepUp};
use clerk_mcp_tools::testing::FakeClerk;
use clerk_mcp_tools::{AccessPolicy, AuthInfo, ClerkMcp, ConfigError, ResourceUrl, Scopes};
use http::request::Parts;
use rmcp::handler::server::common::Extension;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, ServerHandler, tool, tool_handler, tool_router};
use tower::Layer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    support::init_tracing();
    let listener = support::listen().await?;
    let origin = format!("http://{}", listener.local_addr()?);
    let fake = FakeClerk::start().await?;
    let server = Server::new(&fake, &origin)?;

    println!("listening on {origin}");
    print_commands(&fake, &server);
    axum::serve(listener, server.router()).with_graceful_shutdown(support::ctrl_c()).await?;
    Ok(())
}

/// Two guarded endpoints of one Clerk instance. They are in one process here, and need not be.
#[derive(Debug)]
pub struct Server {
    projects: ClerkMcp,
    notes: ClerkMcp,
}

impl Server {
    /// Guards both endpoints of an origin.
    pub fn new(fake: &FakeClerk, origin: &str) -> Result<Self, ConfigError> {
        let resource = |path: &str| ResourceUrl::parse(&format!("{origin}{path}"));
        let (projects, notes) = (resource("/mcp")?, resource("/notes")?);
        // The OAuth application that stands for the MCP server, in the Clerk Dashboard.
        let application = fake.create_oauth_application(projects.as_str());
        application.allow_exchange_for(notes.as_str());
        fake.set_server_application(&application);

        let policy = AccessPolicy::deny_by_default()
            .tool("list_projects", Requirement::member())
            .tool("delete_projects", Requirement::permission("org:projects:delete"))
            .tool("read_notes", Scopes::none())
            .build()?;
        // A server without a fake Clerk calls `.env()` here.
        let builder = || ClerkMcp::builder().env_from(|name| fake.env_var(name));
        Ok(Self {
            projects: builder()
                .resource(projects)
                .scopes(Scopes::parse("profile")?)
                .access_policy(policy)
                // For `read_notes`, so that the client learns what the other server needs.
                .step_up_from_handlers()
                .build()?,
            notes: builder().resource(notes).scopes(Scopes::parse("email")?).build()?,
        })
    }

    /// Returns both services and their metadata documents.
    pub fn router(&self) -> Router {
        let tools = Tools {
            clerk: self.projects.clone(),
            notes: self.notes.resource().clone(),
            http: reqwest::Client::new(),
        };
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .with_allowed_hosts(["localhost", "127.0.0.1", "[::1]", tools.notes.host()]);
        let sessions = NeverSessionManager::default().into();
        let mcp = StreamableHttpService::new(move || Ok(tools.clone()), sessions, config);
        let notes = self.notes.auth_layer().layer(get(read_notes));

        let mut router = Router::new()
            .route_service("/mcp", self.projects.auth_layer().layer(mcp))
            .route_service("/notes", notes);
        for (path, service) in self.projects.well_known_routes() {
            router = router.route_service(&path, service);
        }
        router
    }
}

/// The other server. It knows the user, and not which server asks.
async fn read_notes(AxumExtension(caller): AxumExtension<AuthInfo>) -> String {
    format!("the notes of {}", caller.user_id().unwrap_or("nobody"))
}

#[derive(Clone)]
struct Tools {
    clerk: ClerkMcp,
    notes: ResourceUrl,
    http: reqwest::Client,
}

#[tool_router]
impl Tools {
    #[tool(description = "Returns the projects of the organization, to its members")]
    async fn list_projects(&self, Extension(parts): Extension<Parts>) -> Result<String, ErrorData> {
        let caller = caller(&parts)?;
        // Known from the rule in front of this tool.
        let membership = self.clerk.membership(caller).await.map_err(internal)?;
        Ok(format!("roadmap, for {}", membership.role().unwrap_or("nobody")))
    }

    #[tool(description = "Deletes the projects of the organization, for those who may")]
    async fn delete_projects(&self) -> String {
        "deleted".to_owned()
    }

    #[tool(description = "Returns the notes of the user from another server")]
    async fn read_notes(&self, Extension(parts): Extension<Parts>) -> Result<String, ErrorData> {
        let step_up = StepUp::from_parts(&parts).ok_or_else(not_guarded)?;
        let needed = Scopes::parse("email").map_err(internal)?;
        // The token of the caller stays here; the other server gets one of its own.
        let exchanged =
            self.clerk.exchange_token(caller(&parts)?, self.notes.as_str(), &needed).await;
        // On an error the client gets the response to this rejection, whatever is returned here.
        let token = exchanged.map_err(|error| internal(step_up.reject(error).description()))?;
        let request = self.http.get(token.resource()).bearer_auth(token.access_token().expose());
        let response = request.send().await.and_then(reqwest::Response::error_for_status);
        response.map_err(internal)?.text().await.map_err(internal)
    }
}

#[tool_handler]
impl ServerHandler for Tools {}

fn caller(parts: &Parts) -> Result<&AuthInfo, ErrorData> {
    AuthInfo::from_parts(parts).ok_or_else(not_guarded)
}

fn not_guarded() -> ErrorData {
    internal("the server is not guarded")
}

fn internal(error: impl ToString) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}

fn print_commands(fake: &FakeClerk, server: &Server) {
    let resource = server.projects.resource().as_str();
    let organization = fake.create_organization("Acme");
    organization.set_member(fake.default_user_id(), "org:member", ["org:projects:read"]);
    organization.set_member("user_grace", "org:admin", ["org:projects:delete"]);
    let scopes = ["profile", "email", "user:org:read"];
    let mint = || fake.mint().audience(resource).scopes(scopes).organization(organization.id());
    println!("\nMEMBER={}", mint().jwt());
    println!("ADMIN={}", mint().subject("user_grace").jwt());
    println!("OTHER={}", fake.mint().audience(resource).jwt());
    println!(r#"call() {{ TOKEN=$1; {}; }}"#, support::call_tool(resource, "'$2'"));
    support::print_command("200", r#"call "$MEMBER" list_projects"#);
    support::print_command("403 without a challenge", r#"call "$MEMBER" delete_projects"#);
    support::print_command("200", r#"call "$ADMIN" delete_projects"#);
    support::print_command("403 with a challenge", r#"call "$OTHER" list_projects"#);
    support::print_command("200, from the other server", r#"call "$MEMBER" read_notes"#);
}
