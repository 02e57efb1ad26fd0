//! Layers in the wrong place, and what notices it.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::extract::OriginalUri;
use bytes::Bytes;
use clerk_mcp_tools::bearer_auth::{BearerAuthLayer, NotGuarded, ResolveResource};
use clerk_mcp_tools::{AccessPolicy, AuthInfo, Rejection, RejectionReason, ResourceUrl, Scopes};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{EchoUser, Fixture, collect_responses, request, send};

/// What a handler behind these layers learns about the request.
async fn seen_by_handler<L>(layer: L, token: Option<&str>) -> Option<Result<bool, NotGuarded>>
where
    L: Layer<Recorder>,
    L::Service: Service<Request<Full<Bytes>>, Error = Infallible> + Clone,
{
    let seen = Arc::default();
    let credentials = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> =
        credentials.iter().map(|credentials| ("authorization", credentials.as_str())).collect();
    let call = Full::from(r#"{"method":"tools/call","params":{"name":"open"}}"#);
    let request = request(Method::POST, "/mcp", &headers).map(|_| call);
    let service = layer.layer(Recorder(Arc::clone(&seen)));
    assert!(service.oneshot(request).await.is_ok());
    seen.lock().unwrap().take()
}

/// A service that records what [`AuthInfo::from_guarded_parts`] returns.
#[derive(Clone)]
struct Recorder(Arc<Mutex<Option<Result<bool, NotGuarded>>>>);

impl<B> Service<Request<B>> for Recorder {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, _) = request.into_parts();
        let caller = AuthInfo::from_guarded_parts(&parts).map(|caller| caller.is_some());
        *self.0.lock().unwrap() = Some(caller);
        std::future::ready(Ok(Response::new(Full::default())))
    }
}

#[tokio::test]
async fn a_handler_can_tell_which_layers_a_request_has_passed() {
    let fixture = Fixture::new().await;
    let policy =
        AccessPolicy::baseline_by_default().tool("delete", Scopes::parse("files:write").unwrap());
    let policy = policy.build().unwrap();
    let clerk = |optional: bool| {
        let builder = fixture.clerk_mcp_builder().access_policy(policy.clone());
        if optional { builder.optional() } else { builder }.build().unwrap()
    };
    let token = fixture.jwt();
    let guarded = clerk(false).auth_layer();
    assert_eq!(seen_by_handler(guarded.clone(), Some(&token)).await, Some(Ok(true)));
    assert_eq!(seen_by_handler(guarded.clone(), None).await, None);
    assert_eq!(seen_by_handler(clerk(true).auth_layer(), None).await, Some(Ok(false)));

    let (bearer_auth, policy) = guarded.into_parts();
    let no_policy = Some(Err(NotGuarded::NoPolicy));
    assert_eq!(seen_by_handler(bearer_auth.clone(), Some(&token)).await, no_policy);
    assert_eq!(seen_by_handler((bearer_auth, policy), Some(&token)).await, Some(Ok(true)));
    let without_rules = fixture.layer();
    assert_eq!(seen_by_handler(without_rules, Some(&token)).await, Some(Ok(true)));
    let no_layer = Some(Err(NotGuarded::NoLayer));
    assert_eq!(seen_by_handler(tower::layer::util::Identity::new(), Some(&token)).await, no_layer);
    // A caller that comes from elsewhere shows no layer.
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.extensions.insert(AuthInfo::for_user("user_1", "oat_1".into()).build());
    assert_eq!(AuthInfo::from_guarded_parts(&parts), Err(NotGuarded::NoLayer));
    let rejection = Rejection::from(NotGuarded::NoLayer);
    assert_eq!(rejection.reason(), RejectionReason::Misconfigured);
}

/// Two resources on one host, by the path that the client requested.
#[derive(Clone)]
struct ByPath([ResourceUrl; 2]);

impl ResolveResource for ByPath {
    fn resolve(&self, parts: &Parts) -> Option<ResourceUrl> {
        let original = parts.extensions.get::<OriginalUri>();
        let path = original.map_or(parts.uri.path(), |OriginalUri(uri)| uri.path());
        self.0.iter().find(|resource| resource.path() == path).cloned()
    }
}

