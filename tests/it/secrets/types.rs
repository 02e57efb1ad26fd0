//! The `Debug` of every public type, with a secret in it wherever one can be put.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use clerk_mcp_tools::access_policy::{AccessPolicyLayer, Operation, RequestBody};
use clerk_mcp_tools::bearer_auth::{AccessToken, BearerAuthLayer, ResourcesByHost, TokenRequest};
use clerk_mcp_tools::clerk::{ClerkClient, User, fetch_clerk_authorization_server_metadata};
use clerk_mcp_tools::clock::SystemClock;
use clerk_mcp_tools::instance::{BackendApi, FrontendApi, InstanceType};
use clerk_mcp_tools::metadata::ProtectedResourceMetadata;
use clerk_mcp_tools::response::BearerChallenge;
use clerk_mcp_tools::services::{
    AuthorizationServerService, CorsPreflightService, ProtectedResourceService, WellKnownService,
};
use clerk_mcp_tools::testing::{FakeClerk, Fault, ManualClock, Route, TokenFormat};
use clerk_mcp_tools::{
    AccessPolicy, Audience, AuthInfo, ClerkErrorKind, ClerkMcp, ClerkVerifier, ConfigErrorKind,
    InsufficientScope, JwtKey, MessageError, PublishableKey, Rejection, ResourceUrl,
    ScopeHierarchy, Scopes, SecretKey, VerifyErrorKind, verify_clerk_token,
};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::json;
use tower::{Layer, Service, service_fn};

use super::finder::Finder;
use crate::support::{Fixture, RESOURCE, call, guarded, request, resource};

const KEY: &str = "sk_test_MarkedSecretKey0123456789";
const PASSWORD: &str = "MarkedPassword0123456789";
const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMarkedPem0123456789\n-----END PRIVATE KEY-----\n";
/// There is nothing to show of what has no value.
const WITHOUT_VALUE: [&str; 1] = ["NoInner"];

