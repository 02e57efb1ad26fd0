//! The access policy: the complete responses, byte by byte, and the bodies that reach the service.

mod body;
mod layers;
mod messages;
mod operations;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use clerk_mcp_tools::access_policy::{AccessPolicyLayer, RequestBody};
use clerk_mcp_tools::bearer_auth::{BearerAuthLayer, ResourcesByHost};
use clerk_mcp_tools::{
    AccessPolicy, AuthInfo, AuthLayer, InsufficientScope, Rejection, RejectionReason,
    ScopeHierarchy, Scopes,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{
    Fixture, NOW, RESOURCE, TestResponse, TestService, collect_responses, guarded, request,
    resource, send,
};

const METADATA: &str = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp";
const JSON: (&str, &str) = ("content-type", "application/json");
const MISSING: &str = "The access token lacks a required scope";

fn scopes(list: &str) -> Scopes {
    Scopes::parse(list).unwrap()
}

fn policy() -> AccessPolicy {
    AccessPolicy::baseline_by_default()
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
    AccessPolicyLayer::new(policy(), resource())
        .required_scopes(scopes("profile email"))
        .scope_hierarchy(hierarchy)
}

/// The bodies that reached the inner service.
type Received = Arc<Mutex<Vec<Bytes>>>;

/// The layer around a service that records the bodies it receives.
fn recording_layer<B>(
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
    Received,
)
where
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let received = Received::default();
    (layer.layer(recording_service(&received)), received)
}

/// A service that records the bodies it receives.
fn recording_service<B>(
    received: &Received,
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
    let received = Arc::clone(received);
    service_fn(move |request: Request<RequestBody<B>>| {
        let received = Arc::clone(&received);
        async move {
            let hint = request.body().size_hint().exact();
            let body = request.into_body().collect().await.unwrap();
            assert!(body.trailers().is_none());
            let body = body.to_bytes();
            assert!(hint.is_none_or(|hint| hint == body.len() as u64));
            received.lock().unwrap().push(body);
            Ok::<_, Infallible>(Response::new(Full::from("served")))
        }
    })
}

/// A `POST` with these headers and this body, by a caller with these scopes if there are any.
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

/// Sends a request through the layer. Returns the response and the bodies that were received.
async fn send_to(
    layer: &AccessPolicyLayer,
    request: Request<Full<Bytes>>,
) -> (TestResponse, Vec<Bytes>) {
    let (service, received) = recording_layer(layer);
    let response = send(&collect_responses(service), request).await;
    let received = received.lock().unwrap().clone();
    (response, received)
}

fn call(tool: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}"}}}}"#)
}

fn read(uri: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{{"uri":"{uri}"}}}}"#)
}

#[track_caller]
fn assert_headers(response: &TestResponse, challenge: Option<&str>, case: &str) {
    let mut expected = vec![
        ("access-control-allow-origin", "*"),
        ("cache-control", "no-store"),
        ("content-type", "application/json"),
    ];
    let exposed = ("access-control-expose-headers", "WWW-Authenticate");
    expected.extend(
        challenge.into_iter().flat_map(|challenge| [exposed, ("www-authenticate", challenge)]),
    );
    response.assert_headers(expected, case);
}

