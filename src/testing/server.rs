//! The HTTP server of the fake Clerk: connections, bodies, faults, CORS.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, AUTHORIZATION,
};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::endpoints;
use super::faults::FaultEffect;
use super::limits::MAX_BODY_BYTES;
use super::request_log::RecordedRequest;
use super::response::{self, FakeResponse};
use super::route::Route;
use super::state::FakeInstance;

/// How much of a body is read at most. What exceeds [`MAX_BODY_BYTES`] is discarded; it is read so
/// that the client finishes sending and reads the 413.
const MAX_READ_BYTES: usize = 1024 * 1024;

/// A running server and its instance. The server stops when the last clone is dropped.
#[derive(Clone)]
pub(super) struct RunningServer {
    instance: Arc<FakeInstance>,
    _task: Arc<AbortOnDrop>,
}

/// Aborts the server's task, and with it all connections, when it is dropped.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl RunningServer {
    pub(super) fn spawn(listener: TcpListener, instance: FakeInstance) -> Self {
        let instance = Arc::new(instance);
        let task = tokio::spawn(serve(listener, Arc::clone(&instance)));
        Self { instance, _task: Arc::new(AbortOnDrop(task)) }
    }

    pub(super) fn instance(&self) -> &Arc<FakeInstance> {
        &self.instance
    }
}

async fn serve(listener: TcpListener, instance: Arc<FakeInstance>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&instance)));
                }
                // The connection is gone, or no file descriptor is left until another one ends.
                Err(_) => tokio::task::yield_now().await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, instance: Arc<FakeInstance>) {
    let service = service_fn(|request| respond(Arc::clone(&instance), request));
    // Fails if the client disconnects or a fault closes the connection, both of which are expected.
    let _ = http1::Builder::new()
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// Makes hyper close the connection without a response.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed without a response")]
struct CloseConnection;

async fn respond(
    instance: Arc<FakeInstance>,
    request: Request<Incoming>,
) -> Result<FakeResponse, CloseConnection> {
    let Some(route) = Route::of(request.uri().path()) else {
        return Ok(response::empty(StatusCode::NOT_FOUND));
    };
    if request.method() == Method::OPTIONS && route.has_cors() {
        return Ok(preflight(route));
    }
    let (request, is_complete) = read(request).await?;
    instance.log.record(route, request.clone());

    let mut response = match instance.faults.apply(route).await {
        FaultEffect::Close => return Err(CloseConnection),
        FaultEffect::Respond(response) => response,
        FaultEffect::None if !is_complete => response::empty(StatusCode::PAYLOAD_TOO_LARGE),
        FaultEffect::None => endpoints::respond(&instance, route, &request).await,
        FaultEffect::SetHeader(name, value) => {
            let mut response = endpoints::respond(&instance, route, &request).await;
            response.headers_mut().insert(name, value);
            response
        }
        FaultEffect::Drip(interval) => {
            let response = endpoints::respond(&instance, route, &request).await;
            response.map(|body| body.dripping(interval))
        }
    };
    if route.has_cors() {
        add_cors(&mut response);
    }
    Ok(response)
}

/// Reads the request. Returns `false` with an empty body if the body is longer than
/// [`MAX_BODY_BYTES`].
async fn read(request: Request<Incoming>) -> Result<(RecordedRequest, bool), CloseConnection> {
    let (parts, mut incoming) = request.into_parts();
    let mut body = BytesMut::new();
    let mut length = 0_usize;
    while let Some(frame) = incoming.frame().await {
        let data = frame.map_err(|_| CloseConnection)?.into_data().unwrap_or_default();
        length = length.saturating_add(data.len());
        if length <= MAX_BODY_BYTES {
            body.extend_from_slice(&data);
        }
        if length > MAX_READ_BYTES {
            break;
        }
    }
    let is_complete = length <= MAX_BODY_BYTES;
    let mut headers = parts.headers;
    if let Some(credentials) = headers.get_mut(AUTHORIZATION) {
        credentials.set_sensitive(true);
    }
    let request = RecordedRequest {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers,
        body: if is_complete { body.freeze() } else { Bytes::new() },
    };
    Ok((request, is_complete))
}

fn preflight(route: Route) -> FakeResponse {
    let mut response = response::empty(StatusCode::NO_CONTENT);
    add_cors(&mut response);
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(route.allow()));
    // The wildcard does not cover `Authorization` (Fetch standard).
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*, Authorization"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

fn add_cors(response: &mut FakeResponse) {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
}
