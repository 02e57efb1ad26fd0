//! How the layer reads a body, and passes it on unchanged.

use super::*;

#[tokio::test]
async fn without_rules_no_body_is_read() {
    let conflicting_headers = [("mcp-method", "a"), ("mcp-method", "b")];
    let without_rules =
        AccessPolicyLayer::new(AccessPolicy::baseline_by_default().build().unwrap(), resource())
            .max_body_bytes(0);
    let (response, received) = send_to(&without_rules, post(&conflicting_headers, "{", None)).await;
    assert_eq!((response.status, received), (StatusCode::OK, vec![Bytes::from("{")]));
}

#[tokio::test]
async fn a_call_is_judged_by_whatever_method_it_comes() {
    let extension = |name: &str| Method::from_bytes(name.as_bytes()).unwrap();
    let invalid = "The body is not a valid, unambiguous JSON-RPC message";
    let rows = [
        (Method::POST, 403, "lacks a required scope"),
        (Method::PUT, 403, "lacks a required scope"),
        (Method::PATCH, 403, "lacks a required scope"),
        (extension("QUERY"), 403, "lacks a required scope"),
        (extension("post"), 403, "lacks a required scope"),
        (Method::GET, 400, invalid),
        (Method::HEAD, 400, invalid),
        (Method::DELETE, 400, invalid),
        (Method::OPTIONS, 400, invalid),
        (Method::TRACE, 400, invalid),
    ];
    for (method, status, text) in rows {
        let mut request = post(&[], call("delete_file"), Some("profile"));
        *request.method_mut() = method.clone();
        let (response, received) = send_to(&layer(), request).await;
        assert_eq!((response.status.as_u16(), received.len()), (status, 0), "{method}");
        assert!(response.body.contains(text), "{method}: {}", response.body);

        let mut request = post(&[("mcp-method", "tools/call")], "", Some("profile"));
        *request.method_mut() = method.clone();
        let (response, received) = send_to(&layer(), request).await;
        let expected = if method == Method::POST { (400, 0) } else { (200, 1) };
        assert_eq!((response.status.as_u16(), received.len()), expected, "{method}, no body");
    }
}

