//! Criterion benchmarks of the paths of a request, to follow one of them across changes.
//!
//! ```sh
//! cd benches/criterion && cargo bench
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark fails by panicking, and prints its results"
)]

#[path = "../support/mod.rs"]
mod support;

use std::hint::black_box;
use std::time::Duration;

use clerk_mcp_tools::bearer_auth::BearerAuthLayer;
use clerk_mcp_tools::metadata::ProtectedResourceMetadata;
use clerk_mcp_tools::services::ProtectedResourceService;
use clerk_mcp_tools::verify_clerk_token;
use criterion::{Criterion, criterion_group, criterion_main};
use http::Request;
use http_body_util::Full;
use tower::{Layer, Service};

use crate::support::fixture::{Fixture, RESOURCE, resource};
use crate::support::measure::{empty_service, poll_once};

fn verification(criterion: &mut Criterion) {
    let fixture = Fixture::new();
    let verifier = |jwt_cache_ttl| fixture.warm_up(fixture.builder().jwt_cache_ttl(jwt_cache_ttl));
    let (caching, uncached) = (verifier(Duration::from_secs(3600)), verifier(Duration::ZERO));
    let jwt = fixture.jwt();
    let opaque = fixture.clerk.mint().audience(RESOURCE).opaque();
    let forged = fixture.clerk.mint().audience(RESOURCE).foreign_key().jwt();
    fixture.runtime.block_on(verify_clerk_token(&caching, &jwt)).unwrap();
    fixture.runtime.block_on(verify_clerk_token(&caching, &opaque)).unwrap();
    // The first invalid signature causes a fetch of the keys; the measured ones must not wait for
    // it.
    fixture.runtime.block_on(verify_clerk_token(&caching, &forged)).unwrap_err();

    let mut group = criterion.benchmark_group("verify");
    group.bench_function("jwt, not cached", |b| {
        b.iter(|| poll_once(verify_clerk_token(&uncached, black_box(&jwt))))
    });
    group.bench_function("jwt, cached", |b| {
        b.iter(|| poll_once(verify_clerk_token(&caching, black_box(&jwt))))
    });
    group.bench_function("opaque, cached", |b| {
        b.iter(|| poll_once(verify_clerk_token(&caching, black_box(&opaque))))
    });
    group.bench_function("jwt, invalid signature", |b| {
        b.iter(|| poll_once(verify_clerk_token(&caching, black_box(&forged))))
    });
    group.finish();

    let mut guarded = BearerAuthLayer::new(caching, resource()).layer(empty_service());
    let mut group = criterion.benchmark_group("layer");
    for (case, token) in
        [("cached jwt", jwt), ("cached opaque", opaque), ("garbage of 1 kB", "g".repeat(1024))]
    {
        let credentials = http::HeaderValue::try_from(format!("Bearer {token}")).unwrap();
        group.bench_function(case, |b| {
            b.iter(|| {
                let mut request = Request::new(Full::default());
                request.headers_mut().insert("authorization", credentials.clone());
                poll_once(guarded.call(black_box(request)))
            });
        });
    }
    group.finish();
}

fn metadata(criterion: &mut Criterion) {
    let document = ProtectedResourceMetadata::builder(&resource())
        .authorization_server("https://clerk.example.com")
        .build()
        .unwrap();
    let mut service = ProtectedResourceService::new(&document);
    criterion.bench_function("metadata/protected resource", |b| {
        b.iter(|| poll_once(service.call(black_box(Request::new(())))));
    });
}

criterion_group!(benches, verification, metadata);
criterion_main!(benches);
