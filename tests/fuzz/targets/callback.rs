//! Fuzzes the service at the redirect URI, with a sign-in in progress: only the right user or browser
//! completes it, only with its state and its issuer, and every other request leaves the code unused.
//!
//! The first line of the input is the user (`alice`, another, or none), the second one the `Cookie`
//! header, the rest the query. `{state}`, `{iss}` and `{cookie}` stand for those of the sign-in.

#![no_main]

use std::future::Future;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use clerk_mcp_tools::client::{
    Begun, Connections, Egress, Expect, IdentifyOwner, KeyId, LoginOptions, MemoryStore, Owner,
    Record, RecordKey, RegisteredClient, Saved, SealingKeys, ServerUrl, Store,
};
use http::header::{COOKIE, LOCATION};
use http::request::Parts;
use http::{HeaderValue, Request, StatusCode};
use libfuzzer_sys::fuzz_target;
use tower::Service;

/// The requests to the token endpoint.
static REDEEMED: AtomicUsize = AtomicUsize::new(0);
static WORLD: LazyLock<World> = LazyLock::new(World::new);

/// An application with one sign-in in progress.
struct World {
    connections: Connections,
    store: MemoryStore,
    server: ServerUrl,
    login: (RecordKey, Record),
    issuer: String,
    state: String,
    cookie: String,
}

fuzz_target!(|input: &[u8]| {
    let world = &*WORLD;
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut lines = text.splitn(3, '\n').map(|line| {
        let line = line.replace("{state}", &world.state).replace("{cookie}", &world.cookie);
        line.replace("{iss}", &world.issuer)
    });
    let (Some(user), Some(cookie), Some(query)) = (lines.next(), lines.next(), lines.next()) else {
        return;
    };
    let request = Request::builder().uri(format!("/callback?{query}"));
    let Ok(value) = HeaderValue::from_str(&cookie) else { return };
    let Ok(mut request) = request.header(COOKIE, value).body(()) else { return };
    request.extensions_mut().insert(User(user.clone()));
    let right = is_right(world, &user, &cookie, request.uri().query().unwrap_or_default());

    let (key, record) = &world.login;
    assert_eq!(block_on(world.store.save(key, record, Expect::Any, None)).unwrap(), Saved::Yes);
    let before = REDEEMED.load(Ordering::SeqCst);
    let service = world.connections.callback_service(FromExtension);
    let mut service = service.success_path("/done").unwrap().error_path("/failed").unwrap();
    let response = block_on(service.call(request)).unwrap();
    let redeemed = REDEEMED.load(Ordering::SeqCst) - before;

    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let location = response.headers()[LOCATION].to_str().unwrap();
    let is_done = location == "/done";
    assert!(is_done || location.starts_with("/failed?error="), "{location}");
    assert_eq!(redeemed, usize::from(is_done));
    assert!(right || !is_done, "{user:?} {cookie:?} {query:?}");
    // What is escaped may be no UTF-8, and a cookie no ASCII: both are rejected then.
    let is_plain = !query.contains('%') && cookie.is_ascii();
    assert!(is_done || !right || !is_plain, "{user:?} {cookie:?} {query:?} {location}");
    let connection = block_on(world.connections.get(&alice(), &world.server)).unwrap();
    assert_eq!(connection.is_some(), is_done);
    let left = block_on(world.connections.forget_owner(&alice())).unwrap();
    assert_eq!(left, usize::from(is_done));
});

/// Reads the request as leniently as a browser or another server might, and decides strictly.
fn is_right(world: &World, user: &str, cookie: &str, query: &str) -> bool {
    // More is not read: sizes are a matter of tests.
    if query.len() > 16 * 1024 {
        return false;
    }
    let values = |name: &str| -> Vec<String> {
        let pairs = form_urlencoded::parse(query.as_bytes());
        pairs.filter(|(key, _)| key == name).map(|(_, value)| value.into_owned()).collect()
    };
    let is_visitor = match user {
        "alice" => true,
        "" => {
            let name = world.cookie.split('=').next().unwrap();
            let pairs = cookie.split(';').map(str::trim);
            let own: Vec<&str> =
                pairs.filter(|pair| pair.split('=').next() == Some(name)).collect();
            own == [world.cookie.as_str()]
        }
        _ => false,
    };
    let has_code = matches!(&values("code")[..], [code] if !code.is_empty());
    let has_error = values("error").iter().any(|error| !error.is_empty());
    is_visitor
        && has_code
        && !has_error
        && values("error").len() <= 1
        && values("state") == [world.state.as_str()]
        && values("iss") == [world.issuer.as_str()]
}

#[derive(Clone)]
struct User(String);

struct FromExtension;

#[async_trait::async_trait]
impl IdentifyOwner for FromExtension {
    async fn owner(&self, parts: &Parts) -> Option<Owner> {
        let User(user) = parts.extensions.get::<User>()?;
        (!user.is_empty()).then(|| Owner::new(user))
    }
}

fn alice() -> Owner {
    Owner::new("alice")
}

impl World {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let server = ServerUrl::parse(&format!("{issuer}/mcp")).unwrap();
        thread::spawn({
            let issuer = issuer.clone();
            move || listener.incoming().for_each(|stream| respond(stream.unwrap(), &issuer))
        });
        let store = MemoryStore::new(100);
        let keys = SealingKeys::new([1; 32], KeyId::parse("k").unwrap(), [2; 32]).unwrap();
        let redirect_uri = "https://app.example.com/callback";
        let connections = Connections::builder(store.clone(), keys, redirect_uri)
            .client(RegisteredClient::public(&issuer, "client"))
            .egress(Egress::public().allow_loopback())
            .build()
            .unwrap();
        let begun = block_on(connections.begin(&alice(), &server, LoginOptions::new())).unwrap();
        let Begun::Redirect(redirect) = begun else { panic!("no redirect") };
        let query = redirect.url().split_once('?').unwrap().1;
        let state = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "state");
        let cookie = redirect.set_cookie();
        let cookie = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        let page = block_on(store.scan(None, 10)).unwrap();
        let [login] = page.records() else { panic!("not one record") };
        let state = state.unwrap().1.into_owned();
        Self { connections, store, server, login: login.clone(), issuer, state, cookie }
    }
}

/// The MCP server and its authorization server.
fn respond(mut stream: TcpStream, issuer: &str) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut path, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap() == 0 || line == "\r\n" {
            break;
        }
        if path.is_empty() {
            path = line.split(' ').nth(1).unwrap().to_owned();
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
    let (status, body) = match path.as_str() {
        "/.well-known/oauth-protected-resource" => {
            let body =
                format!(r#"{{"resource":"{issuer}/mcp","authorization_servers":["{issuer}"]}}"#);
            (200, body)
        }
        "/.well-known/oauth-authorization-server" => {
            let body = format!(
                r#"{{"issuer":"{issuer}","authorization_endpoint":"{issuer}/authorize",
                "token_endpoint":"{issuer}/token","code_challenge_methods_supported":["S256"],
                "authorization_response_iss_parameter_supported":true}}"#
            );
            (200, body)
        }
        "/token" => {
            REDEEMED.fetch_add(1, Ordering::SeqCst);
            (200, r#"{"access_token":"token","token_type":"Bearer"}"#.to_owned())
        }
        "/mcp" => (401, String::new()),
        _ => (404, String::new()),
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} -\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}
