//! The caller of each request as attributes of OpenTelemetry spans.
//!
//! ```sh
//! cargo run --manifest-path examples/opentelemetry/Cargo.toml
//! ```
//!
//! It sends two requests to a guarded server in the same process, with a fake Clerk, and prints the
//! spans of both: that of the first has `enduser.id`, `oauth.client_id` and `oauth.scopes`, that of
//! the second, without a token, has none of them. A server replaces the exporter by one of
//! `opentelemetry-otlp`.

use std::error::Error;

use axum::body::Body;
use axum::http::Request;
use axum::{Router, routing};
use clerk_mcp_tools::testing::FakeClerk;
use clerk_mcp_tools::{ClerkMcp, ClerkVerifier, Scopes};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tower::ServiceExt;
use tower_http::trace::TraceLayer;
use tracing::field::Empty;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

const RESOURCE: &str = "https://mcp.example.com/mcp";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(opentelemetry_stdout::SpanExporter::default())
        .build();
    let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("example"));
    tracing_subscriber::registry().with(spans).init();

    let fake = FakeClerk::start().await?;
    let router = router(&guard(&fake)?);
    let token = fake.mint().audience(RESOURCE).client_id("client_1").jwt();
    for credentials in [Some(format!("Bearer {token}")), None] {
        let mut request = Request::post("/mcp");
        if let Some(credentials) = credentials {
            request = request.header("authorization", credentials);
        }
        let response = router.clone().oneshot(request.body(Body::empty())?).await?;
        println!("the status is {}", response.status().as_u16());
    }
    provider.shutdown()?;
    Ok(())
}

fn guard(fake: &FakeClerk) -> Result<ClerkMcp, Box<dyn Error>> {
    let clerk = ClerkMcp::builder()
        .resource(RESOURCE.parse()?)
        .verifier(ClerkVerifier::builder().frontend_api(fake.frontend_api()).build()?)
        .scopes(Scopes::parse("profile email")?)
        .build()?;
    Ok(clerk)
}

/// Returns the guarded service, with a span for each request around the guard.
fn router(clerk: &ClerkMcp) -> Router {
    let router = clerk.mount(Router::new(), routing::any(|| async {}));
    // The guard records the caller in those of these fields that the span has.
    router.layer(TraceLayer::new_for_http().make_span_with(|request: &Request<Body>| {
        let method = request.method().as_str();
        tracing::info_span!(
            "request",
            http.request.method = method,
            enduser.id = Empty,
            oauth.client_id = Empty,
            oauth.scopes = Empty,
        )
    }))
}
