//! The HTTP client of a connection: its tokens, to its server, within bounds.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use bytes::Bytes;
use clerk_mcp_tools::client::{
    CallError, CallErrorKind, Connection, Egress, Expect, LoginReason, Saved, ServerUrl, Store,
};
use clerk_mcp_tools::testing::{FakeClerk, Fault, FaultyStore, Route};
use futures_util::stream;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, LOCATION, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::support::{TOKEN_LIFETIME, World, counting_server, keys, serve, while_time_passes};

/// A server of which only what it responds to a token matters.
struct Server {
    world: World,
    connection: Connection,
    /// The requests with a token.
    requests: Arc<AtomicUsize>,
}

impl Server {
    async fn new<F, R>(respond: F) -> Self
    where
        F: Fn(Request) -> R + Clone + Send + Sync + 'static,
        R: Future<Output: IntoResponse> + Send,
    {
        let mut world = World::new().await;
        let requests = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&requests);
        let endpoint = move |request: Request| {
            let (respond, count) = (respond.clone(), Arc::clone(&count));
            async move {
                if !request.headers().contains_key(AUTHORIZATION) {
                    return StatusCode::UNAUTHORIZED.into_response();
                }
                count.fetch_add(1, Ordering::SeqCst);
                respond(request).await.into_response()
            }
        };
        world.server = serve_endpoint(&world.clerk, endpoint).await;
        let connection = world.connect(&world.process()).await;
        Self { world, connection, requests }
    }

    fn take_requests(&self) -> usize {
        self.requests.swap(0, Ordering::SeqCst)
    }

    async fn post(&self) -> Result<StatusCode, CallErrorKind> {
        post(&self.connection).await
    }
}

async fn serve_endpoint<F, R>(clerk: &FakeClerk, endpoint: F) -> ServerUrl
where
    F: Fn(Request) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response> + Send,
{
    let issuer = clerk.issuer().to_owned();
    let origin = serve(|origin| {
        let document = json!({ "resource": origin, "authorization_servers": [issuer] });
        let document = get(move || async move { document.to_string() });
        Router::new()
            .route("/mcp", any(endpoint))
            .route("/.well-known/oauth-protected-resource", document)
    })
    .await;
    ServerUrl::parse(&format!("{origin}/mcp")).unwrap()
}

async fn post(connection: &Connection) -> Result<StatusCode, CallErrorKind> {
    let outcome = connection.http_client().post(HeaderMap::new(), "{}").await;
    outcome.map(|response| response.status()).map_err(|error| error.kind())
}

fn kind<T>(outcome: Result<T, CallError>) -> Option<CallErrorKind> {
    outcome.err().map(|error| error.kind())
}

