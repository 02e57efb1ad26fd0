//! A JSON API whose handler verifies the token itself, with `verify_clerk_token` and no layer.
//!
//! ```sh
//! cargo run --example own_handler
//! ```
//!
//! With no Clerk key set it starts a stand-in for Clerk in the same process.
//!
//! ```sh
//! # No token: 401, with a challenge and no error.
//! curl -i http://127.0.0.1:3000/api/me
//! # No token of Clerk's: 401 invalid_token.
//! curl -i http://127.0.0.1:3000/api/me -H 'Authorization: Bearer nonsense'
//! # The document that the challenge names:
//! curl -s http://127.0.0.1:3000/.well-known/oauth-protected-resource/api
//! # A good token, one without the scope and an expired one: see the lines that the server prints.
//! ```
//!
//! What says nothing about the token is never answered with 401. With nobody at Clerk's address, and no secret key:
//!
//! ```sh
//! CLERK_FAPI=http://127.0.0.1:9 cargo run --example own_handler
//! # A JWT, for which the keys are missing: 503.
//! curl -i http://127.0.0.1:3000/api/me \
//!     -H 'Authorization: Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6ImsiLCJ0eXAiOiJhdCtqd3QifQ.e30.AA'
//! # An opaque token, for which the secret key is missing: 500.
//! curl -i http://127.0.0.1:3000/api/me -H 'Authorization: Bearer oat_x'
//! ```

#![expect(clippy::print_stdout, reason = "an example talks to whoever started it")]

mod support;

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use clerk_mcp_tools::bearer_auth::bearer_token;
use clerk_mcp_tools::metadata::{
    PROTECTED_RESOURCE_WELL_KNOWN, ProtectedResourceMetadata, well_known_paths,
};
use clerk_mcp_tools::services::ProtectedResourceService;
use clerk_mcp_tools::testing::FakeClerk;
use clerk_mcp_tools::{
    AuthInfo, ClerkVerifier, Rejection, ResourceUrl, ScopeHierarchy, Scopes, verify_clerk_token,
};
use serde_json::json;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let bind = support::var("MCP_BIND").unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(bind).await?;
    let address = listener.local_addr()?;
    let url = support::var("MCP_RESOURCE_URL").unwrap_or_else(|| format!("http://{address}/api"));
    let resource = ResourceUrl::parse(&url)?;
    let scopes = Scopes::parse("profile")?;

    let (verifier, stand_in) = support::clerk(resource.clone()).await?;
    let document = ProtectedResourceMetadata::for_clerk(verifier.frontend_api(), &resource)
        .scopes_supported(&scopes)
        .build()?;
    let api = Api { verifier, resource: resource.clone(), scopes };
    let me_path = format!("{}/me", resource.path().trim_end_matches('/'));
    let mut router = Router::new().route(&me_path, get(me)).with_state(Arc::new(api));
    for path in well_known_paths(PROTECTED_RESOURCE_WELL_KNOWN, &resource) {
        router = router.route_service(&path, ProtectedResourceService::new(&document));
    }

    println!("listening on http://{address}");
    println!("\n# a refusal:\ncurl -i http://{address}{me_path}");
    if let Some(stand_in) = &stand_in {
        print_lines_to_try(stand_in, &resource, &format!("http://{address}{me_path}"));
    }
    axum::serve(listener, router).await?;
    Ok(())
}

struct Api {
    verifier: ClerkVerifier,
    resource: ResourceUrl,
    scopes: Scopes,
}

async fn me(State(api): State<Arc<Api>>, headers: HeaderMap) -> Response {
    match api.caller(&headers).await {
        // Chosen one by one: the serde form of `AuthInfo` contains the token.
        Ok(caller) => {
            let body = json!({ "userId": caller.user_id(), "scopes": caller.scopes() });
            ([(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
        }
        // A `Rejection` knows what is no 401: nobody shall throw a token away since Clerk is down.
        Err(rejection) => rejection.into_response(&api.resource, &api.scopes).into_response(),
    }
}

impl Api {
    async fn caller(&self, headers: &HeaderMap) -> Result<AuthInfo, Rejection> {
        let caller = verify_clerk_token(&self.verifier, bearer_token(headers)?).await?;
        caller.require_scopes(&self.scopes, &ScopeHierarchy::new())?;
        Ok(caller)
    }
}

fn print_lines_to_try(stand_in: &FakeClerk, resource: &ResourceUrl, url: &str) {
    let token = || stand_in.mint().audience(resource.as_str());
    for (what, token) in [
        ("a success", token().jwt()),
        ("a token without the scope", token().scopes(["email"]).jwt()),
        ("an expired token", token().expires_at(1).jwt()),
    ] {
        println!("\n# {what}:\ncurl -i {url} -H 'Authorization: Bearer {token}'");
    }
}
