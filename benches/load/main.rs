//! A load test with mixed requests, while Clerk fails in one way after another.
//!
//! ```sh
//! cargo bench --bench load           # 30 seconds
//! cargo bench --bench load -- 300    # 300 seconds
//! cargo bench --bench load -- members    # 1,000,000 requests of the members of organizations only
//! ```
//!
//! It fails if a response is wrong, if memory grows, or if a task is left behind. With 30 seconds or
//! more it also simulates a day without Clerk and a flood of unknown tokens.
//! `cargo test --bench load -- 3` does the same in a build with debug assertions.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a load test fails by panicking, and prints its results"
)]

mod changing_key;
mod client;
mod day;
mod fast_clock;
mod members;
mod phases;
mod quota;
mod relay;
mod report;
mod requests;
mod runtimes;
#[path = "../support/mod.rs"]
mod support;

use std::alloc::System;
use std::convert::Infallible;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clerk_mcp_tools::access_policy::RequestBody;
use clerk_mcp_tools::testing::FakeClerk;
use clerk_mcp_tools::{AuthInfo, ClerkMcp, ClerkVerifier, Scopes, verify_clerk_token};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tower::{Layer, service_fn};

use crate::fast_clock::FastClock;
use crate::phases::Phases;
use crate::relay::Relay;
use crate::report::{Report, Tally};
use crate::requests::Requests;
use crate::runtimes::Runtimes;
use crate::support::fixture::{Fixture, RESOURCE};
use crate::support::server::serve;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SECONDS: u64 = 30;
const CONNECTIONS: u64 = 64;
/// The bound on the growth of the heap since the warm-up: 10,000 cached rejections, and the
/// overhead of the allocator.
const MAX_HEAP_GROWTH: isize = 8 * 1024 * 1024;
const MAX_RSS_GROWTH: isize = 32 * 1024 * 1024;
const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The state that all connections share.
struct Load {
    port: u16,
    requests: Requests,
    phases: Phases,
    stop: AtomicBool,
}

fn main() -> ExitCode {
    if std::env::args().any(|arg| arg == "members") {
        return run_members();
    }
    let seconds = std::env::args().find_map(|arg| arg.parse().ok());
    // `cargo test --benches` runs this without `--bench`, only to check that it builds.
    let Some(seconds) =
        seconds.or_else(|| std::env::args().any(|arg| arg == "--bench").then_some(SECONDS))
    else {
        return ExitCode::SUCCESS;
    };
    support::table::print_machine();
    let clock = FastClock::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let relay = runtime.block_on(Relay::start());
    let clerk = FakeClerk::builder().clock(clock.clone()).token_lifetime(MONTH);
    let clerk = runtime.block_on(clerk.origin(&relay.origin).start()).unwrap();
    relay.lead_to(clerk.address().port());
    let fixture = Fixture { clerk, runtime };
    let verifier =
        fixture.builder().clock(clock.clone()).token_cache_bytes(512 * 1024).build().unwrap();
    let Fixture { clerk, runtime } = fixture;
    let mut report =
        runtime.block_on(run(clerk, relay, verifier, clock, Duration::from_secs(seconds)));
    if seconds >= SECONDS {
        day::run(&mut report);
        quota::run(&mut report);
    }
    report.print();
    if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs only the requests of members of organizations.
fn run_members() -> ExitCode {
    support::table::print_machine();
    let size = members::Size { users: 10_000, organizations: 1_000, requests: 1_000_000 };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let began = Instant::now();
    let outcome = runtime.block_on(members::run(size));
    println!("{size:?}\n{outcome:#?}\nin {:.1?}", began.elapsed());
    let is_good = outcome.calls <= outcome.max_calls
        && (outcome.rejected, outcome.outage_rejected, outcome.revoked_after) == (0, 0, 30);
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn run(
    clerk: FakeClerk,
    relay: Relay,
    verifier: ClerkVerifier,
    clock: FastClock,
    time: Duration,
) -> Report {
    verifier.warm_up().await.unwrap();
    let (port, accepting) = serve_guarded(&verifier).await;
    let load = Arc::new(Load {
        port,
        requests: Requests::new(&clerk, clock),
        phases: Phases::new(),
        stop: AtomicBool::new(false),
    });
    warm_up(&load, &verifier).await;
    let (heap, rss) = (heap_bytes(), rss());
    let began = Instant::now();
    let connections = connect(&load);
    let runtimes = Runtimes::start(&verifier);
    let changing_key = &load.requests.changing_key;
    let unrecovered = load.phases.drive(&clerk, &relay, &verifier, changing_key, time).await;
    let ended_runtimes = runtimes.finish();
    let tally = finish(&load, connections).await;
    let took = began.elapsed();
    let mut report = Report::new(tally, took, &load.phases, &clerk, &verifier);
    report.add_key_changes(load.requests.changing_key.changes());
    report.add_unrecovered(unrecovered);
    report.add_runtimes(ended_runtimes);
    report.add_growth(heap_bytes() - heap, MAX_HEAP_GROWTH, self::rss() - rss, MAX_RSS_GROWTH);

    // All users of background tasks are dropped; tasks that still run have been left behind.
    accepting.abort();
    drop((load, verifier, clerk, relay));
    report.add_remaining_tasks(remaining_tasks().await);
    report
}

/// Starts a guarded server, whose inner service responds with the id of the user.
async fn serve_guarded(verifier: &ClerkVerifier) -> (u16, JoinHandle<()>) {
    let clerk = ClerkMcp::builder()
        .resource(RESOURCE.parse().unwrap())
        .verifier(verifier.clone())
        .scopes(Scopes::parse("profile").unwrap())
        .build()
        .unwrap();
    let echo_user = service_fn(|request: Request<RequestBody<Incoming>>| async move {
        let caller =
            request.extensions().get::<AuthInfo>().and_then(AuthInfo::user_id).unwrap_or_default();
        Ok::<_, Infallible>(Response::new(Full::from(caller.to_owned())))
    });
    serve(clerk.well_known_layer().layer(clerk.auth_layer().layer(echo_user))).await
}

/// Fills the caches, and takes every path at least once.
async fn warm_up(load: &Arc<Load>, verifier: &ClerkVerifier) {
    for n in 0..11_000 {
        assert!(verify_clerk_token(verifier, &format!("oat_warm_up_{n}")).await.is_err());
    }
    let connections = connect(load);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let tally = finish(load, connections).await;
    assert!(tally.wrong.is_empty(), "wrong responses before any failure: {:#?}", tally.wrong);
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

/// Returns the number of tasks that remain after the timeout of a call to Clerk.
async fn remaining_tasks() -> usize {
    let began = Instant::now();
    loop {
        let alive = Handle::current().metrics().num_alive_tasks();
        if alive == 0 || began.elapsed() > Duration::from_secs(10) {
            return alive;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The size of the heap.
fn heap_bytes() -> isize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated.cast_signed().wrapping_sub(stats.bytes_deallocated.cast_signed())
}

/// The resident set size of this process, or 0 where `/proc` is not available.
fn rss() -> isize {
    const PAGE: isize = 4096;
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<isize>().ok()).unwrap_or_default() * PAGE
}
