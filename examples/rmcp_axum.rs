//! An MCP server made with rmcp and axum, guarded by Clerk.
//!
//! ```sh
//! cargo run --example rmcp_axum
//! ```
//!
//! With no key set it starts a stand-in for Clerk in the same process, and prints the lines to try:
//!
//! ```sh
//! # A refusal, with the challenge that makes a client sign its user in:
//! curl -i -X POST http://127.0.0.1:3000/mcp
//! # The document that the challenge names:
//! curl -s http://127.0.0.1:3000/.well-known/oauth-protected-resource/mcp
//! # And a whole sign-in with the stand-in, then a call of a tool: too long for here, see what the server prints.
//! ```
//!
//! With `CLERK_PUBLISHABLE_KEY` (or `CLERK_FAPI`) and `CLERK_SECRET_KEY` set it guards with that Clerk instance; the
//! README lists every variable.

#![allow(clippy::print_stdout, reason = "an example talks to whoever started it")]

use std::error::Error;

use axum::Router;
use clerk_mcp_tools::clerk::{ClerkClient, User};
use clerk_mcp_tools::testing::FakeClerk;
use clerk_mcp_tools::{AccessPolicy, AuthInfo, ClerkMcp, ConfigError, Scopes};
use http::request::Parts;
use rmcp::handler::server::common::Extension;
use rmcp::model::{CallToolResult, ContentBlock};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, ServerHandler, tool, tool_handler, tool_router};
use serde_json::Value;
use tokio::net::TcpListener;
use tower::Layer;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();

    let listener =
        TcpListener::bind(var("MCP_BIND").unwrap_or_else(|| "127.0.0.1:3000".to_owned())).await?;
    let stand_in = if has_clerk_settings() { None } else { Some(FakeClerk::start().await?) };
    let address = listener.local_addr()?;
    // The stand-in is one more Clerk instance, with settings of the same names.
    let of_stand_in = |name: &str| stand_in.as_ref().and_then(|clerk| clerk.env_var(name));
    let default = |name: &str| match name {
        "MCP_RESOURCE_URL" => Some(format!("http://{address}/mcp")),
        "MCP_SCOPES" => Some("profile email".to_owned()),
        _ => None,
    };
    let clerk = ClerkMcp::builder()
        .env_from(|name| of_stand_in(name).or_else(|| var(name)).or_else(|| default(name)))
        .access_policy(access_policy()?)
        .customize_metadata(|document| document.resource_name("clerk-mcp-tools example"))
        .build()?;

    let router = router(&clerk);
    println!("listening on http://{}", listener.local_addr()?);
    print_lines_to_try(&clerk, stand_in.as_ref());
    axum::serve(listener, router).with_graceful_shutdown(stopped()).await?;
    Ok(())
}

/// What single tools need, besides the scopes that every request needs.
pub fn access_policy() -> Result<AccessPolicy, ConfigError> {
    AccessPolicy::builder().tool("get_public_metadata", Scopes::parse("public_metadata")?).build()
}

/// All that guards an MCP server: the two layers around it, and the routes of the metadata.
pub fn router(clerk: &ClerkMcp) -> Router {
    let tools = Tools { clerk: clerk.verifier().client().cloned() };
    // rmcp refuses requests for any other host; behind a proxy, the public one has to be on its list.
    let host = clerk.resource().host();
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_allowed_hosts(["localhost", "127.0.0.1", "[::1]", host]);
    let mcp = StreamableHttpService::new(
        move || Ok(tools.clone()),
        NeverSessionManager::default().into(),
        config,
    );
    let guarded = clerk.auth_layer().layer(mcp);

    let path = clerk.resource().path().trim_end_matches('/');
    let mut router = Router::new().route_service(&format!("{path}/"), guarded.clone());
    if !path.is_empty() {
        router = router.route_service(path, guarded);
    }
    for (path, service) in clerk.well_known_routes() {
        router = router.route_service(&path, service);
    }
    router
}

#[derive(Clone)]
struct Tools {
    clerk: Option<ClerkClient>,
}

#[tool_router]
impl Tools {
    #[tool(description = "Who is calling, by way of which client, and with which scopes")]
    async fn whoami(
        &self,
        Extension(parts): Extension<Parts>,
    ) -> Result<CallToolResult, ErrorData> {
        let caller = caller(&parts)?;
        answer(&serde_json::json!({
            "userId": caller.user_id(),
            "clientId": caller.client_id(),
            "scopes": caller.scopes(),
        }))
    }

