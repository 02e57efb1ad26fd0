//! What the paths of a request allocate, and what floods of tokens leave behind.
//!
//! ```sh
//! cargo bench --bench memory
//! ```
//!
//! Apart from the ratios, since counting allocations costs time. A wrong count ends the run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    dead_code,
    reason = "a benchmark that cannot go on has failed, what it finds it prints, and half of its setup is for the others"
)]

mod floods;
mod setup;
mod table;

use std::alloc::System;

use clerk_mcp_tools::bearer_auth::BearerAuthLayer;
use clerk_mcp_tools::verify_clerk_token;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Full;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tower::{Layer, Service};

use crate::setup::{Fixture, empty_service, now, resource};
use crate::table::{print_head, print_machine, print_row};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    print_machine();
    known_token();
    floods::run();
}

fn known_token() {
    let fixture = Fixture::new();
    let (verifier, token) = (fixture.warm_verifier(), fixture.jwt());
    now(verify_clerk_token(&verifier, &token)).unwrap();
    let credentials = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
    let request = |with_extension: bool| {
        let mut request = Request::new(Full::default());
        request.headers_mut().insert("authorization", credentials.clone());
        if with_extension {
            request.extensions_mut().insert(0_u8);
        }
        request
    };
    let mut empty = empty_service();
    let mut guarded = BearerAuthLayer::new(verifier, resource()).layer(empty_service());
    print_head(
        "Allocations of a known token through the layer, beyond those of the empty service inside it",
    );
    // A map of extensions is made with the first one: that costs two allocations, whoever needs it.
    for (what, with_extension, goal) in
        [("request with an extension", true, 2), ("request without", false, 2)]
    {
        let mut counted = [0; 2];
        for _ in 0..2 {
            counted[0] = allocations(|| drop(now(empty.call(request(with_extension)))));
            counted[1] = allocations(|| {
                assert_eq!(
                    now(guarded.call(request(with_extension))).unwrap().status(),
                    StatusCode::OK
                );
            });
        }
        let more = counted[1] - counted[0];
        print_row(what, &format!("{more} more"), "at most 2", more <= goal);
    }
}

fn allocations(run: impl FnOnce()) -> usize {
    let region = Region::new(ALLOCATOR);
    run();
    region.change().allocations
}
