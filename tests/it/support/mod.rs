//! What the tests share.
//!
//! - [`Fixture`]: a fake Clerk with a manual clock, and verifiers, layers and tokens for it.
//! - [`guarded`], [`collect_responses`]: a layer or a service as a [`TestService`], whose responses
//!   are read to the end into a [`TestResponse`].
//! - [`request`], [`send`], [`call`], [`post_message`]: requests to such a service.
//! - [`error_kind`], [`spawn_verify`]: a token verified by `verify_clerk_token`.
//! - [`json_fault`]: a response of the fake Clerk with this body.
//! - [`proxy`]: a TCP proxy that fails on demand.

pub(crate) mod proxy;

use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use clerk_mcp_tools::bearer_auth::BearerAuthLayer;
use clerk_mcp_tools::instance::FrontendApi;
use clerk_mcp_tools::testing::{FakeClerk, FakeClerkBuilder, Fault, ManualClock, Route};
use clerk_mcp_tools::{
    AuthInfo, ClerkMcp, ClerkMcpBuilder, ClerkVerifier, ClerkVerifierBuilder, ResourceUrl, Scopes,
    SecretKey, VerifyError, VerifyErrorKind, verify_clerk_token,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tokio::task::JoinHandle;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceExt};

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const RESOURCE: &str = "https://mcp.example.com/mcp";

/// The response body of the inner service for requests without an authenticated caller.
pub(crate) const ANONYMOUS: &str = "anonymous";

/// A fake Clerk, and the manual clock that it shares with the verifiers.
pub(crate) struct Fixture {
    pub(crate) clerk: FakeClerk,
    pub(crate) clock: ManualClock,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with(|clerk| clerk).await
    }

    pub(crate) async fn with(configure: impl FnOnce(FakeClerkBuilder) -> FakeClerkBuilder) -> Self {
        let clock = ManualClock::new(NOW);
        let clerk = configure(FakeClerk::builder().clock(clock.clone())).start().await.unwrap();
        Self { clerk, clock }
    }

    /// A verifier for [`RESOURCE`] with the secret key. The rate of its calls is not limited, since
    /// the clock stands still.
    pub(crate) fn verifier(&self) -> ClerkVerifier {
        self.verifier_builder().build().unwrap()
    }

    pub(crate) fn verifier_builder(&self) -> ClerkVerifierBuilder {
        self.public_verifier_builder()
            .secret_key(SecretKey::parse(self.clerk.secret_key()).unwrap())
            .max_calls_per_ten_seconds(1_000_000)
    }

    /// The same without the secret key.
    pub(crate) fn public_verifier_builder(&self) -> ClerkVerifierBuilder {
        ClerkVerifier::builder()
            .frontend_api(FrontendApi::parse(self.clerk.frontend_api_url()).unwrap())
            .backend_api(self.clerk.backend_api_url().parse().unwrap())
            .resource(resource())
            .clock(self.clock.clone())
    }

    /// A verifier that has fetched the key set.
    pub(crate) async fn warm_verifier(&self) -> ClerkVerifier {
        let verifier = self.verifier();
        verifier.warm_up().await.unwrap();
        verifier
    }

    /// The layer for [`RESOURCE`] that requires `profile` and `email`.
    pub(crate) fn layer(&self) -> BearerAuthLayer<ClerkVerifier> {
        BearerAuthLayer::new(self.verifier(), resource())
            .required_scopes(Scopes::parse("profile email").unwrap())
    }

    /// The builder for [`RESOURCE`] with the verifier, requiring `profile` and `email`.
    pub(crate) fn clerk_mcp_builder(&self) -> ClerkMcpBuilder {
        ClerkMcp::builder()
            .resource(resource())
            .verifier(self.verifier())
            .scopes(Scopes::parse("profile email").unwrap())
    }

    /// A valid JWT for [`RESOURCE`].
    pub(crate) fn jwt(&self) -> String {
        self.clerk.mint().audience(RESOURCE).jwt()
    }

    /// The same, issued long before the key set is fetched: no newer key can have signed it.
    pub(crate) fn earlier_jwt(&self) -> String {
        self.clerk.mint().audience(RESOURCE).issued_at(NOW - 3600).jwt()
    }

    /// A valid opaque token for [`RESOURCE`].
    pub(crate) fn opaque(&self) -> String {
        self.clerk.mint().audience(RESOURCE).opaque()
    }

    pub(crate) fn key_set_calls(&self) -> usize {
        self.clerk.calls(Route::Jwks)
    }

    pub(crate) fn introspection_calls(&self) -> usize {
        self.clerk.calls(Route::VerifyAccessToken)
    }

    /// Advances both clocks.
    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

pub(crate) fn resource() -> ResourceUrl {
    ResourceUrl::parse(RESOURCE).unwrap()
}

