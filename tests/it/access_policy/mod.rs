//! Scopes of single operations: what a client gets for what it asks, to the byte, and what the service behind sees.

mod body;
mod input;
mod layers;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use clerk_mcp_tools::access_policy::{AccessPolicyLayer, RequestBody};
use clerk_mcp_tools::bearer_auth::{BearerAuthLayer, ResourcesByHost};
use clerk_mcp_tools::{
    AccessPolicy, AuthInfo, ClerkMcp, InsufficientScope, Rejection, RejectionReason,
    ScopeHierarchy, Scopes,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{
    Answer, Fixture, RESOURCE, TestService, guarded, request, resource, send, whole_answers,
};

const METADATA: &str = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp";
const JSON: (&str, &str) = ("content-type", "application/json");
const MISSING: &str = "The access token lacks a required scope";

fn scopes(list: &str) -> Scopes {
    Scopes::parse(list).unwrap()
}

fn rules() -> AccessPolicy {
    AccessPolicy::builder()
        .method("tools/list", scopes("list"))
        .tool("delete_file", scopes("files:write"))
        .tool("read_file", scopes("files:read"))
        .tool("greet\u{e4}", scopes("greet"))
        .tool("open", Scopes::none())
        .prompt("summary", scopes("prompts offline_access"))
        .resource("file:///*", scopes("files:read"))
        .build()
        .unwrap()
}

fn layer() -> AccessPolicyLayer {
    let hierarchy = ScopeHierarchy::new().implies("files:write", ["files:read"]).unwrap();
    AccessPolicyLayer::new(rules(), resource())
        .required_scopes(scopes("profile email"))
        .scope_hierarchy(hierarchy)
}

/// What reached the service behind the layer.
type Seen = Arc<Mutex<Vec<Bytes>>>;

/// The layer around a service that keeps the bodies which reach it.
fn watched<B>(
    layer: &AccessPolicyLayer,
) -> (
    impl Service<
        Request<B>,
        Response = Response<clerk_mcp_tools::response::ResponseBody<Full<Bytes>>>,
        Error = Infallible,
        Future: Send,
    > + Clone
    + Send
    + Sync
    + 'static,
    Seen,
)
where
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let seen = Seen::default();
    (layer.layer(watching(&seen)), seen)
}

/// A service that keeps the bodies which reach it.
fn watching<B>(
    seen: &Seen,
) -> impl Service<
    Request<RequestBody<B>>,
    Response = Response<Full<Bytes>>,
    Error = Infallible,
    Future: Send,
>
+ Clone
+ Send
+ Sync
+ 'static
+ use<B>
where
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let keep = Arc::clone(seen);
    service_fn(move |request: Request<RequestBody<B>>| {
        let keep = Arc::clone(&keep);
        async move {
            let hint = request.body().size_hint().exact();
            let body = request.into_body().collect().await.unwrap();
            assert!(body.trailers().is_none());
            let body = body.to_bytes();
            assert!(hint.is_none_or(|hint| hint == body.len() as u64));
            keep.lock().unwrap().push(body);
            Ok::<_, Infallible>(Response::new(Full::from("served")))
        }
    })
}

/// A `POST` with these headers and this body by a caller with these scopes, or by nobody.
fn post(
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
    granted: Option<&str>,
) -> Request<Full<Bytes>> {
    let mut request = request(Method::POST, "/mcp", headers).map(|_| Full::new(body.into()));
    request.extensions_mut().extend(caller(granted));
    request
}

fn caller(granted: Option<&str>) -> http::Extensions {
    let mut extensions = http::Extensions::new();
    if let Some(granted) = granted {
        let caller = AuthInfo::for_user("user_1", "token".into())
            .client_id("client_1")
            .scopes(scopes(granted));
        extensions.insert(caller.build());
    }
    extensions
}

/// What the layer answers, and what has reached the service by then.
async fn ask(layer: &AccessPolicyLayer, request: Request<Full<Bytes>>) -> (Answer, Vec<Bytes>) {
    let (service, seen) = watched(layer);
    let answer = send(&whole_answers(service), request).await;
    let seen = seen.lock().unwrap().clone();
    (answer, seen)
}

fn call(tool: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}"}}}}"#)
}

fn read(uri: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{{"uri":"{uri}"}}}}"#)
}

#[track_caller]
fn assert_headers(answer: &Answer, challenge: Option<&str>, what: &str) {
    let mut expected = vec![
        ("access-control-allow-origin", "*"),
        ("cache-control", "no-store"),
        ("content-type", "application/json"),
    ];
    let exposed = ("access-control-expose-headers", "WWW-Authenticate");
    expected.extend(
        challenge.into_iter().flat_map(|challenge| [exposed, ("www-authenticate", challenge)]),
    );
    expected.sort_unstable();
    let expected: Vec<_> =
        expected.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert_eq!(answer.sorted_headers(), expected, "{what}");
}

