use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::locked;

const USERS: &str = "/v1/users/";

/// An endpoint of the stand-in, for [`FakeClerk::calls`](super::FakeClerk::calls) and
/// [`FakeClerk::fault`](super::FakeClerk::fault).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Route {
    /// `GET /.well-known/oauth-authorization-server` (RFC 8414).
    AuthorizationServerMetadata,
    /// `GET /.well-known/openid-configuration`.
    OpenIdConfiguration,
    /// `GET /.well-known/jwks.json`, public.
    Jwks,
    /// `GET /v1/jwks`, with the secret key.
    BackendJwks,
    /// `POST /oauth/register` (RFC 7591).
    Register,
    /// `GET` or `POST /oauth/authorize`.
    Authorize,
    /// `POST /oauth/token`.
    Token,
    /// `POST /oauth/token/revoke` (RFC 7009).
    Revoke,
    /// `POST /v1/oauth_applications/access_tokens/verify`, also without `/v1`, with the secret key.
    VerifyAccessToken,
    /// `GET /v1/users/{user_id}`, with the secret key.
    User,
}

impl Route {
    pub(super) const ALL: [Self; 10] = [
        Self::AuthorizationServerMetadata,
        Self::OpenIdConfiguration,
        Self::Jwks,
        Self::BackendJwks,
        Self::Register,
        Self::Authorize,
        Self::Token,
        Self::Revoke,
        Self::VerifyAccessToken,
        Self::User,
    ];

    pub(super) fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/.well-known/oauth-authorization-server" => Self::AuthorizationServerMetadata,
            "/.well-known/openid-configuration" => Self::OpenIdConfiguration,
            "/.well-known/jwks.json" => Self::Jwks,
            "/v1/jwks" => Self::BackendJwks,
            "/oauth/register" => Self::Register,
            "/oauth/authorize" => Self::Authorize,
            "/oauth/token" => Self::Token,
            "/oauth/token/revoke" => Self::Revoke,
            "/v1/oauth_applications/access_tokens/verify"
            | "/oauth_applications/access_tokens/verify" => Self::VerifyAccessToken,
            _ => return user_id(path).map(|_| Self::User),
        })
    }

    /// The methods, as the `Allow` header lists them.
    pub(super) fn allow(self) -> &'static str {
        match self {
            Self::AuthorizationServerMetadata | Self::OpenIdConfiguration | Self::Jwks => {
                "GET, HEAD, OPTIONS"
            }
            Self::BackendJwks | Self::User => "GET, HEAD",
            Self::Register | Self::Token | Self::Revoke => "POST, OPTIONS",
            Self::Authorize => "GET, POST",
            Self::VerifyAccessToken => "POST",
        }
    }

    pub(super) fn allows(self, method: &Method) -> bool {
        self.allow().split(", ").any(|name| name == method.as_str())
    }

    /// Whether scripts of other origins may call it: what clients ask themselves, but never the authorization endpoint
    /// (RFC 9700 section 2.6), and never the Backend API.
    pub(super) fn has_cors(self) -> bool {
        self.allows(&Method::OPTIONS)
    }
}

/// The user that a path of [`Route::User`] names.
pub(super) fn user_id(path: &str) -> Option<&str> {
    path.strip_prefix(USERS).filter(|id| !id.is_empty() && !id.contains('/'))
}

/// A request that arrived at the stand-in.
///
/// Its `Debug` shows neither the body nor the query nor an `Authorization` header, since all of them may hold secrets.
#[derive(Clone)]
#[non_exhaustive]
pub struct RecordedRequest {
    /// The method.
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// What stands behind the `?`, still percent-encoded.
    pub query: Option<String>,
    /// The headers; `Authorization` is marked as sensitive.
    pub headers: HeaderMap,
    /// The body. Empty where the request's was over the limit of 64 KiB.
    pub body: Bytes,
}

impl fmt::Debug for RecordedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedRequest")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("headers", &self.headers)
            .field("body_len", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// How often each route was called, and with what at last.
#[derive(Default)]
pub(super) struct RequestLog {
    seen: Mutex<HashMap<Route, Seen>>,
}

struct Seen {
    calls: usize,
    last: RecordedRequest,
}

impl RequestLog {
    pub(super) fn record(&self, route: Route, request: RecordedRequest) {
        let mut seen = locked(&self.seen);
        let calls = seen.get(&route).map_or(0, |seen| seen.calls);
        seen.insert(route, Seen { calls: calls.saturating_add(1), last: request });
    }

    pub(super) fn calls(&self, route: Route) -> usize {
        locked(&self.seen).get(&route).map_or(0, |seen| seen.calls)
    }

    pub(super) fn last(&self, route: Route) -> Option<RecordedRequest> {
        locked(&self.seen).get(&route).map(|seen| seen.last.clone())
    }

    pub(super) fn reset(&self) {
        locked(&self.seen).clear();
    }
}