    #[tool(
        description = "The profile of the user who is calling: names, picture and primary e-mail address"
    )]
    async fn get_clerk_user_data(
        &self,
        Extension(parts): Extension<Parts>,
    ) -> Result<CallToolResult, ErrorData> {
        // Chosen one by one: a user also has private metadata, which is nobody's but the server's.
        self.of_user(&parts, |user| {
            serde_json::json!({
                "id": user.id,
                "username": user.username,
                "firstName": user.first_name,
                "lastName": user.last_name,
                "imageUrl": user.image_url,
                "primaryEmailAddress": user.primary_email_address(),
            })
        })
        .await
    }

    /// Whoever gets here has the scope `public_metadata`: a call without it was refused before rmcp heard of it.
    #[tool(
        description = "The public metadata of the user who is calling; needs the scope public_metadata"
    )]
    async fn get_public_metadata(
        &self,
        Extension(parts): Extension<Parts>,
    ) -> Result<CallToolResult, ErrorData> {
        self.of_user(
            &parts,
            |user| serde_json::json!({"id": user.id, "publicMetadata": user.extra.get("public_metadata")}),
        )
        .await
    }
}

impl Tools {
    /// What is shown of the user who is calling.
    async fn of_user(
        &self,
        parts: &Parts,
        show: impl FnOnce(&User) -> Value,
    ) -> Result<CallToolResult, ErrorData> {
        let caller = caller(parts)?;
        let Some(clerk) = &self.clerk else {
            return Ok(failure(
                "user data needs the Backend API: set CLERK_SECRET_KEY and start the server again",
            ));
        };
        match clerk.get_user(caller.user_id()).await {
            Ok(user) => answer(&show(&user)),
            Err(error) => {
                tracing::warn!(%error, cause = ?error, "a user could not be fetched");
                Ok(failure("the user's data cannot be fetched at the moment"))
            }
        }
    }
}

#[tool_handler]
impl ServerHandler for Tools {}

fn caller(parts: &Parts) -> Result<&AuthInfo, ErrorData> {
    AuthInfo::from_parts(parts)
        .ok_or_else(|| ErrorData::internal_error("the server is not guarded", None))
}

fn answer(value: &impl serde::Serialize) -> Result<CallToolResult, ErrorData> {
    Ok(CallToolResult::success(vec![ContentBlock::json(value)?]))
}

fn failure(text: &str) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(text)])
}

fn var(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

fn has_clerk_settings() -> bool {
    const SETTINGS: [&str; 5] = [
        "CLERK_PUBLISHABLE_KEY",
        "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY",
        "CLERK_FAPI",
        "CLERK_SECRET_KEY",
        "CLERK_JWT_KEY",
    ];
    SETTINGS.iter().any(|name| var(name).is_some())
}

fn print_lines_to_try(clerk: &ClerkMcp, stand_in: Option<&FakeClerk>) {
    let url = clerk.resource();
    let metadata = clerk_mcp_tools::metadata::protected_resource_metadata_url(url);
    println!("\n# a refusal, with the challenge for the client:\ncurl -i -X POST {url}");
    println!("\n# the document that the challenge names:\ncurl -s {metadata}");
    let Some(stand_in) = stand_in else { return };
    println!(
        "\n# no key is set, so a stand-in for Clerk runs at {}: sign in there and call a tool:",
        stand_in.issuer()
    );
    println!("{}", sign_in_and_call(clerk, stand_in));
}

/// The OAuth flow of a client (RFC 6749 section 4.1 with PKCE; the pair is that of RFC 7636 appendix B), then a call.
fn sign_in_and_call(clerk: &ClerkMcp, stand_in: &FakeClerk) -> String {
    const REDIRECT_URI: &str = "http://127.0.0.1/callback";
    let (issuer, resource) = (stand_in.issuer(), clerk.resource());
    let client = stand_in.register_client(REDIRECT_URI);
    let scope = clerk.scopes().to_string().replace(' ', "+");
    format!(
        "CODE=$(curl -s -o /dev/null -w '%{{redirect_url}}' '{issuer}/oauth/authorize?response_type=code\
         &client_id={client}&redirect_uri={REDIRECT_URI}&scope={scope}&resource={resource}\
         &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256' \
         | sed 's/.*[?&]code=\\([^&]*\\).*/\\1/'); \
         TOKEN=$(curl -s '{issuer}/oauth/token' -d grant_type=authorization_code -d code=\"$CODE\" \
         -d client_id={client} -d redirect_uri={REDIRECT_URI} \
         -d code_verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk \
         | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/'); \
         curl -s '{resource}' -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' \
         -H 'Accept: application/json, text/event-stream' \
         -d '{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{{\"name\":\"get_clerk_user_data\"}}}}'"
    )
}

async fn stopped() {
    // Without a signal handler the server runs until it is killed, which is as well.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
