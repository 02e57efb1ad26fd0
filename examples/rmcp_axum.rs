//! An MCP server made with rmcp and axum, guarded by Clerk.
//!
//! ```sh
//! cargo run --example rmcp_axum
//! ```
//!
//! If no Clerk instance is configured, it starts a fake Clerk in the same process and prints the
//! commands to try:
//!
//! ```sh
//! # A rejected request, with the challenge that makes a client sign its user in:
//! curl -i -w '\n' -X POST http://127.0.0.1:3000/mcp
//! # The metadata document that the challenge names:
//! curl -s -w '\n' http://127.0.0.1:3000/.well-known/oauth-protected-resource/mcp
//! # A tool call with a token, and a whole sign-in: see the output of the server.
//! ```
//!
//! With `--interactive` (`cargo run --example rmcp_axum -- --interactive`) the fake Clerk shows a consent
//! page in the browser to users who sign in with an MCP client, and lets them choose who they are.
//!
//! With `CLERK_PUBLISHABLE_KEY` (or `CLERK_FAPI`) and `CLERK_SECRET_KEY` it uses that Clerk
//! instance. The README lists all variables.

#![allow(clippy::print_stdout, reason = "the example prints commands to try")]

mod support;

use std::error::Error;

use axum::Router;
use clerk_mcp_tools::clerk::{ClerkClient, User};
use clerk_mcp_tools::metadata::protected_resource_metadata_url;
use clerk_mcp_tools::testing::{FakeClerk, FakeClerkBuilder};
use clerk_mcp_tools::{AccessPolicy, AuthInfo, ClerkMcp, ConfigError, PrincipalKind, Scopes};
use rmcp::model::{CallToolResult, ContentBlock};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, ServerHandler, tool, tool_handler, tool_router};
use serde_json::{Map, Value, json};

use support::Environment;

/// The argument that makes the fake Clerk ask for consent.
const INTERACTIVE: &str = "--interactive";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    support::init_tracing();
    let listener = support::listen().await?;
    let address = listener.local_addr()?;
    let env = Environment::with_fake_clerk(address, "/mcp", fake_clerk()).await?;

    // A server without a fake Clerk calls `.env()` here.
    let clerk = ClerkMcp::builder()
        .env_from(|name| env.var(name))
        .access_policy(access_policy()?)
        .customize_metadata(|document| document.resource_name("clerk-mcp-tools example"))
        .build()?;

    let router = router(&clerk);
    println!("listening on http://{address}");
    print_commands(&clerk, &env);
    axum::serve(listener, router).with_graceful_shutdown(support::ctrl_c()).await?;
    Ok(())
}

/// Returns the builder of the fake Clerk, which is started if no Clerk instance is configured.
fn fake_clerk() -> FakeClerkBuilder {
    let builder = support::fake_clerk();
    if !support::has_argument(INTERACTIVE) {
        return builder;
    }
    let grace = json!({
        "id": "user_grace", "username": "grace", "first_name": "Grace", "last_name": "Hopper",
    });
    builder.user(grace).interactive()
}

/// Returns what single tools need in addition to the scopes of every request. The other tools are for
/// every caller, and methods that this server does not have it answers itself. See the example
/// `per_tool_scopes` for a policy that denies what it does not list.
pub fn access_policy() -> Result<AccessPolicy, ConfigError> {
    AccessPolicy::baseline_by_default()
        .tool("get_public_metadata", Scopes::parse("public_metadata")?)
        .build()
}

/// Returns the guarded MCP service at the path of the resource URL, and the metadata documents.
pub fn router(clerk: &ClerkMcp) -> Router {
    let tools = Tools { clerk: clerk.verifier().client().cloned() };
    // rmcp rejects requests whose `Host` is not on this list. Behind a proxy, that is the public
    // host of the resource URL.
    let host = clerk.resource().host();
    // And requests of web pages whose `Origin` is not on this one. Add those of browser clients.
    let origins = ["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"];
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_allowed_hosts(["localhost", "127.0.0.1", "[::1]", host])
        .with_allowed_origins(origins);
    let mcp = StreamableHttpService::new(
        move || Ok(tools.clone()),
        NeverSessionManager::default().into(),
        config,
    );
    clerk.mount(Router::new(), mcp)
}

#[derive(Clone)]
struct Tools {
    /// `None` without a secret key.
    clerk: Option<ClerkClient>,
}

