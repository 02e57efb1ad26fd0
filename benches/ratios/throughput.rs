//! The throughput of a server on the loopback interface with 64 connections, and a key rotation.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clerk_mcp_tools::bearer_auth::BearerAuthLayer;
use clerk_mcp_tools::testing::Route;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tower::Layer;

use crate::support::fixture::{Fixture, resource};
use crate::support::server::{Round, print_guarded, serve};
use crate::support::table::{print_head, print_row};

const CONNECTIONS: usize = 64;
const ROUNDS: usize = 25;
const ROUND: Duration = Duration::from_millis(400);

pub(crate) fn run() {
    let fixture = Fixture::new();
    let verifier = fixture.warm_verifier();
    let (unguarded, guarded) = fixture.runtime.block_on(async {
        let (unguarded, _) = serve(inner()).await;
        let (guarded, _) = serve(BearerAuthLayer::new(verifier, resource()).layer(inner())).await;
        (unguarded, guarded)
    });
    print_head(&format!("A hyper server over loopback, {CONNECTIONS} connections"));
    throughput(&fixture, unguarded, guarded);
    rotation(&fixture, guarded);
}

/// Server and clients share all cores, so that what one of them takes is not there for the others.
fn throughput(fixture: &Fixture, unguarded: u16, guarded: u16) {
    let (_sender, token) = watch::channel(fixture.jwt());
    let mut rounds = [const { Vec::new() }; 2];
    for _ in 0..ROUNDS {
        for (port, rounds) in [unguarded, guarded].into_iter().zip(&mut rounds) {
            let outcome = fixture.runtime.block_on(load(port, token.clone(), ROUND));
            rounds.push(Round::new(outcome.responses, outcome.took, None));
        }
    }
    let [unguarded, guarded] = &rounds;
    print_guarded("cached token", unguarded, guarded, 97.0);
}

/// Rotates the key under load, and switches the clients to tokens of the new key.
fn rotation(fixture: &Fixture, port: u16) {
    let (sender, token) = watch::channel(fixture.jwt());
    let (outcome, fetch, fetches) = fixture.runtime.block_on(async {
        let load = tokio::spawn(load(port, token, Duration::from_secs(4)));
        tokio::time::sleep(Duration::from_secs(1)).await;
        // The duration of a fetch under the same load.
        let began = Instant::now();
        reqwest::get(format!("{}/.well-known/jwks.json", fixture.clerk.issuer())).await.unwrap();
        let fetch = began.elapsed();
        let before = fixture.clerk.calls(Route::Jwks);
        tokio::time::sleep(Duration::from_secs(1)).await;
        fixture.clerk.add_key().unwrap();
        sender.send_replace(fixture.jwt());
        let outcome = load.await.unwrap();
        (outcome, fetch, fixture.clerk.calls(Route::Jwks) - before)
    });
    assert_eq!(outcome.rejected, 0, "a request was rejected during the rotation");
    let text = format!(
        "{} requests, {} rejected, slowest {:.1} ms, a fetch {:.1} ms, {fetches} made",
        outcome.responses,
        outcome.rejected,
        outcome.slowest.as_secs_f64() * 1e3,
        fetch.as_secs_f64() * 1e3,
    );
    let is_met = fetches == 1 && outcome.slowest <= fetch;
    print_row("key rotation", &text, "none rejected, none slower than a fetch", is_met);
}

struct Outcome {
    responses: u64,
    rejected: u64,
    slowest: Duration,
    took: Duration,
}

/// Sends requests on 64 connections for this time.
async fn load(port: u16, token: watch::Receiver<String>, time: Duration) -> Outcome {
    let stop = Arc::new(AtomicBool::new(false));
    let slowest = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let connections: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            tokio::spawn(connection(port, token.clone(), Arc::clone(&stop), Arc::clone(&slowest)))
        })
        .collect();
    tokio::time::sleep(time).await;
    stop.store(true, Ordering::Relaxed);
    let (mut responses, mut rejected) = (0, 0);
    for connection in connections {
        let (accepted, others) = connection.await.unwrap();
        responses += accepted + others;
        rejected += others;
    }
    let slowest = Duration::from_nanos(slowest.load(Ordering::Relaxed));
    Outcome { responses, rejected, slowest, took: began.elapsed() }
}

async fn connection(
    port: u16,
    mut token: watch::Receiver<String>,
    stop: Arc<AtomicBool>,
    slowest: Arc<AtomicU64>,
) -> (u64, u64) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut accepted, mut rejected, mut buffer) = (0, 0, [0; 4096]);
    let mut request = String::new();
    while !stop.load(Ordering::Relaxed) {
        if request.is_empty() || token.has_changed().unwrap_or(false) {
            let token = token.borrow_and_update().clone();
            request = format!(
                "POST /mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-length: 0\r\n\r\n"
            );
        }
        let began = Instant::now();
        stream.write_all(request.as_bytes()).await.unwrap();
        let read = stream.read(&mut buffer).await.unwrap();
        slowest.fetch_max(began.elapsed().as_nanos() as u64, Ordering::Relaxed);
        if buffer[..read].starts_with(b"HTTP/1.1 200") { accepted += 1 } else { rejected += 1 }
    }
    (accepted, rejected)
}

type Inner = tower::util::ServiceFn<fn(Request<Incoming>) -> EmptyFuture>;
type EmptyFuture = std::future::Ready<Result<Response<Full<bytes::Bytes>>, Infallible>>;

fn inner() -> Inner {
    fn empty_response(_: Request<Incoming>) -> EmptyFuture {
        std::future::ready(Ok(Response::new(Full::default())))
    }
    tower::service_fn(empty_response as fn(Request<Incoming>) -> EmptyFuture)
}
