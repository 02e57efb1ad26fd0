//! The allocations of a request, and the memory that floods of tokens leave behind.
//!
//! ```sh
//! cargo bench --bench memory
//! ```
//!
//! Separate from `ratios` because counting allocations takes time. A wrong count ends the run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark fails by panicking, and prints its results"
)]

mod floods;
#[path = "../support/mod.rs"]
mod support;

use std::alloc::System;

use clerk_mcp_tools::bearer_auth::BearerAuthLayer;
use clerk_mcp_tools::verify_clerk_token;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tower::{Layer, Service};

use crate::support::fixture::{Fixture, resource};
use crate::support::measure::{empty_service, poll_once};
use crate::support::table::{print_head, print_machine, print_row};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    print_machine();
    cached_token();
    floods::run();
}

fn cached_token() {
    let fixture = Fixture::new();
    let (verifier, token) = (fixture.warm_verifier(), fixture.jwt());
    poll_once(verify_clerk_token(&verifier, &token)).unwrap();
    let credentials = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
    let request = |with_extension: bool| {
        let mut request = Request::new(Full::default());
        // As every message of MCP; the response to a `GET` also gets a `Vary`.
        *request.method_mut() = Method::POST;
        request.headers_mut().insert("authorization", credentials.clone());
        if with_extension {
            request.extensions_mut().insert(0_u8);
        }
        request
    };
    let mut empty = empty_service();
    let mut guarded = BearerAuthLayer::new(verifier, resource()).layer(empty_service());
    print_head(
        "Allocations of a cached token through the layer, beyond those of the empty inner service",
    );
    // The caller is put into the extensions, which box it; the first one also allocates the map, in
    // two pieces.
    for (case, with_extension, goal) in
        [("request with an extension", true, 1), ("request without extensions", false, 3)]
    {
        let mut counted = [0; 2];
        for _ in 0..2 {
            counted[0] = allocations(|| drop(poll_once(empty.call(request(with_extension)))));
            counted[1] = allocations(|| {
                assert_eq!(
                    poll_once(guarded.call(request(with_extension))).unwrap().status(),
                    StatusCode::OK
                );
            });
        }
        let more = counted[1] - counted[0];
        print_row(case, &format!("{more} more"), &format!("at most {goal}"), more <= goal);
    }
}

fn allocations(run: impl FnOnce()) -> usize {
    let region = Region::new(ALLOCATOR);
    run();
    region.change().allocations
}