#[tokio::test]
async fn requests_have_the_token_of_the_connection_and_go_to_its_server() {
    let server = Server::new(|request: Request| async move {
        let (parts, body) = request.into_parts();
        let header = |name: &HeaderName| {
            let all = parts.headers.get_all(name).iter();
            all.map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        json!({
            "method": parts.method.as_str(),
            "uri": parts.uri.to_string(),
            "authorization": header(&AUTHORIZATION),
            "host": header(&HOST),
            "cookie": header(&COOKIE),
            "type": header(&CONTENT_TYPE),
            "session": header(&HeaderName::from_static("mcp-session-id")),
            "encoding": header(&TRANSFER_ENCODING),
            "body": String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap(),
        })
        .to_string()
    })
    .await;
    let mut headers = HeaderMap::new();
    for (name, value) in [
        (AUTHORIZATION, "Bearer another"),
        (HOST, "evil.example"),
        (COOKIE, "session=1"),
        (TRANSFER_ENCODING, "chunked"),
        (CONTENT_TYPE, "application/json"),
        (HeaderName::from_static("mcp-session-id"), "one"),
    ] {
        headers.append(name, HeaderValue::from_static(value));
    }
    let token = server.connection.access_token().await.unwrap();
    let url = url::Url::parse(server.world.server.as_str()).unwrap();
    let host = format!("127.0.0.1:{}", url.port().unwrap());
    let client = server.connection.http_client();
    let rows = [
        ("POST", "{}", client.post(headers.clone(), "{}").await),
        ("GET", "", client.get(headers.clone()).await),
        ("DELETE", "", client.delete(headers.clone()).await),
    ];
    for (method, body, response) in rows {
        let response = response.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let seen: Value =
            serde_json::from_slice(&response.into_body().bytes().await.unwrap()).unwrap();
        let expected = json!({
            "method": method,
            "uri": "/mcp",
            "authorization": [format!("Bearer {}", token.expose())],
            "host": [host],
            "cookie": [],
            "type": ["application/json"],
            "session": ["one"],
            "encoding": [],
            "body": body,
        });
        assert_eq!(seen, expected);
    }
}

#[tokio::test]
async fn a_rejected_token_is_renewed_once_and_the_new_one_is_not() {
    let accepts = Arc::new(Mutex::new(None::<String>));
    let accepted = Arc::clone(&accepts);
    let server = Server::new(move |request: Request| {
        let accepted = accepted.lock().unwrap().clone();
        let is_accepted = accepted.is_none_or(|token| {
            request.headers()[AUTHORIZATION].to_str().unwrap() == format!("Bearer {token}")
        });
        async move { if is_accepted { StatusCode::OK } else { StatusCode::UNAUTHORIZED } }
    })
    .await;
    let client = server.connection.http_client();
    let status = |response: Result<http::Response<_>, CallError>| response.unwrap().status();
    assert_eq!(status(client.post(HeaderMap::new(), "{}").await), StatusCode::OK);
    assert_eq!((server.take_requests(), server.world.token_calls()), (1, 1));
    *accepts.lock().unwrap() = Some("none".to_owned());
    for (requests, tokens) in [(2, 2), (1, 2), (1, 2)] {
        let status = status(client.clone().post(HeaderMap::new(), "{}").await);
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_eq!((server.take_requests(), server.world.token_calls()), (requests, tokens));
    }
    *accepts.lock().unwrap() = None;
    assert_eq!(status(client.post(HeaderMap::new(), "{}").await), StatusCode::OK);
    // A token that expires is replaced before the request.
    server.world.advance(TOKEN_LIFETIME);
    server.take_requests();
    assert_eq!(status(client.post(HeaderMap::new(), "{}").await), StatusCode::OK);
    assert_eq!((server.take_requests(), server.world.token_calls()), (1, 3));
}

#[tokio::test]
async fn redirects_are_returned_and_not_followed() {
    let (target, followed) = counting_server().await;
    let answer = Arc::new(Mutex::new((StatusCode::OK, String::new())));
    let shared = Arc::clone(&answer);
    let server = Server::new(move |_| {
        let (status, location) = shared.lock().unwrap().clone();
        async move { (status, [(LOCATION, location)]) }
    })
    .await;
    for status in [301, 302, 303, 307, 308] {
        for location in [&*target, "https://169.254.169.254/", "http://10.0.0.1/", "/other"] {
            let status = StatusCode::from_u16(status).unwrap();
            *answer.lock().unwrap() = (status, location.to_owned());
            let client = server.connection.http_client();
            let response = client.post(HeaderMap::new(), "{}").await.unwrap();
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()[LOCATION], location);
            assert_eq!(server.take_requests(), 1);
        }
    }
    assert_eq!(followed.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn addresses_that_are_not_public_are_not_called() {
    let server = Server::new(|_| async {}).await;
    let world = &server.world;
    let port = url::Url::parse(world.server.as_str()).unwrap().port().unwrap();
    let page = world.store.scan(None, 10).await.unwrap();
    let mut records = page.records().iter();
    let (key, record) = records.find(|(key, _)| key.owner().is_some()).unwrap();
    let plaintext = keys().open(key, record).unwrap();
    for url in [
        world.server.as_str(),
        // What the name resolves to is not public.
        &format!("https://localhost:{port}/mcp"),
        &format!("https://127.0.0.1:{port}/mcp"),
        &format!("https://[::ffff:127.0.0.1]:{port}/mcp"),
        "https://169.254.169.254/mcp",
        "https://10.0.0.1/mcp",
    ] {
        // As if the user had connected before the settings, or the name's address, were changed.
        let mut value: Value = serde_json::from_slice(&plaintext).unwrap();
        value["value"]["server"] = json!(url);
        let sealed = keys().seal(key, value.to_string().as_bytes()).unwrap();
        assert_eq!(world.store.save(key, &sealed, Expect::Any, None).await.unwrap(), Saved::Yes);
        let process = world.builder(world.store.clone()).egress(Egress::public()).build().unwrap();
        let connection = world.handle(&process).await;
        assert_eq!(connection.info().server, url);
        assert_eq!(post(&connection).await, Err(CallErrorKind::Forbidden), "{url}");
    }
    assert_eq!(server.take_requests(), 0);
}

#[tokio::test]
async fn bodies_are_bounded() {
    const MOST: usize = 64 * 1024;
    let server = Server::new(|request: Request| async move {
        let length: usize = request.headers()["x-length"].to_str().unwrap().parse().unwrap();
        let chunk = || Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 1024]));
        match length {
            // Without an end.
            0 => Body::from_stream(stream::repeat_with(chunk)),
            length => Body::from(vec![b'x'; length]),
        }
    })
    .await;
    let client = server.connection.http_client().max_body_bytes(MOST);
    for (length, expected) in [
        (1, None),
        (MOST, None),
        (MOST + 1, Some(CallErrorKind::TooLarge)),
        (1 << 20, Some(CallErrorKind::TooLarge)),
        (0, Some(CallErrorKind::TooLarge)),
    ] {
        let headers = [(HeaderName::from_static("x-length"), HeaderValue::from(length))];
        let headers = HeaderMap::from_iter(headers);
        let response = client.post(headers.clone(), "").await.unwrap();
        let body = response.into_body().bytes().await;
        assert_eq!(body.as_ref().ok().map(Bytes::len), expected.is_none().then_some(length));
        assert_eq!(kind(body), expected, "{length}");
        // Part by part, and as a body of `http-body`.
        let mut body = client.post(headers.clone(), "").await.unwrap().into_body();
        let mut read = 0;
        let end = loop {
            match body.chunk().await {
                Ok(Some(chunk)) => read += chunk.len(),
                Ok(None) => break None,
                Err(error) => break Some(error.kind()),
            }
        };
        assert_eq!(end, expected, "{length}");
        assert!(read <= MOST);
        assert_eq!(body.chunk().await.unwrap(), None, "it has ended");
        let body = client.post(headers, "").await.unwrap().into_body().collect().await;
        assert_eq!(kind(body), expected, "{length}");
    }
}

