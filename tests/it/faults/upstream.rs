//! The five upstreams, and a server that depends on one of them.

use std::error::Error;
use std::time::Duration;

use clerk_mcp_tools::bearer_auth::BearerAuthLayer;
use clerk_mcp_tools::clerk::fetch_clerk_authorization_server_metadata;
use clerk_mcp_tools::instance::FrontendApi;
use clerk_mcp_tools::services::AuthorizationServerService;
use clerk_mcp_tools::testing::Route;
use clerk_mcp_tools::{
    ClerkError, ClerkErrorKind, ClerkVerifier, Rejection, RejectionReason, Scopes, VerifyError,
    VerifyErrorKind, verify_clerk_token,
};
use http::{Method, StatusCode};

use super::ProxiedFixture;
use crate::responses::{assert_invalid_token, assert_rejection};
use crate::support::{
    TestResponse, TestService, call, collect_responses, guarded, request, resource, send,
};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Upstream {
    /// The key set of the Frontend API, for JWTs.
    PublicKeys,
    /// The key set of the Backend API, for JWTs.
    BackendKeys,
    /// Introspection of opaque tokens by the Backend API.
    OpaqueTokens,
    /// The metadata of the authorization server.
    Metadata,
    /// Users, from the Backend API.
    Users,
}

impl Upstream {
    pub(super) const ALL: [Self; 5] =
        [Self::PublicKeys, Self::BackendKeys, Self::OpaqueTokens, Self::Metadata, Self::Users];

    pub(super) fn route(self) -> Route {
        match self {
            Self::PublicKeys => Route::Jwks,
            Self::BackendKeys => Route::BackendJwks,
            Self::OpaqueTokens => Route::VerifyAccessToken,
            Self::Metadata => Route::AuthorizationServerMetadata,
            Self::Users => Route::User,
        }
    }

    /// Whether the request carries the secret key.
    pub(super) fn sends_secret_key(self) -> bool {
        matches!(self, Self::BackendKeys | Self::OpaqueTokens | Self::Users)
    }

    /// The `retry_after` of the error of a call, if Clerk sends none.
    pub(super) fn min_retry_after(self, kind: ClerkErrorKind) -> Option<u64> {
        match (self, kind) {
            (Self::PublicKeys | Self::BackendKeys, _) => Some(1),
            (Self::OpaqueTokens, ClerkErrorKind::NotFound) => None,
            (Self::OpaqueTokens, ClerkErrorKind::InvalidResponse) => Some(5),
            (Self::OpaqueTokens, _) => Some(1),
            (Self::Metadata | Self::Users, _) => None,
        }
    }

    /// Whether responses are cached and served stale: keys and metadata.
    pub(super) fn is_cached(self) -> bool {
        matches!(self, Self::PublicKeys | Self::BackendKeys | Self::Metadata)
    }
}

/// A server that depends on one upstream.
pub(super) struct Server<'a> {
    pub(super) fixture: &'a ProxiedFixture,
    pub(super) upstream: Upstream,
    verifier: ClerkVerifier,
    service: TestService,
}

/// The result of a call: the kind of the error, and its `retry_after`.
pub(super) type Outcome = Result<(), (ClerkErrorKind, Option<Duration>)>;

impl<'a> Server<'a> {
    pub(super) fn new(fixture: &'a ProxiedFixture, upstream: Upstream) -> Self {
        let verifier = match upstream {
            Upstream::PublicKeys => fixture.public_verifier_builder().build(),
            Upstream::BackendKeys => fixture.verifier_builder().keys_from_backend_api().build(),
            Upstream::OpaqueTokens | Upstream::Metadata | Upstream::Users => {
                fixture.verifier_builder().build()
            }
        };
        Self::with(fixture, upstream, verifier.unwrap())
    }

    fn with(fixture: &'a ProxiedFixture, upstream: Upstream, verifier: ClerkVerifier) -> Self {
        let service = match upstream {
            Upstream::Metadata => {
                collect_responses(AuthorizationServerService::for_verifier(&verifier))
            }
            _ => guarded(
                BearerAuthLayer::new(verifier.clone(), resource())
                    .required_scopes(Scopes::parse("profile email").unwrap()),
            ),
        };
        Self { fixture, upstream, verifier, service }
    }

    /// A server with an empty cache. Where responses are not cached, it shares the verifier.
    pub(super) fn another(&self) -> Self {
        match self.upstream {
            Upstream::PublicKeys | Upstream::BackendKeys => Self::new(self.fixture, self.upstream),
            _ => Self::with(self.fixture, self.upstream, self.verifier.clone()),
        }
    }