#[derive(Default)]
struct Shown(BTreeMap<&'static str, String>);

impl Shown {
    fn add(&mut self, name: &'static str, value: &dyn std::fmt::Debug) {
        *self.0.entry(name).or_default() += &format!("{value:?} {value:#?} ");
    }
}

#[tokio::test]
async fn no_debug_shows_a_secret() {
    let fixture = Fixture::with(|clerk| clerk.secret_key(KEY)).await;
    let (jwt, opaque) = (fixture.jwt(), fixture.opaque());
    let mut finder = Finder::default();
    for (name, text) in
        [("the secret key", KEY), ("a password", PASSWORD), ("a PEM", "MarkedPem0123456789")]
    {
        finder.text(name, text);
    }
    finder.token("a JWT", &jwt);
    finder.token("an opaque token", &opaque);

    let mut shown = Shown::default();
    values(&mut shown, &jwt);
    settings(&mut shown, &fixture);
    services(&mut shown, &fixture, &jwt);
    documents(&mut shown, &fixture).await;
    for token in [&jwt, &opaque] {
        traffic(&mut shown, &fixture, token).await;
    }
    testing(&mut shown, &fixture);
    for (name, text) in &shown.0 {
        finder.assert_hidden(name, text);
    }

    let names: BTreeSet<_> =
        shown.0.keys().copied().chain(WITHOUT_VALUE).map(str::to_owned).collect();
    assert_eq!(names, exported_types(), "left: shown here; right: exported");
}

fn values(shown: &mut Shown, token: &str) {
    shown.add("AccessToken", &AccessToken::from(token));
    shown.add("SecretKey", &SecretKey::parse(KEY).unwrap());
    let caller = AuthInfo::for_user("user_1", token.into())
        .client_id("client_1")
        .claims(json!({"password": PASSWORD}).as_object().unwrap().clone());
    shown.add("AuthInfoBuilder", &caller);
    shown.add("AuthInfo", &caller.build());
    shown.add(
        "Actor",
        &serde_json::from_value::<clerk_mcp_tools::Actor>(json!({"sub": "user_2"})).unwrap(),
    );
    shown.add("TokenRequest", &TokenRequest::new(token).for_resource(&resource()));
    shown.add("Audience", &Audience::Require);
    shown.add("InstanceType", &InstanceType::Development);
    shown.add("ClerkErrorKind", &ClerkErrorKind::Unauthorized);
    shown.add("ConfigErrorKind", &ConfigErrorKind::Invalid);
    shown.add("VerifyErrorKind", &VerifyErrorKind::Expired);
    shown.add("MessageError", &MessageError::TooLarge);
    shown.add("InsufficientScope", &InsufficientScope::new(Scopes::parse("profile").unwrap()));
    shown.add("Scopes", &Scopes::parse("profile").unwrap());
    shown.add("ScopeHierarchy", &ScopeHierarchy::new().implies("admin", ["write"]).unwrap());
    shown.add("SystemClock", &SystemClock::new());
    shown.add("ResourceUrl", &resource());
    shown.add("ResourcesByHost", &ResourcesByHost::new([RESOURCE]).unwrap());
    shown.add("Operation", &Operation::new("tools/call").named("delete_file"));
    shown.add("AccessPolicy", &AccessPolicy::new().tool("delete_file", Scopes::none()));
    shown.add(
        "BearerChallenge",
        &BearerChallenge::new(RESOURCE).error("invalid_token", "It has expired"),
    );
}

fn settings(shown: &mut Shown, fixture: &Fixture) {
    let key = || SecretKey::parse(KEY).unwrap();
    let url = format!("https://user:{PASSWORD}@api.example.com");
    shown.add("ConfigError", &BackendApi::parse(&url).unwrap_err());
    shown.add("ConfigError", &BackendApi::default().with_version(KEY).unwrap_err());
    shown.add("ConfigError", &JwtKey::parse(PEM).unwrap_err());
    shown.add("BackendApi", &BackendApi::default());
    shown.add("JwtKey", &JwtKey::parse(&fixture.clerk.jwt_key()).unwrap());
    let bad = |name: &str| (name == "CLERK_API_URL").then(|| url.clone());
    let client = ClerkClient::builder().secret_key(key()).env_from(bad);
    shown.add("ClerkClientBuilder", &client);
    shown.add("ConfigError", &client.build().unwrap_err());
    shown.add("ClerkClient", &ClerkClient::builder().secret_key(key()).build().unwrap());
    let bad = |name: &str| (name == "CLERK_JWT_KEY").then(|| PEM.to_owned());
    let verifier = fixture.verifier_builder().secret_key(key()).env_from(bad);
    shown.add("ClerkVerifierBuilder", &verifier);
    shown.add("ConfigError", &verifier.build().unwrap_err());
    shown.add("ClerkVerifier", &fixture.verifier());
    shown.add("VerifierStats", &fixture.verifier().stats());
    for resource in [KEY.to_owned(), url, format!("{RESOURCE}?access_token={PASSWORD}#")] {
        let bad = |name: &str| (name == "MCP_RESOURCE_URL").then(|| resource.clone());
        let builder = ClerkMcp::builder().env_from(bad).verifier(fixture.verifier());
        shown.add("ClerkMcpBuilder", &builder);
        shown.add("ConfigError", &builder.build().unwrap_err());
        shown.add("ConfigError", &ResourceUrl::parse(&resource).unwrap_err());
    }
    let clerk = ClerkMcp::builder().resource(resource()).verifier(fixture.verifier());
    let clerk = clerk.build().unwrap();
    shown.add("ClerkMcp", &clerk);
    shown.add("AuthLayer", &clerk.auth_layer());
    shown.add("FrontendApi", &FrontendApi::parse(fixture.clerk.issuer()).unwrap());
    shown.add("PublishableKey", &fixture.clerk.publishable_key());
    for text in [KEY, PEM, PASSWORD] {
        shown.add("ConfigError", &PublishableKey::parse(text).unwrap_err());
        shown.add("ConfigError", &FrontendApi::parse(text).unwrap_err());
    }
}

type Body = Full<Bytes>;

fn services(shown: &mut Shown, fixture: &Fixture, token: &str) {
    let inner = || {
        service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::default())) })
    };
    let asks = || request(Method::POST, "/mcp", &[("authorization", &format!("Bearer {token}"))]);
    let layer = fixture.layer();
    shown.add("BearerAuthLayer", &layer);
    let mut service = layer.layer(Plain(inner()));
    shown.add("BearerAuth", &service);
    shown.add("BearerAuthFuture", &service.call(asks()));

    let layer =
        AccessPolicyLayer::new(AccessPolicy::new().default_scopes(Scopes::none()), resource());
    shown.add("AccessPolicyLayer", &layer);
    let inner = || {
        let response = |_: Request<RequestBody<Body>>| async {
            Ok::<_, Infallible>(Response::new(Body::default()))
        };
        service_fn(response)
    };
    let mut service = layer.layer(Plain(inner()));
    shown.add("AccessPolicyService", &service);
    shown.add("AccessPolicyFuture", &service.call(asks()));

    let clerk = ClerkMcp::builder()
        .resource(RESOURCE.parse().unwrap())
        .verifier(fixture.verifier())
        .build()
        .unwrap();
    let layer = clerk.well_known_layer();
    shown.add("WellKnownLayer", &layer);
    let mut service = layer.layer(Plain(service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(Response::new(Body::default()))
    })));
    shown.add("WellKnown", &service);
    shown.add("WellKnownFuture", &service.call(asks()));
    shown.add("CorsPreflightService", &CorsPreflightService::endpoint());
}

