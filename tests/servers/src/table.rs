//! Inputs that once got past the layers, each with its answer now and before.
//!
//! `cargo test --release table -- --nocapture --test-threads 1` prints them as tables.

use std::convert::Infallible;

use axum::Router;
use axum::extract::{OriginalUri, Request as AxumRequest};
use axum::routing::{any, get};
use bytes::Bytes;
use clerk_mcp_tools::bearer_auth::{BearerAuthLayer, ResolveResource, TokenRequest, VerifyToken};
use clerk_mcp_tools::{AccessPolicy, AuthInfo, ResourceUrl, Scopes, VerifyError, VerifyErrorKind};
use http::request::Parts;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Layer, service_fn};

use crate::readers::Reader;
use crate::services::{self, Answer, AnsweringService, Log, answering, send};
use crate::sessions::Fixture;
use crate::targets::Ran;

/// The rows of one table.
pub(crate) struct Table(String);

impl Table {
    pub(crate) fn new(title: &str) -> Self {
        Self(format!("\n### {title}\n\n| case | now | before |\n| --- | --- | --- |\n"))
    }

    pub(crate) fn add(&mut self, case: &str, now: &str, before: &str) {
        let case = case.replace('|', "\\|").replace(['\n', '\r'], " ");
        self.0.push_str(&format!("| {case} | {now} | {before} |\n"));
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        println!("{}", self.0);
    }
}

fn scope() -> Scopes {
    Scopes::parse("guarded").unwrap()
}

fn post(body: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(Method::POST)
        .uri("/")
        .header("host", "mcp.example.com")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap()
}

/// A request of MCP 2026-07-28.
fn modern(body: &str, method: &str) -> Request<Full<Bytes>> {
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    let body = body.replacen(r#""params":{"#, &format!(r#""params":{{{meta},"#), 1);
    let mut request = post(&body);
    let headers = request.headers_mut();
    headers.insert("mcp-protocol-version", "2026-07-28".parse().unwrap());
    headers.insert("mcp-method", method.parse().unwrap());
    request
}

fn message(method: &str, member: &str, name: &str) -> String {
    let name = serde_json::Value::from(name);
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"{member}":{name}}}}}"#)
}

/// The answer, in short.
pub(crate) fn now(answer: &Answer) -> String {
    let status = answer.status.as_u16();
    match answer.rejection.as_ref().map(|rejection| rejection.reason()) {
        Some(reason) => format!("{status} {reason:?}"),
        None => format!("{status} of the server"),
    }
}

struct Guarded {
    fixture: Fixture,
    service: AnsweringService,
    log: Log,
}

impl Guarded {
    async fn new(policy: AccessPolicy, server: impl FnOnce(&Log) -> Router) -> Self {
        let (fixture, log) = (Fixture::new().await, Log::default());
        let clerk = fixture.clerk_mcp().access_policy(policy).build().unwrap();
        let service = answering(clerk.auth_layer().layer(server(&log)));
        Self { fixture, service, log }
    }

    /// Sends a request of a caller who has `profile` only.
    async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        send(&self.service, self.fixture.with_token("user_b", request)).await
    }

    /// Asserts that a request is rejected for its scope, and that nothing ran.
    async fn rejects(&self, case: &str, request: Request<Full<Bytes>>) -> String {
        let answer = self.send(request).await;
        assert_eq!(self.log.take(), [], "{case}");
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{case}: {answer:?}");
        assert!(
            answer.header("www-authenticate").unwrap().ends_with("scope=\"guarded\""),
            "{case}"
        );
        now(&answer)
    }
}