    /// A valid token, in the format that needs this upstream.
    pub(super) fn token(&self) -> String {
        match self.upstream {
            Upstream::OpaqueTokens => self.fixture.opaque(),
            _ => self.fixture.jwt(),
        }
    }

    /// The response to a request with this token, or to a request for the metadata.
    pub(super) async fn response(&self, token: &str) -> TestResponse {
        match self.upstream {
            Upstream::Metadata => send(&self.service, request(Method::GET, "/", &[])).await,
            _ => call(&self.service, token).await,
        }
    }

    /// The outcome of the same call through this crate's functions.
    pub(super) async fn outcome(&self, token: &str) -> Outcome {
        let fixture = self.fixture;
        match self.upstream {
            Upstream::Users => {
                let client = self.verifier.client().unwrap();
                let user = client.get_user(fixture.clerk.default_user_id()).await;
                user.map(drop).map_err(|error| (error.kind(), error.retry_after()))
            }
            Upstream::Metadata => {
                let instance = FrontendApi::parse(fixture.clerk.issuer()).unwrap();
                let document = fetch_clerk_authorization_server_metadata(&instance).await;
                document.map(drop).map_err(|error| (error.kind(), error.retry_after()))
            }
            _ => {
                let caller = verify_clerk_token(&self.verifier, token).await;
                caller.map(drop).map_err(|error| (cause(&error), error.retry_after()))
            }
        }
    }

    /// Asserts that a valid token is accepted, and that the direct call succeeds.
    pub(super) async fn assert_works(&self, case: &str) {
        let token = self.token();
        self.assert_accepts(&token, case).await;
        assert_eq!(self.outcome(&token).await, Ok(()), "{:?}, {case}", self.upstream);
    }

    /// Asserts that a request is served. Users are not cached, so there is nothing to assert.
    pub(super) async fn assert_accepts(&self, token: &str, case: &str) {
        if self.upstream != Upstream::Users {
            let response = self.response(token).await;
            assert_eq!(
                response.status,
                StatusCode::OK,
                "{:?}, {case}: {}",
                self.upstream,
                response.body
            );
        }
    }

    /// Asserts the whole response that an error of this kind leads to.
    pub(super) fn assert_rejection(
        &self,
        response: &TestResponse,
        kind: ClerkErrorKind,
        retry_after: Option<u64>,
        case: &str,
    ) {
        let case = format!("{:?}, {case}", self.upstream);
        let (status, code, description, reason) = match (self.upstream, kind) {
            (Upstream::Metadata, _) => (
                503,
                "temporarily_unavailable",
                "The metadata of the authorization server cannot be fetched at the moment",
                RejectionReason::MetadataUnavailable,
            ),
            (Upstream::OpaqueTokens, ClerkErrorKind::NotFound) => {
                return assert_invalid_token(response, VerifyErrorKind::UnknownToken, &case);
            }
            (_, ClerkErrorKind::Unauthorized) => (
                500,
                "server_error",
                VerifyErrorKind::Misconfigured.description(),
                RejectionReason::Misconfigured,
            ),
            _ => (
                503,
                "temporarily_unavailable",
                VerifyErrorKind::Unavailable.description(),
                RejectionReason::Unavailable,
            ),
        };
        assert_rejection(response, status, code, description, None, &case);
        // After an outage, a call is made again after a second at the earliest; values to cache,
        // without an old value, after thirty at the latest.
        let is_cached = self.upstream.is_cached();
        let has_backoff = is_cached || kind == ClerkErrorKind::Unavailable;
        let (default, max) =
            (if has_backoff { 1 } else { 5 }, if is_cached { 30 } else { u64::MAX });
        let seconds = retry_after.unwrap_or(default).clamp(1, max).to_string();
        assert_eq!(
            response.header("retry-after"),
            (status == 503).then_some(seconds.as_str()),
            "{case}"
        );
        assert_eq!(response.extensions.get::<Rejection>().unwrap().reason(), reason, "{case}");
    }
}

/// The kind of the failed call behind a verification error.
fn cause(error: &VerifyError) -> ClerkErrorKind {
    if error.kind() == VerifyErrorKind::UnknownToken {
        return ClerkErrorKind::NotFound;
    }
    let cause = error.source().unwrap_or_else(|| panic!("a valid token was rejected: {error:?}"));
    cause.downcast_ref::<ClerkError>().unwrap().kind()
}
