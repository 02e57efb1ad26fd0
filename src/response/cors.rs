//! CORS response headers (Fetch standard, section "CORS protocol").

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ALLOW,
    ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use crate::response::ResponseBody;

/// The request headers of MCP clients. `*` does not cover `Authorization`. The others are listed
/// for browsers that do not support the wildcard.
const ALLOWED_REQUEST_HEADERS: &str = "Authorization, Content-Type, Accept, Last-Event-ID, \
     MCP-Protocol-Version, Mcp-Session-Id, Mcp-Method, Mcp-Name, *";

/// The response headers that an MCP client has to read.
const EXPOSED_RESPONSE_HEADERS: &str = "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version";

/// One day, in seconds. Browsers apply their own upper limit.
const MAX_AGE: &str = "86400";

pub(crate) const ANY_ORIGIN: HeaderValue = HeaderValue::from_static("*");

/// Returns the CORS headers of a metadata document, which let pages of every origin read it.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::services::metadata_cors_headers;
///
/// let mut response = http::Response::new(());
/// response.headers_mut().extend(metadata_cors_headers());
/// assert_eq!(response.headers()["access-control-allow-origin"], "*");
/// ```
#[must_use]
pub fn metadata_cors_headers() -> HeaderMap {
    METADATA_CORS_HEADERS.into_iter().collect()
}

/// The CORS headers of a metadata document.
pub(crate) const METADATA_CORS_HEADERS: [(HeaderName, HeaderValue); 4] =
    allowing("GET, HEAD, OPTIONS");

/// The CORS headers of an MCP endpoint's preflight.
const ENDPOINT_CORS_HEADERS: [(HeaderName, HeaderValue); 4] =
    allowing("GET, POST, DELETE, OPTIONS");

const fn allowing(methods: &'static str) -> [(HeaderName, HeaderValue); 4] {
    [
        (ACCESS_CONTROL_ALLOW_ORIGIN, ANY_ORIGIN),
        (ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods)),
        (ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED_REQUEST_HEADERS)),
        (ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE)),
    ]
}

/// Returns whether a request is a CORS preflight. Not every `OPTIONS` request is one.
pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Returns the response to a preflight of an MCP endpoint.
pub(crate) fn preflight_response<B>() -> Response<ResponseBody<B>> {
    no_content(ENDPOINT_CORS_HEADERS)
}

/// Returns the response to a preflight, which the browser does not keep for another request.
pub(crate) fn uncached_preflight_response<B>() -> Response<ResponseBody<B>> {
    let mut response = preflight_response();
    response.headers_mut().insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("0"));
    response
}

/// Returns the response to `OPTIONS` on a metadata document.
pub(crate) fn metadata_options_response<B>() -> Response<ResponseBody<B>> {
    no_content(METADATA_CORS_HEADERS)
}

fn no_content<B>(headers: [(HeaderName, HeaderValue); 4]) -> Response<ResponseBody<B>> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().extend(headers);
    response
}

/// Returns a 405 with the allowed methods (RFC 9110 section 15.5.6).
pub(crate) fn method_not_allowed<B>(allowed: &'static str) -> Response<ResponseBody<B>> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response.headers_mut().extend(METADATA_CORS_HEADERS);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// Lets pages of every origin read a response of an MCP endpoint and its session id, besides the
/// headers that the service itself exposes.
pub(crate) fn add_cors_headers(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY_ORIGIN);
    headers
        .append(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_RESPONSE_HEADERS));
}

/// Says that a response depends on the `Origin` of the request (Fetch standard, section "CORS
/// protocol and HTTP caches").
pub(crate) fn add_vary_origin(headers: &mut HeaderMap) {
    let names = headers.get_all(VARY).iter();
    let mut names = names.flat_map(|value| value.as_bytes().split(|b| *b == b','));
    let covers = |name: &[u8]| name == b"*" || name.eq_ignore_ascii_case(b"origin");
    if !names.any(|name| covers(name.trim_ascii())) {
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
}
