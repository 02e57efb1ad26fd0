//! The `Debug` output of a value of every public type, with a secret wherever it can hold one.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt::Debug;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use clerk_mcp_tools::access_policy::{
    AccessPolicyLayer, MemberRequirement, Operation, RequestBody, Requirement, StepUp,
};
use clerk_mcp_tools::bearer_auth::{
    AccessToken, BearerAuthLayer, NotGuarded, OptionalCaller, ResourcesByHost, SessionKey,
    TokenRequest,
};
use clerk_mcp_tools::clerk::{
    ApiKeys, ClerkClient, ExchangeErrorKind, MachineTokens, SessionTokens, TokenExchange, User,
    fetch_clerk_authorization_server_metadata,
};
use clerk_mcp_tools::client::{
    Expect, KeyId, MemoryStore, RecordKey, Saved, ScanCursor, ScanPage, SealError, SealingKeys,
    StoreError, StoreErrorKind,
};
use clerk_mcp_tools::clock::SystemClock;
use clerk_mcp_tools::instance::{
    BackendApi, FrontendApi, InstanceType, MachineId, MachineSecretKey, OAuthClientSecret,
};
use clerk_mcp_tools::metadata::ProtectedResourceMetadata;
use clerk_mcp_tools::response::{BearerChallenge, Decision, NoInner, RejectionFormat};
use clerk_mcp_tools::services::{
    AuthorizationServerService, CorsPreflightService, ProtectedResourceService, WellKnownService,
};
use clerk_mcp_tools::testing::{
    FakeClerk, FakeMachine, FakeOAuthApplication, Fault, FaultyStore, ManualClock, Route,
    StoreFault, StoreOperation, TokenFormat, check_store,
};
use clerk_mcp_tools::{
    AccessPolicy, Audience, AuthInfo, ClerkErrorKind, ClerkMcp, ClerkVerifier, ConfigErrorKind,
    InsufficientScope, JwtKey, Membership, MessageError, Organization, PermissionError,
    PrincipalKind, PublishableKey, Rejection, ResourceUrl, ScopeHierarchy, Scopes, SecretKey,
    TokenType, VerifyErrorKind, verify_clerk_token,
};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::json;
use tower::{Layer, Service, service_fn};

use super::secret_finder::SecretFinder;
use crate::support::{Fixture, RESOURCE, call, collect_responses, guarded, request, resource};

const KEY: &str = "sk_test_MarkedSecretKey0123456789";
const PASSWORD: &str = "MarkedPassword0123456789";
const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMarkedPem0123456789\n-----END PRIVATE KEY-----\n";

