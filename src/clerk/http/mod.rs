//! HTTP calls to Clerk: bounded in time and size, never redirected.

mod connections;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::uri::Scheme;
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::connections::{Connections, Origin};
use crate::clock::{Clock, background, retry_after, timeout};
use crate::error::{ClerkError, ClerkErrorKind, ConfigError};
use crate::oauth::{is_loopback, parse_uri};

/// The whole call, from the first byte sent to the last one received.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Clerk's largest response, a user, has a few kilobytes.
const MAX_BODY_BYTES: usize = 512 * 1024;
/// The code of the Backend API's error for an object that does not exist.
const NOT_FOUND_CODE: &str = "resource_not_found";

/// A client for one origin. Clones share their connections.
#[derive(Clone)]
pub(super) struct Http {
    connections: Arc<Connections>,
    base: String,
}

/// A request that only reads, for [`send`].
pub(super) struct HttpRequest {
    request: RequestBuilder,
    connections: Arc<Connections>,
}

/// A response whose body was read to the end.
pub(super) struct FullResponse {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    pub(super) retry_after: Option<Duration>,
}

impl Http {
    /// Builds a client for an origin that was checked before: https, or http on a loopback host.
    pub(super) fn new(base: impl Into<String>, clock: Arc<dyn Clock>) -> Result<Self, ConfigError> {
        let base = base.into();
        let uri = parse_uri(&base);
        let origin = Origin {
            on_loopback: uri.as_ref().is_some_and(is_loopback),
            has_tls: uri.is_none_or(|uri| uri.scheme() != Some(&Scheme::HTTP)),
        };
        let connections = Connections::new(origin, clock).map_err(|_| {
            ConfigError::invalid(
                "TLS",
                "cannot be set up: the machine's root certificates could not be loaded",
            )
        })?;
        Ok(Self { connections: Arc::new(connections), base })
    }

    pub(super) fn get(&self, path: &str) -> HttpRequest {
        self.request(self.connections.client().get(format!("{}{path}", self.base)))
    }

    /// Returns a `POST`, which must not change anything at Clerk: it may be sent twice.
    pub(super) fn post(&self, path: &str) -> HttpRequest {
        self.request(self.connections.client().post(format!("{}{path}", self.base)))
    }

    fn request(&self, request: RequestBuilder) -> HttpRequest {
        HttpRequest { request, connections: Arc::clone(&self.connections) }
    }
}

impl HttpRequest {
    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    #[cfg(test)]
    pub(super) fn into_inner(self) -> reqwest::Request {
        self.request.build().unwrap()
    }

    pub(super) fn body(mut self, body: String) -> Self {
        self.request = self.request.body(body);
        self
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("base", &self.base).finish_non_exhaustive()
    }
}

/// Sends a request and reads the whole response, within [`CALL_TIMEOUT`].
///
/// The call runs on the background thread, which has the timers and the I/O that the caller's
/// runtime may lack, and drives the connections that the client keeps.
pub(super) async fn send(request: HttpRequest) -> Result<FullResponse, ClerkError> {
    let HttpRequest { request, connections } = request;
    let call = async move {
        let clock = connections.clock();
        let outcome = timeout(clock, CALL_TIMEOUT, exchange(request, &connections)).await;
        outcome.unwrap_or_else(|| {
            connections.distrust_kept_ones();
            Err(ClerkError::new(ClerkErrorKind::Unavailable, "the call took too long"))
        })
    };
    background::run(call).await.unwrap_or_else(|error| {
        let unavailable = ClerkError::new(ClerkErrorKind::Unavailable, "the call was not made");
        Err(unavailable.with_source(error))
    })
}

async fn exchange(
    request: RequestBuilder,
    connections: &Connections,
) -> Result<FullResponse, ClerkError> {
    let request = request.build().map_err(call_error)?;
    let response = connections.execute(request).await.map_err(call_error)?;
    let status = response.status();
    let retry_after = retry_after(response.headers(), connections.clock().unix_time());
    let body = read_body(response).await?;
    Ok(FullResponse { status, body, retry_after })
}