#[track_caller]
fn assert_insufficient(response: &TestResponse, scope: &str, case: &str) {
    assert_eq!(response.status, StatusCode::FORBIDDEN, "{case}");
    assert_eq!(
        response.body,
        format!(r#"{{"error":"insufficient_scope","error_description":"{MISSING}"}}"#),
        "{case}"
    );
    let challenge = format!(
        "Bearer error=\"insufficient_scope\", error_description=\"{MISSING}\", \
         resource_metadata=\"{METADATA}\", scope=\"{scope}\""
    );
    assert_headers(response, Some(&challenge), case);
    assert_eq!(
        response.extensions.get::<Rejection>().unwrap().reason(),
        RejectionReason::InsufficientScope,
        "{case}"
    );
}

#[tokio::test]
async fn an_operation_requires_the_scopes_of_its_rule() {
    let (delete, prompt) =
        (call("delete_file"), r#"{"method":"prompts/get","params":{"name":"summary"}}"#.to_owned());
    let batch = format!("[{},{},{}]", call("open"), call("delete_file"), read("file:///a"));
    let rows: [(&str, String, &str, Option<&str>); 22] = [
        ("a method without a rule", r#"{"method":"ping"}"#.into(), "", None),
        (
            "a response of the client",
            r#"{"id":1,"result":{"name":"delete_file"}}"#.into(),
            "",
            None,
        ),
        ("a notification", r#"{"method":"notifications/initialized"}"#.into(), "", None),
        ("a tool without a rule", call("other"), "", None),
        ("a tool that needs no scopes", call("open"), "", None),
        (
            "a method with a rule",
            r#"{"method":"tools/list"}"#.into(),
            "profile",
            Some("profile email list"),
        ),
        ("a method with its scope granted", r#"{"method":"tools/list"}"#.into(), "list", None),
        ("a tool with a rule", delete.clone(), "profile email", Some("profile email files:write")),
        ("a tool with its scope granted", delete.clone(), "files:write", None),
        (
            "a scope does not grant one that implies it",
            delete.clone(),
            "files:read",
            // Granted before, and kept.
            Some("profile email files:write files:read"),
        ),
        ("a scope grants one that it implies", call("read_file"), "files:write", None),
        (
            "an escaped name",
            delete.replace("delete", r"\u0064elete"),
            "",
            Some("profile email files:write"),
        ),
        (
            "an escaped member name",
            delete.replace("method", r"m\u0065thod"),
            "",
            Some("profile email files:write"),
        ),
        ("without an id", delete.replace(r#""id":1,"#, ""), "", Some("profile email files:write")),
        ("a prompt", prompt.clone(), "", Some("profile email prompts")),
        ("a prompt with its scope granted", prompt, "prompts offline_access", None),
        ("a resource", read("file:///a"), "profile", Some("profile email files:read")),
        ("another resource", read("https://h.example/"), "", None),
        (
            "a resource with its scheme in upper case",
            read("FILE:///a"),
            "",
            Some("profile email files:read"),
        ),
        ("a batch", batch.clone(), "", Some("profile email files:write files:read")),
        (
            "a batch with some scopes granted",
            batch.clone(),
            "files:read",
            Some("profile email files:write files:read"),
        ),
        ("a batch with all scopes granted", batch, "files:write", None),
    ];
    for (case, body, granted, rejected) in rows {
        let (response, received) =
            send_to(&layer(), post(&[JSON], body.clone(), Some(granted))).await;
        match rejected {
            Some(scope) => {
                assert_insufficient(&response, scope, case);
                assert!(received.is_empty(), "{case}");
            }
            None => {
                assert_eq!(
                    (response.status, response.body.as_str()),
                    (StatusCode::OK, "served"),
                    "{case}"
                );
                assert_eq!(response.sorted_headers(), [], "{case}");
                assert_eq!(received, [body], "{case}");
            }
        }
    }
}

#[tokio::test]
async fn an_anonymous_caller_gets_a_challenge_with_the_required_scopes() {
    let (response, received) = send_to(&layer(), post(&[JSON], call("delete_file"), None)).await;
    assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        response.body,
        r#"{"error":"unauthorized","error_description":"An access token is required"}"#
    );
    let challenge =
        format!("Bearer resource_metadata=\"{METADATA}\", scope=\"profile email files:write\"");
    assert_headers(&response, Some(&challenge), "anonymous");
    assert!(received.is_empty());
    for body in [call("open"), r#"{"method":"initialize","params":{}}"#.to_owned()] {
        let (response, _) = send_to(&layer(), post(&[JSON], body, None)).await;
        assert_eq!(response.status, StatusCode::OK);
    }
}
