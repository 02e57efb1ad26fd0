//! A connection as an HTTP client of rmcp's transport.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use rmcp::model::ClientJsonRpcMessage;
use rmcp::service::ClientInitializeError;
use rmcp::transport::common::client_side_sse::BoxedSseResponse;
use rmcp::transport::streamable_http_client::{
    AuthRequiredError, InsufficientScopeError, StreamableHttpClient, StreamableHttpError,
    StreamableHttpPostResponse, StreamableHttpResponseLimits,
};

use super::challenge::Challenge;
use super::connection::Connection;
use super::error::TokenError;
use super::owner::ServerUrl;
use super::renewal::call_with_token;
use crate::oauth::AccessToken;

/// How many errors below an error are looked at.
const MAX_SOURCES: usize = 16;

type Headers = HashMap<HeaderName, HeaderValue>;
type Outcome<T, C> = Result<T, StreamableHttpError<<C as StreamableHttpClient>::Error>>;

/// An HTTP client of rmcp's streamable transport that sends the access token of a [`Connection`].
/// Made by [`Connection::authorize`]. Needs the feature `client-rmcp`.
///
/// Each request has a token that is valid for some time. If the server rejects it with a 401, it is
/// renewed and the request is sent once more. A renewed token that the server rejects as well is not
/// renewed again, so that a server which accepts no token causes no refresh for each request.
///
/// The token is sent to the server of the connection and nowhere else: with another URL in the
/// transport, requests fail. Its setting `auth_header` is not used. [`Egress`](super::Egress) does
/// not hold for these requests, which are those of the HTTP client inside. That one should follow
/// no redirects, and where users type URLs it has to refuse addresses that are not public
/// ([`Egress::allows`](super::Egress::allows)).
///
/// Why a request failed is found by [`AuthorizationError::find`]. A session need not be made anew
/// after a second sign-in: the next request has the new token.
///
/// # Example
///
/// ```no_run
/// use clerk_mcp_tools::client::{AuthorizationError, Begun, Connection, TokenErrorKind};
/// use rmcp::ServiceExt;
/// use rmcp::model::CallToolRequestParams;
/// use rmcp::transport::StreamableHttpClientTransport;
/// use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
///
/// # async fn example(
/// #     connection: Connection, http: reqwest::Client,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let server = connection.info().server.as_str();
/// let config = StreamableHttpClientTransportConfig::with_uri(server);
/// let http = connection.authorize(http);
/// let client = ().serve(StreamableHttpClientTransport::with_client(http, config)).await?;
/// let answer = client.call_tool(CallToolRequestParams::new("save_note")).await;
/// let Err(error) = answer else { return Ok(()) };
/// match AuthorizationError::find(&error) {
///     Some(AuthorizationError::InsufficientScope(challenge)) => {
///         if let Begun::Redirect(redirect) = connection.step_up(&challenge).await? {
///             // Send the user to redirect.url(), and call the tool again after the callback.
///         }
///     }
///     Some(AuthorizationError::Token(error)) => match error.kind() {
///         TokenErrorKind::NeedsLogin(_) => { /* show a button that begins a sign-in */ }
///         _ => { /* an outage: try again later */ }
///     },
///     _ => return Err(error.into()),
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Authorized<C> {
    http: C,
    connection: Connection,
}

/// Why a request was not authorized. Needs the feature `client-rmcp`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AuthorizationError {
    /// There is no access token. Only [`NeedsLogin`](super::TokenErrorKind::NeedsLogin) means that
    /// the user has to sign in again; the others are outages.
    Token(TokenError),
    /// The token lacks scopes (403). The `WWW-Authenticate` header of the server is for
    /// [`Connection::step_up`].
    InsufficientScope(HeaderValue),
    /// The server rejects a token that was just issued (401), or a request without one. It may have
    /// moved to another authorization server. Its `WWW-Authenticate` header is for
    /// [`LoginOptions::challenge`](super::LoginOptions::challenge), together with
    /// [`again`](super::LoginOptions::again).
    Rejected(HeaderValue),
    /// The URL of the transport is not that of the server of the connection.
    OtherServer,
}

impl Connection {
    /// Returns an HTTP client for rmcp's streamable transport, such as a `reqwest::Client`, that
    /// sends the access tokens of this connection. Needs the feature `client-rmcp`.
    #[must_use]
    pub fn authorize<C>(&self, http: C) -> Authorized<C> {
        Authorized { http, connection: self.clone() }
    }
}

impl<C> Authorized<C> {
    /// Returns the connection whose tokens are sent.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }
}

impl<C: StreamableHttpClient + Sync> Authorized<C> {
    /// Calls with a token, and once more with another one after a 401.
    async fn with_token<T, F>(&self, uri: &str, call: impl Fn(Option<String>) -> F) -> Outcome<T, C>
    where
        F: Future<Output = Outcome<T, C>>,
    {
        self.check_server(uri)?;
        let send = |token: AccessToken| call(Some(token.expose().to_owned()));
        call_with_token(&self.connection, send, is_rejected).await.map_err(no_token)?
    }

    fn check_server(&self, uri: &str) -> Outcome<(), C> {
        let own = &self.connection().info().server;
        let is_own = uri == own || ServerUrl::parse(uri).is_ok_and(|uri| uri.as_str() == own);
        if is_own { Ok(()) } else { Err(io_error(AuthorizationError::OtherServer)) }
    }
}

