//! Criterion's view of the paths of a request, for following one of them through a change.
//!
//! ```sh
//! cargo bench --bench verify
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a benchmark that cannot go on has failed"
)]

use std::convert::Infallible;
use std::future::{Future, ready};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use clerk_mcp_tools::bearer_auth::BearerAuthLayer;
use clerk_mcp_tools::instance::FrontendApi;
use clerk_mcp_tools::metadata::ProtectedResourceMetadata;
use clerk_mcp_tools::services::ProtectedResourceService;
use clerk_mcp_tools::testing::FakeClerk;
use clerk_mcp_tools::{ClerkVerifier, ResourceUrl, SecretKey, verify_clerk_token};
use criterion::{Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, service_fn};

const RESOURCE: &str = "https://mcp.example.com/mcp";

fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the path that is measured waits for something"),
    }
}

fn verification(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let clerk = runtime.block_on(FakeClerk::start()).unwrap();
    let verifier = |jwts_for| {
        let verifier = ClerkVerifier::builder()
            .frontend_api(FrontendApi::parse(clerk.frontend_api_url()).unwrap())
            .secret_key(SecretKey::parse(clerk.secret_key()).unwrap())
            .backend_api(clerk.backend_api_url().parse().unwrap())
            .resource(RESOURCE.parse().unwrap())
            .jwt_cache_ttl(jwts_for)
            .build()
            .unwrap();
        runtime.block_on(verifier.warm_up()).unwrap();
        verifier
    };
    let (known, forgetful) = (verifier(Duration::from_secs(3600)), verifier(Duration::ZERO));
    let jwt = clerk.mint().audience(RESOURCE).jwt();
    let opaque = clerk.mint().audience(RESOURCE).opaque();
    let foreign = clerk.mint().audience(RESOURCE).foreign_key().jwt();
    runtime.block_on(verify_clerk_token(&known, &jwt)).unwrap();
    runtime.block_on(verify_clerk_token(&known, &opaque)).unwrap();
    // Has the newer keys asked for that its signature might be of, so that no later look waits for them.
    runtime.block_on(verify_clerk_token(&known, &foreign)).unwrap_err();

    let mut group = criterion.benchmark_group("verify");
    group.bench_function("jwt, not remembered", |b| {
        b.iter(|| now(verify_clerk_token(&forgetful, black_box(&jwt))))
    });
    group.bench_function("jwt, known", |b| {
        b.iter(|| now(verify_clerk_token(&known, black_box(&jwt))))
    });
    group.bench_function("opaque, known", |b| {
        b.iter(|| now(verify_clerk_token(&known, black_box(&opaque))))
    });
    group.bench_function("jwt, foreign signature", |b| {
        b.iter(|| now(verify_clerk_token(&known, black_box(&foreign))))
    });
    group.finish();

    let inner = service_fn(|_: Request<Full<Bytes>>| {
        ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
    });
    let mut guarded = BearerAuthLayer::new(known, RESOURCE.parse().unwrap()).layer(inner);
    let mut group = criterion.benchmark_group("layer");
    for (what, token) in
        [("known jwt", jwt), ("known opaque", opaque), ("garbage of 1 kB", "g".repeat(1024))]
    {
        let credentials = http::HeaderValue::try_from(format!("Bearer {token}")).unwrap();
        group.bench_function(what, |b| {
            b.iter(|| {
                let mut request = Request::new(Full::default());
                request.headers_mut().insert("authorization", credentials.clone());
                now(guarded.call(black_box(request)))
            });
        });
    }
    group.finish();
}

fn metadata(criterion: &mut Criterion) {
    let resource: ResourceUrl = RESOURCE.parse().unwrap();
    let document = ProtectedResourceMetadata::builder(&resource)
        .authorization_server("https://clerk.example.com")
        .build()
        .unwrap();
    let mut service = ProtectedResourceService::new(&document);
    criterion.bench_function("metadata/protected resource", |b| {
        b.iter(|| now(service.call(black_box(Request::new(())))));
    });
}

criterion_group!(benches, verification, metadata);
criterion_main!(benches);
