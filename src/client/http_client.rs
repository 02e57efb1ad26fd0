//! An HTTP client for the server of one connection.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, PROXY_AUTHORIZATION, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use super::connection::Connection;
use super::error::{CallError, CallErrorKind};
use super::renewal::call_with_token;
use super::server_body::ServerBody;
use crate::clock::background;
use crate::oauth::AccessToken;

/// What the official SDKs wait for a response.
const TIMEOUT: Duration = Duration::from_secs(60);
const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;

/// The headers that say to whom a request is sent, with what right and in what form.
const OWN_HEADERS: [HeaderName; 13] = [
    AUTHORIZATION,
    CONNECTION,
    CONTENT_LENGTH,
    COOKIE,
    EXPECT,
    HOST,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// An HTTP client for the MCP server of a [`Connection`], which sends its access tokens. Made by
/// [`Connection::http_client`].
///
/// Requests go to the URL of the server and nowhere else, so no token is sent to another one.
/// [`Egress`](super::Egress) holds for them: the server's address is checked after its name was
/// resolved, and a redirect is returned and not followed. They are made on a thread of this crate, with
/// HTTP/1.1 and a new connection for each.
///
/// Each request has a token that is valid for some time. If the server rejects it with a 401, it is
/// renewed and the request is sent once more. A renewed token that the server rejects as well is not
/// renewed again in this process, and the 401 is returned.
///
/// # Example
///
/// ```no_run
/// use clerk_mcp_tools::client::{Begun, Connection};
/// use http::header::{ACCEPT, CONTENT_TYPE, WWW_AUTHENTICATE};
/// use http::{HeaderMap, HeaderValue, StatusCode};
///
/// # async fn example(connection: &Connection) -> Result<(), Box<dyn std::error::Error>> {
/// let headers = HeaderMap::from_iter([
///     (CONTENT_TYPE, HeaderValue::from_static("application/json")),
///     (ACCEPT, HeaderValue::from_static("application/json, text/event-stream")),
/// ]);
/// let request = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
/// let response = connection.http_client().post(headers, request).await?;
/// if response.status() == StatusCode::FORBIDDEN
///     && let Some(challenge) = response.headers().get(WWW_AUTHENTICATE)
///     && let Begun::Redirect(redirect) = connection.step_up(challenge).await?
/// {
///     // Send the user to redirect.url(), and call again after the callback.
/// #   let _ = redirect;
/// }
/// let body = response.into_body().bytes().await?;
/// # let _ = body;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct HttpClient {
    connection: Connection,
    timeout: Duration,
    max_body_bytes: usize,
}

impl Connection {
    /// Returns an HTTP client that sends the access tokens of this connection to its server.
    #[must_use]
    pub fn http_client(&self) -> HttpClient {
        HttpClient { connection: self.clone(), timeout: TIMEOUT, max_body_bytes: MAX_BODY_BYTES }
    }
}

impl HttpClient {
    /// Sets how long to wait for the head of a response, and then for the whole of a body that is
    /// read with [`ServerBody::bytes`]. Defaults to one minute.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sets the length of a response body in bytes, that of an event stream as well, at which it
    /// ends with [`CallErrorKind::TooLarge`]. Defaults to 16 MiB.
    #[must_use]
    pub fn max_body_bytes(self, max_body_bytes: usize) -> Self {
        Self { max_body_bytes, ..self }
    }

    /// Posts a message. Headers that name a host, have credentials or are about the connection are
    /// left out.
    ///
    /// # Errors
    ///
    /// See [`CallErrorKind`]. A response is no error, whatever its status.
    pub async fn post(
        &self,
        headers: HeaderMap,
        body: impl Into<Bytes>,
    ) -> Result<Response<ServerBody>, CallError> {
        self.send(Method::POST, headers, body.into()).await
    }

    /// Opens the stream of messages of the server (`GET`). It ends when its body is dropped.
    ///
    /// # Errors
    ///
    /// As [`post`](Self::post).
    pub async fn get(&self, headers: HeaderMap) -> Result<Response<ServerBody>, CallError> {
        self.send(Method::GET, headers, Bytes::new()).await
    }

    /// Ends a session of the server (`DELETE`).
    ///
    /// # Errors
    ///
    /// As [`post`](Self::post).
    pub async fn delete(&self, headers: HeaderMap) -> Result<Response<ServerBody>, CallError> {
        self.send(Method::DELETE, headers, Bytes::new()).await
    }

    async fn send(
        &self,
        method: Method,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<ServerBody>, CallError> {
        for name in OWN_HEADERS {
            headers.remove(name);
        }
        let call = |token| self.send_once(method.clone(), headers.clone(), body.clone(), token);
        call_with_token(&self.connection, call, is_rejected).await?
    }

    async fn send_once(
        &self,
        method: Method,
        mut headers: HeaderMap,
        body: Bytes,
        token: AccessToken,
    ) -> Result<Response<ServerBody>, CallError> {
        headers.insert(AUTHORIZATION, bearer(&token)?);
        let connection = self.connection.clone();
        let (timeout, most) = (self.timeout, self.max_body_bytes);
        background::run(async move {
            let engine = connection.engine();
            let url = &connection.info().server;
            let response = engine.http.send_for_body(url, method, headers, body, timeout).await;
            let response = response.map_err(CallError::of_call)?;
            ServerBody::response(response, most, timeout, Arc::clone(&engine.clock))
        })
        .await?
    }
}

fn is_rejected(outcome: &Result<Response<ServerBody>, CallError>) -> bool {
    outcome.as_ref().is_ok_and(|response| response.status() == StatusCode::UNAUTHORIZED)
}

fn bearer(token: &AccessToken) -> Result<HeaderValue, CallError> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose())).map_err(|_| {
        CallError::new(CallErrorKind::Unreadable, "its token has characters that no token has")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient")
            .field("connection", &self.connection)
            .field("timeout", &self.timeout)
            .field("max_body_bytes", &self.max_body_bytes)
            .finish_non_exhaustive()
    }
}
