//! Mixed traffic at full speed, while Clerk fails in one way after another.
//!
//! ```sh
//! cargo bench --bench load           # for 30 seconds
//! cargo bench --bench load -- 300    # for as many
//! ```
//!
//! It fails where one answer is wrong, where memory grows, or where a task is left behind. `cargo test --bench load -- 3`
//! does the same in a build with debug assertions.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    dead_code,
    reason = "a program that cannot go on has failed, what it finds it prints, and some of its setup is for the benchmarks"
)]

mod client;
mod clock;
#[path = "../ratios/loopback.rs"]
mod loopback;
mod phases;
mod requests;
#[path = "../ratios/setup.rs"]
mod setup;
#[path = "../ratios/table.rs"]
mod table;
mod tally;

use std::alloc::System;
use std::convert::Infallible;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clerk_mcp_tools::testing::FakeClerk;
use clerk_mcp_tools::{AuthInfo, ClerkMcp, ClerkVerifier, Scopes, verify_clerk_token};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tower::{Layer, service_fn};

use crate::clock::FastClock;
use crate::loopback::serve;
use crate::phases::Phases;
use crate::requests::Requests;
use crate::setup::{Fixture, RESOURCE};
use crate::tally::{Report, Tally};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SECONDS: u64 = 30;
const CONNECTIONS: u64 = 64;
/// What may be held at the end and was not after the warm-up: up to 10,000 refusals, and what the allocator wastes.
const MOST_GROWTH: isize = 8 * 1024 * 1024;
const MOST_RSS_GROWTH: isize = 32 * 1024 * 1024;
const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What all connections share.
struct Load {
    port: u16,
    requests: Requests,
    phases: Phases,
    stop: AtomicBool,
}

fn main() -> ExitCode {
    let seconds = std::env::args().find_map(|arg| arg.parse().ok());
    // `cargo test --benches` and the like only want to know that it builds.
    let Some(seconds) =
        seconds.or_else(|| std::env::args().any(|arg| arg == "--bench").then_some(SECONDS))
    else {
        return ExitCode::SUCCESS;
    };
    table::print_machine();
    let clock = FastClock::new();
    let fixture = Fixture::with(|clerk| clerk.clock(clock.clone()).token_lifetime(MONTH));
    let verifier = fixture.builder().clock(clock).token_cache_bytes(512 * 1024).build().unwrap();
    let Fixture { clerk, runtime } = fixture;
    let report = runtime.block_on(run(clerk, verifier, Duration::from_secs(seconds)));
    report.print();
    if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn run(clerk: FakeClerk, verifier: ClerkVerifier, time: Duration) -> Report {
    verifier.warm_up().await.unwrap();
    let (port, accepting) = serve_guarded(&verifier).await;
    let load = Arc::new(Load {
        port,
        requests: Requests::new(&clerk),
        phases: Phases::new(),
        stop: AtomicBool::new(false),
    });
    warm_up(&load, &verifier).await;
    let (held, rss) = (held(), rss());
    let began = Instant::now();
    let connections = connect(&load);
    let lasting = load.phases.drive(&clerk, &verifier, time).await;
    let tally = finish(&load, connections).await;
    let took = began.elapsed();
    let mut report = Report::new(tally, took, &load.phases, &clerk, &verifier);
    report.lasting(lasting);
    report.grown(self::held() - held, MOST_GROWTH, self::rss() - rss, MOST_RSS_GROWTH);

    // Whatever still runs when the last of all that could use it is gone was left behind.
    accepting.abort();
    drop((load, verifier, clerk));
    report.left_behind(tasks_left().await);
    report
}

/// The whole of a guarded server. The service behind the layer answers with the caller's id.
async fn serve_guarded(verifier: &ClerkVerifier) -> (u16, JoinHandle<()>) {
    let clerk = ClerkMcp::builder()
        .resource(RESOURCE.parse().unwrap())
        .verifier(verifier.clone())
        .scopes(Scopes::parse("profile").unwrap())
        .build()
        .unwrap();
    let who = service_fn(|request: Request<Incoming>| async move {
        let caller = request.extensions().get::<AuthInfo>().map_or("", AuthInfo::user_id);
        Ok::<_, Infallible>(Response::new(Full::from(caller.to_owned())))
    });
    serve(clerk.well_known_layer().layer(clerk.bearer_auth_layer().layer(who))).await
}

/// Until all that is kept of tokens is as full as it gets, and every path was gone once.
async fn warm_up(load: &Arc<Load>, verifier: &ClerkVerifier) {
    for n in 0..11_000 {
        assert!(verify_clerk_token(verifier, &format!("oat_warm_up_{n}")).await.is_err());
    }
    let connections = connect(load);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let tally = finish(load, connections).await;
    assert_eq!(tally.wrong, [""; 0], "while all is well");
    load.stop.store(false, Ordering::SeqCst);
}

type Connections = Vec<JoinHandle<Tally>>;

fn connect(load: &Arc<Load>) -> Connections {
    (0..CONNECTIONS).map(|lane| tokio::spawn(client::connection(Arc::clone(load), lane))).collect()
}

async fn finish(load: &Load, connections: Connections) -> Tally {
    load.stop.store(true, Ordering::SeqCst);
    let mut all = Tally::default();
    for connection in connections {
        all.add(connection.await.unwrap());
    }
    all
}

/// How many tasks are left, once they have had the time to end that a call to Clerk has.
async fn tasks_left() -> usize {
    let began = Instant::now();
    loop {
        let alive = Handle::current().metrics().num_alive_tasks();
        if alive == 0 || began.elapsed() > Duration::from_secs(10) {
            return alive;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The bytes that are allocated now.
fn held() -> isize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated.cast_signed().wrapping_sub(stats.bytes_deallocated.cast_signed())
}

/// The memory that this process takes, where the machine tells.
fn rss() -> isize {
    const PAGE: isize = 4096;
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<isize>().ok()).unwrap_or_default() * PAGE
}