/// The `Debug` output by the name of the type.
#[derive(Default)]
pub(super) struct DebugOutput(BTreeMap<&'static str, String>);

impl DebugOutput {
    /// Adds a value, whose type has to be `Send + Sync`, as all public types are.
    pub(super) fn add<T: Debug + Send + Sync>(&mut self, name: &'static str, value: &T) {
        self.add_type::<T>(name);
        self.add_text(name, &format!("{value:?} {value:#?} "));
    }

    /// Adds a future, which has to be `Send` only.
    fn add_future<T: Debug + Send>(&mut self, name: &'static str, value: &T) {
        self.add_text(name, &format!("{value:?} {value:#?} "));
    }

    fn add_text(&mut self, name: &'static str, text: &str) {
        *self.0.entry(name).or_default() += text;
    }

    /// Adds a type without a value.
    fn add_type<T: Send + Sync>(&mut self, name: &'static str) {
        let type_name = std::any::type_name::<T>();
        assert!(type_name.contains(name), "{type_name} added as {name}");
        self.add_text(name, "");
    }
}

#[tokio::test]
async fn debug_output_shows_no_secret_and_covers_every_exported_type() {
    let fixture = Fixture::with(|clerk| clerk.secret_key(KEY)).await;
    let (jwt, opaque) = (fixture.jwt(), fixture.opaque());
    let mut finder = SecretFinder::default();
    for (name, text) in
        [("the secret key", KEY), ("a password", PASSWORD), ("a PEM", "MarkedPem0123456789")]
    {
        finder.add(name, text);
    }
    finder.add_token("a JWT", &jwt);
    finder.add_token("an opaque token", &opaque);

    let machine = fixture.clerk.create_machine("server");
    finder.add("a machine secret key", machine.secret_key());

    let application = fixture.clerk.create_oauth_application(RESOURCE);
    finder.add("a client secret", application.client_secret());

    let mut output = DebugOutput::default();
    values(&mut output, &jwt);
    connections(&mut output).await;
    super::connections::add_to(&mut output).await;
    configuration(&mut output, &fixture);
    services(&mut output, &fixture, &jwt);
    documents(&mut output, &fixture).await;
    for token in [&jwt, &opaque] {
        traffic(&mut output, &fixture, token).await;
    }
    exchange(&mut output, &fixture, &application, &mut finder).await;
    testing(&mut output, &fixture, &machine, &application);
    for (name, text) in &output.0 {
        finder.assert_hidden(name, text);
    }

    let names: BTreeSet<_> = output.0.keys().map(|name| (*name).to_owned()).collect();
    assert_eq!(names, exported_types(), "left: added here; right: exported");
}

fn values(output: &mut DebugOutput, token: &str) {
    // An uninhabited type.
    output.add_type::<NoInner>("NoInner");
    output.add("AccessToken", &AccessToken::from(token));
    output.add("SecretKey", &SecretKey::parse(KEY).unwrap());
    let machine_key = MachineSecretKey::parse(&format!("ak_{PASSWORD}")).unwrap();
    output.add("MachineSecretKey", &machine_key);
    let machine_id = MachineId::parse("mch_1").unwrap();
    output.add("MachineId", &machine_id);
    let machines = MachineTokens::with_secret_key(machine_key).machine_id(machine_id);
    output.add("MachineTokens", &machines);
    output.add("ApiKeys", &ApiKeys::any_key_of_the_instance());
    let sessions = SessionTokens::from_authorized_parties(["https://app.example.com"]).unwrap();
    output.add("SessionTokens", &sessions);
    output.add("TokenType", &TokenType::ApiKey);
    let organization = Organization::new("org_1").with_role("org:admin");
    output.add("Organization", &organization);
    output.add("Membership", &Membership::Member(organization));
    output.add("PermissionError", &PermissionError::NotMember);
    let caller = AuthInfo::for_user("user_1", token.into())
        .client_id("client_1")
        .claims(json!({"password": PASSWORD}).as_object().unwrap().clone());
    output.add("AuthInfoBuilder", &caller);
    output.add("Principal", caller.clone().build().principal());
    output.add("PrincipalKind", &PrincipalKind::User);
    output.add("AuthInfo", &caller.build());
    output.add(
        "Actor",
        &serde_json::from_value::<clerk_mcp_tools::Actor>(json!({"sub": "user_2"})).unwrap(),
    );
    output.add("TokenRequest", &TokenRequest::new(token).for_resource(&resource()));
    output.add("Audience", &Audience::Require);
    output.add("InstanceType", &InstanceType::Development);
    output.add("ClerkErrorKind", &ClerkErrorKind::Unauthorized);
    output.add("ConfigErrorKind", &ConfigErrorKind::Invalid);
    output.add("VerifyErrorKind", &VerifyErrorKind::Expired);
    output.add("MessageError", &MessageError::TooLarge);
    output.add("RejectionFormat", &RejectionFormat::ByClient);
    output.add("NotGuarded", &NotGuarded::NoLayer);
    output.add("InsufficientScope", &InsufficientScope::new(Scopes::parse("profile").unwrap()));
    output.add("Scopes", &Scopes::parse("profile").unwrap());
    output.add("ScopeHierarchy", &ScopeHierarchy::new().implies("admin", ["write"]).unwrap());
    output.add("SystemClock", &SystemClock::new());
    output.add("ResourceUrl", &resource());
    output.add("SessionKey", &SessionKey::from_secret(KEY.as_bytes()).unwrap());
    output.add("ResourcesByHost", &ResourcesByHost::new([RESOURCE]).unwrap());
    output.add("Operation", &Operation::new("tools/call").named("delete_file"));
    let policy = AccessPolicy::baseline_by_default().tool("delete_file", Scopes::none());
    output.add("AccessPolicyBuilder", &policy);
    output.add("AccessPolicy", &policy.build().unwrap());
    output.add("Requirement", &Requirement::from(Scopes::parse("profile").unwrap()));
    let Requirement::Member(member) = Requirement::permission("org:files:write") else { panic!() };
    output.add::<MemberRequirement>("MemberRequirement", &member);
    output.add(
        "BearerChallenge",
        &BearerChallenge::new(RESOURCE).error("invalid_token", "It has expired"),
    );
}

async fn connections(output: &mut DebugOutput) {
    let mut secret = [0; 32];
    secret.copy_from_slice(format!("{PASSWORD:<32}").as_bytes());
    let id = KeyId::parse("2026-11").unwrap();
    let keys = SealingKeys::new([1; 32], id.clone(), secret).unwrap();
    let tag = "a".repeat(43);
    let key = RecordKey::parse(&format!("connection/{tag}/{tag}")).unwrap();
    let record = keys.seal(&key, PASSWORD.as_bytes()).unwrap();
    output.add("KeyId", &id);
    output.add("SealingKeys", &keys);
    output.add("SealError", &SealError::UnknownKey(id));
    output.add("OwnerTag", &key.owner().unwrap());
    output.add("RecordKey", &key);
    output.add("Revision", &record.revision());
    output.add("Expect", &Expect::Revision(record.revision()));
    output.add("Record", &record);
    output.add("ScanPage", &ScanPage::new(vec![(key, record)], None));
    output.add("Saved", &Saved::Yes);
    output.add("ScanCursor", &ScanCursor::new("1"));
    output.add("StoreErrorKind", &StoreErrorKind::Full);
    output.add("StoreError", &StoreError::new(StoreErrorKind::Full, "all records are in use"));
    output.add("MemoryStore", &MemoryStore::new(10));
    let store = FaultyStore::new(MemoryStore::new(10));
    store.at_call(1, StoreFault::FailBefore);
    output.add("StoreViolation", &check_store(vec![Arc::new(store.clone())]).await.unwrap_err());
    output.add("StoreCall", &store.calls());
    output.add("FaultyStore", &store);
    output.add("StoreFault", &StoreFault::hold_before().0);
    output.add("StoreOperation", &StoreOperation::Load);
}

fn configuration(output: &mut DebugOutput, fixture: &Fixture) {
    let key = || SecretKey::parse(KEY).unwrap();
    let url = format!("https://user:{PASSWORD}@api.example.com");
    output.add("ConfigError", &BackendApi::parse(&url).unwrap_err());
    output.add("ConfigError", &BackendApi::default().with_version(KEY).unwrap_err());
    output.add("ConfigError", &JwtKey::parse(PEM).unwrap_err());
    output.add("BackendApi", &BackendApi::default());
    output.add("JwtKey", &JwtKey::parse(&fixture.clerk.jwt_key()).unwrap());
    let variable = |name: &str| (name == "CLERK_API_URL").then(|| url.clone());
    let client = ClerkClient::builder().secret_key(key()).env_from(variable);
    output.add("ClerkClientBuilder", &client);
    output.add("ConfigError", &client.build().unwrap_err());
    output.add("ClerkClient", &ClerkClient::builder().secret_key(key()).build().unwrap());
    let variable = |name: &str| (name == "CLERK_JWT_KEY").then(|| PEM.to_owned());
    let verifier = fixture.verifier_builder().secret_key(key()).env_from(variable);
    output.add("ClerkVerifierBuilder", &verifier);
    output.add("ConfigError", &verifier.build().unwrap_err());
    output.add("ClerkVerifier", &fixture.verifier());
    output.add("VerifierStats", &fixture.verifier().stats());
    let stats = fixture.verifier().stats().of_type(TokenType::ApiKey);
    output.add("TokenTypeStats", &stats);
    for resource in [KEY.to_owned(), url, format!("{RESOURCE}?access_token={PASSWORD}#")] {
        let variable = |name: &str| (name == "MCP_RESOURCE_URL").then(|| resource.clone());
        let builder = ClerkMcp::builder().env_from(variable).verifier(fixture.verifier());
        output.add("ClerkMcpBuilder", &builder);
        output.add("ConfigError", &builder.build().unwrap_err());
        output.add("ConfigError", &ResourceUrl::parse(&resource).unwrap_err());
    }
    let clerk = ClerkMcp::builder().resource(resource()).verifier(fixture.verifier());
    let clerk = clerk.build().unwrap();
    output.add("ClerkMcp", &clerk);
    output.add("AuthLayer", &clerk.auth_layer());
    output.add("FrontendApi", &FrontendApi::parse(fixture.clerk.issuer()).unwrap());
    output.add("PublishableKey", &fixture.clerk.publishable_key());
    for text in [KEY, PEM, PASSWORD] {
        output.add("ConfigError", &PublishableKey::parse(text).unwrap_err());
        output.add("ConfigError", &FrontendApi::parse(text).unwrap_err());
    }
}

type Body = Full<Bytes>;

fn services(output: &mut DebugOutput, fixture: &Fixture, token: &str) {
    let inner = || {
        service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::default())) })
    };
    let request =
        || request(Method::POST, "/mcp", &[("authorization", &format!("Bearer {token}"))]);
    let layer = fixture.layer();
    output.add("BearerAuthLayer", &layer);
    let mut service = layer.layer(WithDebug(inner()));
    output.add("BearerAuth", &service);
    output.add_future("BearerAuthFuture", &service.call(request()));

    let layer =
        AccessPolicyLayer::new(AccessPolicy::baseline_by_default().build().unwrap(), resource());
    output.add("AccessPolicyLayer", &layer);
    let inner = || {
        let response = |_: Request<RequestBody<Body>>| async {
            Ok::<_, Infallible>(Response::new(Body::default()))
        };
        service_fn(response)
    };
    let mut service = layer.layer(WithDebug(inner()));
    output.add("AccessPolicyService", &service);
    output.add_future("AccessPolicyFuture", &service.call(request()));

    let clerk = ClerkMcp::builder()
        .resource(RESOURCE.parse().unwrap())
        .verifier(fixture.verifier())
        .build()
        .unwrap();
    let layer = clerk.well_known_layer();
    output.add("WellKnownLayer", &layer);
    let mut service = layer.layer(WithDebug(service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(Response::new(Body::default()))
    })));
    output.add("WellKnown", &service);
    output.add_future("WellKnownFuture", &service.call(request()));
    output.add("CorsPreflightService", &CorsPreflightService::endpoint());
}

