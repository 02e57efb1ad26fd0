//! A stand-in for Clerk, tokens of its, and the ways to measure.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clerk_mcp_tools::instance::FrontendApi;
use clerk_mcp_tools::testing::{FakeClerk, FakeClerkBuilder};
use clerk_mcp_tools::{ClerkVerifier, ClerkVerifierBuilder, ResourceUrl, SecretKey};
use http::{Request, Response};
use http_body_util::Full;
use tower::util::ServiceFn;

pub(crate) const RESOURCE: &str = "https://mcp.example.com/mcp";

pub(crate) struct Fixture {
    pub(crate) clerk: FakeClerk,
    pub(crate) runtime: tokio::runtime::Runtime,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(|clerk| clerk)
    }

    pub(crate) fn with(settings: impl FnOnce(FakeClerkBuilder) -> FakeClerkBuilder) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let clerk = runtime.block_on(settings(FakeClerk::builder()).start()).unwrap();
        Self { clerk, runtime }
    }

    pub(crate) fn builder(&self) -> ClerkVerifierBuilder {
        ClerkVerifier::builder()
            .frontend_api(FrontendApi::parse(self.clerk.frontend_api_url()).unwrap())
            .secret_key(SecretKey::parse(self.clerk.secret_key()).unwrap())
            .backend_api(self.clerk.backend_api_url().parse().unwrap())
            .resource(resource())
    }

    /// A verifier that has its keys.
    pub(crate) fn warm_verifier(&self) -> ClerkVerifier {
        let verifier = self.builder().build().unwrap();
        self.runtime.block_on(verifier.warm_up()).unwrap();
        verifier
    }

    pub(crate) fn jwt(&self) -> String {
        self.clerk.mint().audience(RESOURCE).jwt()
    }
}

pub(crate) fn resource() -> ResourceUrl {
    ResourceUrl::parse(RESOURCE).unwrap()
}

pub(crate) type EmptyService = ServiceFn<fn(Request<Full<Bytes>>) -> Answered>;
type Answered = Ready<Result<Response<Full<Bytes>>, Infallible>>;

/// A service that answers at once with nothing.
pub(crate) fn empty_service() -> EmptyService {
    tower::service_fn(answer as fn(Request<Full<Bytes>>) -> Answered)
}

fn answer(_: Request<Full<Bytes>>) -> Answered {
    ready(Ok(Response::new(Full::default())))
}

/// The output of a future that has nothing to wait for.
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the path that is measured waits for something"),
    }
}

/// A path, and how often a round goes down it.
pub(crate) struct Path<'a> {
    pub(crate) run: Box<dyn FnMut(usize) + 'a>,
    pub(crate) times: usize,
}

impl<'a> Path<'a> {
    pub(crate) fn new(times: usize, run: impl FnMut(usize) + 'a) -> Self {
        Self { run: Box::new(run), times }
    }
}

/// The median time of each path, in nanoseconds.
pub(crate) fn measure(rounds: usize, mut paths: Vec<Path<'_>>) -> Vec<f64> {
    let mut times = vec![Vec::new(); paths.len()];
    for round in 0..=rounds {
        for (path, times) in paths.iter_mut().zip(&mut times) {
            let took = elapsed(|| (0..path.times).for_each(&mut path.run));
            // The first round only warms up.
            if round > 0 {
                times.push(took.as_nanos() as f64 / path.times as f64);
            }
        }
    }
    times.into_iter().map(median).collect()
}

pub(crate) fn elapsed(run: impl FnOnce()) -> Duration {
    let began = Instant::now();
    run();
    began.elapsed()
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
