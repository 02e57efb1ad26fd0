//! One verifier used on every kind of runtime, and on none.
//!
//! Calls to Clerk run on a thread of this crate. What a caller's runtime does, or lacks, must not
//! matter to the caller or to those who wait for the same call.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use clerk_mcp_tools::clerk::ClerkClient;
use clerk_mcp_tools::clock::{Clock, SystemClock};
use clerk_mcp_tools::testing::{Fault, Gate, Route};
use clerk_mcp_tools::{ClerkVerifier, VerifyErrorKind as Kind, verify_clerk_token};
use tokio::runtime::{Builder, Runtime};

use crate::support::{Fixture, error_kind, spawn_verify};

/// A fake Clerk on a runtime that is always driven.
struct Server {
    fixture: Fixture,
    runtime: Runtime,
}

impl Server {
    fn new() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self { fixture: runtime.block_on(Fixture::new()), runtime }
    }

    /// Holds the responses of this route.
    fn hold(&self, route: Route) -> Gate {
        let (fault, gate) = Fault::hold();
        self.fixture.clerk.fault(route, fault);
        gate
    }

    fn arrived(&self, gate: &Gate) {
        self.runtime.block_on(gate.arrived(1));
    }

    /// The calls of each kind: their route, and a token that causes one.
    fn tokens(&self) -> [(Route, String); 2] {
        [(Route::Jwks, self.fixture.jwt()), (Route::VerifyAccessToken, self.fixture.opaque())]
    }
}

/// Runs a future on this thread, without a runtime.
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

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Starts a verification on a runtime, and drives the runtime only until the call is at Clerk.
fn start(on: &Runtime, gate: &Gate, verifier: &ClerkVerifier, token: &str) {
    on.block_on(async {
        drop(spawn_verify(verifier, token));
        gate.arrived(1).await;
    });
    assert_eq!(gate.waiting(), 1);
}

async fn verify_and_get_user(server: &Server, verifier: &ClerkVerifier, client: &ClerkClient) {
    let fixture = &server.fixture;
    let id = fixture.clerk.default_user_id();
    for token in [fixture.jwt(), fixture.opaque()] {
        let caller = verify_clerk_token(verifier, &token).await.unwrap();
        assert_eq!(caller.principal().id(), id);
    }
    assert_eq!(client.get_user(id).await.unwrap().id, id);
}

#[test]
fn every_kind_of_runtime_will_do_and_so_will_none() {
    let server = Server::new();
    type Build = fn() -> Runtime;
    let runtimes: [(&str, Build); 5] = [
        ("multi-thread", || Builder::new_multi_thread().enable_all().build().unwrap()),
        ("current-thread", current_thread),
        ("without I/O", || Builder::new_current_thread().enable_time().build().unwrap()),
        ("without timers", || Builder::new_current_thread().enable_io().build().unwrap()),
        ("without both", || Builder::new_current_thread().build().unwrap()),
    ];
    for (name, runtime) in runtimes {
        let verifier = server.fixture.verifier();
        let client = verifier.client().unwrap();
        runtime().block_on(verify_and_get_user(&server, &verifier, client));
        assert_eq!(
            (verifier.stats().upstream_calls, verifier.stats().cached_tokens),
            (2, 2),
            "{name}"
        );
    }
    let verifier = server.fixture.verifier();
    block_on(verify_and_get_user(&server, &verifier, verifier.client().unwrap()));
    assert_eq!((verifier.stats().upstream_calls, verifier.stats().cached_tokens), (2, 2), "none");
}

/// As with one runtime per worker, one of which does other work.
#[test]
fn a_call_ends_while_the_runtime_that_started_it_is_not_driven() {
    let server = Server::new();
    let (undriven, other) = (current_thread(), current_thread());
    for (route, token) in server.tokens() {
        let verifier = server.fixture.verifier();
        let gate = server.hold(route);
        start(&undriven, &gate, &verifier, &token);
        let calls = server.fixture.clerk.calls(route);
        let waiting = {
            let _entered = other.enter();
            spawn_verify(&verifier, &token)
        };
        gate.open();
        let caller = other.block_on(waiting).unwrap().unwrap();
        assert_eq!(caller.token_for_this_server().expose(), token);
        assert_eq!(server.fixture.clerk.calls(route), calls, "the call is shared");
    }
}

#[test]
fn a_call_ends_after_the_runtime_that_started_it() {
    let server = Server::new();
    let other = current_thread();
    for (route, token) in server.tokens() {
        let verifier = server.fixture.verifier();
        let gate = server.hold(route);
        let first = current_thread();
        start(&first, &gate, &verifier, &token);
        let calls = server.fixture.clerk.calls(route);
        let waiting = {
            let _entered = other.enter();
            spawn_verify(&verifier, &token)
        };
        drop(first);
        gate.open();
        assert!(other.block_on(waiting).unwrap().is_ok(), "{route:?}");
        assert_eq!(server.fixture.clerk.calls(route), calls, "the call is shared");
    }
}

