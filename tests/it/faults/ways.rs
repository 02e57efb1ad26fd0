//! The five ways to Clerk, each with a server that goes it.

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

use super::Site;
use crate::answers::{assert_invalid, assert_refused};
use crate::support::{Answer, TestService, call, guarded, request, resource, send, whole_answers};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Way {
    /// The key set of the Frontend API, for JWTs.
    PublicKeys,
    /// The key set of the Backend API, for JWTs.
    BackendKeys,
    /// What the Backend API says about an opaque token.
    OpaqueTokens,
    /// The authorization server's metadata.
    Metadata,
    /// A user of the Backend API.
    Users,
}

impl Way {
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

    /// Whether the secret key goes this way.
    pub(super) fn has_key(self) -> bool {
        matches!(self, Self::BackendKeys | Self::OpaqueTokens | Self::Users)
    }

    /// Whether what came this way once is kept for later: keys and documents.
    pub(super) fn keeps(self) -> bool {
        matches!(self, Self::PublicKeys | Self::BackendKeys | Self::Metadata)
    }
}

/// A server that depends on one of them.
pub(super) struct Server<'a> {
    pub(super) site: &'a Site,
    pub(super) way: Way,
    verifier: ClerkVerifier,
    service: TestService,
}

/// How a call came out: nothing, or what failed and when to try again.
pub(super) type Outcome = Result<(), (ClerkErrorKind, Option<Duration>)>;

impl<'a> Server<'a> {
    pub(super) fn new(site: &'a Site, way: Way) -> Self {
        let verifier = match way {
            Way::PublicKeys => site.fixture.public_verifier_builder().build(),
            Way::BackendKeys => site.fixture.verifier_builder().keys_from_backend_api().build(),
            Way::OpaqueTokens | Way::Metadata | Way::Users => {
                site.fixture.verifier_builder().build()
            }
        };
        Self::with(site, way, verifier.unwrap())
    }

    fn with(site: &'a Site, way: Way, verifier: ClerkVerifier) -> Self {
        let service = match way {
            Way::Metadata => whole_answers(AuthorizationServerService::for_verifier(&verifier)),
            _ => guarded(
                BearerAuthLayer::new(verifier.clone(), resource())
                    .required_scopes(Scopes::parse("profile email").unwrap()),
            ),
        };
        Self { site, way, verifier, service }
    }

    /// One that has nothing at hand. Where nothing is kept of what comes this way, it shares the connections.
    pub(super) fn another(&self) -> Self {
        match self.way {
            Way::PublicKeys | Way::BackendKeys => Self::new(self.site, self.way),
            _ => Self::with(self.site, self.way, self.verifier.clone()),
        }
    }

    /// A good token of the format that this way is gone for.
    pub(super) fn token(&self) -> String {
        match self.way {
            Way::OpaqueTokens => self.site.fixture.opaque(),
            _ => self.site.fixture.jwt(),
        }
    }

    /// The answer to a request with this token; to one for the document, where that is what this way is gone for.
    pub(super) async fn answer(&self, token: &str) -> Answer {
        match self.way {
            Way::Metadata => send(&self.service, request(Method::GET, "/", &[])).await,
            _ => call(&self.service, token).await,
        }
    }

    /// The same by a call of this crate's functions.
    pub(super) async fn outcome(&self, token: &str) -> Outcome {
        let site = self.site;
        match self.way {
            Way::Users => {
                let client = self.verifier.client().unwrap();
                let user = client.get_user(site.clerk().default_user_id()).await;
                user.map(drop).map_err(|error| (error.kind(), error.retry_after()))
            }
            Way::Metadata => {
                let instance = FrontendApi::parse(site.clerk().issuer()).unwrap();
                let document = fetch_clerk_authorization_server_metadata(&instance).await;
                document.map(drop).map_err(|error| (error.kind(), error.retry_after()))
            }
            _ => {
                let caller = verify_clerk_token(&self.verifier, token).await;
                caller.map(drop).map_err(|error| (cause(&error), error.retry_after()))
            }
        }
    }

    /// All is as it should be.
    pub(super) async fn assert_works(&self, what: &str) {
        let token = self.token();
        self.assert_accepts(&token, what).await;
        assert_eq!(self.outcome(&token).await, Ok(()), "{:?}, {what}", self.way);
    }

    /// This token passes, or the document is shown. Of users nothing is kept that could be.
    pub(super) async fn assert_accepts(&self, token: &str, what: &str) {
        if self.way != Way::Users {
            let answer = self.answer(token).await;
            assert_eq!(answer.status, StatusCode::OK, "{:?}, {what}: {}", self.way, answer.body);
        }
    }

    /// The refusal that a failure of this kind is for the caller, to the byte.
    pub(super) fn assert_refused(
        &self,
        answer: &Answer,
        kind: ClerkErrorKind,
        pause: Option<u64>,
        what: &str,
    ) {
        let what = format!("{:?}, {what}", self.way);
        let (status, code, description, reason) = match (self.way, kind) {
            (Way::Metadata, _) => (
                503,
                "temporarily_unavailable",
                "The metadata of the authorization server cannot be fetched at the moment",
                RejectionReason::MetadataUnavailable,
            ),
            (Way::OpaqueTokens, ClerkErrorKind::NotFound) => {
                return assert_invalid(answer, VerifyErrorKind::UnknownToken, &what);
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
        assert_refused(answer, status, code, description, None, &what);
        // Keys and documents are asked for again after a second at the earliest.
        let seconds = pause.unwrap_or(if self.way.keeps() { 1 } else { 5 }).max(1).to_string();
        assert_eq!(
            answer.header("retry-after"),
            (status == 503).then_some(seconds.as_str()),
            "{what}"
        );
        assert_eq!(answer.extensions.get::<Rejection>().unwrap().reason(), reason, "{what}");
    }
}

/// How the call failed because of which a token was not verified.
fn cause(error: &VerifyError) -> ClerkErrorKind {
    if error.kind() == VerifyErrorKind::UnknownToken {
        return ClerkErrorKind::NotFound;
    }
    let cause = error.source().unwrap_or_else(|| panic!("a good token was refused: {error:?}"));
    cause.downcast_ref::<ClerkError>().unwrap().kind()
}
