//! actix-web, in front of an MCP server made with rmcp.
//!
//! - actix-web has types of its own for requests, headers and bodies, so `to_http` and `to_actix`
//!   convert them; any tower service can be called that way. `HeaderMap::get` of actix-web returns the
//!   first of several headers: copy **all** of them, or two `Authorization` headers pass as one.
//! - actix-web reads the body before the guard has seen the request, also without a token.
//!   `PayloadConfig` bounds it, and no larger message can be sent; the default is 256 KiB.
//! - The closure of `HttpServer::new` runs once per worker: build the guard outside of it, so that all
//!   workers share one cache of tokens.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::pin::Pin;

use actix_web::http::StatusCode;
use actix_web::web::{Bytes, PayloadConfig};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use clerk_mcp_tools::ClerkMcp;
use http::{Request, Response};
use http_body_util::{BodyDataStream, Full};
use tokio::net::TcpListener;
use tower::{Service, ServiceBuilder, ServiceExt};

use crate::notes;

const MAX_BODY_BYTES: usize = 1024 * 1024;

pub(crate) async fn serve(clerk: ClerkMcp, listener: TcpListener) -> io::Result<()> {
    let guarded = ServiceBuilder::new()
        .layer(clerk.well_known_layer())
        .layer(clerk.auth_layer())
        .service(notes::service(&clerk));
    let app = move || {
        App::new()
            .app_data(PayloadConfig::new(MAX_BODY_BYTES))
            .default_service(web::to(handler(guarded.clone())))
    };
    HttpServer::new(app).listen(listener.into_std()?)?.run().await
}

/// Returns a handler that calls a tower service.
fn handler<S, B>(
    service: S,
) -> impl Fn(HttpRequest, Bytes) -> Pin<Box<dyn Future<Output = HttpResponse>>> + Clone
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible> + Clone + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn Error>>> + 'static,
{
    move |request, body| {
        let service = service.clone();
        Box::pin(async move {
            let Ok(request) = to_http(&request, body) else {
                return HttpResponse::BadRequest().finish();
            };
            let Ok(response) = service.oneshot(request).await;
            to_actix(response)
        })
    }
}

fn to_http(request: &HttpRequest, body: Bytes) -> http::Result<Request<Full<Bytes>>> {
    let method = request.method().as_str();
    let mut converted = Request::builder().method(method).uri(request.uri().to_string());
    for (name, value) in request.headers() {
        converted = converted.header(name.as_str(), value.as_bytes());
    }
    converted.body(Full::new(body))
}

fn to_actix<B>(response: Response<B>) -> HttpResponse
where
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn Error>>> + 'static,
{
    let (parts, body) = response.into_parts();
    let status = StatusCode::from_u16(parts.status.as_u16());
    let mut converted = HttpResponse::build(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    for (name, value) in &parts.headers {
        converted.append_header((name.as_str(), value.as_bytes()));
    }
    converted.streaming(BodyDataStream::new(body))
}