/// The one permit is held by a call whose caller's runtime is not driven.
#[test]
fn an_undriven_runtime_does_not_keep_a_permit() {
    let server = Server::new();
    let (undriven, other) = (current_thread(), current_thread());
    let verifier = server.fixture.verifier_builder().max_concurrent_calls(1).build().unwrap();
    let gate = server.hold(Route::VerifyAccessToken);
    start(&undriven, &gate, &verifier, &server.fixture.opaque());
    gate.open();
    assert_eq!(other.block_on(error_kind(&verifier, &server.fixture.opaque())), None);
}

/// A refresh in the background must not stay with a runtime that is driven no more.
#[test]
fn a_refresh_ends_while_the_runtime_that_started_it_is_not_driven() {
    let server = Server::new();
    let (undriven, other) = (current_thread(), current_thread());
    let fixture = &server.fixture;
    let verifier = fixture.verifier();
    assert_eq!(undriven.block_on(error_kind(&verifier, &fixture.jwt())), None);
    fixture.advance(5 * 60);
    let gate = server.hold(Route::Jwks);
    // Accepted at once, while a refresh begins.
    assert_eq!(undriven.block_on(error_kind(&verifier, &fixture.jwt())), None);
    server.arrived(&gate);
    fixture.clerk.rotate_keys().unwrap();
    gate.open();
    // A token of the new key waits for that refresh, and fetches again if it needs to.
    assert_eq!(other.block_on(error_kind(&verifier, &fixture.jwt())), None);
}

#[test]
fn connections_outlive_the_runtime_that_they_were_opened_on() {
    let server = Server::new();
    let fixture = &server.fixture;
    let verifier = fixture.verifier();
    for _ in 0..3 {
        let runtime = current_thread();
        assert_eq!(runtime.block_on(error_kind(&verifier, &fixture.opaque())), None);
    }
    let undriven = current_thread();
    assert_eq!(undriven.block_on(error_kind(&verifier, &fixture.opaque())), None);
    assert_eq!(current_thread().block_on(error_kind(&verifier, &fixture.opaque())), None);
    assert_eq!((verifier.stats().upstream_calls, verifier.stats().upstream_failures), (5, 0));
}

/// The limits of the waits need no timer of the caller either.
#[test]
fn a_hanging_call_ends_by_the_clock_on_every_kind_of_runtime() {
    let server = Server::new();
    let fixture = &server.fixture;
    let limited = |call: &mut (dyn FnMut() -> Option<Kind> + Send), gate: &Gate| {
        thread::scope(|scope| {
            let outcome = scope.spawn(call);
            server.arrived(gate);
            fixture.advance(5);
            outcome.join().unwrap()
        })
    };
    for (route, token) in server.tokens() {
        let verifier = fixture.verifier();
        let bare = Builder::new_current_thread().build().unwrap();
        let gate = server.hold(route);
        let mut on_bare = || bare.block_on(error_kind(&verifier, &token));
        assert_eq!(limited(&mut on_bare, &gate), Some(Kind::Unavailable), "{route:?}");
        drop(gate);
        fixture.advance(60);
        let gate = server.hold(route);
        let mut on_none = || block_on(error_kind(&verifier, &token));
        assert_eq!(limited(&mut on_none, &gate), Some(Kind::Unavailable), "{route:?}");
        drop(gate);
        fixture.advance(60);
        assert_eq!(block_on(error_kind(&verifier, &token)), None, "{route:?}");
    }
}

/// A caller that is dropped stops a call that nobody shares.
#[test]
fn a_dropped_caller_stops_its_own_call() {
    let server = Server::new();
    let verifier = server.fixture.verifier();
    let client = verifier.client().unwrap();
    let gate = server.hold(Route::User);
    let runtime = current_thread();
    runtime.block_on(async {
        let mut call = pin!(client.get_user("user_1"));
        tokio::select! {
            biased;
            outcome = &mut call => panic!("{outcome:?}"),
            () = gate.arrived(1) => {}
        }
    });
    // The connection is closed with the call, which ends the request at the server.
    while gate.waiting() > 0 {
        thread::yield_now();
    }
}

#[test]
fn the_system_clock_sleeps_on_any_executor() {
    block_on(SystemClock::new().sleep(Duration::from_nanos(1)));
    let bare = Builder::new_current_thread().build().unwrap();
    bare.block_on(Arc::new(SystemClock::new()).sleep(Duration::from_nanos(1)));
}

#[test]
fn advancing_a_manual_clock_wakes_its_sleepers() {
    let clock = clerk_mcp_tools::testing::ManualClock::new(crate::support::NOW);
    let mut context = Context::from_waker(Waker::noop());
    let second = Duration::from_secs(1);
    let mut sleep = clock.sleep(2 * second);
    clock.advance(second);
    assert!(sleep.as_mut().poll(&mut context).is_pending());
    clock.set_unix_time(10 * second);
    assert!(sleep.as_mut().poll(&mut context).is_pending(), "the wall clock does not count");
    clock.advance(second);
    assert!(sleep.as_mut().poll(&mut context).is_ready());
}