/// A service with a `Debug`, which layers show along.
#[derive(Clone)]
struct Plain<S>(S);

impl<S> std::fmt::Debug for Plain<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Plain")
    }
}

impl<S: Service<R>, R> Service<R> for Plain<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.0.call(request)
    }
}

async fn documents(shown: &mut Shown, fixture: &Fixture) {
    let instance = FrontendApi::parse(fixture.clerk.issuer()).unwrap();
    let builder = ProtectedResourceMetadata::for_clerk(&instance, &resource());
    shown.add("ProtectedResourceMetadataBuilder", &builder);
    let document = builder.build().unwrap();
    shown.add("ProtectedResourceMetadata", &document);
    let service = ProtectedResourceService::new(&document);
    shown.add("ProtectedResourceService", &service);
    let mut service = WellKnownService::ProtectedResource(service);
    shown.add("WellKnownService", &service);
    let asks = || request(Method::GET, &format!("/?access_token={PASSWORD}"), &[]);
    shown.add("WellKnownServiceFuture", &service.call(asks()));
    let document = fetch_clerk_authorization_server_metadata(&instance).await.unwrap();
    shown.add("AuthorizationServerMetadata", &document);
    let mut service = AuthorizationServerService::for_verifier(&fixture.verifier());
    shown.add("AuthorizationServerService", &service);
    shown.add("AuthorizationServerFuture", &service.call(asks()));
    let user = fixture
        .verifier()
        .client()
        .unwrap()
        .get_user(fixture.clerk.default_user_id())
        .await
        .unwrap();
    shown.add("EmailAddress", &user.email_addresses);
    shown.add("User", &user);
    shown.add("User", &serde_json::from_str::<User>(r#"{"id": "user_1"}"#).unwrap());
}

async fn traffic(shown: &mut Shown, fixture: &Fixture, token: &str) {
    let verifier = fixture.verifier();
    shown.add("AuthInfo", &verify_clerk_token(&verifier, token).await.unwrap());
    let response = call(&guarded(BearerAuthLayer::new(verifier, resource())), &token[1..]).await;
    shown.add("Rejection", response.extensions.get::<Rejection>().unwrap());
    shown.add("RejectionReason", &response.extensions.get::<Rejection>().unwrap().reason());
    let body = Response::new(Bytes::from(format!("{token} {KEY}")));
    fixture.clerk.fault_all(Fault::Answer(body));
    let verifier: ClerkVerifier = fixture.verifier();
    shown.add("VerifyError", &verify_clerk_token(&verifier, token).await.unwrap_err());
    shown.add("ClerkError", &verifier.warm_up().await.unwrap_err());
    shown.add("ClerkError", &verifier.client().unwrap().get_user("user_1").await.unwrap_err());
    fixture.clerk.heal_all();

    // A request that has passed does not show its token either.
    let rules = AccessPolicy::new().default_scopes(Scopes::none());
    let inner = AccessPolicyLayer::new(rules, resource()).layer(service_fn(show));
    let mut service = BearerAuthLayer::new(verifier, resource()).layer(inner);
    let mut asks = request(Method::POST, "/mcp", &[("authorization", &format!("Bearer {token}"))]);
    *asks.body_mut() = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#.into();
    fixture.advance(30);
    let response = service.call(asks).await.unwrap();
    shown.add("ResponseBody", &response);
    let text = response.into_body().collect().await.unwrap().to_bytes();
    assert!(text.starts_with(b"Request"), "{text:?}");
    shown.add("RequestBody", &text);
}

/// Answers with all that it gets.
async fn show(request: Request<RequestBody<Body>>) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::from(format!(
        "{request:?} {:?}",
        request.extensions().get::<AuthInfo>()
    ))))
}

