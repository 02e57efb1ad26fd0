//! Every path that a token or a key takes, with everything that is logged, counted and answered on the way.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Debug;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clerk_mcp_tools::bearer_auth::{BearerAuthLayer, ResourcesByHost, TokenRequest, VerifyToken};
use clerk_mcp_tools::clerk::fetch_clerk_authorization_server_metadata;
use clerk_mcp_tools::services::AuthorizationServerService;
use clerk_mcp_tools::testing::{Fault, TokenBuilder};
use clerk_mcp_tools::{
    AccessPolicy, ClerkMcp, ClerkVerifier, Rejection, Scopes, SecretKey, verify_clerk_token,
};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::Full;

use super::capture::Captured;
use super::finder::Finder;
use crate::rmcp_client::example;
use crate::support::proxy::{ConnectionFault, End, Proxy};
use crate::support::{
    Fixture, RESOURCE, TestResponse, TestService, collect_responses, guarded, resource, send,
};

/// In what Clerk says, where it may repeat what it was sent.
const SAID: &str = "MarkedInWhatClerkSays0123456789";
/// In what a request says besides its token.
const ASKED: &str = "MarkedInARequest0123456789";
const CLAIM: &str = "MarkedInAClaim0123456789";
const KEY: &str = "sk_test_MarkedSecretKey0123456789";
const WRONG_KEY: &str = "sk_test_MarkedWrongKey0123456789";

/// A Clerk behind a wire, what its callers have seen, and what they must not see.
struct Stage {
    fixture: Fixture,
    proxy: Proxy,
    /// Each text once: most answers are the same.
    seen: BTreeSet<String>,
    finder: Finder,
}

impl Stage {
    async fn new() -> Self {
        let proxy = Proxy::new();
        let fixture = Fixture::with(|clerk| clerk.secret_key(KEY).origin(proxy.origin())).await;
        proxy.forward_to(fixture.clerk.address());
        let mut finder = Finder::default();
        let marks = [("Clerk's words", SAID), ("a request", ASKED), ("a claim", CLAIM)];
        for (name, mark) in marks.into_iter().chain([("the key", KEY), ("a wrong key", WRONG_KEY)])
        {
            finder.text(name, mark);
        }
        Self { fixture, proxy, seen: BTreeSet::new(), finder }
    }

    fn see(&mut self, value: &dyn Debug) {
        self.seen.extend([format!("{value:?}"), format!("{value:#?}")]);
    }

