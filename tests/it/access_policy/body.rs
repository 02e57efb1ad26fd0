//! How a body is read, and that it is passed on as it came.

use super::*;

#[tokio::test]
async fn other_methods_and_servers_without_rules_get_the_body_as_it_comes() {
    let disguised = || [("mcp-method", "a"), ("mcp-method", "b")];
    for method in [Method::GET, Method::DELETE, Method::PUT, Method::OPTIONS] {
        let mut request = post(&disguised(), call("delete_file"), None);
        *request.method_mut() = method.clone();
        let (answer, seen) = ask(&layer(), request).await;
        assert_eq!((answer.status, seen.len()), (StatusCode::OK, 1), "{method}");
    }
    let nothing = AccessPolicyLayer::new(AccessPolicy::builder().build().unwrap(), resource())
        .max_body_bytes(0);
    let (answer, seen) = ask(&nothing, post(&disguised(), "{", None)).await;
    assert_eq!((answer.status, seen), (StatusCode::OK, vec![Bytes::from("{")]));
}

/// A body in the pieces that it is made of.
struct Pieces(VecDeque<Frame<Bytes>>, Option<Frame<Bytes>>);

impl Pieces {
    fn of(pieces: impl IntoIterator<Item = Frame<Bytes>>) -> Self {
        Self(pieces.into_iter().collect(), None)
    }

    fn endless(piece: &'static [u8]) -> Self {
        Self(VecDeque::new(), Some(Frame::data(Bytes::from_static(piece))))
    }
}

impl Body for Pieces {
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
async fn a_body_in_pieces_is_read_once_and_passed_on_whole() {
    let message = Bytes::from(call("open"));
    let in_bytes = (0..message.len()).map(|at| Frame::data(message.slice(at..=at)));
    let with_trailers = [
        Frame::data(Bytes::new()),
        Frame::data(message.clone()),
        Frame::trailers(HeaderMap::new()),
    ];
    let rows = [
        ("bytes", Pieces::of(in_bytes.clone()), 1024, 200),
        ("exactly the limit", Pieces::of(in_bytes.clone()), message.len(), 200),
        ("one more", Pieces::of(in_bytes), message.len() - 1, 413),
        ("trailers", Pieces::of(with_trailers), 1024, 200),
        ("endless", Pieces::endless(b"{\"a\":"), 1024, 413),
        ("endlessly nothing", Pieces::endless(b""), 1024, 413),
    ];
    for (what, body, limit, status) in rows {
        let (service, seen) = watched(&layer().max_body_bytes(limit));
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        let response = service.oneshot(request).await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{what}");
        let expected = if status == 200 { vec![message.clone()] } else { vec![] };
        assert_eq!(*seen.lock().unwrap(), expected, "{what}");
    }
}

/// A body that breaks off after its first piece, which would do by itself.
struct Broken(Option<Bytes>);

impl Body for Broken {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let reset = || Err(std::io::ErrorKind::ConnectionReset.into());
        Poll::Ready(Some(self.0.take().map_or_else(reset, |piece| Ok(Frame::data(piece)))))
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_reaches_nobody() {
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

/// A body that must not be read.
struct Untouchable;

impl Body for Untouchable {
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
async fn a_body_that_is_announced_as_too_long_is_not_read() {
    let (service, _) = watched(&layer().max_body_bytes(10));
    let request = Request::post("/mcp").header("content-length", "11").body(Untouchable).unwrap();
    assert_eq!(service.oneshot(request).await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_body_is_not_read_before_the_token_is_known_to_be_good() {
    let fixture = Fixture::new().await;
    let (service, seen) = watched(&layer());
    let service = fixture.layer().access_policy(rules()).layer(service);
    let request = Request::post("/mcp").body(Untouchable).unwrap();
    assert_eq!(service.oneshot(request).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert!(seen.lock().unwrap().is_empty());
}
