//! A JSON API whose handler verifies the token itself, with `verify_clerk_token` and without a
//! layer.
//!
//! ```sh
//! cargo run --example own_handler
//! ```
//!
//! If no Clerk instance is configured, it starts a fake Clerk in the same process.
//!
//! ```sh
//! # No token: 401, with a challenge and without an error.
//! curl -i -w '\n' http://127.0.0.1:3000/api/me
//! # Not a token of Clerk's: 401 invalid_token.
//! curl -i -w '\n' http://127.0.0.1:3000/api/me -H 'Authorization: Bearer nonsense'
//! # The metadata document that the challenge names:
//! curl -s -w '\n' http://127.0.0.1:3000/.well-known/oauth-protected-resource/api
//! # A valid token, one without the scope and an expired one: see the output of the server.
//! ```
//!
//! A failure that says nothing about the token is never a 401, which would make the client discard
//! its token. With an unreachable Clerk and without a secret key:
//!
//! ```sh
//! CLERK_FAPI=http://127.0.0.1:9 cargo run --example own_handler
//! # A JWT, for which the keys cannot be fetched: 503.
//! curl -i -w '\n' http://127.0.0.1:3000/api/me \
//!     -H 'Authorization: Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6ImsiLCJ0eXAiOiJhdCtqd3QifQ.e30.AA'
//! # An opaque token, which requires the secret key: 500.
//! curl -i -w '\n' http://127.0.0.1:3000/api/me -H 'Authorization: Bearer oat_x'
//! ```

#![allow(clippy::print_stdout, reason = "the example prints commands to try")]

mod support;

use std::error::Error;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use clerk_mcp_tools::bearer_auth::bearer_token;
use clerk_mcp_tools::{AuthInfo, ClerkMcp, Rejection, verify_clerk_token};
use serde_json::json;

use support::Environment;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    support::init_tracing();
    let listener = support::listen().await?;
    let address = listener.local_addr()?;
    let env = Environment::load(address, "/api").await?;

    // A server without a fake Clerk calls `ClerkMcp::from_env()` instead.
    let clerk = ClerkMcp::builder().env_from(|name| env.var(name)).build()?;

    let me_path = format!("{}/me", clerk.resource().path().trim_end_matches('/'));
    let mut router = Router::new().route(&me_path, get(me)).with_state(clerk.clone());
    for (path, service) in clerk.well_known_routes() {
        router = router.route_service(&path, service);
    }

    println!("listening on http://{address}");
    print_commands(&clerk, &env, &format!("http://{address}{me_path}"));
    axum::serve(listener, router).with_graceful_shutdown(support::ctrl_c()).await?;
    Ok(())
}

async fn me(State(clerk): State<ClerkMcp>, headers: HeaderMap) -> Response {
    match authenticate(&clerk, &headers).await {
        // Field by field: the serialized form of `AuthInfo` contains the token.
        Ok(caller) => {
            let body = json!({ "userId": caller.user_id(), "scopes": caller.scopes() });
            ([(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
        }
        // The same response as that of the layer: 401 or 403 with a challenge, 500 or 503 without.
        Err(rejection) => clerk.reject(rejection).into_response(),
    }
}

async fn authenticate(clerk: &ClerkMcp, headers: &HeaderMap) -> Result<AuthInfo, Rejection> {
    let caller = verify_clerk_token(clerk.verifier(), bearer_token(headers)?).await?;
    caller.require_scopes(clerk.scopes(), clerk.scope_hierarchy())?;
    Ok(caller)
}

fn print_commands(clerk: &ClerkMcp, env: &Environment, url: &str) {
    support::print_command("a rejected request", format!("curl -i -w '\\n' {url}"));
    let Some(fake) = env.fake_clerk() else { return };
    let token = || fake.mint().audience(clerk.resource().as_str()).scopes(clerk.scopes().iter());
    for (comment, token) in [
        ("a valid token", token().jwt()),
        ("a token without the scopes", token().scopes(["openid"]).jwt()),
        ("an expired token", token().expires_at(1).jwt()),
    ] {
        let command = format!("curl -i -w '\\n' {url} -H 'Authorization: Bearer {token}'");
        support::print_command(comment, command);
    }
}
