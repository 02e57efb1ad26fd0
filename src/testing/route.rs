//! The endpoints of the fake Clerk: paths, methods, CORS.

use http::Method;

const USERS: &str = "/v1/users/";
const ORGANIZATIONS: &str = "/v1/organizations/";

/// An endpoint of the fake Clerk, for [`FakeClerk::calls`](super::FakeClerk::calls) and
/// [`FakeClerk::fault`](super::FakeClerk::fault).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Route {
    /// `GET /.well-known/oauth-authorization-server` (RFC 8414).
    AuthorizationServerMetadata,
    /// `GET /.well-known/openid-configuration`.
    OpenIdConfiguration,
    /// `GET /.well-known/jwks.json`, without authentication.
    Jwks,
    /// `GET /v1/jwks` with the secret key.
    BackendJwks,
    /// `POST /oauth/register` (RFC 7591).
    Register,
    /// `GET` or `POST /oauth/authorize`.
    Authorize,
    /// `POST /oauth/consent`, the decision on the consent page of an
    /// [interactive](super::FakeClerkBuilder::interactive) instance.
    Consent,
    /// `POST /oauth/token`.
    Token,
    /// `POST /oauth/token/revoke` (RFC 7009).
    Revoke,
    /// `POST /v1/oauth_applications/access_tokens/verify` with the secret key. The path without
    /// `/v1` works as well.
    VerifyAccessToken,
    /// `POST /v1/api_keys/verify` with the secret key. The path without `/v1` works as well.
    VerifyApiKey,
    /// `POST /v1/m2m_tokens/verify` with the secret key, or with that of a machine. The path without
    /// `/v1` works as well.
    VerifyMachineToken,
    /// `GET /v1/users/{user_id}` with the secret key.
    User,
    /// `GET /v1/users/{user_id}/organization_memberships` with the secret key.
    UserMemberships,
    /// `GET /v1/organizations/{organization_id}/memberships` with the secret key.
    OrganizationMemberships,
}

impl Route {
    pub(super) const ALL: [Self; 15] = [
        Self::AuthorizationServerMetadata,
        Self::OpenIdConfiguration,
        Self::Jwks,
        Self::BackendJwks,
        Self::Register,
        Self::Authorize,
        Self::Consent,
        Self::Token,
        Self::Revoke,
        Self::VerifyAccessToken,
        Self::VerifyApiKey,
        Self::VerifyMachineToken,
        Self::User,
        Self::UserMemberships,
        Self::OrganizationMemberships,
    ];

    pub(super) fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/.well-known/oauth-authorization-server" => Self::AuthorizationServerMetadata,
            "/.well-known/openid-configuration" => Self::OpenIdConfiguration,
            "/.well-known/jwks.json" => Self::Jwks,
            "/v1/jwks" => Self::BackendJwks,
            "/oauth/register" => Self::Register,
            "/oauth/authorize" => Self::Authorize,
            "/oauth/consent" => Self::Consent,
            "/oauth/token" => Self::Token,
            "/oauth/token/revoke" => Self::Revoke,
            "/v1/oauth_applications/access_tokens/verify"
            | "/oauth_applications/access_tokens/verify" => Self::VerifyAccessToken,
            "/v1/api_keys/verify" | "/api_keys/verify" => Self::VerifyApiKey,
            "/v1/m2m_tokens/verify" | "/m2m_tokens/verify" => Self::VerifyMachineToken,
            _ => return Self::with_id(path),
        })
    }

    fn with_id(path: &str) -> Option<Self> {
        let user = user_id(path).map(|_| Self::User);
        let of_user = || member_id(path).map(|_| Self::UserMemberships);
        let of_organization = || organization_id(path).map(|_| Self::OrganizationMemberships);
        user.or_else(of_user).or_else(of_organization)
    }

    /// Returns the methods, in the syntax of the `Allow` header.
    pub(super) fn allow(self) -> &'static str {
        match self {
            Self::AuthorizationServerMetadata | Self::OpenIdConfiguration | Self::Jwks => {
                "GET, HEAD, OPTIONS"
            }
            Self::BackendJwks
            | Self::User
            | Self::UserMemberships
            | Self::OrganizationMemberships => "GET, HEAD",
            Self::Register | Self::Token | Self::Revoke => "POST, OPTIONS",
            Self::Authorize => "GET, POST",
            Self::Consent
            | Self::VerifyAccessToken
            | Self::VerifyApiKey
            | Self::VerifyMachineToken => "POST",
        }
    }

    pub(super) fn allows(self, method: &Method) -> bool {
        self.allow().split(", ").any(|name| name == method.as_str())
    }

    /// Returns whether scripts of other origins may call the endpoint: those that OAuth clients
    /// call, except the authorization endpoint (RFC 9700 section 2.6), and not the Backend API.
    pub(super) fn has_cors(self) -> bool {
        self.allows(&Method::OPTIONS)
    }
}

/// Returns the user ID in a path of [`Route::User`].
pub(super) fn user_id(path: &str) -> Option<&str> {
    segment(path.strip_prefix(USERS)?)
}

/// Returns the user ID in a path of [`Route::UserMemberships`].
pub(super) fn member_id(path: &str) -> Option<&str> {
    segment(path.strip_prefix(USERS)?.strip_suffix("/organization_memberships")?)
}

/// Returns the organization ID in a path of [`Route::OrganizationMemberships`].
pub(super) fn organization_id(path: &str) -> Option<&str> {
    segment(path.strip_prefix(ORGANIZATIONS)?.strip_suffix("/memberships")?)
}

fn segment(text: &str) -> Option<&str> {
    (!text.is_empty() && !text.contains('/')).then_some(text)
}