/// Returns the kind of the error, or `None` if the token is valid.
pub(crate) async fn error_kind(verifier: &ClerkVerifier, token: &str) -> Option<VerifyErrorKind> {
    verify_clerk_token(verifier, token).await.err().map(|error| error.kind())
}

/// Verifies a token in a task of its own.
pub(crate) fn spawn_verify(
    verifier: &ClerkVerifier,
    token: &str,
) -> JoinHandle<Result<AuthInfo, VerifyError>> {
    let (verifier, token) = (verifier.clone(), token.to_owned());
    tokio::spawn(async move { verify_clerk_token(&verifier, &token).await })
}

/// A response of status 200 with this JSON body, whatever the request.
pub(crate) fn json_fault(body: impl Into<Bytes>) -> Fault {
    Fault::Body { status: 200, content_type: "application/json".into(), body: body.into() }
}

/// A service as a test calls it.
pub(crate) type TestService = BoxCloneSyncService<Request<Full<Bytes>>, TestResponse, Infallible>;

/// Wraps a service that responds with the caller's user id.
pub(crate) fn guarded<L, ResBody>(layer: L) -> TestService
where
    L: Layer<EchoUser>,
    L::Service: Service<Request<Full<Bytes>>, Response = Response<ResBody>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    <L::Service as Service<Request<Full<Bytes>>>>::Future: Send,
    ResBody: Body<Data = Bytes, Error: std::fmt::Debug> + Send + 'static,
{
    collect_responses(layer.layer(EchoUser))
}

/// A service that responds with the caller's user id, whatever the request's body.
#[derive(Clone)]
pub(crate) struct EchoUser;

impl<B> Service<Request<B>> for EchoUser {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let caller = request.extensions().get::<AuthInfo>();
        let user = caller.map_or(ANONYMOUS, |caller| caller.principal().id()).to_owned();
        std::future::ready(Ok(Response::new(Full::from(user))))
    }
}

/// Wraps a service so that its responses are read to the end.
pub(crate) fn collect_responses<S, ResBody>(service: S) -> TestService
where
    S: Service<Request<Full<Bytes>>, Response = Response<ResBody>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
    ResBody: Body<Data = Bytes, Error: std::fmt::Debug> + Send + 'static,
{
    BoxCloneSyncService::new(
        service.and_then(|response| async move { Ok(TestResponse::read(response).await) }),
    )
}

/// A response, read to the end.
#[derive(Debug)]
pub(crate) struct TestResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    pub(crate) extensions: http::Extensions,
}

impl TestResponse {
    pub(crate) async fn read<B>(response: Response<B>) -> Self
    where
        B: Body<Data = Bytes, Error: std::fmt::Debug>,
    {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
            extensions: parts.extensions,
        }
    }

    /// Returns the value of a header, which must not be duplicated.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().map(|value| value.to_str().unwrap());
        assert_eq!(values.next(), None, "{name} is duplicated");
        value
    }

    /// Returns all headers, sorted by name.
    pub(crate) fn sorted_headers(&self) -> Vec<(&str, &str)> {
        let pair = |(name, value)| {
            let (name, value): (&http::HeaderName, &http::HeaderValue) = (name, value);
            (name.as_str(), value.to_str().unwrap())
        };
        let mut headers: Vec<_> = self.headers.iter().map(pair).collect();
        headers.sort_unstable();
        headers
    }

    /// Asserts that the response has these headers, in any order, and no others.
    #[track_caller]
    pub(crate) fn assert_headers<'a>(
        &self,
        expected: impl IntoIterator<Item = (&'a str, &'a str)>,
        case: &str,
    ) {
        let mut expected: Vec<_> = expected.into_iter().collect();
        expected.sort_unstable();
        assert_eq!(self.sorted_headers(), expected, "{case}");
    }
}

pub(crate) async fn send(service: &TestService, request: Request<Full<Bytes>>) -> TestResponse {
    service.clone().oneshot(request).await.unwrap()
}

/// A request with these headers and an empty body.
pub(crate) fn request(method: Method, uri: &str, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::default()).unwrap()
}

/// Sends a message of MCP.
pub(crate) async fn post_message(
    service: &TestService,
    token: Option<&str>,
    headers: &[(&str, &str)],
    body: &str,
) -> TestResponse {
    let credentials = token.map(|token| format!("Bearer {token}"));
    let mut all = headers.to_vec();
    all.extend(credentials.as_deref().map(|value| ("authorization", value)));
    let request = request(Method::POST, "/mcp", &all);
    send(service, request.map(|_| Full::from(body.to_owned()))).await
}

/// Sends a `POST` to the endpoint with this bearer token.
pub(crate) async fn call(service: &TestService, token: &str) -> TestResponse {
    let credentials = format!("Bearer {token}");
    send(service, request(Method::POST, "/mcp", &[("authorization", &credentials)])).await
}