#[tokio::test]
async fn upgrades_are_rejected_unless_they_are_allowed() {
    let body = r#"{"error":"upgrade_not_allowed","error_description":"This server does not allow the connection to be upgraded"}"#;
    type Row = (Method, &'static [(&'static str, &'static str)], bool);
    let rows: [Row; 8] = [
        (Method::GET, &[("upgrade", "websocket")], false),
        (Method::GET, &[("upgrade", "WebSocket"), ("connection", "upgrade")], false),
        (Method::POST, &[("upgrade", "h2c, websocket")], false),
        (Method::POST, &[("upgrade", "h2c"), ("upgrade", "x")], false),
        (Method::GET, &[("upgrade", "")], false),
        (Method::CONNECT, &[], false),
        (Method::GET, &[("upgrade", "h2c"), ("connection", "Upgrade, HTTP2-Settings")], true),
        (Method::GET, &[], true),
    ];
    for (method, headers, passes) in rows {
        let request = || {
            let message = if method == Method::POST { call("open") } else { String::new() };
            let mut request = post(headers, message, Some("profile"));
            *request.method_mut() = method.clone();
            request
        };
        let (response, received) = send_to(&layer(), request()).await;
        let expected = if passes { (200, 1) } else { (403, 0) };
        assert_eq!((response.status.as_u16(), received.len()), expected, "{method} {headers:?}");
        if !passes {
            assert_eq!((response.header("www-authenticate"), response.body.as_str()), (None, body));
        }
        let allowing = layer().allow_unchecked_upgrades();
        let (response, received) = send_to(&allowing, request()).await;
        assert_eq!((response.status, received.len()), (StatusCode::OK, 1), "{method} {headers:?}");
    }
}

/// A body of these frames, then of the last one repeated without end if there is one.
struct Frames(VecDeque<Frame<Bytes>>, Option<Frame<Bytes>>);

impl Frames {
    fn of(frames: impl IntoIterator<Item = Frame<Bytes>>) -> Self {
        Self(frames.into_iter().collect(), None)
    }

    fn endless(data: &'static [u8]) -> Self {
        Self(VecDeque::new(), Some(Frame::data(Bytes::from_static(data))))
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let again = this.1.as_ref().and_then(Frame::data_ref).map(|data| Frame::data(data.clone()));
        Poll::Ready(this.0.pop_front().or(again).map(Ok))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[tokio::test]
async fn a_body_of_several_frames_is_read_and_passed_on_whole() {
    let message = Bytes::from(call("open"));
    let in_bytes = (0..message.len()).map(|at| Frame::data(message.slice(at..=at)));
    let with_trailers = [
        Frame::data(Bytes::new()),
        Frame::data(message.clone()),
        Frame::trailers(HeaderMap::new()),
    ];
    let rows = [
        ("single bytes", Frames::of(in_bytes.clone()), 1024, 200),
        ("exactly the limit", Frames::of(in_bytes.clone()), message.len(), 200),
        ("one byte over the limit", Frames::of(in_bytes), message.len() - 1, 413),
        ("trailers", Frames::of(with_trailers), 1024, 200),
        ("endless", Frames::endless(b"{\"a\":"), 1024, 413),
        ("endless empty frames", Frames::endless(b""), 1024, 413),
    ];
    for (case, body, limit, status) in rows {
        let (service, received) = recording_layer(&layer().max_body_bytes(limit));
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        let response = service.oneshot(request).await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{case}");
        let expected = if status == 200 { vec![message.clone()] } else { vec![] };
        assert_eq!(*received.lock().unwrap(), expected, "{case}");
    }
}

/// A body that fails after its first frame, which by itself is a complete message.
struct Broken(Option<Bytes>);

impl Body for Broken {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let reset = || Err(std::io::ErrorKind::ConnectionReset.into());
        Poll::Ready(Some(self.0.take().map_or_else(reset, |data| Ok(Frame::data(data)))))
    }
}

#[tokio::test]
async fn a_body_that_fails_does_not_reach_the_service() {
    let served = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&served);
    let service = layer().layer(service_fn(move |_: Request<RequestBody<Broken>>| {
        *counter.lock().unwrap() += 1;
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    }));
    let request = Request::post("/mcp").body(Broken(Some(call("open").into()))).unwrap();
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(
        response.extensions().get::<Rejection>().unwrap().reason(),
        RejectionReason::Message(clerk_mcp_tools::MessageError::ParseError)
    );
    assert_eq!(*served.lock().unwrap(), 0);
}

/// A body that panics when it is read.
struct Unreadable;

impl Body for Unreadable {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        panic!("the body was read")
    }
}

#[tokio::test]
async fn a_body_with_a_content_length_over_the_limit_is_not_read() {
    let (service, _) = recording_layer(&layer().max_body_bytes(10));
    let request = Request::post("/mcp").header("content-length", "11").body(Unreadable).unwrap();
    assert_eq!(service.oneshot(request).await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_body_is_not_read_before_the_token_is_verified() {
    let fixture = Fixture::new().await;
    let received = Received::default();
    let layer = AuthLayer::new(fixture.layer(), layer());
    let service = layer.layer(recording_service(&received));
    let forged =
        format!("Bearer {}", fixture.clerk.mint().issued_at(NOW - 3600).foreign_key().jwt());
    for credentials in [None, Some("Bearer abc"), Some(forged.as_str())] {
        let request = Request::post("/mcp").header("mcp-method", "tools/call");
        let request = credentials.into_iter().fold(request, |r, c| r.header("authorization", c));
        let response = service.clone().oneshot(request.body(Unreadable).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{credentials:?}");
    }
    assert!(received.lock().unwrap().is_empty());
}
