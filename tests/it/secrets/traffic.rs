//! Sends secrets along every path, and searches the logs, metrics, errors and responses for them.

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

use super::log_capture::LogCapture;
use super::secret_finder::SecretFinder;
use crate::rmcp_client::example;
use crate::support::proxy::{ConnectionFault, End, Proxy};
use crate::support::{
    Fixture, RESOURCE, TestResponse, TestService, collect_responses, guarded, resource, send,
};

/// A mark in responses of Clerk, which may repeat the request.
const UPSTREAM_MARK: &str = "MarkedInWhatClerkSays0123456789";
/// A mark in parts of a request other than its token.
const REQUEST_MARK: &str = "MarkedInARequest0123456789";
const CLAIM_MARK: &str = "MarkedInAClaim0123456789";
const SECRET_KEY: &str = "sk_test_MarkedSecretKey0123456789";
const WRONG_SECRET_KEY: &str = "sk_test_MarkedWrongKey0123456789";

/// A fake Clerk behind a proxy, the recorded output, and the secrets that it must not contain.
struct Recorder {
    fixture: Fixture,
    proxy: Proxy,
    /// Deduplicated, since most responses are the same.
    recorded: BTreeSet<String>,
    finder: SecretFinder,
}

impl Recorder {
    async fn new() -> Self {
        let proxy = Proxy::new();
        let fixture =
            Fixture::with(|clerk| clerk.secret_key(SECRET_KEY).origin(proxy.origin())).await;
        proxy.forward_to(fixture.clerk.address());
        let mut finder = SecretFinder::default();
        let marks = [
            ("the mark in a response of Clerk", UPSTREAM_MARK),
            ("the mark in a request", REQUEST_MARK),
            ("the mark in a claim", CLAIM_MARK),
        ];
        for (name, mark) in marks
            .into_iter()
            .chain([("the secret key", SECRET_KEY), ("a wrong secret key", WRONG_SECRET_KEY)])
        {
            finder.add(name, mark);
        }
        Self { fixture, proxy, recorded: BTreeSet::new(), finder }
    }

    fn record(&mut self, value: &dyn Debug) {
        self.recorded.extend([format!("{value:?}"), format!("{value:#?}")]);
    }

