//! The layers are ready whatever the inner service is, hold no place in it while they wait, and bound
//! the memory of the bodies they read.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use clerk_mcp_tools::access_policy::{AccessPolicyLayer, RequestBody};
use clerk_mcp_tools::bearer_auth::BearerAuthLayer;
use clerk_mcp_tools::testing::{Fault, ManualClock, Route};
use clerk_mcp_tools::{
    AccessPolicy, AuthLayer, MessageError, Rejection, RejectionReason, Scopes, verify_clerk_token,
};
use futures_util::FutureExt;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::Full;
use tokio::sync::{Notify, mpsc};
use tower::limit::ConcurrencyLimitLayer;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{EchoUser, Fixture, NOW, TestResponse, request, resource};

fn policy_layer() -> AccessPolicyLayer {
    let policy =
        AccessPolicy::baseline_by_default().tool("guarded", Scopes::parse("files:write").unwrap());
    AccessPolicyLayer::new(policy.build().unwrap(), resource())
}

/// A service that is never ready.
#[derive(Clone)]
struct Busy;

impl<B> Service<Request<B>> for Busy {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Pending<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Pending
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        panic!("called before it was ready")
    }
}

#[tokio::test]
async fn a_busy_service_delays_only_what_it_has_to_serve() {
    let fixture = Fixture::new().await;
    let clerk = fixture.clerk_mcp_builder().build().unwrap();
    let (verifier, token) = (fixture.verifier(), fixture.jwt());
    // The token is known, so that its request waits for nothing but the service.
    verify_clerk_token(&verifier, &token).await.unwrap();
    let auth = AuthLayer::new(BearerAuthLayer::new(verifier, resource()), policy_layer());
    let service = clerk.well_known_layer().layer(auth.layer(Busy));
    let good = format!("Bearer {token}");
    let preflight = [
        ("origin", "https://app.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization"),
    ];
    let document = "/.well-known/oauth-protected-resource/mcp";
    type Row<'a> = (Method, &'a str, &'a [(&'a str, &'a str)], Option<u16>);
    let rows: [Row<'_>; 5] = [
        (Method::GET, document, &[], Some(200)),
        (Method::OPTIONS, "/mcp", &preflight, Some(204)),
        (Method::POST, "/mcp", &[], Some(401)),
        (Method::POST, "/mcp", &[("authorization", "Bearer abc")], Some(401)),
        (Method::GET, "/mcp", &[("authorization", &good)], None),
    ];
    for (method, path, headers, expected) in rows {
        let mut service = service.clone();
        let request = request(method.clone(), path, headers);
        let mut context = Context::from_waker(Waker::noop());
        assert!(Service::<Request<Full<Bytes>>>::poll_ready(&mut service, &mut context).is_ready());
        let response = service.call(request).now_or_never();
        let status = response.map(|response| response.unwrap().status().as_u16());
        assert_eq!(status, expected, "{method} {path}");
    }
}