fn is_rejected<T, E: Error + Send + Sync + 'static>(
    outcome: &Result<T, StreamableHttpError<E>>,
) -> bool {
    matches!(outcome, Err(StreamableHttpError::AuthRequired(_)))
}

fn no_token<E: Error + Send + Sync + 'static>(error: TokenError) -> StreamableHttpError<E> {
    io_error(AuthorizationError::Token(error))
}

/// The one variant that can hold an error of any type and has it as its source.
fn io_error<E: Error + Send + Sync + 'static>(error: AuthorizationError) -> StreamableHttpError<E> {
    StreamableHttpError::Io(io::Error::other(error))
}

impl<C: StreamableHttpClient + Sync> StreamableHttpClient for Authorized<C> {
    type Error = C::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _: Option<String>,
        headers: Headers,
    ) -> Outcome<StreamableHttpPostResponse, C> {
        let call = |token| {
            let (message, headers) = (message.clone(), headers.clone());
            self.http.post_message(uri.clone(), message, session_id.clone(), token, headers)
        };
        self.with_token(&uri, call).await
    }

    async fn post_message_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _: Option<String>,
        headers: Headers,
        max_sse_event_size: usize,
    ) -> Outcome<StreamableHttpPostResponse, C> {
        let call = |token| {
            self.http.post_message_with_max_sse_event_size(
                uri.clone(),
                message.clone(),
                session_id.clone(),
                token,
                headers.clone(),
                max_sse_event_size,
            )
        };
        self.with_token(&uri, call).await
    }

    async fn post_message_with_response_limits(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _: Option<String>,
        headers: Headers,
        limits: StreamableHttpResponseLimits,
    ) -> Outcome<StreamableHttpPostResponse, C> {
        let call = |token| {
            self.http.post_message_with_response_limits(
                uri.clone(),
                message.clone(),
                session_id.clone(),
                token,
                headers.clone(),
                limits,
            )
        };
        self.with_token(&uri, call).await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        _: Option<String>,
        headers: Headers,
    ) -> Outcome<(), C> {
        let call = |token| {
            self.http.delete_session(uri.clone(), session_id.clone(), token, headers.clone())
        };
        self.with_token(&uri, call).await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        _: Option<String>,
        headers: Headers,
    ) -> Outcome<BoxedSseResponse, C> {
        let call = |token| {
            let (last_event_id, headers) = (last_event_id.clone(), headers.clone());
            self.http.get_stream(uri.clone(), session_id.clone(), last_event_id, token, headers)
        };
        self.with_token(&uri, call).await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        _: Option<String>,
        headers: Headers,
        max_sse_event_size: usize,
    ) -> Outcome<BoxedSseResponse, C> {
        let call = |token| {
            self.http.get_stream_with_max_sse_event_size(
                uri.clone(),
                session_id.clone(),
                last_event_id.clone(),
                token,
                headers.clone(),
                max_sse_event_size,
            )
        };
        self.with_token(&uri, call).await
    }
}

impl<C> fmt::Debug for Authorized<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorized").field("connection", self.connection()).finish_non_exhaustive()
    }
}

impl AuthorizationError {
    /// Returns why the request was not authorized, if that is why an error of rmcp came about, such
    /// as a `ServiceError` or a `ClientInitializeError`. Without a connection, with the HTTP client
    /// alone, it finds the challenge for a first sign-in as well.
    #[must_use]
    pub fn find(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut current = Some(error);
        for _ in 0..MAX_SOURCES {
            let error = current?;
            if let Some(found) = Self::of(error) {
                return Some(found);
            }
            current = below(error);
        }
        None
    }

    fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        if let Some(error) = error.downcast_ref::<Self>() {
            return Some(error.clone());
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            // The source of an `io::Error` is that of the error inside.
            return error.get_ref()?.downcast_ref::<Self>().cloned();
        }
        if let Some(error) = error.downcast_ref::<AuthRequiredError>() {
            return HeaderValue::from_str(&error.www_authenticate_header).ok().map(Self::Rejected);
        }
        let error = error.downcast_ref::<InsufficientScopeError>()?;
        let header = HeaderValue::from_str(&error.www_authenticate_header).ok()?;
        // A 403 with a challenge of another scheme is no step-up.
        Challenge::parse(&header).map(|_| Self::InsufficientScope(header))
    }
}

/// The error that led to another one. rmcp's errors of a start do not say it by `source`.
fn below<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<ClientInitializeError>() {
        Some(ClientInitializeError::TransportError { error, .. }) => Some(&*error.error),
        Some(ClientInitializeError::LegacyFallbackFailed { fallback, .. }) => Some(&**fallback),
        _ => error.source(),
    }
}

impl fmt::Display for AuthorizationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(error) => error.fmt(f),
            Self::InsufficientScope(_) => f.write_str(
                "the server requires more scopes: begin a step-up with the challenge of this error",
            ),
            Self::Rejected(_) => f.write_str(
                "the server requires a sign-in: begin one, `again`, with the challenge of this error",
            ),
            Self::OtherServer => f.write_str(
                "the URL of the transport is not the one of the connection: set `info().server`",
            ),
        }
    }
}

impl Error for AuthorizationError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Token(error) => error.source(),
            _ => None,
        }
    }
}