#[tokio::test]
async fn uris_in_other_spellings() {
    let mut table =
        Table::new("URIs in other spellings (rmcp, a resource that is read by its URL)");
    let rows: [(&str, &[&str]); 9] = [
        (
            "file:///*",
            &[
                "file://localhost/vault/secret",
                "file://LOCALHOST/vault/secret",
                "file:/vault/secret",
                "file:vault/secret",
                "FILE:///vault/secret",
            ],
        ),
        (
            "https://vault.example/*",
            &[
                "https://VAULT.example/s",
                "https://vault.example:443/s",
                "https:vault.example/s",
                "https:/vault.example/s",
                "https:///vault.example/s",
                "https://user@vault.example/s",
                "https://\u{ff56}ault.example/s",
                "https://vault\u{3002}example/s",
                "https://vau\u{ad}lt.example/s",
            ],
        ),
        ("file:///%C3%A4/*", &["file:///%c3%a4/secret", "file:///\u{e4}/secret"]),
        ("file:///srv/@team/*", &["file:///srv/%40team/secret"]),
        ("file:///C:/data/*", &["file:///C%3A/data/secret", "file:///C%3a/data/secret"]),
        ("file:///a(b)/*", &["file:///a%28b%29/secret"]),
        ("file:///a%20b/*", &["file:///a b/secret"]),
        (
            "file:///vault/secret",
            &["file:///vault/secret#x", "file:///vault/secret?x", "file:///vault/secret/"],
        ),
        ("file:///vault/*", &["file:///open/../vault/a", "file:///open/%2e%2e/vault/a"]),
    ];
    for (rule, uris) in rows {
        let policy = AccessPolicy::baseline_by_default().resource(rule, scope()).build().unwrap();
        let guarded = Guarded::new(policy, services::rmcp).await;
        for uri in uris {
            let case = format!("`{rule}`: `{uri}`");
            let request = post(&message("resources/read", "uri", uri));
            let now = guarded.rejects(&case, request).await;
            let is_new =
                uri.starts_with("FILE") || uri.contains("%3a") || rule == "file:///vault/*";
            table.add(&case, &now, if is_new { "not tried" } else { "200, read" });
        }
    }
    for rule in ["file:///\u{e4}/*", "file:///a b/*", "file:///{path", "HTTPS://vault.example/*"] {
        let built = AccessPolicy::baseline_by_default().resource(rule, scope()).build();
        assert!(built.is_err(), "{rule}");
        let before = if rule.starts_with("HTTPS") { "not tried" } else { "accepted silently" };
        table.add(&format!("a rule for `{rule}`"), "an error at the start", before);
    }
}

#[tokio::test]
async fn uris_that_match_a_template() {
    let mut table = Table::new("URIs that the template of a rule matches for the server");
    let policy = || {
        let policy = AccessPolicy::baseline_by_default().resource("users://{id}", scope());
        policy.resource("teams://{id}/notes", scope()).build().unwrap()
    };
    for reader in [Reader::TowerMcp, Reader::Pmcp] {
        let guarded = Guarded::new(policy(), |log| services::stateless(reader, log)).await;
        for uri in [
            "users://42",
            "users://42?x",
            "users://42#x",
            "users://42?",
            "teams://7#x/notes",
            "teams://7#/notes",
            "teams://7?/notes",
        ] {
            let case = format!("{}: `{uri}`", reader.name());
            let now = guarded.rejects(&case, post(&message("resources/read", "uri", uri))).await;
            let before = match (reader, uri) {
                (_, "users://42") => "403",
                (_, "users://42?x" | "users://42#x") => "200, read",
                (Reader::TowerMcp, "users://42?" | "teams://7#x/notes") => "200, read",
                (Reader::Pmcp, "teams://7#/notes" | "teams://7?/notes") => "200, read",
                _ => "not tried",
            };
            table.add(&case, &now, before);
        }
    }
}

