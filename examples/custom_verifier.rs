//! The layer with tokens that are not Clerk's: a closure verifies them.
//!
//! ```sh
//! cargo run --example custom_verifier
//! ```
//!
//! ```sh
//! # A rejected request, with the challenge:
//! curl -i -w '\n' http://127.0.0.1:3000/hello
//! # A valid token:
//! curl -i -w '\n' http://127.0.0.1:3000/hello -H 'Authorization: Bearer pat_ada'
//! # A valid token without the scope, 403:
//! curl -i -w '\n' http://127.0.0.1:3000/hello -H 'Authorization: Bearer pat_grace'
//! # The metadata document that the challenge names:
//! curl -s -w '\n' http://127.0.0.1:3000/.well-known/oauth-protected-resource/hello
//! ```

#![allow(clippy::print_stdout, reason = "the example prints commands to try")]

mod support;

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use axum::routing::get;
use axum::{Extension, Router};
use clerk_mcp_tools::bearer_auth::{AccessToken, BearerAuthLayer};
use clerk_mcp_tools::metadata::{
    PROTECTED_RESOURCE_WELL_KNOWN, ProtectedResourceMetadata, well_known_paths,
};
use clerk_mcp_tools::services::ProtectedResourceService;
use clerk_mcp_tools::{AuthInfo, ResourceUrl, Scopes, VerifyError, VerifyErrorKind};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    support::init_tracing();
    let listener = support::listen().await?;
    let address = listener.local_addr()?;
    let resource: ResourceUrl = format!("http://{address}/hello").parse()?;
    let scopes: Scopes = "greet".parse()?;

    let accounts = Arc::new(Accounts::new([
        ("pat_ada", "ada", scopes.clone()),
        ("pat_grace", "grace", Scopes::none()),
    ]));
    // These tokens are valid for this server only. If an issuer serves several resources, implement
    // `VerifyToken` and compare the token's audience with `TokenRequest::resource`.
    let verify = move |token: AccessToken| {
        let accounts = Arc::clone(&accounts);
        async move { accounts.verify(token).await }
    };
    let guard = BearerAuthLayer::new(verify, resource.clone()).required_scopes(scopes.clone());

    let document = ProtectedResourceMetadata::builder(&resource)
        .authorization_server("https://login.example.com")
        .scopes_supported(&scopes)
        .build()?;
    // `layer` applies to the routes before it, so the metadata routes are not guarded.
    let mut router = Router::new().route("/hello", get(hello)).layer(guard);
    for path in well_known_paths(PROTECTED_RESOURCE_WELL_KNOWN, &resource) {
        router = router.route_service(&path, ProtectedResourceService::new(&document));
    }

    println!("listening on http://{address}");
    print_commands(&resource);
    axum::serve(listener, router).with_graceful_shutdown(support::ctrl_c()).await?;
    Ok(())
}

async fn hello(Extension(caller): Extension<AuthInfo>) -> String {
    format!("Hello, {}!", caller.principal().id())
}

#[derive(Clone)]
struct Account {
    user: &'static str,
    scopes: Scopes,
}

/// The accounts by the digests of their tokens, so that neither the table nor the time of a look-up
/// reveals a token.
struct Accounts(HashMap<Vec<u8>, Account>);

impl Accounts {
    fn new(tokens: impl IntoIterator<Item = (&'static str, &'static str, Scopes)>) -> Self {
        let entries = tokens
            .into_iter()
            .map(|(token, user, scopes)| (token_digest(token), Account { user, scopes }));
        Self(entries.collect())
    }

    async fn verify(&self, token: AccessToken) -> Result<AuthInfo, VerifyError> {
        let account = self
            .find(&token)
            .await
            // A failed look-up says nothing about the token: 503, so the client keeps it.
            .map_err(|error| VerifyError::new(VerifyErrorKind::Unavailable).with_source(error))?
            .ok_or(VerifyErrorKind::UnknownToken)?;
        Ok(AuthInfo::for_user(account.user, token)
            .client_id("personal-access-token")
            .scopes(account.scopes)
            .build())
    }

    /// A real implementation queries a database, which can fail.
    async fn find(&self, token: &AccessToken) -> io::Result<Option<Account>> {
        Ok(self.0.get(&token_digest(token.expose())).cloned())
    }
}

fn token_digest(token: &str) -> Vec<u8> {
    digest(&SHA256, token.as_bytes()).as_ref().to_vec()
}

fn print_commands(url: &ResourceUrl) {
    let with_token =
        |token: &str| format!("curl -i -w '\\n' {url} -H 'Authorization: Bearer {token}'");
    support::print_command("a rejected request", format!("curl -i -w '\\n' {url}"));
    support::print_command("a valid token", with_token("pat_ada"));
    support::print_command("a valid token without the scope", with_token("pat_grace"));
}
