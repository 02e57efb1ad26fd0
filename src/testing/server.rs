use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, AUTHORIZATION,
};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::fault::Verdict;
use super::reply::{self, Reply};
use super::route::{RecordedRequest, Route};
use super::state::Shared;
use super::{authorize, backend, metadata, registration, token};

/// The most bytes of a request's body, and of a client metadata document.
pub(super) const BODY_LIMIT: usize = 64 * 1024;
/// How much of an oversize body is read and dropped, so that its sender gets to see the answer.
const DRAIN_LIMIT: usize = 1024 * 1024;

/// Serves until it is aborted; the connections end with it.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&shared)));
                }
                // Of one connection, or for want of file descriptors: others may end first.
                Err(_) => tokio::task::yield_now().await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(|request| answer(Arc::clone(&shared), request));
    // Its error is a client that went away, or a fault that was asked for.
    let _ = http1::Builder::new()
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("a fault closes the connection")]
struct Closed;

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Reply, Closed> {
    let Some(route) = Route::of(request.uri().path()) else {
        return Ok(reply::empty(StatusCode::NOT_FOUND));
    };
    if request.method() == Method::OPTIONS && route.has_cors() {
        return Ok(preflight(route));
    }
    let (request, is_whole) = received(request).await?;
    shared.log.record(route, request.clone());

    let mut reply = match shared.faults.judge(route).await {
        Verdict::Close => return Err(Closed),
        Verdict::Answer(reply) => reply,
        Verdict::Proceed if !is_whole => reply::empty(StatusCode::PAYLOAD_TOO_LARGE),
        Verdict::Proceed => handle(&shared, route, &request).await,
        Verdict::ProceedWith(name, value) => {
            let mut reply = handle(&shared, route, &request).await;
            reply.headers_mut().insert(name, value);
            reply
        }
        Verdict::Drip(every) => {
            handle(&shared, route, &request).await.map(|body| body.dripping(every))
        }
    };
    if route.has_cors() {
        add_cors(&mut reply);
    }
    Ok(reply)
}

/// The request with its body, and whether the body was within the limit.
async fn received(request: Request<Incoming>) -> Result<(RecordedRequest, bool), Closed> {
    let (parts, mut incoming) = request.into_parts();
    let mut body = BytesMut::new();
    let mut length = 0_usize;
    while let Some(frame) = incoming.frame().await {
        let data = frame.map_err(|_| Closed)?.into_data().unwrap_or_default();
        length = length.saturating_add(data.len());
        if length <= BODY_LIMIT {
            body.extend_from_slice(&data);
        }
        if length > DRAIN_LIMIT {
            break;
        }
    }
    let is_whole = length <= BODY_LIMIT;
    let mut headers = parts.headers;
    if let Some(credentials) = headers.get_mut(AUTHORIZATION) {
        credentials.set_sensitive(true);
    }
    let request = RecordedRequest {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers,
        body: if is_whole { body.freeze() } else { Bytes::new() },
    };
    Ok((request, is_whole))
}

async fn handle(shared: &Shared, route: Route, request: &RecordedRequest) -> Reply {
    if !route.allows(&request.method) {
        let mut reply = reply::empty(StatusCode::METHOD_NOT_ALLOWED);
        reply.headers_mut().insert(ALLOW, HeaderValue::from_static(route.allow()));
        return reply;
    }
    match route {
        Route::AuthorizationServerMetadata => metadata::authorization_server(shared),
        Route::OpenIdConfiguration => metadata::openid_configuration(shared),
        Route::Jwks => reply::json(StatusCode::OK, &shared.state().keys.jwks()),
        Route::BackendJwks => settled(backend::jwks(shared, request)),
        Route::Register => settled(registration::register(shared, &request.body)),
        Route::Authorize => settled(authorize::authorize(shared, request).await),
        Route::Token => settled(token::token(shared, request)),
        Route::Revoke => settled(token::revoke(shared, request)),
        Route::VerifyAccessToken => settled(backend::verify(shared, request)),
        Route::User => settled(backend::user(shared, request)),
    }
}

fn settled(result: Result<Reply, impl Into<Reply>>) -> Reply {
    result.unwrap_or_else(Into::into)
}

fn preflight(route: Route) -> Reply {
    let mut reply = reply::empty(StatusCode::NO_CONTENT);
    add_cors(&mut reply);
    let headers = reply.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(route.allow()));
    // The asterisk does not cover Authorization.
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*, Authorization"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    reply
}

fn add_cors(reply: &mut Reply) {
    let headers = reply.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
}