#[tokio::test]
async fn methods_that_name_a_resource() {
    let mut table = Table::new("Methods that take a URI or a reference (rmcp)");
    let policy = AccessPolicy::baseline_by_default()
        .resource("file:///*", scope())
        .resource("skill://*", scope())
        .prompt("salary", scope())
        .build()
        .unwrap();
    let guarded = Guarded::new(policy, services::rmcp).await;
    let reference = |reference: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{{"ref":{reference},"argument":{{"name":"a","value":"b"}}}}}}"#
        )
    };
    let listen = r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["file:///a"]}}}"#;
    let rows = [
        ("resources/read", post(&message("resources/read", "uri", "file:///a")), "403"),
        ("resources/subscribe", post(&message("resources/subscribe", "uri", "file:///a")), "403"),
        (
            "resources/directory/read",
            post(&message("resources/directory/read", "uri", "file:///a")),
            "200, listed",
        ),
        (
            "skills/get",
            post(&message("skills/get", "uri", "skill://a/SKILL.md")),
            "200, handler reached",
        ),
        (
            "completion/complete of a resource",
            post(&reference(r#"{"type":"ref/resource","uri":"file:///a"}"#)),
            "200",
        ),
        (
            "completion/complete of a prompt",
            post(&reference(r#"{"type":"ref/prompt","name":"salary"}"#)),
            "not tried",
        ),
        ("subscriptions/listen", modern(listen, "subscriptions/listen"), "not tried"),
    ];
    for (case, request, before) in rows {
        let now = guarded.rejects(case, request).await;
        table.add(&format!("`{case}`"), &now, before);
    }
    let policy =
        AccessPolicy::deny_by_default().tool("list_files", Scopes::none()).build().unwrap();
    let guarded = Guarded::new(policy, services::rmcp).await;
    for method in ["acme/erase", "tasks/get", "logging/setLevel", "resources/later", "tools/delete"]
    {
        let answer = guarded.send(post(&message(method, "taskId", "t"))).await;
        assert_eq!(
            (answer.status, guarded.log.take()),
            (StatusCode::FORBIDDEN, vec![]),
            "{method}"
        );
        table.add(&format!("`{method}`, closed by default"), &now(&answer), "no way to close it");
    }
}

/// A handler that takes a call by any HTTP method.
fn any_method(log: &Log) -> Router {
    let log = log.clone();
    Router::new().fallback(any(move |request: AxumRequest| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        for ran in Reader::TowerMcp.read(&body) {
            log.push(ran);
        }
    }))
}

#[tokio::test]
async fn http_methods_and_upgrades() {
    let mut table = Table::new("HTTP methods, and upgrades");
    let policy =
        || AccessPolicy::baseline_by_default().tool("delete_file", scope()).build().unwrap();
    let call = message("tools/call", "name", "delete_file");
    let guarded = Guarded::new(policy(), any_method).await;
    let methods = [
        "POST", "post", "Post", "PUT", "put", "PATCH", "QUERY", "GET", "get", "HEAD", "DELETE",
        "delete", "OPTIONS", "TRACE", "CONNECT", "MKCOL", "POST1",
    ];
    for method in methods {
        let mut request = post(&call);
        *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = guarded.send(request).await;
        assert_eq!(guarded.log.take(), [], "{method}");
        assert!(answer.status.is_client_error(), "{method}: {}", answer.status);
        let before = match method {
            "POST" => "403",
            "post" | "PUT" | "PATCH" | "QUERY" | "GET" => "200, ran",
            _ => "not tried",
        };
        table.add(
            &format!("a call by `{method}`, with a handler of any method"),
            &now(&answer),
            before,
        );
    }

    let websocket = |log: &Log| {
        let router = services::tower_mcp_router(log);
        tower_mcp::WebSocketTransport::new(router)
            .disable_host_validation()
            .disable_origin_validation()
            .into_router()
    };
    let guarded = Guarded::new(policy(), websocket).await;
    for method in ["GET", "get", "POST", "CONNECT"] {
        for (name, upgrade) in [("upgrade", "websocket"), ("upgrade", "h2c, WebSocket")] {
            let mut request = post("");
            *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
            let headers = request.headers_mut();
            headers.insert("connection", "upgrade".parse().unwrap());
            headers.insert(name, upgrade.parse().unwrap());
            headers.insert("sec-websocket-version", "13".parse().unwrap());
            headers.insert("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==".parse().unwrap());
            let answer = guarded.send(request).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {upgrade}");
            assert!(answer.body.contains("upgrade_not_allowed"), "{}", answer.body);
            let is_old = (method, upgrade) == ("GET", "websocket");
            let before = if is_old { "101, calls unseen" } else { "not tried" };
            table.add(
                &format!("tower-mcp, `{method}` with `Upgrade: {upgrade}`"),
                &now(&answer),
                before,
            );
        }
    }
}

struct ByPath(Vec<ResourceUrl>);

impl ResolveResource for ByPath {
    fn resolve(&self, parts: &Parts) -> Option<ResourceUrl> {
        let original = parts.extensions.get::<OriginalUri>();
        let path = original.map_or(parts.uri.path(), |OriginalUri(uri)| uri.path());
        self.0.iter().find(|resource| resource.path() == path).cloned()
    }
}

#[tokio::test]
async fn resources_by_path_in_a_nested_router() {
    let mut table = Table::new("Resources by path, under `Router::nest(\"/internal\", …)`");
    let resources = ["https://h.example/mcp", "https://h.example/internal/mcp"];
    let resources: Vec<ResourceUrl> = resources.iter().map(|url| url.parse().unwrap()).collect();
    let layer = BearerAuthLayer::with_resolver(PerResource, ByPath(resources));
    let inner = Router::new().route("/mcp", any(|| async { "served" })).layer(layer);
    let service = answering(Router::new().nest("/internal", inner));
    for (token, status, before) in [
        ("https://h.example/mcp", StatusCode::UNAUTHORIZED, "200"),
        ("https://h.example/internal/mcp", StatusCode::OK, "401"),
    ] {
        let mut request = post("{}");
        *request.uri_mut() = "/internal/mcp".parse().unwrap();
        let credentials = format!("Bearer {}", token.replace(':', "~"));
        request.headers_mut().insert("authorization", credentials.parse().unwrap());
        let answer = send(&service, request).await;
        assert_eq!(answer.status, status, "{token}");
        table.add(&format!("a token for `{token}`"), &now(&answer), before);
    }
}

/// Accepts a token that is the URL of the resource, with `~` for `:`.
struct PerResource;

#[async_trait::async_trait]
impl VerifyToken for PerResource {
    async fn verify_token(&self, request: TokenRequest<'_>) -> Result<AuthInfo, VerifyError> {
        let (token, resource) = (request.token(), request.resource().unwrap());
        if token.replace('~', ":") == resource.as_str() {
            return Ok(AuthInfo::for_user("user_1", token.into()).build());
        }
        Err(VerifyError::new(VerifyErrorKind::InvalidAudience))
    }
}

#[tokio::test]
async fn wirings() {
    let mut table =
        Table::new("Wirings (axum): without a token, and with one that lacks the scope");
    let fixture = Fixture::new().await;
    let policy = AccessPolicy::deny_by_default().tool("delete_file", scope()).build().unwrap();
    let clerk = fixture.clerk_mcp().access_policy(policy).build().unwrap();
    let call = message("tools/call", "name", "delete_file");
    let (log, auth) = (Log::default(), || clerk.auth_layer());
    let other = || Router::new().route("/other", get(|| async { "other" }));
    let mcp = || any_method(&log);
    let open = StatusCode::OK;
    let (unauthorized, forbidden) = (StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN);
    let (bearer, policy_layer) = clerk.auth_layer().into_parts();
    let rows = [
        ("`mount`", clerk.mount_at(other(), "/", mcp()), [unauthorized, forbidden], "-"),
        (
            "`auth_layer()` around the service",
            mcp().layer(auth()),
            [unauthorized, forbidden],
            "401 and **200, ran** (`bearer_auth_layer()`)",
        ),
        (
            "both parts of `into_parts()`",
            mcp().layer(policy_layer.clone()).layer(bearer.clone()),
            [unauthorized, forbidden],
            "-",
        ),
        (
            "the policy layer alone",
            mcp().layer(policy_layer),
            [unauthorized, unauthorized],
            "401 and 401",
        ),
        (
            "`route_layer`, the service as fallback",
            other().route_layer(auth()).fallback_service(mcp()),
            [open, open],
            "**200, ran** and **200**",
        ),
        ("`merge` after `layer`", other().layer(auth()).merge(mcp()), [open, open], "**200**"),
    ];
    for (case, router, expected, before) in rows {
        let service = answering(router);
        let without = send(&service, post(&call)).await;
        let with = send(&service, fixture.with_token("user_b", post(&call))).await;
        let ran = log.take();
        assert_eq!([without.status, with.status], expected, "{case}");
        assert_eq!(
            ran.contains(&Ran::Tool("delete_file".to_owned())),
            expected[1] == open,
            "{case}"
        );
        table.add(case, &format!("{}; {}", now(&without), now(&with)), before);
    }
    // A handler behind a wrong wiring can tell.
    let handler = service_fn(|request: Request<Full<Bytes>>| async {
        let (parts, _) = request.into_parts();
        let status = match AuthInfo::from_guarded_parts(&parts) {
            Ok(_) => StatusCode::OK,
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Ok::<_, Infallible>(
            http::Response::builder().status(status).body(Full::<Bytes>::default()).unwrap(),
        )
    });
    let answer = send(&answering(handler), post(&call)).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    table.add("no layer, a handler with `from_guarded_parts`", "500", "no way to tell");
}
