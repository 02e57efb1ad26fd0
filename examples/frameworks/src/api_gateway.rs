//! A stand-in for an API Gateway (HTTP API): makes events of HTTP requests, gives them to a function,
//! and makes an HTTP response of what it returns.

use std::io;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use http::HeaderMap;
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Context, LambdaEvent};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tower::Service;

/// Serves a function: what is given to `lambda_http::run`.
pub(crate) async fn serve(function: Router, listener: TcpListener) -> io::Result<()> {
    let gateway = Router::new().fallback(move |request| invoke(function.clone(), request));
    axum::serve(listener, gateway).await
}

async fn invoke(function: Router, request: Request) -> Response {
    let event: LambdaRequest = serde_json::from_value(event(request).await).unwrap();
    let invocation = Adapter::from(function).call(LambdaEvent::new(event, Context::default()));
    respond(&serde_json::to_value(invocation.await.unwrap()).unwrap())
}

/// Returns the event in the payload format 2.0, in which headers of one name are one.
async fn event(request: Request) -> Value {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let (method, path) = (parts.method.as_str(), parts.uri.path());
    let http = json!({
        "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1",
    });
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": parts.uri.query().unwrap_or_default(),
        "headers": joined(&parts.headers),
        "requestContext": {
            "domainName": "127.0.0.1", "http": http, "requestId": "id", "routeKey": "$default",
            "stage": "$default", "timeEpoch": 0,
        },
        "body": String::from_utf8(body.to_vec()).unwrap(),
        "isBase64Encoded": false,
    })
}

fn joined(headers: &HeaderMap) -> Value {
    let values = |name| {
        let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap());
        values.collect::<Vec<_>>().join(",")
    };
    let joined = headers.keys().map(|name| (name.to_string(), values(name).into()));
    Value::Object(joined.collect::<Map<_, _>>())
}

fn respond(response: &Value) -> Response {
    let status = response["statusCode"].as_u64().unwrap();
    let mut converted = Response::builder().status(u16::try_from(status).unwrap());
    for (name, value) in response["headers"].as_object().unwrap() {
        converted = converted.header(name, value.as_str().unwrap());
    }
    assert_eq!(response["isBase64Encoded"], false);
    let body = response["body"].as_str().unwrap_or_default().to_owned();
    converted.body(Body::from(body)).unwrap()
}