/// A service with a `Debug` implementation, which the layers around it need.
#[derive(Clone)]
struct WithDebug<S>(S);

impl<S> Debug for WithDebug<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WithDebug")
    }
}

impl<S: Service<R>, R> Service<R> for WithDebug<S> {
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

async fn documents(output: &mut DebugOutput, fixture: &Fixture) {
    let instance = FrontendApi::parse(fixture.clerk.issuer()).unwrap();
    let builder = ProtectedResourceMetadata::for_clerk(&instance, &resource());
    output.add("ProtectedResourceMetadataBuilder", &builder);
    let document = builder.build().unwrap();
    output.add("ProtectedResourceMetadata", &document);
    let service = ProtectedResourceService::new(&document);
    output.add("ProtectedResourceService", &service);
    let mut service = WellKnownService::ProtectedResource(service);
    output.add("WellKnownService", &service);
    let request = || request(Method::GET, &format!("/?access_token={PASSWORD}"), &[]);
    output.add_future("MetadataFuture", &service.call(request()));
    let document = fetch_clerk_authorization_server_metadata(&instance).await.unwrap();
    output.add("AuthorizationServerMetadata", &document);
    let mut service = AuthorizationServerService::for_verifier(&fixture.verifier());
    output.add("AuthorizationServerService", &service);
    output.add_future("MetadataFuture", &service.call(request()));
    let user = fixture
        .verifier()
        .client()
        .unwrap()
        .get_user(fixture.clerk.default_user_id())
        .await
        .unwrap();
    output.add("EmailAddress", &user.email_addresses);
    output.add("User", &user);
    output.add("User", &serde_json::from_str::<User>(r#"{"id": "user_1"}"#).unwrap());
}

async fn exchange(
    output: &mut DebugOutput,
    fixture: &Fixture,
    application: &FakeOAuthApplication,
    finder: &mut SecretFinder,
) {
    const API: &str = "https://api.example.com";
    application.allow_exchange_for(API);
    let secret = OAuthClientSecret::parse(application.client_secret()).unwrap();
    output.add("OAuthClientSecret", &secret);
    let instance = FrontendApi::parse(fixture.clerk.frontend_api_url()).unwrap();
    let builder = TokenExchange::builder(instance, application.client_id(), secret);
    let builder = builder.clock(fixture.clock.clone());
    output.add("TokenExchangeBuilder", &builder);
    let exchange = builder.build().unwrap();
    output.add("TokenExchange", &exchange);
    let caller = verify_clerk_token(&fixture.verifier(), &fixture.jwt()).await.unwrap();
    let token = exchange.exchange(&caller, API, &Scopes::none()).await.unwrap();
    finder.add_token("an exchanged token", token.access_token().expose());
    output.add("ExchangedToken", &token);
    let denied = exchange.exchange(&caller, "https://other.example.com", &Scopes::none()).await;
    output.add("ExchangeError", &denied.unwrap_err());
    output.add("ExchangeErrorKind", &ExchangeErrorKind::InvalidTarget);
}

/// Returns what the handler of a request with this token gets.
async fn step_up(fixture: &Fixture, token: &str) -> StepUp {
    let clerk = fixture.clerk_mcp_builder().step_up_from_handlers().build().unwrap();
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let service = service_fn(move |request: Request<RequestBody<Body>>| {
        let (parts, _) = request.into_parts();
        sender.send(StepUp::from_parts(&parts).unwrap().clone()).unwrap();
        async { Ok::<_, Infallible>(Response::new(Body::default())) }
    });
    call(&collect_responses(clerk.auth_layer().layer(service)), token).await;
    receiver.recv().await.unwrap()
}

/// Returns the decisions about calls with this token, which they also have where it does not belong.
async fn decisions(fixture: &Fixture, token: &str) -> Vec<String> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&lines);
    let policy = AccessPolicy::baseline_by_default().tool("x", Requirement::Denied);
    let clerk = fixture.clerk_mcp_builder().access_policy(policy.build().unwrap());
    let clerk = clerk.on_decision(move |decision| {
        hook.lock().unwrap().push(format!("{decision:?} {decision:#?}"));
    });
    let service = guarded(clerk.build().unwrap().auth_layer());
    let credentials = format!("Bearer {token}");
    for (name, token) in [("x", credentials.as_str()), (token, &credentials), (token, "Bearer a b")]
    {
        let headers = [("authorization", token), ("mcp-method", "tools/call"), ("mcp-name", name)];
        let body = format!(r#"{{"id":1,"method":"tools/call","params":{{"name":"{name}"}}}}"#);
        let request = request(Method::POST, "/mcp", &headers).map(|_| Body::from(body));
        let response = crate::support::send(&service, request).await;
        if let Some(rejection) = response.extensions.get::<Rejection>() {
            lines.lock().unwrap().push(format!("{rejection} {rejection:?}"));
        }
    }
    let lines = lines.lock().unwrap().clone();
    assert_eq!(lines.len(), 5, "{lines:?}");
    lines
}

async fn traffic(output: &mut DebugOutput, fixture: &Fixture, token: &str) {
    output.add_type::<Decision<'_>>("Decision");
    output.add_text("Decision", &decisions(fixture, token).await.join(" "));
    let caller = verify_clerk_token(&fixture.verifier(), token).await.ok();
    output.add("OptionalCaller", &OptionalCaller(caller));
    output.add("StepUp", &step_up(fixture, token).await);
    let verifier = fixture.verifier();
    output.add("AuthInfo", &verify_clerk_token(&verifier, token).await.unwrap());
    let response = call(&guarded(BearerAuthLayer::new(verifier, resource())), &token[1..]).await;
    output.add("Rejection", response.extensions.get::<Rejection>().unwrap());
    output.add("RejectionReason", &response.extensions.get::<Rejection>().unwrap().reason());
    let body = Response::new(Bytes::from(format!("{token} {KEY}")));
    fixture.clerk.fault_all(Fault::Answer(body));
    let verifier: ClerkVerifier = fixture.verifier();
    output.add("VerifyError", &verify_clerk_token(&verifier, token).await.unwrap_err());
    output.add("ClerkError", &verifier.warm_up().await.unwrap_err());
    output.add("ClerkError", &verifier.client().unwrap().get_user("user_1").await.unwrap_err());
    fixture.clerk.heal_all();

    // The `Debug` output of the request that reaches the service does not show its token.
    let rules = AccessPolicy::baseline_by_default().build().unwrap();
    let inner = AccessPolicyLayer::new(rules, resource()).layer(service_fn(echo_debug));
    let mut service = BearerAuthLayer::new(verifier, resource()).layer(inner);
    let mut request =
        request(Method::POST, "/mcp", &[("authorization", &format!("Bearer {token}"))]);
    *request.body_mut() = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#.into();
    fixture.advance(30);
    let response = service.call(request).await.unwrap();
    output.add("ResponseBody", &response);
    let text = response.into_body().collect().await.unwrap().to_bytes();
    assert!(text.starts_with(b"Request"), "{text:?}");
    output.add_type::<RequestBody<Body>>("RequestBody");
    output.add_text("RequestBody", std::str::from_utf8(&text).unwrap());
}

/// Responds with the `Debug` output of the request.
async fn echo_debug(request: Request<RequestBody<Body>>) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::from(format!(
        "{request:?} {:?}",
        request.extensions().get::<AuthInfo>()
    ))))
}