async fn read_body(mut response: reqwest::Response) -> Result<Bytes, ClerkError> {
    let too_large =
        || ClerkError::new(ClerkErrorKind::InvalidResponse, "the response is too large");
    if response.content_length().is_some_and(|length| length > MAX_BODY_BYTES as u64) {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(call_error)? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

impl FullResponse {
    /// Returns the body of a 200 to a request with a secret key. `wrong_key` says what to set if
    /// Clerk rejects the key.
    pub(super) fn ok_with_key(self, wrong_key: &'static str) -> Result<Bytes, ClerkError> {
        if self.status == StatusCode::UNAUTHORIZED {
            return Err(ClerkError::new(ClerkErrorKind::Unauthorized, wrong_key));
        }
        self.ok()
    }

    /// Returns the body of a 200, and an error for any other status.
    pub(super) fn ok(self) -> Result<Bytes, ClerkError> {
        let kind = match self.status {
            StatusCode::OK => return Ok(self.body),
            // Any web server may return a 404, and so may Clerk for a path or an instance. Only the
            // error about the requested object says something about it.
            StatusCode::NOT_FOUND if is_not_found(&self.body) => ClerkErrorKind::NotFound,
            StatusCode::TOO_MANY_REQUESTS => ClerkErrorKind::Unavailable,
            status if status.is_server_error() => ClerkErrorKind::Unavailable,
            _ => ClerkErrorKind::InvalidResponse,
        };
        let detail = format!("Clerk responded with {}", self.status.as_u16());
        Err(ClerkError::new(kind, detail).with_retry_after(self.retry_after))
    }
}

/// Returns whether the body is `{"errors": [{"code": "resource_not_found", …}]}`.
fn is_not_found(body: &[u8]) -> bool {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let errors = body.get("errors").and_then(Value::as_array);
    let is_code = |error: &Value| error.get("code").is_some_and(|code| code == NOT_FOUND_CODE);
    errors.is_some_and(|errors| !errors.is_empty() && errors.iter().all(is_code))
}

/// Parses the JSON of a response. The error says where the JSON is wrong and contains nothing of
/// it, which may be about a user or a token.
pub(super) fn json<T: DeserializeOwned>(body: &[u8], what: &'static str) -> Result<T, ClerkError> {
    serde_json::from_slice(body).map_err(|error| {
        let place = format!(
            "{what}: {:?} error at line {}, column {}",
            error.classify(),
            error.line(),
            error.column()
        );
        ClerkError::new(ClerkErrorKind::InvalidResponse, place)
    })
}

fn call_error(error: reqwest::Error) -> ClerkError {
    // The path may contain the id of a user.
    ClerkError::new(ClerkErrorKind::Unavailable, "the call failed").with_source(error.without_url())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_code_says_that_an_object_does_not_exist() {
        let rows = [
            (r#"{"errors":[{"code":"resource_not_found"}]}"#, true),
            (
                r#"{"errors":[{"message":"x","code":"resource_not_found"}],"clerk_trace_id":"x"}"#,
                true,
            ),
            (r#"{"errors":[{"code":"url_not_found"}]}"#, false),
            (r#"{"errors":[{"code":"instance_not_found"}]}"#, false),
            (r#"{"errors":[{"code":"resource_not_found"},{"code":"url_not_found"}]}"#, false),
            (r#"{"errors":[{"status":"404","title":"Not Found"}]}"#, false),
            (r#"{"errors":[{"code":["resource_not_found"]}]}"#, false),
            (r#"{"errors":{"code":"resource_not_found"}}"#, false),
            (r#"{"errors":[]}"#, false),
            (r#"[[["resource_not_found"]]]"#, false),
            ("resource_not_found", false),
            ("", false),
        ];
        for (body, expected) in rows {
            assert_eq!(is_not_found(body.as_bytes()), expected, "{body}");
        }
    }
}
