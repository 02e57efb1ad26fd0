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
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use clerk_mcp_tools::testing::FakeClerk;
use clerk_mcp_tools::{
    AuthInfo, BearerChallenge, ClerkVerifier, PROTECTED_RESOURCE_WELL_KNOWN, ProtectedResourceMetadata,
    ProtectedResourceService, ResourceUrl, Scopes, VerifyError, VerifyErrorKind,
    protected_resource_metadata_url, verify_clerk_token, well_known_paths,
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
    let api = Api { verifier, metadata_url: protected_resource_metadata_url(&resource), scopes };
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
    metadata_url: String,
    scopes: Scopes,
}

async fn me(State(api): State<Arc<Api>>, headers: HeaderMap) -> Response {
    match api.caller(&headers).await {
        // Chosen one by one: the serde form of `AuthInfo` contains the token.
        Ok(caller) => {
            let body = json!({ "userId": caller.user_id(), "scopes": caller.scopes() });
            ([(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
        }
        Err(refusal) => refusal,
    }
}

impl Api {
    async fn caller(&self, headers: &HeaderMap) -> Result<AuthInfo, Response> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let token = values.next().and_then(bearer_token);
        if values.next().is_some() {
            // Of two tokens nobody knows which one counts.
            let two = ("invalid_request", "More than one Authorization header was sent");
            return Err(self.challenge(StatusCode::BAD_REQUEST, Some(two)));
        }
        let token = token.ok_or_else(|| self.challenge(StatusCode::UNAUTHORIZED, None))?;
        let caller = verify_clerk_token(&self.verifier, token).await.map_err(|error| self.refusal(&error))?;
        if self.scopes.iter().all(|scope| caller.scopes().contains(scope)) {
            return Ok(caller);
        }
        let missing = ("insufficient_scope", "The access token lacks a scope");
        Err(self.challenge(StatusCode::FORBIDDEN, Some(missing)))
    }

    fn refusal(&self, error: &VerifyError) -> Response {
        match error.kind() {
            // These two say nothing about the token: a 401 would make the client throw it away.
            VerifyErrorKind::Unavailable => {
                let after = error.retry_after().unwrap_or(Duration::from_secs(5));
                let seconds = HeaderValue::from(after.as_secs().max(1));
                let response = failure(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable");
                ([(RETRY_AFTER, seconds)], response).into_response()
            }
            VerifyErrorKind::Misconfigured => failure(StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
            kind => {
                let what = ("invalid_token", kind.description());
                self.challenge(StatusCode::UNAUTHORIZED, Some(what))
            }
        }
    }

    fn challenge(&self, status: StatusCode, what: Option<(&'static str, &'static str)>) -> Response {
        let challenge = BearerChallenge::new(&self.metadata_url).scope(&self.scopes);
        let (challenge, code) = match what {
            Some((code, description)) => (challenge.error(code, description), code),
            // No token came, so nothing is wrong with one.
            None => (challenge, "unauthorized"),
        };
        let header = [(WWW_AUTHENTICATE, challenge.to_header_value())];
        (header, failure(status, code)).into_response()
    }
}

/// What follows `Bearer `, in whatever case that is written; whether it is a token is the verifier's business.
fn bearer_token(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn failure(status: StatusCode, code: &str) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    (status, headers, json!({ "error": code }).to_string()).into_response()
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