    fn record_error(&mut self, error: &(dyn Error + 'static)) {
        self.record(&error);
        let mut next = Some(error);
        while let Some(error) = next {
            self.recorded.extend([format!("{error}"), format!("{error:#}")]);
            next = error.source();
        }
    }

    fn record_response(&mut self, response: &TestResponse) {
        self.record(response);
        for (name, value) in &response.headers {
            self.recorded.insert(format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
        }
        self.recorded.insert(response.body.clone());
        if let Some(rejection) = response.extensions.get::<Rejection>() {
            self.record(rejection);
            if let Some(error) = rejection.error() {
                self.record_error(error);
            }
        }
    }

    /// Adds a token to the secrets.
    fn add_token(&mut self, name: &str, token: String) -> String {
        self.finder.add_token(name, &token);
        token
    }

    fn mint(&self) -> TokenBuilder {
        self.fixture
            .clerk
            .mint()
            .audience(RESOURCE)
            .claim("note", CLAIM_MARK)
            .record_member("note", CLAIM_MARK)
    }

    /// Valid and invalid tokens, and other credentials.
    fn tokens(&mut self) -> Vec<String> {
        let mint = || self.mint();
        let valid = mint().jwt();
        let now = crate::support::NOW;
        let tokens = [
            ("valid", valid.clone()),
            ("valid and opaque", mint().opaque()),
            ("without scopes", mint().scopes(["email"]).jwt()),
            ("expired", mint().expires_at(now - 60).jwt()),
            ("not yet valid", mint().not_before(now + 60).jwt()),
            ("with another signature", mint().foreign_key().jwt()),
            ("with a marked signature", mint().signature(REQUEST_MARK.repeat(9)).jwt()),
            ("with an unknown kid", mint().header("kid", REQUEST_MARK).jwt()),
            ("with a marked alg", mint().header("alg", REQUEST_MARK).jwt()),
            ("with a marked typ", mint().header("typ", REQUEST_MARK).jwt()),
            ("with a marked cat", mint().header("cat", REQUEST_MARK).jwt()),
            ("with a critical extension", mint().header("crit", vec![REQUEST_MARK]).jwt()),
            (
                "of another issuer",
                mint().claim("iss", format!("https://{REQUEST_MARK}.example")).jwt(),
            ),
            (
                "of another audience",
                mint()
                    .audience(format!(
                        "https://{REQUEST_MARK}@o.example/mcp?key={REQUEST_MARK}#{REQUEST_MARK}"
                    ))
                    .jwt(),
            ),
            ("with an invalid subject", mint().claim("sub", vec![REQUEST_MARK]).jwt()),
            ("with a string as time", mint().claim("exp", REQUEST_MARK).jwt()),
            ("with malformed claims", mint().raw_claims(format!("{{\"{REQUEST_MARK}")).jwt()),
            ("with a malformed header", mint().raw_header(format!("{{\"{REQUEST_MARK}")).jwt()),
            ("of four parts", format!("{valid}.{REQUEST_MARK}")),
            ("with a space", format!("{valid} {REQUEST_MARK}")),
            ("too long", format!("{valid}{}", REQUEST_MARK.repeat(400))),
            ("revoked", mint().revoked(true).opaque()),
            ("unknown", format!("oat_{REQUEST_MARK}")),
            ("a machine token", format!("mt_{REQUEST_MARK}")),
            ("an API key", format!("ak_{REQUEST_MARK}")),
            ("the secret key", SECRET_KEY.to_owned()),
            ("not a token", REQUEST_MARK.to_owned()),
        ];
        tokens.into_iter().map(|(name, token)| self.add_token(name, token)).collect()
    }

    /// Verifiers that do not serve stale keys.
    fn verifiers(&self) -> Vec<ClerkVerifier> {
        let wrong = SecretKey::parse(WRONG_SECRET_KEY).unwrap();
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

    /// Verifies a token, and records the result and the state of the verifier.
    async fn verify(&mut self, verifier: &ClerkVerifier, token: &str) {
        let known = verifier.cached(TokenRequest::new(token));
        self.record(&known);
        match verify_clerk_token(verifier, token).await {
            Ok(caller) => self.record(&(&caller, caller.scopes(), caller.audience())),
            Err(error) => self.record_error(&error),
        }
        self.record(&(verifier, verifier.client(), verifier.stats()));
    }

    async fn send_all_methods(
        &mut self,
        service: &TestService,
        headers: &[(&str, &str)],
        body: &str,
    ) {
        for method in [Method::POST, Method::GET, Method::OPTIONS] {
            let mut request =
                Request::builder().method(method).uri(format!("/mcp?access_token={REQUEST_MARK}"));
            for (name, value) in headers {
                request = request.header(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            let response = send(service, request.body(Full::from(body.to_owned())).unwrap()).await;
            self.record_response(&response);
        }
    }

    /// Makes the calls to Clerk other than the verification of tokens.
    async fn call_clerk(&mut self, verifier: &ClerkVerifier) {
        let known = self.fixture.clerk.default_user_id().to_owned();
        for user in [known, "user_nobody".to_owned(), format!("../{SECRET_KEY}")] {
            let Some(client) = verifier.client() else {
                continue;
            };
            if let Err(error) = client.get_user(&user).await {
                self.record_error(&error);
            }
        }
        if let Err(error) = verifier.warm_up().await {
            self.record_error(&error);
        }
        if let Err(error) = fetch_clerk_authorization_server_metadata(verifier.frontend_api()).await
        {
            self.record_error(&error);
        }
        let service = collect_responses(AuthorizationServerService::for_verifier(verifier));
        let mut request = Request::new(Full::default());
        *request.uri_mut() = format!("/?access_token={REQUEST_MARK}").parse().unwrap();
        let response = send(&service, request).await;
        self.record_response(&response);
    }
}

/// The services that a token is sent to.
fn services(verifier: &ClerkVerifier) -> Vec<TestService> {
    let layer = || {
        BearerAuthLayer::new(verifier.clone(), resource())
            .required_scopes(Scopes::parse("profile").unwrap())
    };
    let hosts = ResourcesByHost::new([RESOURCE, "https://other.example.com/mcp"]).unwrap();
    let rules = AccessPolicy::baseline_by_default()
        .tool("delete_file", Scopes::parse("files:write").unwrap());
    let rules = rules.build().unwrap();
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

/// Sends a token in various headers and bodies, valid and invalid.
async fn send_in_every_header(recorder: &mut Recorder, service: &TestService, token: &str) {
    let bearer = format!("Bearer {token}");
    let basic = format!("Basic {}", STANDARD.encode(format!("{REQUEST_MARK}:{token}")));
    let cookie = format!("__session={token}");
    let rows: [&[(&str, &str)]; 8] = [
        &[("authorization", &bearer)],
        &[("authorization", &bearer), ("authorization", REQUEST_MARK)],
        &[("authorization", &basic), ("cookie", &cookie)],
        &[("authorization", token), ("x-api-key", token)],
        &[
            ("authorization", &bearer),
            ("origin", "https://page.example"),
            ("host", "elsewhere.example"),
        ],
        &[
            ("authorization", &bearer),
            ("host", "mcp.example.com"),
            ("x-forwarded-host", REQUEST_MARK),
        ],
        &[
            ("origin", REQUEST_MARK),
            ("access-control-request-method", REQUEST_MARK),
            ("mcp-session-id", token),
        ],
        &[
            ("authorization", &format!("Bearer {token}\u{e4}")),
            ("mcp-method", REQUEST_MARK),
            ("mcp-name", token),
        ],
    ];
    for headers in rows {
        recorder.send_all_methods(service, headers, "").await;
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
    let mixed =
        format!(r#"{{"jsonrpc":"2.0","id":1,"Method":"{REQUEST_MARK}","method":"{token}"}}"#);
    let broken = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{REQUEST_MARK}{token}"#);
    for body in [call, mixed, broken] {
        recorder.send_all_methods(service, &json, &body).await;
    }
}

/// Responses of Clerk and broken connections that contain the secrets.
fn marked_failures(token: &str) -> Vec<(Option<Fault>, Option<ConnectionFault>)> {
    let marked = format!("{UPSTREAM_MARK} {SECRET_KEY} {token}");
    let compact = format!("{UPSTREAM_MARK}{SECRET_KEY}");
    let error = format!(
        r#"{{"errors":[{{"code":"{UPSTREAM_MARK}","message":"{marked}"}}],"clerk_trace_id":"{marked}"}}"#
    );
    let mut faults = Vec::new();
    for status in [200, 302, 400, 401, 403, 404, 429, 500, 503] {
        let response = Response::builder()
            .status(status)
            .header(
                "location",
                format!("https://user:{compact}@{UPSTREAM_MARK}.example/?access_token={token}"),
            )
            .header("retry-after", marked.clone())
            .header("set-cookie", marked.clone())
            .header("content-type", marked.clone())
            .header("www-authenticate", marked.clone());
        faults.push(response.body(Bytes::from(error.clone())).unwrap());
    }
    let bodies = [
        marked.clone(),
        format!("\"{marked}\""),
        format!("{{\"{marked}\":"),
        format!(
            r#"{{"keys":[{{"kty":"{marked}"}},{{"kty":"RSA","kid":"{marked}","n":"{compact}","e":"{compact}","d":"{compact}"}}]}}"#
        ),
        format!(
            r#"{{"issuer":"https://{UPSTREAM_MARK}.example","token_endpoint":"https://user:{compact}@{UPSTREAM_MARK}.example"}}"#
        ),
        format!(r#"{{"id":"{marked}","email_addresses":"{marked}"}}"#),
        format!(r#"{{"object":"{marked}","revoked":"{marked}","subject":["{marked}"]}}"#),
        format!(r#"{{"object":"{marked}","object":"{marked}"}}"#),
    ];
    faults.extend(bodies.map(|body| Response::new(Bytes::from(body))));
    let raw = [
        format!("HTTP/1.1 200 {marked}\r\ncontent-length: 2\r\n\r\n{{}}"),
        format!("HTTP/1.1 500 {marked}\r\ncontent-length: 0\r\n\r\n"),
        format!("HTTP/1.1 {marked}\r\n\r\n"),
        format!("{marked}\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\n{marked}\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\n{marked}: x\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\nx: {marked}\0\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\ncontent-length: {marked}\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: {marked}\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{compact}\r\n"),
        format!("HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n{marked}"),
        format!(
            "HTTP/1.1 101 {marked}\r\nupgrade: {compact}\r\nconnection: upgrade\r\n\r\n{marked}"
        ),
    ];
    let raw = raw
        .into_iter()
        .chain([compact.repeat(20_000)])
        .map(|bytes| ConnectionFault::sends(bytes, End::Close));
    let faults = faults.into_iter().map(|response| (Some(Fault::Answer(response)), None));
    let faults = faults.chain([(Some(Fault::Down), None), (Some(Fault::Truncated), None)]);
    let cuts = raw
        .chain([ConnectionFault::Refused, ConnectionFault::sends("", End::Reset)])
        .map(|connection_fault| (None, Some(connection_fault)));
    faults.chain(cuts).collect()
}

#[tokio::test]
async fn logs_errors_and_responses_show_no_secret() {
    let capture = LogCapture::default();
    let _logging = capture.install();
    // Of the whole process, since calls to Clerk are counted on another thread.
    metrics::set_global_recorder(capture.clone()).unwrap();
    let mut recorder = Recorder::new().await;
    run_without_failures(&mut recorder).await;
    run_with_failures(&mut recorder).await;

    let log = capture.text();
    for line in [
        "ERROR clerk_mcp_tools",
        "failed to fetch the key set",
        "failed to fetch the authorization server metadata",
        "failed to verify an access token",
        "rejected an access token",
        "rejected a request",
        "skipped a key of the key set",
        // From the HTTP client, the inner server, and the metrics.
        "TRACE reqwest",
        "rmcp",
        "clerk_mcp_tools_token_cache_hits_total",
        "clerk_mcp_tools_upstream_failures_total",
    ] {
        assert!(log.contains(line), "{line:?} was not captured");
    }
    for text in ["Expired", "connection closed before message completed", "temporarily_unavailable"]
    {
        assert!(
            recorder.recorded.iter().any(|recorded| recorded.contains(text)),
            "{text:?} was not recorded"
        );
    }
    for line in log.lines().collect::<BTreeSet<_>>() {
        recorder.finder.assert_hidden("the log", line);
    }
    for text in &recorder.recorded {
        recorder.finder.assert_hidden("errors and responses", text);
    }
}

async fn run_without_failures(recorder: &mut Recorder) {
    let tokens = recorder.tokens();
    for verifier in recorder.verifiers() {
        recorder.call_clerk(&verifier).await;
        for token in &tokens {
            recorder.verify(&verifier, token).await;
        }
    }
    let verifier = recorder.fixture.verifier();
    for service in services(&verifier) {
        for token in &tokens {
            send_in_every_header(recorder, &service, token).await;
        }
    }
}

async fn run_with_failures(recorder: &mut Recorder) {
    let jwt = recorder.mint().jwt();
    let jwt = recorder.add_token("a valid JWT", jwt);
    let verifiers = recorder.verifiers();
    for (fault, connection_fault) in marked_failures(&jwt) {
        let opaque = recorder.mint().opaque();
        let opaque = recorder.add_token("a valid opaque token", opaque);
        if let Some(fault) = fault {
            recorder.fixture.clerk.fault_all(fault);
        }
        if let Some(connection_fault) = connection_fault {
            recorder.proxy.fail(connection_fault).await;
        }
        for verifier in &verifiers {
            recorder.call_clerk(verifier).await;
            for token in [&jwt, &opaque] {
                recorder.verify(verifier, token).await;
                let service = guarded(BearerAuthLayer::new(verifier.clone(), resource()));
                recorder
                    .send_all_methods(
                        &service,
                        &[("authorization", &format!("Bearer {token}"))],
                        "",
                    )
                    .await;
            }
        }
        recorder.fixture.clerk.heal_all();
        recorder.proxy.heal();
        recorder.fixture.advance(300);
    }
}
