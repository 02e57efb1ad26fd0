//! Lists as one caller gets to see them: what each tool needs, and without what the caller may not
//! use. The rest of a response stays byte for byte.

use std::convert::Infallible;

use bytes::Bytes;
use clerk_mcp_tools::access_policy::{RequestBody, Requirement};
use clerk_mcp_tools::{AccessPolicy, ClerkMcpBuilder, ConfigErrorKind, Scopes};
use futures_util::stream;
use http::{HeaderMap, Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Fixture, RESOURCE, TestResponse, request};

const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
/// No request for a list.
const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const JSON: (&str, &str) = ("content-type", "application/json");
const EVENTS: (&str, &str) = ("content-type", "text/event-stream");

/// What the server answers, and what a caller without scopes for `write` gets.
const TOOLS: &str =
    r#"{"id":1,"result":{"tools":[{"name":"read"}, {"name":"write","x":1.0}],"ttlMs":0}}"#;
const FILTERED: &str =
    r#"{"id":1,"result":{"cacheScope":"private","tools":[{"name":"read"}],"ttlMs":0}}"#;

fn scopes(list: &str) -> Scopes {
    Scopes::parse(list).unwrap()
}

fn policy() -> AccessPolicy {
    AccessPolicy::baseline_by_default()
        .tool("write", scopes("files:write"))
        .tool("never", Requirement::Denied)
        .prompt("salary", scopes("hr"))
        .build()
        .unwrap()
}

