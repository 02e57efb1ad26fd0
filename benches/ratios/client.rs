//! The client side: an access token from memory, and the sealing of its record.

use std::hint::black_box;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{any, get};
use clerk_mcp_tools::client::{
    Begun, Callback, Connection, Connections, Egress, KeyId, LoginOptions, MemoryStore, Owner,
    RecordKey, SealingKeys, ServerUrl,
};
use http::header::LOCATION;
use serde_json::json;

use crate::support::fixture::Fixture;
use crate::support::measure::{Case, measure, poll_once};
use crate::support::table::{print_head, print_row};

const ROUNDS: usize = 15;
const CALLS: usize = 2_000;
/// About the size of a connection with tokens that are JWTs.
const RECORD_BYTES: usize = 2048;

pub(crate) fn run() {
    let fixture = Fixture::new();
    let connection = fixture.runtime.block_on(connect(&fixture));
    let keys = keys();
    let tag = "a".repeat(43);
    let key: RecordKey = format!("connection/{tag}/{tag}").parse().unwrap();
    let plaintext = vec![7; RECORD_BYTES];
    let record = keys.seal(&key, &plaintext).unwrap();
    let times = measure(
        ROUNDS,
        vec![
            Case::new(CALLS, |_| {
                black_box(poll_once(connection.access_token())).unwrap();
            }),
            Case::new(CALLS, |_| {
                black_box(keys.seal(&key, black_box(&plaintext))).unwrap();
            }),
            Case::new(CALLS, |_| {
                black_box(keys.open(&key, black_box(&record))).unwrap();
            }),
        ],
    );
    let [token, seal, open] = times[..] else { unreachable!() };
    print_head("The client side; a record has 2 KiB");
    print_row("token from memory", &format!("{token:.0} ns"), "at most 1 µs", token <= 1e3);
    print_row("seal a record", &format!("{seal:.0} ns"), "at most 5 µs", seal <= 5e3);
    print_row("open a record", &format!("{open:.0} ns"), "at most 5 µs", open <= 5e3);
}

async fn connect(fixture: &Fixture) -> Connection {
    let server = start_server(fixture.clerk.issuer()).await;
    let redirect_uri = "https://app.example.com/callback";
    let connections = Connections::builder(MemoryStore::new(100), keys(), redirect_uri)
        .egress(Egress::public().allow_loopback())
        .build()
        .unwrap();
    let owner = Owner::new("user_1");
    let Begun::Redirect(login) =
        connections.begin(&owner, &server, LoginOptions::new()).await.unwrap()
    else {
        panic!("no redirect");
    };
    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let response = browser.build().unwrap().get(login.url()).send().await.unwrap();
    let location = response.headers()[LOCATION].to_str().unwrap().to_owned();
    let callback = Callback::from_query(location.split_once('?').unwrap().1).unwrap();
    connections.complete(&owner, callback).await.unwrap().connection
}

/// A server that only says where its users sign in.
async fn start_server(issuer: &str) -> ServerUrl {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let document = json!({ "resource": url, "authorization_servers": [issuer] }).to_string();
    let router = Router::new()
        .route("/mcp", any(|| async { StatusCode::UNAUTHORIZED }))
        .route("/.well-known/oauth-protected-resource", get(move || async { document }));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    ServerUrl::parse(&url).unwrap()
}

fn keys() -> SealingKeys {
    SealingKeys::new([1; 32], KeyId::parse("bench").unwrap(), [2; 32]).unwrap()
}
