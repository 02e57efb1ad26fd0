//! The layer around a service whose tokens are not Clerk's: a closure says who presents a token.
//!
//! ```sh
//! cargo run --example custom_verifier
//! ```
//!
//! ```sh
//! # A refusal, with the challenge:
//! curl -i http://127.0.0.1:3000/hello
//! # A success:
//! curl -i http://127.0.0.1:3000/hello -H 'Authorization: Bearer pat_ada'
//! # A good token without the scope: 403.
//! curl -i http://127.0.0.1:3000/hello -H 'Authorization: Bearer pat_grace'
//! # The document that the challenge names:
//! curl -s http://127.0.0.1:3000/.well-known/oauth-protected-resource/hello
//! ```

#![expect(clippy::print_stdout, reason = "an example talks to whoever started it")]

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
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let bind = std::env::var("MCP_BIND").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(bind).await?;
    let address = listener.local_addr()?;
    let resource = ResourceUrl::parse(&format!("http://{address}/hello"))?;
    let scopes = Scopes::parse("greet")?;

    let accounts = Arc::new(Accounts::new([
        ("pat_ada", "ada", scopes.clone()),
        ("pat_grace", "grace", Scopes::none()),
    ]));
    // These tokens are good for this one server. An issuer with several resources is a `VerifyToken` of its own, which
    // compares the token's audience with `TokenRequest::resource`.
    let verify = move |token: AccessToken| {
        let accounts = Arc::clone(&accounts);
        async move {
            let account = accounts
                .find(&token)
                .await
                // Not to find out is no refusal: the client keeps its token and comes back.
                .map_err(|error| VerifyError::new(VerifyErrorKind::Unavailable).with_source(error))?
                .ok_or(VerifyErrorKind::UnknownToken)?;
            Ok(AuthInfo::for_user(account.user, token)
                .client_id("personal-access-token")
                .scopes(account.scopes)
                .build())
        }
    };
    let guard = BearerAuthLayer::new(verify, resource.clone()).required_scopes(scopes.clone());

    let document = ProtectedResourceMetadata::builder(&resource)
        .authorization_server("https://login.example.com")
        .scopes_supported(&scopes)
        .build()?;
    // Routes that are added after the layer stand outside of it.
    let mut router = Router::new().route("/hello", get(hello)).layer(guard);
    for path in well_known_paths(PROTECTED_RESOURCE_WELL_KNOWN, &resource) {
        router = router.route_service(&path, ProtectedResourceService::new(&document));
    }

    println!("listening on http://{address}");
    println!("\n# a refusal:\ncurl -i {resource}");
    println!("\n# a success:\ncurl -i {resource} -H 'Authorization: Bearer pat_ada'");
    println!(
        "\n# a good token without the scope:\ncurl -i {resource} -H 'Authorization: Bearer pat_grace'"
    );
    axum::serve(listener, router).await?;
    Ok(())
}

async fn hello(Extension(caller): Extension<AuthInfo>) -> String {
    format!("Hello, {}!\n", caller.user_id())
}

#[derive(Clone)]
struct Account {
    user: &'static str,
    scopes: Scopes,
}

/// The tokens that were issued, by their digests: who reads the table has no token, and how long a look-up takes tells
/// nothing about one.
struct Accounts(HashMap<Vec<u8>, Account>);

impl Accounts {
    fn new(tokens: impl IntoIterator<Item = (&'static str, &'static str, Scopes)>) -> Self {
        let entries =
            tokens.into_iter().map(|(token, user, scopes)| (key(token), Account { user, scopes }));
        Self(entries.collect())
    }

    /// A real one asks a database, and that may fail.
    async fn find(&self, token: &AccessToken) -> io::Result<Option<Account>> {
        Ok(self.0.get(&key(token.expose())).cloned())
    }
}

fn key(token: &str) -> Vec<u8> {
    digest(&SHA256, token.as_bytes()).as_ref().to_vec()
}