#[tokio::test]
async fn a_resolver_sees_the_uri_that_a_router_has_changed() {
    let fixture = Fixture::new().await;
    let resources = ["https://h.example/mcp", "https://h.example/internal/mcp"];
    let resolver = ByPath(resources.map(|url| url.parse().unwrap()));
    let layer = || BearerAuthLayer::with_resolver(fixture.verifier(), resolver.clone());
    let endpoint = || axum::Router::new().route_service("/mcp", layer().layer(EchoUser));
    let router = collect_responses(endpoint().nest("/internal", endpoint()));
    for (audience, rows) in resources
        .into_iter()
        .zip([[("/mcp", 200), ("/internal/mcp", 401)], [("/mcp", 401), ("/internal/mcp", 200)]])
    {
        let credentials = format!("Bearer {}", fixture.clerk.mint().audience(audience).jwt());
        for (path, status) in rows {
            let request = request(Method::POST, path, &[("authorization", &credentials)]);
            let response = send(&router, request).await;
            assert_eq!(response.status.as_u16(), status, "{audience} {path}");
        }
    }
}

#[tokio::test]
async fn both_layers_answer_a_request_for_no_resource_with_421() {
    let fixture = Fixture::new().await;
    let nowhere =
        ByPath(["https://h.example/a", "https://h.example/b"].map(|url| url.parse().unwrap()));
    let service = BearerAuthLayer::with_resolver(fixture.verifier(), nowhere).layer(service_fn(
        |_: Request<Full<Bytes>>| async {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        },
    ));
    let response = service.oneshot(request(Method::POST, "/mcp", &[])).await.unwrap();
    assert_eq!(response.status(), StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn two_endpoints_of_one_host_share_a_router() {
    let fixture = Fixture::new().await;
    let clerk = |url: &str, is_second: bool| {
        let builder = fixture.clerk_mcp_builder();
        let verifier = fixture.public_verifier_builder().resource(url.parse().unwrap());
        let builder = builder.resource(url.parse().unwrap()).verifier(verifier.build().unwrap());
        if is_second { builder.without_root_metadata() } else { builder }.build().unwrap()
    };
    let [a, b] = ["https://h.example/mcp", "https://h.example/:b/*/mcp/"];
    let (first, second) = (clerk(a, false), clerk(b, true));
    let router = first.mount(axum::Router::new(), EchoUser);
    let router = collect_responses(second.mount(router, EchoUser));

    for (path, resource) in [("/mcp", a), ("/:b/*/mcp/", b)] {
        for (audience, status) in [(resource, 200), ("https://h.example/other", 401)] {
            let credentials = format!("Bearer {}", fixture.clerk.mint().audience(audience).jwt());
            let headers = [("authorization", credentials.as_str())];
            let response = send(&router, request(Method::POST, path, &headers)).await;
            assert_eq!(response.status.as_u16(), status, "{path} {audience}");
        }
    }
    let prefix = "/.well-known/oauth-protected-resource";
    let documents = [
        ("", Some(a)),
        ("/", Some(a)),
        ("/mcp", Some(a)),
        ("/mcp/", Some(a)),
        ("/:b/*/mcp", Some(b)),
        ("/:b/*/mcp/", Some(b)),
        ("/x/y/mcp", None),
    ];
    for (path, resource) in documents {
        let response = send(&router, request(Method::GET, &format!("{prefix}{path}"), &[])).await;
        let document: Option<serde_json::Value> = serde_json::from_str(&response.body).ok();
        assert_eq!(document.as_ref().and_then(|d| d["resource"].as_str()), resource, "{path}");
    }
}

#[tokio::test]
async fn a_service_can_be_mounted_where_a_proxy_forwards_it() {
    let fixture = Fixture::new().await;
    let clerk = fixture.clerk_mcp_builder().build().unwrap();
    let router = collect_responses(clerk.mount_at(axum::Router::new(), "/", EchoUser));
    let credentials = format!("Bearer {}", fixture.jwt());
    let headers = [("authorization", credentials.as_str())];
    for (path, status) in [("/", 200), ("/mcp", 404)] {
        let response = send(&router, request(Method::POST, path, &headers)).await;
        assert_eq!(response.status.as_u16(), status, "{path}");
    }
}

#[test]
fn an_endpoint_without_a_path_needs_its_root_documents() {
    let builder = || {
        let verifier = clerk_mcp_tools::ClerkVerifier::builder()
            .frontend_api("https://clerk.example.com".parse().unwrap())
            .build()
            .unwrap();
        clerk_mcp_tools::ClerkMcp::builder().verifier(verifier).without_root_metadata()
    };
    for url in ["https://h.example", "https://h.example/", "https://h.example//"] {
        let error = builder().resource(url.parse().unwrap()).build().unwrap_err();
        assert_eq!(error.setting(), "without_root_metadata", "{url}");
    }
    assert!(builder().resource("https://h.example/a".parse().unwrap()).build().is_ok());
}