fn testing(shown: &mut Shown, fixture: &Fixture) {
    let builder = FakeClerk::builder()
        .secret_key(KEY)
        .origin(format!("https://user:{PASSWORD}@clerk.example.com"));
    shown.add("FakeClerkBuilder", &builder);
    shown.add("FakeClerk", &fixture.clerk);
    shown.add("TokenFormat", &TokenFormat::Opaque);
    shown.add("ManualClock", &ManualClock::new(1));
    let (fault, gate) = Fault::hold();
    shown.add("Fault", &fault);
    shown.add("Gate", &gate);
    let Fault::Held(latch) = fault else { panic!("it holds") };
    shown.add("Latch", &latch);
    shown.add("TokenBuilder", &fixture.clerk.mint().audience(RESOURCE));
    shown.add("Route", &Route::User);
    for route in [Route::User, Route::VerifyAccessToken, Route::Jwks] {
        shown.add("RecordedRequest", &fixture.clerk.last_request(route).unwrap());
    }
    shown.add("SignIn", &fixture.clerk.sign_in());
}

/// Every exported type: the names in the crate's `pub use` that are neither traits nor constants, and what `clock` defines.
fn exported_types() -> BTreeSet<String> {
    const TRAITS: [&str; 3] = ["Clock", "ResolveResource", "VerifyToken"];
    let root = source("lib.rs");
    let modules = root.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let mut types: BTreeSet<_> = exports("lib.rs").into_iter().collect();
    for module in modules.filter(|module| !["clock", "fuzzing"].contains(module)) {
        for name in exports(&format!("{module}/mod.rs")) {
            assert!(types.insert(name.clone()), "{name} is exported twice");
        }
    }
    types.insert("SystemClock".to_owned());
    types.retain(|name| !TRAITS.contains(&name.as_str()));
    types
}

fn source(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file)).unwrap()
}

fn exports(file: &str) -> Vec<String> {
    let source = source(file);
    let uses = source.split("\npub use ").skip(1).map(|rest| rest.split(';').next().unwrap());
    let names = uses.flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    let is_type = |name: &&str| {
        name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.contains(|c: char| c.is_ascii_lowercase())
    };
    names.filter(is_type).map(str::to_owned).collect()
}