#[track_caller]
fn assert_insufficient(answer: &Answer, named: &str, what: &str) {
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{what}");
    assert_eq!(
        answer.body,
        format!(r#"{{"error":"insufficient_scope","error_description":"{MISSING}"}}"#),
        "{what}"
    );
    let challenge = format!(
        "Bearer error=\"insufficient_scope\", error_description=\"{MISSING}\", \
         resource_metadata=\"{METADATA}\", scope=\"{named}\""
    );
    assert_headers(answer, Some(&challenge), what);
    assert_eq!(
        answer.extensions.get::<Rejection>().unwrap().reason(),
        RejectionReason::InsufficientScope,
        "{what}"
    );
}

#[tokio::test]
async fn an_operation_needs_the_scopes_of_its_rule() {
    let (delete, prompt) =
        (call("delete_file"), r#"{"method":"prompts/get","params":{"name":"summary"}}"#.to_owned());
    let batch = format!("[{},{},{}]", call("open"), call("delete_file"), read("file:///a"));
    let rows: [(&str, String, &str, Option<&str>); 22] = [
        ("a method without a rule", r#"{"method":"ping"}"#.into(), "", None),
        ("an answer of the client", r#"{"id":1,"result":{"name":"delete_file"}}"#.into(), "", None),
        ("a notification", r#"{"method":"notifications/initialized"}"#.into(), "", None),
        ("a tool that nobody knows", call("other"), "", None),
        ("a tool that needs nothing", call("open"), "", None),
        (
            "a rule for a method",
            r#"{"method":"tools/list"}"#.into(),
            "profile",
            Some("profile email list"),
        ),
        ("a method that was granted", r#"{"method":"tools/list"}"#.into(), "list", None),
        ("a tool", delete.clone(), "profile email", Some("profile email files:write")),
        ("a tool that was granted", delete.clone(), "files:write", None),
        (
            "a narrow scope opens nothing broad",
            delete.clone(),
            "files:read",
            Some("profile email files:write"),
        ),
        ("a broad scope opens the narrow", call("read_file"), "files:write", None),
        (
            "escaped",
            delete.replace("delete", r"\u0064elete"),
            "",
            Some("profile email files:write"),
        ),
        (
            "an escaped member",
            delete.replace("method", r"m\u0065thod"),
            "",
            Some("profile email files:write"),
        ),
        ("without an id", delete.replace(r#""id":1,"#, ""), "", Some("profile email files:write")),
        ("a prompt", prompt.clone(), "", Some("profile email prompts")),
        ("a prompt that was granted", prompt, "prompts offline_access", None),
        ("a resource", read("file:///a"), "profile", Some("profile email files:read")),
        ("another resource", read("https://h.example/"), "", None),
        ("a resource in disguise", read("FILE:///a"), "", Some("profile email files:read")),
        ("a batch", batch.clone(), "", Some("profile email files:write files:read")),
        ("half a batch", batch.clone(), "files:read", Some("profile email files:write files:read")),
        ("a batch that was granted", batch, "files:write", None),
    ];
    for (what, body, granted, refused) in rows {
        let (answer, seen) = ask(&layer(), post(&[JSON], body.clone(), Some(granted))).await;
        match refused {
            Some(named) => {
                assert_insufficient(&answer, named, what);
                assert!(seen.is_empty(), "{what}");
            }
            None => {
                assert_eq!(
                    (answer.status, answer.body.as_str()),
                    (StatusCode::OK, "served"),
                    "{what}"
                );
                assert_eq!(answer.sorted_headers(), [], "{what}");
                assert_eq!(seen, [body], "{what}");
            }
        }
    }
}

#[tokio::test]
async fn nobody_gets_a_plain_challenge_where_scopes_are_needed() {
    let (answer, seen) = ask(&layer(), post(&[JSON], call("delete_file"), None)).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        answer.body,
        r#"{"error":"unauthorized","error_description":"An access token is required"}"#
    );
    let challenge =
        format!("Bearer resource_metadata=\"{METADATA}\", scope=\"profile email files:write\"");
    assert_headers(&answer, Some(&challenge), "nobody");
    assert!(seen.is_empty());
    for body in [call("open"), r#"{"method":"initialize","params":{}}"#.to_owned()] {
        let (answer, _) = ask(&layer(), post(&[JSON], body, None)).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
}