#[tool_router]
impl Tools {
    #[tool(
        description = "Returns who calls: user, organization or machine, token type, client ID and scopes"
    )]
    async fn whoami(&self, caller: AuthInfo) -> Result<CallToolResult, ErrorData> {
        success(&identity(&caller))
    }

    #[tool(description = "Returns the caller's profile: names, picture, primary e-mail address")]
    async fn get_clerk_user_data(&self, caller: AuthInfo) -> Result<CallToolResult, ErrorData> {
        // Field by field: a user also has private metadata, which only the server may read.
        self.with_user(&caller, |user| {
            json!({
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

    // The access policy rejects calls without the scope before they reach rmcp.
    #[tool(
        description = "Returns the caller's public metadata. Requires the scope public_metadata"
    )]
    async fn get_public_metadata(&self, caller: AuthInfo) -> Result<CallToolResult, ErrorData> {
        self.with_user(
            &caller,
            |user| json!({ "id": user.id, "publicMetadata": user.extra.get("public_metadata") }),
        )
        .await
    }
}

impl Tools {
    /// Fetches the calling user and returns what `to_json` selects.
    async fn with_user(
        &self,
        caller: &AuthInfo,
        to_json: impl FnOnce(&User) -> Value,
    ) -> Result<CallToolResult, ErrorData> {
        let Some(clerk) = &self.clerk else {
            return Ok(failure(
                "user data requires the Backend API: set CLERK_SECRET_KEY and restart the server",
            ));
        };
        let Some(user_id) = caller.user_id() else {
            let (kind, id) = (caller.principal().kind(), caller.principal().id());
            let message = format!("the caller is not a user ({kind} {id}) and has no user data");
            return Ok(failure(&message));
        };
        match clerk.get_user(user_id).await {
            Ok(user) => success(&to_json(&user)),
            Err(error) => {
                tracing::warn!(%error, cause = ?error, "failed to fetch the user");
                Ok(failure("the user's data is not available at the moment"))
            }
        }
    }
}

#[tool_handler]
impl ServerHandler for Tools {}

/// Returns who calls. A caller that is not a user has no `userId`, so that nobody takes the id of a
/// machine for that of a user.
fn identity(caller: &AuthInfo) -> Value {
    let principal = caller.principal();
    let machine_id = (principal.kind() == PrincipalKind::Machine).then(|| principal.id());
    let ids = [
        ("userId", caller.user_id()),
        ("orgId", caller.org_id()),
        ("machineId", machine_id),
        ("clientId", caller.client_id()),
    ];
    let known = ids.into_iter().filter_map(|(name, id)| Some((name.to_owned(), json!(id?))));
    let mut identity: Map<String, Value> = known.collect();
    identity.insert("tokenType".to_owned(), json!(caller.token_type().as_str()));
    identity.insert("scopes".to_owned(), json!(caller.scopes()));
    Value::Object(identity)
}

fn success(value: &Value) -> Result<CallToolResult, ErrorData> {
    Ok(CallToolResult::success(vec![ContentBlock::json(value)?]))
}

fn failure(message: &str) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(message)])
}

fn print_commands(clerk: &ClerkMcp, env: &Environment) {
    let url = clerk.resource();
    support::print_command(
        "a rejected request, with the challenge for the client",
        format!("curl -i -w '\\n' -X POST {url}"),
    );
    support::print_command(
        "the metadata document that the challenge names",
        format!("curl -s -w '\\n' {}", protected_resource_metadata_url(url)),
    );
    let Some(fake) = env.fake_clerk() else { return };
    let scopes = clerk.scopes().iter();
    let token = fake.mint().audience(url.as_str()).scopes(scopes).jwt();
    println!(
        "\n# no Clerk instance is configured, so a stand-in for Clerk runs at {}",
        fake.issuer()
    );
    support::print_command(
        "a tool call with a token of the stand-in",
        format!("TOKEN={token}\n{}", support::call_tool(url, "whoami")),
    );
    print_other_credentials(clerk, env, fake);
    if support::has_argument(INTERACTIVE) {
        println!("\n# add {url} to an MCP client and sign in: the stand-in asks in the browser");
        return;
    }
    support::print_command("a whole sign-in, and a tool call with its token", sign_in(clerk, fake));
}

/// Prints calls with an API key and with a machine token, if the server accepts them.
fn print_other_credentials(clerk: &ClerkMcp, env: &Environment, fake: &FakeClerk) {
    let (accepts_keys, accepts_machines) = (env.accepts("api_key"), env.accepts("m2m_token"));
    if !accepts_keys && !accepts_machines {
        println!(
            "\n# API keys and machine tokens are not accepted; to try them, start the server with \
             MCP_ACCEPTS='oauth_token api_key m2m_token'"
        );
    }
    let whoami = support::call_tool(clerk.resource(), "whoami");
    if accepts_keys {
        let key = fake.create_api_key().name("CI").scopes(clerk.scopes().iter()).secret();
        let command = format!("TOKEN={key}\n{whoami}");
        support::print_command("a tool call with an API key of the stand-in", command);
    }
    if let (true, Some(server)) = (accepts_machines, env.machine()) {
        let ci = fake.create_machine("CI");
        ci.allow_calls_to(server);
        let command = format!("TOKEN={}\n{whoami}", ci.mint().opaque());
        support::print_command("a tool call with a machine token of the stand-in", command);
    }
}

/// Returns the authorization code flow as one shell line (RFC 6749 section 4.1, with the PKCE
/// values of RFC 7636 appendix B).
fn sign_in(clerk: &ClerkMcp, fake: &FakeClerk) -> String {
    const REDIRECT_URI: &str = "http://127.0.0.1/callback";
    let (issuer, resource) = (fake.issuer(), clerk.resource());
    let client = fake.register_client(REDIRECT_URI);
    let scope = clerk.scopes().to_string().replace(' ', "+");
    let authorize = format!(
        "CODE=$(curl -s -o /dev/null -w '%{{redirect_url}}' \
         '{issuer}/oauth/authorize?response_type=code&client_id={client}\
         &redirect_uri={REDIRECT_URI}&scope={scope}&resource={resource}\
         &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256' \
         | sed 's/.*[?&]code=\\([^&]*\\).*/\\1/')"
    );
    let redeem = format!(
        "TOKEN=$(curl -s '{issuer}/oauth/token' -d grant_type=authorization_code -d code=\"$CODE\" \
         -d client_id={client} -d redirect_uri={REDIRECT_URI} \
         -d code_verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk \
         | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')"
    );
    format!("{authorize}; {redeem}; {}", support::call_tool(resource, "get_clerk_user_data"))
}
