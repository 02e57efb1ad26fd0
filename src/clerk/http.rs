//! HTTP calls to Clerk: bounded in time and size, never redirected.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, StatusCode, redirect, tls};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::clock::{Clock, background, timeout};
use crate::error::{ClerkError, ClerkErrorKind, ConfigError};
use crate::oauth::{is_loopback, parse_uri};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The whole call, from the first byte sent to the last one received.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Clerk's largest response, a user, has a few kilobytes.
const MAX_BODY_BYTES: usize = 512 * 1024;
/// A longer `Retry-After` is cut to this.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);
const USER_AGENT: &str = concat!("clerk-mcp-tools/", env!("CARGO_PKG_VERSION"));

/// A client for one origin. Clones share their connections.
#[derive(Clone)]
pub(super) struct Http {
    client: Client,
    base: String,
    clock: Arc<dyn Clock>,
}

/// A request, for [`send`].
pub(super) struct HttpRequest {
    request: RequestBuilder,
    clock: Arc<dyn Clock>,
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
        let on_loopback = parse_uri(&base).is_some_and(|uri| is_loopback(&uri));
        let builder = Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT)
            // A redirect could send the secret key or a token to another host.
            .redirect(redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            // Another crate may enable these features of the HTTP client for the whole process.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .tls_version_min(tls::Version::TLS_1_2)
            .https_only(!on_loopback);
        // A proxy would see plain HTTP to this machine, with its secrets.
        let builder = if on_loopback { builder.no_proxy() } else { builder };
        let client = builder.build().map_err(|_| {
            ConfigError::invalid(
                "TLS",
                "cannot be set up: the machine's root certificates could not be loaded",
            )
        })?;
        Ok(Self { client, base, clock })
    }

    pub(super) fn get(&self, path: &str) -> HttpRequest {
        self.request(self.client.get(format!("{}{path}", self.base)))
    }

    pub(super) fn post(&self, path: &str) -> HttpRequest {
        self.request(self.client.post(format!("{}{path}", self.base)))
    }

    fn request(&self, request: RequestBuilder) -> HttpRequest {
        HttpRequest { request, clock: Arc::clone(&self.clock) }
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
    let HttpRequest { request, clock } = request;
    let call = async move { timeout(&*clock, CALL_TIMEOUT, exchange(request)).await };
    match background::run(call).await {
        Ok(Some(outcome)) => outcome,
        Ok(None) => Err(ClerkError::new(ClerkErrorKind::Unavailable, "the call took too long")),
        Err(error) => {
            let unavailable = ClerkError::new(ClerkErrorKind::Unavailable, "the call was not made");
            Err(unavailable.with_source(error))
        }
    }
}

async fn exchange(request: RequestBuilder) -> Result<FullResponse, ClerkError> {
    let response = request.send().await.map_err(call_error)?;
    let status = response.status();
    let retry_after = retry_after(response.headers());
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
    /// Returns the body of a 200 to a request with the secret key.
    pub(super) fn ok_with_key(self) -> Result<Bytes, ClerkError> {
        if self.status == StatusCode::UNAUTHORIZED {
            return Err(ClerkError::new(
                ClerkErrorKind::Unauthorized,
                "Clerk responded with 401: set CLERK_SECRET_KEY to a secret key of this instance, \
                 which the Clerk Dashboard shows on the page API keys",
            ));
        }
        self.ok()
    }

    /// Returns the body of a 200, and an error for any other status.
    pub(super) fn ok(self) -> Result<Bytes, ClerkError> {
        let kind = match self.status {
            StatusCode::OK => return Ok(self.body),
            // Any web server may return a 404. Only one in the format of Clerk's API is about the
            // requested object.
            StatusCode::NOT_FOUND if is_clerk_error(&self.body) => ClerkErrorKind::NotFound,
            StatusCode::TOO_MANY_REQUESTS => ClerkErrorKind::Unavailable,
            status if status.is_server_error() => ClerkErrorKind::Unavailable,
            _ => ClerkErrorKind::InvalidResponse,
        };
        let detail = format!("Clerk responded with {}", self.status.as_u16());
        Err(ClerkError::new(kind, detail).with_retry_after(self.retry_after))
    }
}

/// Returns whether the body is an error of the Backend API, `{"errors": [{"code": …}]}`.
fn is_clerk_error(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<Error>,
    }
    #[derive(Deserialize)]
    struct Error {
        #[serde(rename = "code")]
        _code: String,
    }
    serde_json::from_slice::<Errors>(body).is_ok_and(|body| !body.errors.is_empty())
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

/// Parses `Retry-After` in seconds. A date, which Clerk does not send, is ignored.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

fn call_error(error: reqwest::Error) -> ClerkError {
    // The path may contain the id of a user.
    ClerkError::new(ClerkErrorKind::Unavailable, "the call failed").with_source(error.without_url())
}
