//! What the tests of the client side share: servers, processes of an application, browsers.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clerk_mcp_tools::client::{
    Begun, Callback, CallbackError, Completed, Connection, Connections, ConnectionsBuilder, Egress,
    KeyId, LoginOptions, LoginRedirect, MemoryStore, Owner, SealingKeys, ServerUrl, Store,
};
use clerk_mcp_tools::testing::{
    FakeClerk, FakeClerkBuilder, FaultyStore, ManualClock, Route, StoreFault,
};
use clerk_mcp_tools::{ClerkMcp, ClerkVerifier, Scopes};
use http::header::LOCATION;
use tokio::net::TcpListener;
use url::Url;

use crate::support::{EchoUser, NOW};

pub(crate) const REDIRECT_URI: &str = "https://app.example.com/mcp/callback";
pub(crate) const SCOPES: [&str; 5] =
    ["profile", "email", "offline_access", "notes:read", "notes:write"];
pub(crate) const TOKEN_LIFETIME: u64 = 3600;

/// A guarded server, its authorization server, and the store of an application.
pub(crate) struct World {
    pub(crate) clerk: FakeClerk,
    pub(crate) clock: ManualClock,
    pub(crate) server: ServerUrl,
    pub(crate) store: MemoryStore,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|clerk| clerk).await
    }

    pub(crate) async fn with(configure: impl FnOnce(FakeClerkBuilder) -> FakeClerkBuilder) -> Self {
        let clock = ManualClock::new(NOW);
        let builder = FakeClerk::builder()
            .clock(clock.clone())
            .scopes_supported(SCOPES)
            .token_lifetime(Duration::from_secs(TOKEN_LIFETIME));
        let clerk = configure(builder).start().await.unwrap();
        let server = guarded_server(&clerk, &clock).await;
        let store = MemoryStore::new(1000).clock(clock.clone());
        Self { clerk, clock, server, store }
    }

    /// The same servers with an empty store, and no calls counted.
    pub(crate) fn again(&self) -> Self {
        self.clerk.reset_calls();
        Self {
            clerk: self.clerk.clone(),
            clock: self.clock.clone(),
            server: self.server.clone(),
            store: MemoryStore::new(1000).clock(self.clock.clone()),
        }
    }

    /// A process of the application.
    pub(crate) fn process(&self) -> Connections {
        self.builder(self.store.clone()).build().unwrap()
    }

    pub(crate) fn builder(&self, store: impl Store) -> ConnectionsBuilder {
        Connections::builder(store, keys(), REDIRECT_URI)
            .egress(Egress::public().allow_loopback())
            .clock(self.clock.clone())
    }

    /// Begins a sign-in of Alice.
    pub(crate) async fn begin(&self, process: &Connections) -> LoginRedirect {
        redirect(process.begin(&alice(), &self.server, LoginOptions::new()).await.unwrap())
    }

    /// Signs Alice in.
    pub(crate) async fn connect(&self, process: &Connections) -> Connection {
        let callback = browse(&self.begin(process).await).await;
        let completed = process.complete(&alice(), callback).await.unwrap();
        completed.connection
    }

    /// A handle that another process has of Alice's connection.
    pub(crate) async fn handle(&self, process: &Connections) -> Connection {
        process.get(&alice(), &self.server).await.unwrap().unwrap()
    }

    /// Lets the access token expire, or nearly so.
    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) fn token_calls(&self) -> usize {
        self.clerk.calls(Route::Token)
    }

    /// Calls the guarded server with a token.
    pub(crate) async fn call_server(&self, token: &str) -> u16 {
        let request = http_client().post(self.server.as_str()).bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    }
}

pub(crate) fn alice() -> Owner {
    Owner::new("user_alice")
}

pub(crate) fn mallory() -> Owner {
    Owner::new("user_mallory")
}

pub(crate) fn keys() -> SealingKeys {
    SealingKeys::new([1; 32], KeyId::parse("test").unwrap(), [2; 32]).unwrap()
}

/// A server that requires `profile email` and answers with the caller's user id.
pub(crate) async fn guarded_server(clerk: &FakeClerk, clock: &ManualClock) -> ServerUrl {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let verifier = ClerkVerifier::builder()
        .env_from(|name| clerk.env_var(name))
        .resource(url.parse().unwrap())
        .clock(clock.clone())
        .build()
        .unwrap();
    let guard = ClerkMcp::builder()
        .resource(url.parse().unwrap())
        .verifier(verifier)
        .scopes(Scopes::parse("profile email").unwrap())
        .build()
        .unwrap();
    let router = guard.mount(axum::Router::new(), EchoUser);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    ServerUrl::parse(&url).unwrap()
}

/// A server that responds with these routes, at `/mcp` of the returned origin.
pub(crate) async fn serve(make: impl FnOnce(&str) -> axum::Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let router = make(&origin);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    origin
}

/// Serves at a free port, and counts the requests: for what must not be called.
pub(crate) async fn counting_server() -> (String, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&requests);
    let count = move || {
        counter.fetch_add(1, Ordering::SeqCst);
        async {}
    };
    (serve(|_| axum::Router::new().fallback(count)).await, requests)
}

pub(crate) fn redirect(begun: Begun) -> LoginRedirect {
    match begun {
        Begun::Redirect(redirect) => redirect,
        other => panic!("no redirect but {other:?}"),
    }
}

/// Follows the redirect to the authorization server as a browser does, and returns the query with
/// which that one sends it back.
pub(crate) async fn browse_to_query(redirect: &LoginRedirect) -> String {
    let response = http_client().get(redirect.url()).send().await.unwrap();
    let location = response.headers().get(LOCATION).map(|value| value.to_str().unwrap().to_owned());
    let Some(location) = location else {
        panic!("no redirect but {}", response.text().await.unwrap());
    };
    let location = Url::parse(&location).unwrap();
    assert_eq!(location.as_str().split('?').next(), Some(REDIRECT_URI));
    location.query().unwrap().to_owned()
}

pub(crate) async fn browse(redirect: &LoginRedirect) -> Callback {
    Callback::from_query(&browse_to_query(redirect).await).unwrap()
}

/// Completes a sign-in of Alice.
pub(crate) async fn complete(
    process: &Connections,
    query: &str,
) -> Result<Completed, CallbackError> {
    process.complete(&alice(), Callback::from_query(query).unwrap()).await
}

pub(crate) fn http_client() -> reqwest::Client {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        // Only servers without TLS are called. Loading the certificates of the machine takes long.
        .tls_certs_only([])
        .build()
        .unwrap()
}

/// Lets the calls of a store fail, from the one of this number on; 1 is the next one.
pub(crate) fn fails_from(store: &FaultyStore, number: usize) {
    for number in number..number + 1000 {
        store.at_call(number, StoreFault::FailBefore);
    }
}

pub(crate) fn heals(store: &FaultyStore) {
    store.set_down(false);
    store.clear_faults();
}

/// Runs a future while the clock goes on, for the waits between processes.
pub(crate) async fn while_time_passes<F: Future>(clock: &ManualClock, future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    loop {
        tokio::select! {
            biased;
            output = &mut future => return output,
            // The background thread needs real time for its calls; how much decides nothing.
            () = tokio::time::sleep(Duration::from_millis(2)) => {
                clock.advance(Duration::from_millis(100));
            }
        }
    }
}