    fn see_error(&mut self, error: &(dyn Error + 'static)) {
        self.see(&error);
        let mut next = Some(error);
        while let Some(error) = next {
            self.seen.extend([format!("{error}"), format!("{error:#}")]);
            next = error.source();
        }
    }

    fn record_response(&mut self, response: &TestResponse) {
        self.see(response);
        for (name, value) in &response.headers {
            self.seen.insert(format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
        }
        self.seen.insert(response.body.clone());
        if let Some(rejection) = response.extensions.get::<Rejection>() {
            self.see(rejection);
            if let Some(error) = rejection.error() {
                self.see_error(error);
            }
        }
    }

    /// A token, which is looked for from now on.
    fn token(&mut self, name: &str, token: String) -> String {
        self.finder.token(name, &token);
        token
    }

    fn mint(&self) -> TokenBuilder {
        self.fixture
            .clerk
            .mint()
            .audience(RESOURCE)
            .claim("note", CLAIM)
            .record_member("note", CLAIM)
    }

    /// All that somebody may take for a token, and send.
    fn tokens(&mut self) -> Vec<String> {
        let mint = || self.mint();
        let good = mint().jwt();
        let now = crate::support::NOW;
        let tokens = [
            ("good", good.clone()),
            ("good and opaque", mint().opaque()),
            ("without scopes", mint().scopes(["email"]).jwt()),
            ("expired", mint().expires_at(now - 60).jwt()),
            ("not yet valid", mint().not_before(now + 60).jwt()),
            ("of a foreign key", mint().foreign_key().jwt()),
            ("of a marked signature", mint().signature(ASKED.repeat(9)).jwt()),
            ("of an unknown key", mint().header("kid", ASKED).jwt()),
            ("of a marked algorithm", mint().header("alg", ASKED).jwt()),
            ("of a marked type", mint().header("typ", ASKED).jwt()),
            ("of a marked category", mint().header("cat", ASKED).jwt()),
            ("critical", mint().header("crit", vec![ASKED]).jwt()),
            ("of another issuer", mint().claim("iss", format!("https://{ASKED}.example")).jwt()),
            ("of another audience", mint().audience(format!("https://{ASKED}.example/mcp")).jwt()),
            ("of no subject", mint().claim("sub", vec![ASKED]).jwt()),
            ("of a text for a time", mint().claim("exp", ASKED).jwt()),
            ("of broken claims", mint().raw_claims(format!("{{\"{ASKED}")).jwt()),
            ("of a broken header", mint().raw_header(format!("{{\"{ASKED}")).jwt()),
            ("of four parts", format!("{good}.{ASKED}")),
            ("with a space", format!("{good} {ASKED}")),
            ("too long", format!("{good}{}", ASKED.repeat(400))),
            ("revoked", mint().revoked(true).opaque()),
            ("unknown", format!("oat_{ASKED}")),
            ("a machine's", format!("mt_{ASKED}")),
            ("an API key", format!("ak_{ASKED}")),
            ("the secret key", KEY.to_owned()),
            ("no token", ASKED.to_owned()),
        ];
        tokens.into_iter().map(|(name, token)| self.token(name, token)).collect()
    }

    /// Verifiers that ask for their keys each time.
    fn verifiers(&self) -> Vec<ClerkVerifier> {
        let wrong = SecretKey::parse(WRONG_KEY).unwrap();
        let public = || self.fixture.public_verifier_builder();
        let builders = [
            self.fixture.verifier_builder(),
            self.fixture.verifier_builder().keys_from_backend_api(),
            self.fixture.verifier_builder().jwt_key(self.fixture.clerk.jwt_key().parse().unwrap()),
            public(),
            public().secret_key(wrong).keys_from_backend_api(),
        ];
        builders.map(|builder| builder.stale_keys_ttl(Duration::ZERO).build().unwrap()).into()
    }

    /// A verifier by itself.
    async fn verify(&mut self, verifier: &ClerkVerifier, token: &str) {
        let known = verifier.cached(TokenRequest::new(token));
        self.see(&known);
        match verify_clerk_token(verifier, token).await {
            Ok(caller) => self.see(&(&caller, caller.scopes(), caller.audience())),
            Err(error) => self.see_error(&error),
        }
        self.see(&(verifier, verifier.client(), verifier.stats()));
    }

    async fn ask(&mut self, service: &TestService, headers: &[(&str, &str)], body: &str) {
        for method in [Method::POST, Method::GET, Method::OPTIONS] {
            let mut request =
                Request::builder().method(method).uri(format!("/mcp?access_token={ASKED}"));
            for (name, value) in headers {
                request = request.header(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            let response = send(service, request.body(Full::from(body.to_owned())).unwrap()).await;
            self.record_response(&response);
        }
    }

    /// Whatever Clerk is asked that is no token.
    async fn ask_clerk(&mut self, verifier: &ClerkVerifier) {
        let known = self.fixture.clerk.default_user_id().to_owned();
        for user in [known, "user_nobody".to_owned(), format!("../{KEY}")] {
            let Some(client) = verifier.client() else {
                continue;
            };
            if let Err(error) = client.get_user(&user).await {
                self.see_error(&error);
            }
        }
        if let Err(error) = verifier.warm_up().await {
            self.see_error(&error);
        }
        if let Err(error) = fetch_clerk_authorization_server_metadata(verifier.frontend_api()).await
        {
            self.see_error(&error);
        }
        let service = collect_responses(AuthorizationServerService::for_verifier(verifier));
        let mut asks = Request::new(Full::default());
        *asks.uri_mut() = format!("/?access_token={ASKED}").parse().unwrap();
        let response = send(&service, asks).await;
        self.record_response(&response);
    }
}

/// Every service of this crate with a token to ask for.
fn services(verifier: &ClerkVerifier) -> Vec<TestService> {
    let layer = || {
        BearerAuthLayer::new(verifier.clone(), resource())
            .required_scopes(Scopes::parse("profile").unwrap())
    };
    let hosts = ResourcesByHost::new([RESOURCE, "https://other.example.com/mcp"]).unwrap();
    let rules = AccessPolicy::new().tool("delete_file", Scopes::parse("files:write").unwrap());
    let clerk = ClerkMcp::builder()
        .resource(RESOURCE.parse().unwrap())
        .verifier(verifier.clone())
        .access_policy(rules);
    let clerk = clerk.build().unwrap();
    vec![
        guarded(layer()),
        guarded(layer().optional().without_cors()),
        guarded(BearerAuthLayer::with_resolver(verifier.clone(), hosts)),
        guarded(clerk.well_known_layer()),
        collect_responses(example::router(&clerk)),
    ]
}

/// Ways to send a token, some of them wrong.
async fn send_each_way(stage: &mut Stage, service: &TestService, token: &str) {
    let bearer = format!("Bearer {token}");
    let basic = format!("Basic {}", STANDARD.encode(format!("{ASKED}:{token}")));
    let cookie = format!("__session={token}");
    let rows: [&[(&str, &str)]; 8] = [
        &[("authorization", &bearer)],
        &[("authorization", &bearer), ("authorization", ASKED)],
        &[("authorization", &basic), ("cookie", &cookie)],
        &[("authorization", token), ("x-api-key", token)],
        &[
            ("authorization", &bearer),
            ("origin", "https://page.example"),
            ("host", "elsewhere.example"),
        ],
        &[("authorization", &bearer), ("host", "mcp.example.com"), ("x-forwarded-host", ASKED)],
        &[("origin", ASKED), ("access-control-request-method", ASKED), ("mcp-session-id", token)],
        &[
            ("authorization", &format!("Bearer {token}\u{e4}")),
            ("mcp-method", ASKED),
            ("mcp-name", token),
        ],
    ];
    for headers in rows {
        stage.ask(service, headers, "").await;
    }
    let json = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("host", "localhost"),
    ];
    let call = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"delete_file","arguments":{{"token":"{token}"}}}}}}"#
    );
    let mixed = format!(r#"{{"jsonrpc":"2.0","id":1,"Method":"{ASKED}","method":"{token}"}}"#);
    let broken = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{ASKED}{token}"#);
    for body in [call, mixed, broken] {
        stage.ask(service, &json, &body).await;
    }
}

