//! Fuzzes the bearer layer with `Authorization` headers, one per line of input.

#![no_main]

use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use clerk_mcp_tools::bearer_auth::{AccessToken, BearerAuthLayer};
use clerk_mcp_tools::{AuthInfo, ResourceUrl, Scopes, VerifyError};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Empty;
use libfuzzer_sys::fuzz_target;
use tower::{Layer, Service};

const CHALLENGE: &str = "resource_metadata=\"https://mcp.example.com/.well-known/\
                         oauth-protected-resource/mcp\", scope=\"profile\"";

/// Accepts every token.
async fn verify(token: AccessToken) -> Result<AuthInfo, VerifyError> {
    Ok(AuthInfo::for_user("user_1", token)
        .client_id("client_1")
        .scopes(Scopes::parse("profile").unwrap())
        .build())
}

fuzz_target!(|lines: &[u8]| {
    let values: Vec<HeaderValue> = lines
        .split(|byte| *byte == b'\n')
        .filter_map(|line| HeaderValue::from_bytes(line).ok())
        .collect();
    let mut request = Request::new(Empty::<Bytes>::new());
    for value in &values {
        request.headers_mut().append(AUTHORIZATION, value.clone());
    }
    let resource = ResourceUrl::parse("https://mcp.example.com/mcp").unwrap();
    let mut service = BearerAuthLayer::new(verify, resource)
        .required_scopes(Scopes::parse("profile").unwrap())
        .layer(tower::service_fn(|request: Request<Empty<Bytes>>| {
            let caller = AuthInfo::from_parts(&request.into_parts().0).cloned();
            ready(Ok::<_, Infallible>(Response::new(format!(
                "{}\0",
                caller.unwrap().token_for_this_server().expose()
            ))))
        }));
    let response = pin!(service.call(request)).poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Ok(response)) = response else {
        panic!("the response is not ready");
    };
    let challenge = response.headers().get(WWW_AUTHENTICATE).map(|value| value.to_str().unwrap());
    match response.status() {
        StatusCode::OK => {
            assert!(challenge.is_none() && values.len() == 1);
            let value = values[0].to_str().unwrap();
            assert!(value.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer ")));
            // One token68 (RFC 9110 section 11.2).
            let token = value[7..].trim_start();
            assert!(
                !token.is_empty()
                    && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b))
            );
        }
        StatusCode::UNAUTHORIZED => {
            let challenge = challenge.unwrap();
            assert!(
                values.len() <= 1
                    && challenge.starts_with("Bearer ")
                    && challenge.ends_with(CHALLENGE)
            );
        }
        StatusCode::BAD_REQUEST => {
            assert!(values.len() > 1 && challenge.unwrap().contains("invalid_request"))
        }
        status => panic!("unexpected status {status}"),
    }
});
