//! Connections that are kept between calls and end, or no longer respond, when they are used again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use clerk_mcp_tools::testing::ManualClock;
use clerk_mcp_tools::{ClerkVerifier, SecretKey, VerifyErrorKind as Kind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;

use crate::support::{NOW, error_kind, resource, spawn_verify};

const VALID: &str = r#"{"object":"clerk_idp_oauth_access_token","client_id":"c","subject":"user_1",
    "scopes":["profile"],"revoked":false,"expired":false,"aud":"https://mcp.example.com/mcp"}"#;

/// A Backend API that accepts every token.
struct Server {
    origin: String,
    shared: Arc<Shared>,
    clock: ManualClock,
}

struct Shared {
    /// How many requests a connection answers. It reads the next one and closes.
    responses: usize,
    /// While it is set, each request waits for the others of a burst.
    burst: Option<Barrier>,
    is_in_burst: AtomicBool,
    /// Connections that were opened before this number read requests and send nothing.
    deaf_before: AtomicUsize,
    connections: AtomicUsize,
    requests: AtomicUsize,
    unanswered: AtomicUsize,
}

impl Server {
    async fn new(responses: usize, burst: Option<usize>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            responses,
            burst: burst.map(Barrier::new),
            is_in_burst: AtomicBool::new(burst.is_some()),
            deaf_before: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            unanswered: AtomicUsize::new(0),
        });
        tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    tokio::spawn(serve(stream, Arc::clone(&shared)));
                }
            }
        });
        Self { origin, shared, clock: ManualClock::new(NOW) }
    }

    fn verifier(&self) -> ClerkVerifier {
        ClerkVerifier::builder()
            .frontend_api(clerk_mcp_tools::instance::FrontendApi::parse(&self.origin).unwrap())
            .backend_api(self.origin.parse().unwrap())
            .secret_key(SecretKey::parse("sk_test_0123456789").unwrap())
            .resource(resource())
            .clock(self.clock.clone())
            .build()
            .unwrap()
    }

    fn counts(&self) -> (usize, usize, usize) {
        let read = |count: &AtomicUsize| count.load(Ordering::SeqCst);
        let shared = &self.shared;
        (read(&shared.connections), read(&shared.requests), read(&shared.unanswered))
    }

    fn unanswered(&self) -> usize {
        self.counts().2
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let number = shared.connections.fetch_add(1, Ordering::SeqCst);
    for response in 0.. {
        if !read_request(&mut stream).await {
            return;
        }
        shared.requests.fetch_add(1, Ordering::SeqCst);
        if number < shared.deaf_before.load(Ordering::SeqCst) {
            shared.unanswered.fetch_add(1, Ordering::SeqCst);
            continue;
        }
        if response == shared.responses {
            shared.unanswered.fetch_add(1, Ordering::SeqCst);
            return;
        }
        if let (Some(burst), true) = (&shared.burst, shared.is_in_burst.load(Ordering::SeqCst)) {
            burst.wait().await;
        }
        let length = VALID.len();
        let text = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{VALID}");
        stream.write_all(text.as_bytes()).await.unwrap();
    }
}

/// Reads a request with a JSON object as its body. Returns `false` at the end of the connection.
async fn read_request(stream: &mut TcpStream) -> bool {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        match stream.read_buf(&mut request).await {
            Ok(0) | Err(_) => return false,
            Ok(_) => {}
        }
    }
    true
}

#[tokio::test]
async fn a_call_is_repeated_when_a_kept_connection_is_closed() {
    let server = Server::new(1, None).await;
    let verifier = server.verifier();
    for n in 0..10 {
        assert_eq!(error_kind(&verifier, &format!("oat_{n}")).await, None, "{n}");
    }
    let (_, requests, unanswered) = server.counts();
    assert_eq!((requests - unanswered, unanswered), (10, 5), "every second one was sent twice");
    assert_eq!((verifier.stats().upstream_calls, verifier.stats().upstream_failures), (10, 0));
}

#[tokio::test]
async fn a_call_is_not_repeated_on_a_new_connection() {
    let server = Server::new(0, None).await;
    let verifier = server.verifier();
    for calls in 1..=3 {
        assert_eq!(error_kind(&verifier, "oat_1").await, Some(Kind::Unavailable));
        assert_eq!(server.counts(), (calls, calls, calls));
        server.clock.advance(Duration::from_secs(30));
    }
}

/// The connections stay open and send nothing more; new ones are answered.
#[tokio::test]
async fn after_a_timeout_kept_connections_are_not_used() {
    const BURST: usize = 16;
    let server = Server::new(usize::MAX, Some(BURST)).await;
    let verifier = server.verifier();
    let burst: Vec<_> = (0..BURST).map(|n| spawn_verify(&verifier, &format!("oat_{n}"))).collect();
    for outcome in burst {
        assert!(outcome.await.unwrap().is_ok());
    }
    assert_eq!(server.counts(), (BURST, BURST, 0));
    server.shared.is_in_burst.store(false, Ordering::SeqCst);
    server.shared.deaf_before.store(BURST, Ordering::SeqCst);

    let first = spawn_verify(&verifier, "oat_first");
    while server.unanswered() == 0 {
        tokio::task::yield_now().await;
    }
    server.clock.advance(Duration::from_secs(5));
    assert_eq!(first.await.unwrap().unwrap_err().kind(), Kind::Unavailable);
    server.clock.advance(Duration::from_secs(1));
    for n in 0..8 {
        assert_eq!(error_kind(&verifier, &format!("oat_after_{n}")).await, None);
    }
    assert_eq!(server.counts(), (BURST + 8, BURST + 1 + 8, 1));
}
