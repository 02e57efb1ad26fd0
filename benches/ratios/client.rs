//! The client side: a token from memory, and the records of connections apart from any store.

use std::hint::black_box;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, RandomizedNonceKey};
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

const RECORDS: usize = 2000;
const ROUNDS: usize = 15;

/// An access token, a refresh token, endpoints and scopes.
const BYTES: usize = 2048;

pub(crate) fn run() {
    tokens();
    records();
}

fn tokens() {
    let fixture = Fixture::new();
    let connection = fixture.runtime.block_on(connect(&fixture));
    let token = Case::new(RECORDS, |_| {
        black_box(poll_once(connection.access_token())).unwrap();
    });
    let times = measure(ROUNDS, vec![token]);
    let [token] = times[..] else { unreachable!() };
    print_head("Access tokens of connections");
    print_row("from memory", &format!("{token:.0} ns"), "at most 1 µs", token <= 1000.0);
}

fn records() {
    let key = RandomizedNonceKey::new(&AES_256_GCM_SIV, &[2; 32]).unwrap();
    let keys = SealingKeys::new([1; 32], KeyId::parse("2026-11").unwrap(), [2; 32]).unwrap();
    let tag = "a".repeat(43);
    let place = RecordKey::parse(&format!("connection/{tag}/{tag}")).unwrap();
    let plaintext = vec![b'x'; BYTES];
    let record = keys.seal(&place, &plaintext).unwrap();
    let times = measure(
        ROUNDS,
        vec![
            Case::new(RECORDS, |_| {
                let mut sealed = plaintext.clone();
                black_box(key.seal_in_place_append_tag(Aad::empty(), &mut sealed)).unwrap();
            }),
            Case::new(RECORDS, |_| {
                black_box(keys.seal(&place, &plaintext)).unwrap();
            }),
            Case::new(RECORDS, |_| {
                black_box(keys.open(&place, &record)).unwrap();
            }),
        ],
    );
    let [baseline, seal, open] = times[..] else { unreachable!() };
    print_head(&format!(
        "Records of connections, {BYTES} bytes; the baseline, AES-256-GCM-SIV alone, took \
         {baseline:.0} ns"
    ));
    for (case, time) in [("seal", seal), ("open", open)] {
        let measured = format!("{time:.0} ns, {:.2} x", time / baseline);
        print_row(case, &measured, "at most 5 µs", time <= 5000.0);
    }
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