/// What Clerk may say, with its listener's secrets in it.
fn words(token: &str) -> Vec<(Option<Fault>, Option<ConnectionFault>)> {
    let said = format!("{SAID} {KEY} {token}");
    let dense = format!("{SAID}{KEY}");
    let error = format!(
        r#"{{"errors":[{{"code":"{SAID}","message":"{said}"}}],"clerk_trace_id":"{said}"}}"#
    );
    let mut faults = Vec::new();
    for status in [200, 302, 400, 401, 403, 404, 429, 500, 503] {
        let response = Response::builder()
            .status(status)
            .header(
                "location",
                format!("https://user:{dense}@{SAID}.example/?access_token={token}"),
            )
            .header("retry-after", said.clone())
            .header("set-cookie", said.clone())
            .header("content-type", said.clone())
            .header("www-authenticate", said.clone());
        faults.push(response.body(Bytes::from(error.clone())).unwrap());
    }
    let bodies = [
        said.clone(),
        format!("\"{said}\""),
        format!("{{\"{said}\":"),
        format!(
            r#"{{"keys":[{{"kty":"{said}"}},{{"kty":"RSA","kid":"{said}","n":"{dense}","e":"{dense}","d":"{dense}"}}]}}"#
        ),
        format!(
            r#"{{"issuer":"https://{SAID}.example","token_endpoint":"https://user:{dense}@{SAID}.example"}}"#
        ),
        format!(r#"{{"id":"{said}","email_addresses":"{said}"}}"#),
        format!(r#"{{"object":"{said}","revoked":"{said}","subject":["{said}"]}}"#),
        format!(r#"{{"object":"{said}","object":"{said}"}}"#),
    ];
    faults.extend(bodies.map(|body| Response::new(Bytes::from(body))));
    let raw = [
        format!("HTTP/1.1 200 {said}\r\ncontent-length: 2\r\n\r\n{{}}"),
        format!("HTTP/1.1 500 {said}\r\ncontent-length: 0\r\n\r\n"),
        format!("HTTP/1.1 {said}\r\n\r\n"),
        format!("{said}\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\n{said}\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\n{said}: x\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\nx: {said}\0\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\ncontent-length: {said}\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: {said}\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{dense}\r\n"),
        format!("HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n{said}"),
        format!("HTTP/1.1 101 {said}\r\nupgrade: {dense}\r\nconnection: upgrade\r\n\r\n{said}"),
    ];
    let raw = raw
        .into_iter()
        .chain([dense.repeat(20_000)])
        .map(|bytes| ConnectionFault::sends(bytes, End::Close));
    let faults = faults.into_iter().map(|response| (Some(Fault::Answer(response)), None));
    let faults = faults.chain([(Some(Fault::Down), None), (Some(Fault::Truncated), None)]);
    let cuts = raw
        .chain([ConnectionFault::Refused, ConnectionFault::sends("", End::Reset)])
        .map(|fault_connections| (None, Some(fault_connections)));
    faults.chain(cuts).collect()
}

#[tokio::test]
async fn no_log_no_error_and_no_answer_shows_a_secret() {
    let captured = Captured::default();
    let (_logging, _counting) = (captured.log(), metrics::set_default_local_recorder(&captured));
    let mut stage = Stage::new().await;
    drive_all_is_well(&mut stage).await;
    drive_clerk_talks(&mut stage).await;

    let log = captured.text();
    for line in [
        "ERROR clerk_mcp_tools",
        "the key set of the Clerk instance could not be fetched",
        "the authorization server's metadata could not be fetched",
        "an access token could not be verified",
        "an access token was refused",
        "a request was refused",
        "an operation was refused",
        "a message was refused",
        "a key of the key set is passed over",
        // Of the HTTP client, of the server behind the layer, and of the counters.
        "TRACE reqwest",
        "rmcp",
        "clerk_mcp_tools_token_cache_hits_total",
        "clerk_mcp_tools_upstream_failures_total",
    ] {
        assert!(log.contains(line), "{line} is not captured");
    }
    for text in ["Expired", "connection closed before message completed", "temporarily_unavailable"]
    {
        assert!(stage.seen.iter().any(|seen| seen.contains(text)), "nobody has seen {text}");
    }
    for line in log.lines().collect::<BTreeSet<_>>() {
        stage.finder.assert_hidden("the log", line);
    }
    for text in &stage.seen {
        stage.finder.assert_hidden("errors and answers", text);
    }
}

async fn drive_all_is_well(stage: &mut Stage) {
    let tokens = stage.tokens();
    for verifier in stage.verifiers() {
        stage.ask_clerk(&verifier).await;
        for token in &tokens {
            stage.verify(&verifier, token).await;
        }
    }
    let verifier = stage.fixture.verifier();
    for service in services(&verifier) {
        for token in &tokens {
            send_each_way(stage, &service, token).await;
        }
    }
}

async fn drive_clerk_talks(stage: &mut Stage) {
    let jwt = stage.mint().jwt();
    let jwt = stage.token("a good JWT", jwt);
    let verifiers = stage.verifiers();
    for (fault, fault_connections) in words(&jwt) {
        let opaque = stage.mint().opaque();
        let opaque = stage.token("a good opaque token", opaque);
        if let Some(fault) = fault {
            stage.fixture.clerk.fault_all(fault);
        }
        if let Some(fault_connections) = fault_connections {
            stage.proxy.fail(fault_connections).await;
        }
        for verifier in &verifiers {
            stage.ask_clerk(verifier).await;
            for token in [&jwt, &opaque] {
                stage.verify(verifier, token).await;
                let service = guarded(BearerAuthLayer::new(verifier.clone(), resource()));
                stage.ask(&service, &[("authorization", &format!("Bearer {token}"))], "").await;
            }
        }
        stage.fixture.clerk.heal_all();
        stage.proxy.heal();
        stage.fixture.advance(300);
    }
}
