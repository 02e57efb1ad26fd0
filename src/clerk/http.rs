//! One call to Clerk: bounded in time and in size, never redirected.

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, StatusCode, redirect, tls};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;

use crate::error::{ClerkError, ClerkErrorKind, ConfigError};
use crate::oauth::{is_loopback, parse_uri};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// For the whole call, from the first byte sent to the last one received.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Clerk's largest answer, a user, has some kilobytes.
const MAX_BYTES: usize = 512 * 1024;
/// A `Retry-After` beyond this is taken for a mistake.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);
const USER_AGENT: &str = concat!("clerk-mcp-tools/", env!("CARGO_PKG_VERSION"));

/// A client for one origin. A clone shares its connections.
#[derive(Clone)]
pub(super) struct Http {
    client: Client,
    base: String,
}

/// A whole answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    pub(super) retry_after: Option<Duration>,
}

impl Http {
    /// A client for this origin, which has been checked: https, or http on loopback.
    pub(super) fn new(base: impl Into<String>) -> Result<Self, ConfigError> {
        let base = base.into();
        let on_loopback = parse_uri(&base).is_some_and(|uri| is_loopback(&uri));
        let builder = Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            // A redirect could carry the secret key, or a token, to somebody else.
            .redirect(redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            // Nothing that another crate switches on for the whole process.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .tls_version_min(tls::Version::TLS_1_2)
            .https_only(!on_loopback);
        // What is on this machine is not behind a proxy, and a proxy would see it in the clear.
        let builder = if on_loopback { builder.no_proxy() } else { builder };
        let client = builder.build().map_err(|_| {
            ConfigError::invalid(
                "TLS",
                "cannot be set up: the machine's root certificates could not be loaded",
            )
        })?;
        Ok(Self { client, base })
    }

    pub(super) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.base))
    }

    pub(super) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.base))
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("base", &self.base).finish_non_exhaustive()
    }
}

/// Sends a request and reads the whole answer.
pub(super) async fn send(request: RequestBuilder) -> Result<Answer, ClerkError> {
    // The HTTP client would panic without it.
    if Handle::try_current().is_err() {
        return Err(ClerkError::new(ClerkErrorKind::InvalidRequest, "calls need a tokio runtime"));
    }
    let response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    let retry_after = retry_after(response.headers());
    let body = read(response).await?;
    Ok(Answer { status, body, retry_after })
}

async fn read(mut response: reqwest::Response) -> Result<Bytes, ClerkError> {
    let too_long = || ClerkError::new(ClerkErrorKind::InvalidResponse, "the answer is too long");
    if response.content_length().is_some_and(|length| length > MAX_BYTES as u64) {
        return Err(too_long());
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > MAX_BYTES {
            return Err(too_long());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

impl Answer {
    /// The body of a 200 to a request that carried our secret key.
    pub(super) fn ok_with_key(self) -> Result<Bytes, ClerkError> {
        if self.status == StatusCode::UNAUTHORIZED {
            return Err(ClerkError::new(
                ClerkErrorKind::Unauthorized,
                "Clerk answered 401: set CLERK_SECRET_KEY to a secret key of this very instance; the Clerk Dashboard \
                 shows it on the page API keys",
            ));
        }
        self.ok()
    }

    /// The body of a 200; for any other status what it means to us.
    pub(super) fn ok(self) -> Result<Bytes, ClerkError> {
        let kind = match self.status {
            StatusCode::OK => return Ok(self.body),
            // Any web server says 404. Only what Clerk's API says in its own words is about the thing we asked for.
            StatusCode::NOT_FOUND if is_error_of_clerk(&self.body) => ClerkErrorKind::NotFound,
            StatusCode::TOO_MANY_REQUESTS => ClerkErrorKind::Unavailable,
            status if status.is_server_error() => ClerkErrorKind::Unavailable,
            _ => ClerkErrorKind::InvalidResponse,
        };
        let detail = format!("Clerk answered {}", self.status.as_u16());
        Err(ClerkError::new(kind, detail).with_retry_after(self.retry_after))
    }
}

/// `{"errors": [{"code": …}]}`, as every error of the Backend API has it.
fn is_error_of_clerk(body: &[u8]) -> bool {
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

/// Reads an answer's JSON. The error says where it is wrong and shows nothing of it: it may be about a user or a token.
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

/// Seconds, as many as can be meant; a date, which Clerk does not send, counts as nothing said.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

fn unreachable(error: reqwest::Error) -> ClerkError {
    // The URL would be the only thing in the error that came from us; the path may name a user.
    ClerkError::new(ClerkErrorKind::Unavailable, "the call failed or took too long")
        .with_source(error.without_url())
}
