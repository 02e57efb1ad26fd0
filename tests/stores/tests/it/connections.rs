//! Connections on real stores: a sign-in that begins in one process and ends in another, one refresh
//! for all, and no secret in what a store has written.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::routing::{any, get};
use clerk_mcp_tools::client::{
    Begun, Callback, Connection, Connections, LoginOptions, PostgresStore, ServerUrl, Store,
};
use clerk_mcp_tools::testing::{FakeClerk, ManualClock, Route};
use clerk_mcp_tools_stores::{connections, owner, pool};

use crate::{Databases, Directory, postgres_settings, redis_url, two};

const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);
const CALLERS: usize = 16;

pub(crate) fn process(store: Arc<dyn Store>, clock: &ManualClock) -> Connections {
    connections(store).unwrap().clock(clock.clone()).build().unwrap()
}

/// A server that only says where its users sign in.
pub(crate) async fn start_server(issuer: &str) -> ServerUrl {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let document = format!(r#"{{"resource":"{url}","authorization_servers":["{issuer}"]}}"#);
    let router = Router::new()
        .route("/mcp", any(|| async { StatusCode::UNAUTHORIZED }))
        .route("/.well-known/oauth-protected-resource", get(move || async { document }));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    ServerUrl::parse(&url).unwrap()
}

/// Follows the redirect to the authorization server, and returns the query that comes back.
pub(crate) async fn browse(url: &str) -> String {
    let browser = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        // Only servers without TLS are called. Loading the certificates of the machine takes long.
        .tls_certs_only([])
        .build()
        .unwrap();
    let response = browser.get(url).send().await.unwrap();
    let location = response.headers()[LOCATION].to_str().unwrap();
    location.split_once('?').unwrap().1.to_owned()
}

/// Signs in through two processes, lets all callers of both refresh at once, and searches what is
/// below this directory for every secret.
async fn check(stores: Vec<Arc<dyn Store>>, written: &Path) {
    let clock = ManualClock::new(1_767_182_400);
    let builder = FakeClerk::builder().clock(clock.clone()).token_lifetime(TOKEN_LIFETIME);
    let clerk = builder.start().await.unwrap();
    let server = start_server(clerk.issuer()).await;
    let [one, other] = <[_; 2]>::try_from(stores).unwrap().map(|store| process(store, &clock));

    let begun = one.begin(&owner(), &server, LoginOptions::new()).await.unwrap();
    let Begun::Redirect(login) = begun else { panic!("no redirect but {begun:?}") };
    let query = browse(login.url()).await;
    let mut secrets: Vec<String> = values(&query);
    let callback = || Callback::from_query(&query).unwrap();
    let connection = other.complete(&owner(), callback()).await.unwrap().connection;
    one.complete(&owner(), callback()).await.unwrap_err();
    secrets.extend(sent(&clerk));
    let first = connection.access_token().await.unwrap();
    secrets.push(first.expose().to_owned());

    clock.advance(TOKEN_LIFETIME);
    clerk.reset_calls();
    let handle = one.get(&owner(), &server).await.unwrap().unwrap();
    let tokens = refresh(&clock, &[connection, handle]).await;
    assert!(tokens.iter().all(|token| *token == tokens[0] && token != first.expose()));
    assert_eq!(clerk.calls(Route::Token), 1, "one refresh for all");
    secrets.extend(sent(&clerk));
    secrets.extend([tokens[0].clone(), "user_marked_0123456789".into(), server.as_str().into()]);
    assert!(secrets.len() >= 8, "{}", secrets.len());
    let found = search(written, &secrets);
    assert!(found.is_empty(), "{found:?}");
    assert!(!search(written, &["connection/".to_owned()]).is_empty(), "nothing was written");

    assert_eq!(one.list(&owner()).await.unwrap().len(), 1);
    assert_eq!(one.forget_owner(&owner()).await.unwrap(), 1);
    assert!(other.get(&owner(), &server).await.unwrap().is_none());
}

/// The access tokens that many callers get at once.
async fn refresh(clock: &ManualClock, connections: &[Connection]) -> Vec<String> {
    let tasks: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let connection = connections[caller % connections.len()].clone();
            tokio::spawn(async move { connection.access_token().await })
        })
        .collect();
    // Who waits for the lease of another process looks again after a while.
    let passes = tokio::spawn({
        let clock = clock.clone();
        async move {
            loop {
                tokio::time::sleep(Duration::from_millis(2)).await;
                clock.advance(Duration::from_millis(100));
            }
        }
    });
    let mut tokens = Vec::new();
    for task in tasks {
        tokens.push(task.await.unwrap().unwrap().expose().to_owned());
    }
    passes.abort();
    tokens
}

/// What the last request for a token has sent that nobody else may know.
fn sent(clerk: &FakeClerk) -> Vec<String> {
    let body = clerk.last_request(Route::Token).unwrap().body;
    values(std::str::from_utf8(&body).unwrap())
}

fn values(query: &str) -> Vec<String> {
    let secret = ["code", "state", "code_verifier", "refresh_token"];
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, _)| secret.contains(name)).map(|(_, value)| value.to_owned()).collect()
}

/// The strings that are in a file below a directory, with the file.
fn search(directory: &Path, strings: &[String]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        // A database may remove a file in the meantime, and a socket is none.
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            found.extend(search(&entry.path(), strings));
        } else if let Ok(bytes) =
            fs::read(entry.path()).map(|b| String::from_utf8_lossy(&b).into_owned())
        {
            let here = strings.iter().filter(|string| bytes.contains(string.as_str()));
            found.extend(here.map(|string| (string.clone(), entry.path().display().to_string())));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite() {
    let directory = Directory::new();
    let stores = two("sqlite", &directory.file("connections")).await;
    check(stores, Path::new(&directory.file(""))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgres() {
    if postgres_settings().is_none() {
        return;
    }
    let databases = Databases::start("postgres");
    PostgresStore::new(pool(&databases.postgres()).unwrap()).migrate().await.unwrap();
    check(two("postgres", &databases.postgres()).await, &databases.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_redis() {
    if redis_url().is_none() {
        return;
    }
    let databases = Databases::start("redis");
    check(two("redis", &databases.redis()).await, &databases.0).await;
}