/// What a service responds with: headers, and frames of the body.
#[derive(Clone, Default)]
struct Served {
    status: u16,
    headers: Vec<(&'static str, String)>,
    frames: Vec<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Served {
    fn new(content_type: (&'static str, &str), body: &str) -> Self {
        let headers = vec![
            (content_type.0, content_type.1.to_owned()),
            ("content-length", body.len().to_string()),
        ];
        Self { status: 200, headers, frames: vec![Bytes::from(body.to_owned())], trailers: None }
    }

    /// The same body in frames of this many bytes.
    fn in_frames_of(mut self, bytes: usize) -> Self {
        let body = self.frames.concat();
        self.frames = body.chunks(bytes).map(Bytes::copy_from_slice).collect();
        self
    }

    fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn response(&self) -> Response<StreamBody<impl stream::Stream<Item = FrameResult> + use<>>> {
        let mut builder = Response::builder().status(self.status);
        for (name, value) in &self.headers {
            builder = builder.header(*name, value);
        }
        let frames: Vec<_> = self.frames.iter().cloned().map(Frame::data).collect();
        let trailers = self.trailers.clone().map(Frame::trailers);
        let frames = frames.into_iter().chain(trailers).map(Ok);
        builder.body(StreamBody::new(stream::iter(frames))).unwrap()
    }
}

type FrameResult = Result<Frame<Bytes>, Infallible>;

/// Sends a request through the layers, to a service that responds like this.
async fn exchange(
    builder: ClerkMcpBuilder,
    token: Option<&str>,
    (method, body): (Method, &str),
    served: &Served,
) -> TestResponse {
    let clerk = builder.build().unwrap();
    let served = served.clone();
    let service = service_fn(move |_: Request<RequestBody<Full<Bytes>>>| {
        let served = served.clone();
        async move { Ok::<_, Infallible>(served.response()) }
    });
    let credentials = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> =
        credentials.as_deref().map(|value| ("authorization", value)).into_iter().collect();
    let request = request(method, "/mcp", &headers).map(|_| Full::from(body.to_owned()));
    let response = clerk.auth_layer().layer(service).oneshot(request).await.unwrap();
    TestResponse::read(response).await
}

fn filtering(fixture: &Fixture) -> ClerkMcpBuilder {
    fixture.clerk_mcp_builder().access_policy(policy()).filter_lists()
}

fn post(body: &str) -> (Method, &str) {
    (Method::POST, body)
}

#[tokio::test]
async fn each_caller_gets_a_list_of_what_it_may_call() {
    let fixture = Fixture::new().await;
    let granted = ["profile", "email", "files:write"];
    let wide = fixture.clerk.mint().audience(RESOURCE).scopes(granted).jwt();
    let all = TOOLS.replace("\"result\":{", "\"result\":{\"cacheScope\":\"private\",");
    let event = |json: &str| format!(": a\n\nevent: message\nid: 1\ndata: {json}\n\n");
    for (token, expected) in [(fixture.jwt(), FILTERED), (fixture.opaque(), FILTERED), (wide, &all)]
    {
        for frame in [1, 7, 1000] {
            let served = Served::new(JSON, TOOLS).in_frames_of(frame);
            let response = exchange(filtering(&fixture), Some(&token), post(LIST), &served).await;
            assert_eq!(response.body, expected);
            response.assert_headers([JSON, ("vary", "Authorization")], "JSON");

            let served = Served::new(EVENTS, &event(TOOLS)).in_frames_of(frame);
            let response = exchange(filtering(&fixture), Some(&token), post(LIST), &served).await;
            assert_eq!(response.body, event(expected));
            response.assert_headers([EVENTS, ("vary", "Authorization")], "events");
        }
    }
    // Without a token.
    let builder = filtering(&fixture).optional();
    let response = exchange(builder, None, post(LIST), &Served::new(JSON, TOOLS)).await;
    assert_eq!(response.body, FILTERED);
}

#[tokio::test]
async fn an_event_stream_passes_event_by_event_and_unchanged_but_for_the_list() {
    let fixture = Fixture::new().await;
    let progress = r#"{"method":"notifications/progress","params":{"tools":[{"name":"write"}]}}"#;
    for newline in ["\n", "\r\n", "\r"] {
        let stream = |tools: &str| {
            let lines = [
                ":",
                "",
                &format!("data: {progress}"),
                "",
                "data: {\"result\":",
                r#"data: {"tools":[{"name":"write"}]}}"#,
                "",
                &format!("data:{tools}"),
                "event:message",
                "retry: 5",
                "",
                "data: no JSON",
                "",
                "data",
                "",
                // Without an end.
                &format!("data: {TOOLS}"),
            ];
            lines.join(newline)
        };
        for frame in [1, 5, 10_000] {
            let served = Served::new(EVENTS, &stream(TOOLS)).in_frames_of(frame);
            let token = fixture.jwt();
            let response = exchange(filtering(&fixture), Some(&token), post(LIST), &served).await;
            assert_eq!(response.body, stream(FILTERED), "{newline:?} {frame}");
        }
    }
    // An event is not held back until the next one.
    let clerk = filtering(&fixture).build().unwrap();
    let service = service_fn(|_: Request<RequestBody<Full<Bytes>>>| async {
        let first = stream::iter([Ok(Frame::data(Bytes::from(format!("data: {TOOLS}\n\n"))))]);
        let open = stream::StreamExt::chain(first, stream::pending::<FrameResult>());
        let response = Response::builder().header(EVENTS.0, EVENTS.1);
        Ok::<_, Infallible>(response.body(StreamBody::new(open)).unwrap())
    });
    let credentials = format!("Bearer {}", fixture.jwt());
    let request = request(Method::POST, "/mcp", &[("authorization", &credentials)]);
    let request = request.map(|_| Full::from(LIST));
    let response = clerk.auth_layer().layer(service).oneshot(request).await.unwrap();
    let mut body = Box::pin(response.into_body());
    let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(frame, format!("data: {FILTERED}\n\n"));
}

#[tokio::test]
async fn only_the_response_to_a_single_list_is_read() {
    let fixture = Fixture::new().await;
    let batch = format!("[{LIST}]");
    let call = LIST.replace("tools/list", "tools/call");
    let requests = [
        post(&batch),
        post(r#"{"id":1,"method":"ping"}"#),
        post(r#"{"id":1,"result":{}}"#),
        (Method::GET, ""),
        (Method::PUT, LIST),
    ];
    let mut unchanged: Vec<_> =
        requests.into_iter().map(|request| (request, Served::new(JSON, TOOLS))).collect();
    let by_response = [
        Served::new(("content-type", "text/plain"), TOOLS),
        Served::new(("x-type", "application/json"), TOOLS),
        Served::new(JSON, TOOLS).with_header("content-encoding", "identity"),
        Served { status: 202, ..Served::new(JSON, TOOLS) },
        Served { status: 404, ..Served::new(JSON, TOOLS) },
    ];
    unchanged.extend(by_response.map(|served| (post(LIST), served)));
    for (request, served) in unchanged {
        let builder = filtering(&fixture).security_schemes_in_lists();
        let case = format!("{request:?} {:?}", served.headers);
        let response = exchange(builder, Some(&fixture.jwt()), request, &served).await;
        assert_eq!(response.body, TOOLS, "{case}");
        assert_eq!(response.status.as_u16(), served.status, "{case}");
        let headers = served.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let vary = (case.starts_with("(GET")).then_some(("vary", "Origin"));
        response.assert_headers(headers.chain(vary), &case);
    }
    // A call of a tool without a name needs what all need.
    let served = Served::new(JSON, TOOLS);
    let response = exchange(filtering(&fixture), Some(&fixture.jwt()), post(&call), &served).await;
    assert_eq!(response.status.as_u16(), 403);
}

#[tokio::test]
async fn what_cannot_be_read_passes_unchanged() {
    let fixture = Fixture::new().await;
    let padded = |bytes: usize| {
        let padding = " ".repeat(bytes - TOOLS.len());
        format!("{TOOLS}{padding}")
    };
    let limit = 4 * 1024 * 1024;
    let (largest, too_large) = (padded(limit), padded(limit + 1));
    let event = |json: &str| format!("data: {json}\n\n");
    let rows = [
        (JSON, "".to_owned(), "".to_owned()),
        (JSON, TOOLS.replace('}', ""), TOOLS.replace('}', "")),
        (JSON, TOOLS.replace("\"x\"", "\"name\""), TOOLS.replace("\"x\"", "\"name\"")),
        (JSON, largest.clone(), largest.replace(TOOLS, FILTERED)),
        (JSON, too_large.clone(), too_large.clone()),
        (EVENTS, event(&padded(limit - 8)), event(&padded(limit - 8).replace(TOOLS, FILTERED))),
        (EVENTS, event(&padded(limit - 7)), event(&padded(limit - 7))),
        // From there on.
        (EVENTS, event(&too_large) + &event(TOOLS), event(&too_large) + &event(TOOLS)),
    ];
    for (content_type, body, expected) in rows {
        let served = Served::new(content_type, &body).in_frames_of(limit / 3);
        let token = fixture.jwt();
        let response = exchange(filtering(&fixture), Some(&token), post(LIST), &served).await;
        assert!(response.body == expected, "{} {content_type:?}", body.len());
    }
}

#[tokio::test]
async fn trailers_and_errors_of_the_body_pass() {
    let fixture = Fixture::new().await;
    let clerk = filtering(&fixture).build().unwrap();
    for fails in [false, true] {
        let service = service_fn(move |_: Request<RequestBody<Full<Bytes>>>| async move {
            let trailers = HeaderMap::from_iter([(http::header::ETAG, "a".parse().unwrap())]);
            let last = if fails { Err("broken") } else { Ok(Frame::trailers(trailers)) };
            let frames = [Ok(Frame::data(Bytes::from(TOOLS))), Ok(Frame::data(Bytes::new())), last];
            let response = Response::builder().header(JSON.0, JSON.1);
            let body = StreamBody::new(stream::iter(frames));
            Ok::<_, Infallible>(response.body(body).unwrap())
        });
        let credentials = format!("Bearer {}", fixture.jwt());
        let request = request(Method::POST, "/mcp", &[("authorization", &credentials)]);
        let request = request.map(|_| Full::from(LIST));
        let response = clerk.auth_layer().layer(service).oneshot(request).await.unwrap();
        match response.into_body().collect().await {
            Ok(body) => {
                assert_eq!(body.trailers().unwrap()["etag"], "a");
                assert_eq!(body.to_bytes(), FILTERED);
                assert!(!fails);
            }
            Err(error) => assert_eq!((error, fails), ("broken", true)),
        }
    }
}

#[tokio::test]
async fn tools_say_what_they_need_whoever_asks() {
    let fixture = Fixture::new().await;
    let declared = |tool: &str, schemes: &str| {
        let end =
            format!(r#","securitySchemes":{schemes},"_meta":{{"securitySchemes":{schemes}}}}}"#);
        format!("{}{end}", tool.strip_suffix('}').unwrap())
    };
    let oauth = |list: &str| format!(r#"{{"scopes":[{list}],"type":"oauth2"}}"#);
    let (base, write) =
        (oauth(r#""profile","email""#), oauth(r#""profile","email","files:write""#));
    let [read_tool, write_tool] = [r#"{"name":"read"}"#, r#"{"name":"write","x":1.0}"#];
    for optional in [false, true] {
        let noauth = if optional { r#"{"type":"noauth"},"# } else { "" };
        let expected = TOOLS
            .replace(read_tool, &declared(read_tool, &format!("[{noauth}{base}]")))
            .replace(write_tool, &declared(write_tool, &format!("[{write}]")));
        let builder = || {
            let builder = fixture.clerk_mcp_builder().access_policy(policy());
            let builder = builder.security_schemes_in_lists();
            if optional { builder.optional() } else { builder }
        };
        let served = Served::new(JSON, TOOLS);
        let mut tokens = vec![Some(fixture.jwt())];
        tokens.extend(optional.then_some(None));
        for token in tokens {
            let response = exchange(builder(), token.as_deref(), post(LIST), &served).await;
            assert_eq!(response.body, expected);
            // The same for every caller.
            response.assert_headers([JSON], "declared");
        }
        // Other lists have none.
        let prompts = r#"{"result":{"prompts":[{"name":"salary"}]}}"#;
        let list = LIST.replace("tools", "prompts");
        let served = Served::new(JSON, prompts);
        let response = exchange(builder(), Some(&fixture.jwt()), post(&list), &served).await;
        assert_eq!(response.body, prompts);
    }
    // Without rules, every tool needs what every request needs.
    let builder = fixture.clerk_mcp_builder().security_schemes_in_lists();
    let served = Served::new(JSON, r#"{"result":{"tools":[{"name":"write"}]}}"#);
    let response = exchange(builder, Some(&fixture.jwt()), post(LIST), &served).await;
    let tool = declared(r#"{"name":"write"}"#, &format!("[{base}]"));
    assert_eq!(response.body, format!(r#"{{"result":{{"tools":[{tool}]}}}}"#));
}

#[tokio::test]
async fn a_filter_needs_rules() {
    let fixture = Fixture::new().await;
    let error = fixture.clerk_mcp_builder().filter_lists().build().unwrap_err();
    assert_eq!((error.kind(), error.setting()), (ConfigErrorKind::Conflict, "filter_lists"));
}

#[tokio::test]
async fn headers_about_the_original_body_are_removed() {
    let fixture = Fixture::new().await;
    let token = fixture.jwt();
    let digest = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";
    let served = Served::new(JSON, TOOLS)
        .with_header("etag", "\"1\"")
        .with_header("content-digest", digest)
        .with_header("repr-digest", digest)
        .with_header("x-kept", "1");
    let names = ["content-length", "etag", "content-digest", "repr-digest", "x-kept"];
    for (body, expected) in [(LIST, [false, false, false, false, true]), (PING, [true; 5])] {
        let response = exchange(filtering(&fixture), Some(&token), post(body), &served).await;
        let kept = names.map(|name| response.headers.contains_key(name));
        assert_eq!(kept, expected, "{body}");
    }
}
