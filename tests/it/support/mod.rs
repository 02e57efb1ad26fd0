//! A guarded service on a stand-in for Clerk, with a clock that stands still.

pub(crate) mod wire;

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use clerk_mcp_tools::bearer_auth::BearerAuthLayer;
use clerk_mcp_tools::instance::FrontendApi;
use clerk_mcp_tools::testing::{FakeClerk, FakeClerkBuilder, ManualClock};
use clerk_mcp_tools::{
    AuthInfo, ClerkVerifier, ClerkVerifierBuilder, ResourceUrl, Scopes, SecretKey,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceExt, service_fn};

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const RESOURCE: &str = "https://mcp.example.com/mcp";

/// What the service behind the layer answers to a caller without a token.
pub(crate) const ANONYMOUS: &str = "anonymous";

/// A stand-in for Clerk, and a clock that it shares with whoever verifies its tokens.
pub(crate) struct Fixture {
    pub(crate) clerk: FakeClerk,
    pub(crate) clock: ManualClock,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with(|clerk| clerk).await
    }

    pub(crate) async fn with(settings: impl FnOnce(FakeClerkBuilder) -> FakeClerkBuilder) -> Self {
        let clock = ManualClock::new(NOW);
        let clerk = settings(FakeClerk::builder().clock(clock.clone())).start().await.unwrap();
        Self { clerk, clock }
    }

    /// A verifier of this instance's tokens for [`RESOURCE`], with the secret key.
    pub(crate) fn verifier(&self) -> ClerkVerifier {
        self.verifier_builder().build().unwrap()
    }

    pub(crate) fn verifier_builder(&self) -> ClerkVerifierBuilder {
        self.public_verifier_builder()
            .secret_key(SecretKey::parse(self.clerk.secret_key()).unwrap())
    }

    /// Without the secret key.
    pub(crate) fn public_verifier_builder(&self) -> ClerkVerifierBuilder {
        ClerkVerifier::builder()
            .frontend_api(FrontendApi::parse(self.clerk.frontend_api_url()).unwrap())
            .backend_api(self.clerk.backend_api_url().parse().unwrap())
            .resource(resource())
            .clock(self.clock.clone())
    }

    /// The layer for [`RESOURCE`] that asks for `profile` and `email`.
    pub(crate) fn layer(&self) -> BearerAuthLayer<ClerkVerifier> {
        BearerAuthLayer::new(self.verifier(), resource())
            .required_scopes(Scopes::parse("profile email").unwrap())
    }

    /// A JWT that is good for [`RESOURCE`].
    pub(crate) fn jwt(&self) -> String {
        self.clerk.mint().audience(RESOURCE).jwt()
    }

    /// An opaque token that is good for [`RESOURCE`].
    pub(crate) fn opaque(&self) -> String {
        self.clerk.mint().audience(RESOURCE).opaque()
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

pub(crate) fn resource() -> ResourceUrl {
    ResourceUrl::parse(RESOURCE).unwrap()
}

/// A service as a test calls it.
pub(crate) type TestService = BoxCloneSyncService<Request<Full<Bytes>>, Answer, Infallible>;

/// This layer around a service that answers with the caller's user id.
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
    whole_answers(layer.layer(service_fn(echo_user as fn(Request<Full<Bytes>>) -> EchoFuture)))
}

pub(crate) type EchoUser = tower::util::ServiceFn<fn(Request<Full<Bytes>>) -> EchoFuture>;
type EchoFuture = std::future::Ready<Result<Response<Full<Bytes>>, Infallible>>;

fn echo_user(request: Request<Full<Bytes>>) -> EchoFuture {
    let user =
        request.extensions().get::<AuthInfo>().map_or(ANONYMOUS, AuthInfo::user_id).to_owned();
    std::future::ready(Ok(Response::new(Full::from(user))))
}

/// The same service, its answers read to the end.
pub(crate) fn whole_answers<S, ResBody>(service: S) -> TestService
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
        service.and_then(|response| async move { Ok(Answer::read(response).await) }),
    )
}

/// A response, read to the end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    pub(crate) extensions: http::Extensions,
}

impl Answer {
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

    /// A header's value, which must not stand there twice.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().map(|value| value.to_str().unwrap());
        assert_eq!(values.next(), None, "{name} stands there twice");
        value
    }

    /// Every header, by name, in order.
    pub(crate) fn sorted_headers(&self) -> Vec<(String, String)> {
        let pair = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            (name.as_str().to_owned(), value.to_str().unwrap().to_owned())
        };
        let mut headers: Vec<_> = self.headers.iter().map(pair).collect();
        headers.sort();
        headers
    }
}

pub(crate) async fn send(service: &TestService, request: Request<Full<Bytes>>) -> Answer {
    service.clone().oneshot(request).await.unwrap()
}

/// A request with these headers.
pub(crate) fn request(method: Method, uri: &str, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::default()).unwrap()
}

/// A `POST` to the endpoint with this token.
pub(crate) async fn call(service: &TestService, token: &str) -> Answer {
    let credentials = format!("Bearer {token}");
    send(service, request(Method::POST, "/mcp", &[("authorization", &credentials)])).await
}
