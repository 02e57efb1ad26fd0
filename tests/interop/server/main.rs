//! The server of the tests in `tests/interop`: the example `rmcp_axum` with a clock that the tests
//! advance, a server with a tool that asks for scopes by its arguments, and one MCP service twice, guarded
//! and not, for the official conformance suite.
//!
//! It prints where it listens, and a line of JSON for each request to the example. Commands come from
//! its input, at whose end it stops: `advance SECONDS` advances the clock of the servers and of their
//! fake Clerk.

#![allow(clippy::print_stdout, reason = "the tests read where it listens")]

mod arguments;
mod fixtures;
#[path = "../../../examples/rmcp_axum.rs"]
#[allow(dead_code, unreachable_pub, reason = "its main function is not called")]
mod rmcp_axum;

use std::error::Error;
use std::io;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use clerk_mcp_tools::testing::{FakeClerk, FakeClerkBuilder, ManualClock};
use clerk_mcp_tools::{
    AccessPolicy, ClerkMcp, ClerkMcpBuilder, ClerkVerifier, ConfigError, Scopes,
};
use http::HeaderMap;
use rmcp::transport::StreamableHttpServerConfig;
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use serde_json::json;
use tokio::net::TcpListener;

use fixtures::Fixtures;

const ALL_SCOPES: &str = "profile email public_metadata";

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let clock = ManualClock::new(now.as_secs());
    let fake = fake_clerk().clock(clock.clone()).start().await?;
    println!("stand-in for Clerk runs at {}", fake.issuer());

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let origin = format!("http://{}", listener.local_addr()?);
    let example = guard(&fake, &clock, &origin, "profile email")?
        .access_policy(rmcp_axum::access_policy()?)
        .build()?;
    serve(listener, rmcp_axum::router(&example).layer(from_fn(print_exchange)));

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let suite_origin = format!("http://{}", listener.local_addr()?);
    let suite =
        guard(&fake, &clock, &suite_origin, "profile")?.access_policy(suite_policy()?).build()?;
    serve(listener, suite_router(&suite));

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let arguments_origin = format!("http://{}", listener.local_addr()?);
    let arguments = guard(&fake, &clock, &arguments_origin, "profile email")?;
    // Clients that read the metadata, and not the challenge, ask for these at once.
    let arguments = arguments.scopes_supported(ALL_SCOPES.parse()?);
    let arguments = arguments.step_up_from_handlers().build()?;
    serve(listener, arguments.mount(Router::new(), arguments::service(&arguments)));

    println!("arguments on {arguments_origin}");
    println!("suite on {suite_origin} with the token {}", token(&fake, &suite));
    println!("listening on {origin} with the token {}", token(&fake, &example));

    tokio::task::spawn_blocking(move || run_commands(&clock)).await?
}

/// Real clients step up to scopes that they did not register.
fn fake_clerk() -> FakeClerkBuilder {
    FakeClerk::builder().registration_limits_scopes(false)
}

/// Returns a token with all scopes.
fn token(fake: &FakeClerk, clerk: &ClerkMcp) -> String {
    fake.mint().audience(clerk.resource().as_str()).scopes(ALL_SCOPES.split(' ')).jwt()
}

fn guard(
    fake: &FakeClerk,
    clock: &ManualClock,
    origin: &str,
    scopes: &str,
) -> Result<ClerkMcpBuilder, Failure> {
    let verifier = ClerkVerifier::builder()
        .frontend_api(fake.frontend_api())
        .backend_api(fake.backend_api())
        .secret_key(fake.secret_key().parse()?)
        .clock(clock.clone())
        .build()?;
    let resource = format!("{origin}/mcp").parse()?;
    Ok(ClerkMcp::builder().resource(resource).verifier(verifier).scopes(scopes.parse()?))
}

/// Every kind of rule, on what the suite uses. The token of the suite has all these scopes, so that
/// the policy must not change a single answer.
fn suite_policy() -> Result<AccessPolicy, ConfigError> {
    let metadata = || Scopes::parse("public_metadata");
    AccessPolicy::scopes_by_default(Scopes::parse("email")?)
        .method("ping", Scopes::none())
        .method("tools/list", Scopes::none())
        .method("completion/complete", metadata()?)
        .method("subscriptions/listen", metadata()?)
        .tool("test_simple_text", metadata()?)
        .tool("test_image_content", Scopes::none())
        .tool("test_custom_header", metadata()?)
        .prompt("test_prompt_with_arguments", metadata()?)
        .resource("test://static-text", metadata()?)
        .resource("test://template/{id}/data", metadata()?)
        .build()
}

/// The guarded service at the path of its resource, and the same service at `/unguarded`.
fn suite_router(clerk: &ClerkMcp) -> Router {
    let service = || {
        let fixtures = Fixtures::default();
        let sessions = LocalSessionManager::default().into();
        let config = StreamableHttpServerConfig::default()
            .with_allowed_origins(["http://localhost:*", "http://127.0.0.1:*"]);
        StreamableHttpService::new(move || Ok(fixtures.clone()), sessions, config)
    };
    clerk.mount(Router::new().route_service("/unguarded", service()), service())
}

fn serve(listener: TcpListener, router: Router) {
    tokio::spawn(async move { axum::serve(listener, router).await });
}

async fn print_exchange(request: Request, next: Next) -> Response {
    let text = |headers: &HeaderMap, name| {
        headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
    let name = text(request.headers(), "mcp-name");
    let version = text(request.headers(), "mcp-protocol-version");
    let response = next.run(request).await;
    let exchange = json!({
        "method": method,
        "path": path,
        "name": name,
        "version": version,
        "status": response.status().as_u16(),
        "challenge": text(response.headers(), "www-authenticate"),
    });
    println!("{exchange}");
    response
}

fn run_commands(clock: &ManualClock) -> Result<(), Failure> {
    for (number, line) in (1..).zip(io::stdin().lines()) {
        let line = line?;
        let Some(seconds) = line.strip_prefix("advance ") else {
            return Err(format!("not a command: {line}").into());
        };
        clock.advance(Duration::from_secs(seconds.parse()?));
        println!("command {number} done");
    }
    Ok(())
}
