//! Options of the bearer-auth layer: optional tokens, scope hierarchies, several hosts, other
//! verifiers; and its contract with tower.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use clerk_mcp_tools::bearer_auth::{
    AccessToken, BearerAuthLayer, ResourcesByHost, TokenRequest, VerifyToken,
};
use clerk_mcp_tools::metadata::ProtectedResourceMetadata;
use clerk_mcp_tools::services::ProtectedResourceService;
use clerk_mcp_tools::testing::Route;
use clerk_mcp_tools::{
    AuthInfo, Rejection, RejectionReason, ResourceUrl, ScopeHierarchy, Scopes, VerifyError,
    VerifyErrorKind as Kind,
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, Service, ServiceExt};

use crate::support::{
    ANONYMOUS, Fixture, RESOURCE, call, collect_responses, guarded, request, resource, send,
};

#[tokio::test]
async fn with_optional_tokens_an_invalid_token_is_still_rejected() {
    let fixture = Fixture::new().await;
    let service = guarded(fixture.layer().optional());
    let response = send(&service, request(Method::POST, "/mcp", &[])).await;
    assert_eq!((response.status, response.body.as_str()), (StatusCode::OK, ANONYMOUS));
    for credentials in ["", "Bearer", "Bearer ", "Basic abc", "DPoP abc"] {
        let request = request(Method::POST, "/mcp", &[("authorization", credentials)]);
        let response = send(&service, request).await;
        assert_eq!(response.status, StatusCode::UNAUTHORIZED, "{credentials}");
        let challenge = response.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Bearer resource_metadata="), "{credentials}: {challenge}");
    }
    assert_eq!(call(&service, &fixture.jwt()).await.body, fixture.clerk.default_user_id());
    let rows = [
        ("abc", StatusCode::UNAUTHORIZED),
        (&fixture.clerk.mint().audience(RESOURCE).foreign_key().jwt(), StatusCode::UNAUTHORIZED),
        (&fixture.clerk.mint().audience(RESOURCE).scopes(["profile"]).jwt(), StatusCode::FORBIDDEN),
    ];
    for (token, status) in rows {
        assert_eq!(call(&service, token).await.status, status);
    }
    let two =
        request(Method::POST, "/mcp", &[("authorization", "Basic a"), ("authorization", "Bearer")]);
    assert_eq!(send(&service, two).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_scope_grants_the_scopes_that_it_implies() {
    let fixture = Fixture::new().await;
    let hierarchy = ScopeHierarchy::new().implies("admin", ["profile", "email"]).unwrap();
    let service = guarded(fixture.layer().scope_hierarchy(hierarchy));
    let rows = [("admin", 200), ("profile email", 200), ("profile", 403), ("administrator", 403)];
    for (scopes, status) in rows {
        let token = fixture.clerk.mint().audience(RESOURCE).scopes([scopes]).jwt();
        assert_eq!(call(&service, &token).await.status.as_u16(), status, "{scopes}");
    }
}

#[tokio::test]
async fn a_challenge_never_contains_offline_access() {
    let fixture = Fixture::new().await;
    let scopes = Scopes::parse("offline_access").unwrap();
    let response = call(&guarded(fixture.layer().required_scopes(scopes)), "abc").await;
    assert!(!response.header("www-authenticate").unwrap().contains("scope="));
}

#[tokio::test]
async fn the_metadata_url_can_be_set() {
    let fixture = Fixture::new().await;
    let elsewhere = ResourceUrl::parse("https://docs.example.com/metadata").unwrap();
    let layer = BearerAuthLayer::new(fixture.verifier(), resource()).resource_metadata(elsewhere);
    let response = send(&guarded(layer), request(Method::GET, "/mcp", &[])).await;
    let expected = "Bearer resource_metadata=\"https://docs.example.com/metadata\"";
    assert_eq!(response.header("www-authenticate"), Some(expected));
}

#[tokio::test]
async fn each_host_has_its_own_resource_and_audience() {
    const A: &str = "https://a.example.com/mcp";
    const B: &str = "https://b.example.com/mcp";
    let fixture = Fixture::new().await;
    let hosts = || ResourcesByHost::new([A, B]).unwrap();
    let service = guarded(BearerAuthLayer::with_resolver(fixture.verifier(), hosts()));
    let for_a = format!("Bearer {}", fixture.clerk.mint().audience(A).jwt());
    let rows =
        [("a.example.com", 200), ("b.example.com", 401), ("evil.example.com", 421), ("", 421)];
    for (host, status) in rows {
        let forwarded =
            [("host", host), ("x-forwarded-host", "a.example.com"), ("authorization", &for_a)];
        let response = send(&service, request(Method::POST, "/mcp", &forwarded)).await;
        assert_eq!(response.status.as_u16(), status, "{host}");
        let challenge = response.header("www-authenticate").unwrap_or_default();
        assert_eq!(
            challenge.contains("https://b.example.com/.well-known/"),
            status == 401,
            "{host}: {challenge}"
        );
    }
    // The service behind may read another one of several hosts.
    let (a, b) = (("host", "a.example.com"), ("host", "b.example.com"));
    for (hosts, status) in [([a, a], 200), ([a, b], 421), ([b, a], 421)] {
        let headers = [&hosts[..], &[("authorization", for_a.as_str())]].concat();
        let response = send(&service, request(Method::POST, "/mcp", &headers)).await;
        assert_eq!(response.status.as_u16(), status, "{hosts:?}");
    }
    let unknown =
        send(&service, request(Method::POST, "/mcp", &[("host", "evil.example.com")])).await;
    assert_eq!(
        unknown.extensions.get::<Rejection>().unwrap().reason(),
        RejectionReason::UnknownHost
    );
    assert_eq!(unknown.header("www-authenticate"), None);

    let template =
        ProtectedResourceMetadata::for_clerk(fixture.verifier().frontend_api(), &resource())
            .build()
            .unwrap();
    let documents = collect_responses(ProtectedResourceService::with_resolver(template, hosts()));
    for (host, expected) in
        [("a.example.com", Some(A)), ("b.example.com", Some(B)), ("evil.example.com", None)]
    {
        let response = send(&documents, request(Method::GET, "/", &[("host", host)])).await;
        let document: serde_json::Value = serde_json::from_str(&response.body).unwrap();
        assert_eq!(document["resource"].as_str(), expected, "{host}");
    }
}

#[tokio::test]
async fn a_closure_can_be_a_verifier() {
    let verify = |token: AccessToken| async move {
        match token.expose() {
            "valid" => Ok(AuthInfo::for_user("user_1", token).client_id("client_1").build()),
            "unavailable" => Err(Kind::Unavailable.into()),
            _ => Err(VerifyError::new(Kind::UnknownToken)),
        }
    };
    let service = guarded(BearerAuthLayer::new(verify, resource()));
    let rows = [("valid", 200), ("unavailable", 503), ("invalid", 401)];
    for (token, status) in rows {
        assert_eq!(call(&service, token).await.status.as_u16(), status, "{token}");
    }
}

/// A verifier with two cached results that counts its verifications.
struct CachingVerifier(Arc<AtomicUsize>);

#[async_trait]
impl VerifyToken for CachingVerifier {
    async fn verify_token(&self, request: TokenRequest<'_>) -> Result<AuthInfo, VerifyError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        assert_eq!(request.resource().unwrap().as_str(), RESOURCE);
        Err(Kind::UnknownToken.into())
    }

    fn cached(&self, request: TokenRequest<'_>) -> Option<Result<AuthInfo, VerifyError>> {
        assert_eq!(request.resource().unwrap().as_str(), RESOURCE);
        match request.token() {
            "cached" => Some(Ok(AuthInfo::for_user("user_1", "cached".into())
                .client_id("client_1")
                .build())),
            "cached-rejection" => Some(Err(Kind::Revoked.into())),
            _ => None,
        }
    }
}

#[tokio::test]
async fn a_cached_token_is_not_verified_again_but_its_scopes_are_checked() {
    let verifications = Arc::new(AtomicUsize::new(0));
    let layer = BearerAuthLayer::new(CachingVerifier(Arc::clone(&verifications)), resource());
    assert_eq!(call(&guarded(layer.clone()), "cached").await.body, "user_1");
    let scoped = guarded(layer.required_scopes(Scopes::parse("profile").unwrap()));
    assert_eq!(call(&scoped, "cached").await.status, StatusCode::FORBIDDEN);
    assert_eq!(call(&scoped, "cached-rejection").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(verifications.load(Ordering::Relaxed), 0);
    assert_eq!(call(&scoped, "other").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(verifications.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_verifier_gets_no_token_with_other_characters() {
    let verify = |token: AccessToken| async move {
        Ok(AuthInfo::for_user("user_1", token).client_id("client_1").build())
    };
    let service = guarded(BearerAuthLayer::new(verify, resource()));
    let long = "a".repeat(16 * 1024);
    for (token, status) in [
        ("a-b._~+/c==", 200),
        (&*long, 200),
        ("a b", 401),
        ("a,b", 401),
        ("a=b", 401),
        ("\"a\"", 401),
        (&*format!("{long}a"), 401),
    ] {
        assert_eq!(call(&service, token).await.status.as_u16(), status, "{token:.20}");
    }
}

/// A service that panics if it is called before it is ready, as the contract of tower allows.
#[derive(Default)]
struct Strict {
    ready: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<Full<Bytes>>> for Strict {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called before it was ready");
        let credentials = &request.headers()["authorization"];
        assert!(credentials.is_sensitive(), "an inner layer could log the token");
        std::future::ready(Ok(Response::new(Full::default())))
    }
}

#[tokio::test]
async fn calls_the_inner_service_that_was_polled_ready() {
    let fixture = Fixture::new().await;
    let mut service = fixture.layer().layer(Strict::default());
    let (known, opaque) = (fixture.jwt(), fixture.opaque());
    for token in [&known, &opaque, &known, &known] {
        let credentials = format!("Bearer {token}");
        let request = request(Method::POST, "/mcp", &[("authorization", &credentials)]);
        let response = service.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_dropped_future_does_not_affect_later_requests() {
    let fixture = Fixture::new().await;
    let service = guarded(fixture.layer());
    let (fault, gate) = clerk_mcp_tools::testing::Fault::hold();
    fixture.clerk.fault(Route::VerifyAccessToken, fault);
    let waiting = tokio::spawn({
        let (service, token) = (service.clone(), fixture.opaque());
        async move { call(&service, &token).await }
    });
    gate.arrived(1).await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    gate.open();
    assert_eq!(call(&service, &fixture.opaque()).await.status, StatusCode::OK);
}