#[tokio::test]
async fn no_place_in_the_service_is_held_while_a_token_is_verified_or_a_body_is_read() {
    let fixture = Fixture::new().await;
    let layer = AuthLayer::new(fixture.layer(), policy_layer());
    let service = ServiceBuilder::new().layer(layer).layer(ConcurrencyLimitLayer::new(1));
    let service = service.service(EchoUser);
    let good = format!("Bearer {}", fixture.jwt());
    let unknown = format!("Bearer {}", fixture.opaque());
    let of = |credentials: &str, body| {
        Request::post("/mcp").header("authorization", credentials).body(body).unwrap()
    };
    let (fault, gate) = Fault::hold();
    fixture.clerk.fault(Route::VerifyAccessToken, fault);
    let (sender, body) = channel_body();

    let verifying = tokio::spawn(service.clone().oneshot(of(&unknown, channel_body().1)));
    gate.arrived(1).await;
    let mut reading = Box::pin(service.clone().oneshot(of(&good, body)));
    // The first poll may have to verify the token; the body then is the only thing to wait for.
    while !sender.is_read() {
        assert!(reading.as_mut().now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    let message = Frame::data(Bytes::from_static(br#"{"method":"ping"}"#));
    let (other, body) = channel_body();
    other.send(message);
    drop(other);
    let response = service.clone().oneshot(of(&good, body)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);

    drop((reading, sender));
    gate.open();
    drop(verifying);
}

/// A client that goes away while its request waits for the service must not keep a place in the
/// queue: its connection may send nothing for hours.
#[tokio::test]
async fn a_request_that_waits_is_served_and_one_that_is_dropped_keeps_no_place() {
    let fixture = Fixture::new().await;
    let clerk = fixture.clerk_mcp_builder().build().unwrap();
    let good = format!("Bearer {}", fixture.jwt());
    let get = |uri| request(Method::GET, uri, &[("authorization", &good)]);
    let go_on = Arc::new(Notify::new());
    let held = Arc::clone(&go_on);
    let limited = ServiceBuilder::new().layer(ConcurrencyLimitLayer::new(1));
    let limited = limited.service(service_fn(move |request: Request<Full<Bytes>>| {
        let held = Arc::clone(&held);
        async move {
            if request.uri().query() == Some("hold") {
                held.notified().await;
            }
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }
    }));
    let guarded = fixture.layer().layer(limited);
    // From now on the token is known, so that its requests wait for nothing but the service.
    let _ = guarded.clone().oneshot(get("/mcp")).await.unwrap();
    let service = clerk.well_known_layer().layer(guarded);

    let mut connections = std::array::from_fn::<_, 4, _>(|_| service.clone());
    let [holding, dropped, waiting, other] = &mut connections;
    let holding = tokio::spawn(holding.call(get("/mcp?hold")));
    tokio::task::yield_now().await;
    let mut dropped = Box::pin(dropped.call(get("/mcp")));
    assert!(dropped.as_mut().now_or_never().is_none());
    let waiting = tokio::spawn(waiting.call(get("/mcp")));
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    // The connection of this request stays open.
    drop(dropped);
    go_on.notify_one();
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(holding.is_finished() && waiting.is_finished());
    assert_eq!(waiting.await.unwrap().unwrap().status(), StatusCode::OK);
    let response = other.call(get("/mcp")).now_or_never().unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

/// A service that is ready, and counts its clones.
struct CountsClones(Arc<AtomicUsize>);

impl Clone for CountsClones {
    fn clone(&self) -> Self {
        self.0.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

impl<B> Service<Request<B>> for CountsClones {
    type Response = Response<Full<Bytes>>;
    type Error = &'static str;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        std::future::ready(Ok(Response::new(Full::default())))
    }
}

/// Servers may be expensive to clone: that of rmcp clones lists of hosts.
#[tokio::test]
async fn a_service_that_is_ready_is_not_cloned() {
    let fixture = Fixture::new().await;
    let clerk = fixture.clerk_mcp_builder().build().unwrap();
    let clones = Arc::new(AtomicUsize::new(0));
    let layers = AuthLayer::new(fixture.layer(), policy_layer());
    let mut service = clerk.well_known_layer().layer(layers.layer(CountsClones(clones.clone())));
    let good = format!("Bearer {}", fixture.jwt());
    let get = || request(Method::GET, "/mcp", &[("authorization", &good)]);
    // The first request waits for the key set, with a clone of the service.
    assert_eq!(service.call(get()).await.unwrap().status(), StatusCode::OK);
    clones.store(0, Ordering::Relaxed);
    for _ in 0..3 {
        assert_eq!(service.call(get()).await.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(clones.load(Ordering::Relaxed), 0);
}

/// A service that cannot be made ready, and panics if it is used after it has said so.
#[derive(Default)]
struct Broken {
    has_failed: bool,
    /// How often it says that it is not ready yet.
    pending: usize,
}

impl Clone for Broken {
    fn clone(&self) -> Self {
        Self { has_failed: false, pending: self.pending }
    }
}

impl<B> Service<Request<B>> for Broken {
    type Response = Response<Full<Bytes>>;
    type Error = &'static str;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        assert!(!self.has_failed, "used after it has failed");
        if self.pending > 0 {
            self.pending -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.has_failed = true;
        Poll::Ready(Err("broken"))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        panic!("called although it is not ready")
    }
}

#[tokio::test]
async fn the_error_of_a_service_that_cannot_be_made_ready_is_passed_on() {
    let fixture = Fixture::new().await;
    let clerk = fixture.clerk_mcp_builder().build().unwrap();
    let good = format!("Bearer {}", fixture.jwt());
    let get = || request(Method::GET, "/mcp", &[("authorization", &good)]);
    for pending in [0, 1] {
        let broken = Broken { pending, ..Broken::default() };
        let mut guarded = fixture.layer().layer(broken.clone());
        let mut with_policy = policy_layer().layer(broken.clone());
        let mut well_known = clerk.well_known_layer().layer(broken);
        for case in ["a token that is not known yet", "a known one", "another request"] {
            assert_eq!(guarded.call(get()).await.unwrap_err(), "broken", "{case}");
            let without_body = Request::get("/mcp").body(Full::<Bytes>::default()).unwrap();
            assert_eq!(with_policy.call(without_body).await.unwrap_err(), "broken", "{case}");
            let message = Full::<Bytes>::from(r#"{"method":"ping"}"#);
            let message = Request::post("/mcp").body(message).unwrap();
            assert_eq!(with_policy.call(message).await.unwrap_err(), "broken", "{case}");
            assert_eq!(well_known.call(get()).await.unwrap_err(), "broken", "{case}");
        }
    }
}

/// A body whose frames a test sends one by one.
fn channel_body() -> (FrameSender, ChannelBody) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let is_read = Arc::new(AtomicBool::new(false));
    let body = ChannelBody { receiver, is_read: Arc::clone(&is_read) };
    (FrameSender { sender, is_read }, body)
}

struct FrameSender {
    sender: mpsc::UnboundedSender<Frame<Bytes>>,
    is_read: Arc<AtomicBool>,
}

impl FrameSender {
    fn send(&self, frame: Frame<Bytes>) {
        self.sender.send(frame).unwrap();
    }

    /// Returns whether somebody waits for a frame.
    fn is_read(&self) -> bool {
        self.is_read.load(Ordering::Relaxed)
    }
}

struct ChannelBody {
    receiver: mpsc::UnboundedReceiver<Frame<Bytes>>,
    is_read: Arc<AtomicBool>,
}

impl Body for ChannelBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.is_read.store(true, Ordering::Relaxed);
        self.receiver.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}

#[tokio::test]
async fn the_bodies_that_are_being_read_share_a_budget() {
    const FREE: usize = 16 * 1024;
    let served = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&served);
    let service = policy_layer().max_total_body_bytes(1000).layer(service_fn(
        move |_: Request<RequestBody<ChannelBody>>| {
            count.fetch_add(1, Ordering::Relaxed);
            async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
        },
    ));
    let start = |first: usize| {
        let (sender, body) = channel_body();
        sender.send(Frame::data(vec![b' '; first].into()));
        let response = service.clone().oneshot(Request::post("/mcp").body(body).unwrap());
        (sender, Box::pin(response))
    };
    let message = || Frame::data(Bytes::from_static(br#"{"method":"ping"}"#));

    let (large_sender, mut large) = start(FREE + 900);
    assert!(large.as_mut().now_or_never().is_none());
    // A second large body does not fit.
    let (_sender, rejected) = start(FREE + 101);
    let rejected = TestResponse::read(rejected.await.unwrap()).await;
    assert_eq!(rejected.status, StatusCode::SERVICE_UNAVAILABLE);
    rejected.assert_headers(
        [
            ("access-control-allow-origin", "*"),
            ("access-control-expose-headers", "Retry-After"),
            ("cache-control", "no-store"),
            ("content-type", "application/json"),
            ("retry-after", "5"),
        ],
        "over the budget",
    );
    assert_eq!(
        rejected.body,
        r#"{"error":"temporarily_unavailable","error_description":"The server is reading too many large request bodies at the moment"}"#
    );
    let reason = RejectionReason::Message(MessageError::NoCapacity);
    assert_eq!(rejected.extensions.get::<Rejection>().unwrap().reason(), reason);
    // Messages of an ordinary size pass, and one that just fits.
    for first in [0, FREE - 100, FREE + 50] {
        let (sender, response) = start(first);
        sender.send(message());
        drop(sender);
        assert_eq!(response.await.unwrap().status(), StatusCode::OK, "{first}");
    }
    assert_eq!(served.load(Ordering::Relaxed), 3);
    // A body that was read, and one whose request was dropped, give their part back.
    large_sender.send(message());
    drop(large_sender);
    assert_eq!(large.await.unwrap().status(), StatusCode::OK);
    let (_sender, mut dropped) = start(FREE + 1000);
    assert!(dropped.as_mut().now_or_never().is_none());
    drop(dropped);
    let (sender, response) = start(FREE + 983);
    sender.send(message());
    drop(sender);
    assert_eq!(response.await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_body_has_a_time_limit() {
    let clock = ManualClock::new(NOW);
    let layer = policy_layer().body_timeout(Duration::from_secs(10)).clock(clock.clone());
    let service = layer.layer(service_fn(|_: Request<RequestBody<ChannelBody>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    }));
    let (slow_sender, body) = channel_body();
    let mut slow = Box::pin(service.clone().oneshot(Request::post("/mcp").body(body).unwrap()));
    let (sender, body) = channel_body();
    let mut in_time = Box::pin(service.oneshot(Request::post("/mcp").body(body).unwrap()));
    for advance in [0, 9] {
        clock.advance(Duration::from_secs(advance));
        slow_sender.send(Frame::data(Bytes::from_static(b" ")));
        assert!(slow.as_mut().now_or_never().is_none());
        assert!(in_time.as_mut().now_or_never().is_none());
    }
    sender.send(Frame::data(Bytes::from_static(br#"{"method":"ping"}"#)));
    drop(sender);
    assert_eq!(in_time.await.unwrap().status(), StatusCode::OK);
    clock.advance(Duration::from_secs(1));
    let response = TestResponse::read(slow.await.unwrap()).await;
    assert_eq!(response.status, StatusCode::REQUEST_TIMEOUT);
    assert_eq!(
        response.body,
        r#"{"error":"request_timeout","error_description":"The request body did not arrive in time"}"#
    );
}