fn testing(
    output: &mut DebugOutput,
    fixture: &Fixture,
    machine: &FakeMachine,
    application: &FakeOAuthApplication,
) {
    let builder = FakeClerk::builder()
        .secret_key(KEY)
        .origin(format!("https://user:{PASSWORD}@clerk.example.com"));
    output.add("FakeClerkBuilder", &builder);
    output.add("FakeClerk", &fixture.clerk);
    output.add("TokenFormat", &TokenFormat::Opaque);
    output.add("ManualClock", &ManualClock::new(1));
    let (fault, gate) = Fault::hold();
    output.add("Fault", &fault);
    output.add("Gate", &gate);
    let Fault::Held(latch) = fault else { panic!("not a held fault") };
    output.add("Latch", &latch);
    output.add("TokenBuilder", &fixture.clerk.mint().audience(RESOURCE));
    output.add("ApiKeyBuilder", &fixture.clerk.create_api_key().claim("password", PASSWORD));
    output.add("FakeMachine", machine);
    output.add("FakeOAuthApplication", application);
    output.add("FakeOrganization", &fixture.clerk.default_organization());
    output.add("Route", &Route::User);
    for route in [Route::User, Route::VerifyAccessToken, Route::Jwks] {
        output.add("RecordedRequest", &fixture.clerk.last_request(route).unwrap());
    }
    output.add("SignIn", &fixture.clerk.sign_in());
}

/// The exported types: the names in `pub use` that are neither traits nor constants, and the type
/// that `clock` defines.
fn exported_types() -> BTreeSet<String> {
    const TRAITS: [&str; 6] =
        ["Clock", "IdentifyOwner", "LookUpMembership", "ResolveResource", "Store", "VerifyToken"];
    /// Those of features that need a database; `tests/stores` has their output.
    const STORES: [&str; 3] = ["PostgresStore", "RedisStore", "SqliteStore"];
    let root = source("lib.rs");
    let modules = root.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let mut types: BTreeSet<_> = exports("lib.rs").into_iter().collect();
    for module in modules.filter(|module| !["clock", "fuzzing"].contains(module)) {
        for name in exports(&format!("{module}/mod.rs")) {
            assert!(types.insert(name.clone()), "{name} is exported twice");
        }
    }
    types.insert("SystemClock".to_owned());
    types.retain(|name| !TRAITS.contains(&name.as_str()) && !STORES.contains(&name.as_str()));
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