/// Sends one part, and then nothing; tells when it is dropped.
fn open_stream(dropped: oneshot::Sender<()>) -> Body {
    let first = stream::once(async { Ok::<_, Infallible>(Bytes::from_static(b": hello\n\n")) });
    let rest = stream::once(async move {
        let _dropped = dropped;
        std::future::pending::<Result<Bytes, Infallible>>().await
    });
    Body::from_stream(stream::StreamExt::chain(first, rest))
}

#[tokio::test]
async fn a_stream_is_read_as_it_arrives_and_ends_when_it_is_dropped() {
    let (sender, dropped) = oneshot::channel();
    let sender = Arc::new(Mutex::new(Some(sender)));
    let server = Server::new(move |_| {
        let sender = sender.lock().unwrap().take().unwrap();
        async move { open_stream(sender) }
    })
    .await;
    let response = server.connection.http_client().get(HeaderMap::new()).await.unwrap();
    let mut body = response.into_body();
    assert_eq!(body.chunk().await.unwrap().unwrap(), ": hello\n\n");
    drop(body);
    assert!(dropped.await.is_err());
}

#[tokio::test]
async fn a_server_that_does_not_go_on_is_given_up() {
    let server = Server::new(|request: Request| async move {
        if request.headers().contains_key("x-silent") {
            std::future::pending::<()>().await;
        }
        let (sender, _) = oneshot::channel();
        open_stream(sender)
    })
    .await;
    let clock = &server.world.clock;
    let client = server.connection.http_client().timeout(Duration::from_secs(90));
    let silent = [(HeaderName::from_static("x-silent"), HeaderValue::from_static("1"))];
    let before = server.world.clock.clone();
    let started = clerk_mcp_tools::clock::Clock::monotonic(&before);
    let outcome = while_time_passes(clock, client.post(HeaderMap::from_iter(silent), "")).await;
    assert_eq!(kind(outcome), Some(CallErrorKind::Unavailable));
    let response = while_time_passes(clock, client.get(HeaderMap::new())).await.unwrap();
    let outcome = while_time_passes(clock, response.into_body().bytes()).await;
    assert_eq!(kind(outcome), Some(CallErrorKind::Unavailable));
    let passed = clerk_mcp_tools::clock::Clock::monotonic(&before) - started;
    // Twice, and more than twice the default.
    assert!(passed >= Duration::from_secs(180), "{passed:?}");
}

#[tokio::test]
async fn without_a_token_there_is_no_request() {
    let server = Server::new(|_| async {}).await;
    let world = &server.world;
    let store = FaultyStore::new(world.store.clone());
    let process = world.builder(store.clone()).build().unwrap();
    let connection = world.handle(&process).await;
    assert_eq!(post(&connection).await, Ok(StatusCode::OK));
    world.advance(TOKEN_LIFETIME);
    server.take_requests();
    store.set_down(true);
    assert_eq!(post(&connection).await, Err(CallErrorKind::Store));
    store.set_down(false);
    world.clerk.fault(Route::Token, Fault::Down);
    assert_eq!(post(&connection).await, Err(CallErrorKind::Unavailable));
    world.clerk.heal_all();
    connection.clone().disconnect().await.unwrap();
    let reason = LoginReason::Disconnected;
    assert_eq!(server.post().await, Err(CallErrorKind::NeedsLogin(reason)));
    assert_eq!(server.take_requests(), 0);
}
