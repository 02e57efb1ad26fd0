//! The caller of a request, as the verified access token describes it.

mod insufficient_scope;
mod organization;
mod principal;
mod serde_form;
mod size;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::oauth::{AccessToken, ScopeHierarchy, Scopes, TokenType};

pub use insufficient_scope::InsufficientScope;
pub use organization::Organization;
pub use principal::{Principal, PrincipalKind};

/// The party that acts on behalf of the user (claim `act`, RFC 8693 section 4.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Actor {
    /// The identifier of the actor.
    pub sub: String,
    /// The issuer that the identifier belongs to, if it is not the issuer of the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// The prior actor in a chain of delegation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Box<Actor>>,
}

/// The authenticated caller of a request, whose access token was verified.
///
/// The bearer-auth layer inserts it into the extensions of the request. A handler reads it from
/// there, and an rmcp tool calls [`AuthInfo::from_parts`]. Cloning is cheap (`Arc`). `Debug` does
/// not show the token.
///
/// **The token stays here.** It was issued for this server, and must not be sent to another service
/// (MCP 2026-07-28, security considerations): `AuthInfo` is no string of it, and its serde form
/// does not have it. A call to another service takes [a token of its
/// own](crate::ClerkMcp::exchange_token).
///
/// The serde form is the `AuthInfo` of the TypeScript SDK for MCP without its `token`,
/// `{"clientId", "scopes", "expiresAt", "resource", "extra": {"userId"}}`;
/// [`serde_form_with_token`](Self::serde_form_with_token) adds that. A form without it is read as a
/// caller with an empty token. There are the further members `orgId`, `machineId`, `issuer`, `act`,
/// `aud` and `claims` in `extra`. If the credential is not an OAuth access token, `extra` has
/// `tokenType` as well, and may have `id`, `orgRole`, `orgSlug` and `orgPermissions`, the names of
/// Clerk's SDK.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::{AuthInfo, Scopes};
///
/// let caller = AuthInfo::for_user("user_1", "oat_secret".into())
///     .client_id("client_1")
///     .scopes(Scopes::parse("profile")?)
///     .build();
/// assert_eq!(caller.user_id(), Some("user_1"));
/// assert!(caller.scopes().contains("profile"));
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
///
/// Neither of these compiles:
///
/// ```compile_fail,E0277
/// # let caller = clerk_mcp_tools::AuthInfo::for_user("user_1", "oat_secret".into()).build();
/// let header = format!("Bearer {caller}");
/// ```
///
/// ```compile_fail,E0277
/// # let caller = clerk_mcp_tools::AuthInfo::for_user("user_1", "oat_secret".into()).build();
/// fn call_another_service(token: impl AsRef<str>) {}
/// call_another_service(caller);
/// ```
#[derive(Clone)]
pub struct AuthInfo {
    inner: Arc<Inner>,
    /// Whether the bearer layer has put it into the extensions of a request.
    is_guarded: bool,
}

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    token: AccessToken,
    token_type: TokenType,
    credential_id: Option<String>,
    principal: Principal,
    client_id: Option<String>,
    scopes: Scopes,
    expires_at: Option<u64>,
    resource: Option<String>,
    audience: Vec<String>,
    org_id: Option<String>,
    organization: Option<Organization>,
    actor: Option<Actor>,
    claims: Map<String, Value>,
}

impl AuthInfo {
    /// Returns a builder for the user whose token this is, for a custom
    /// [`VerifyToken`](crate::bearer_auth::VerifyToken).
    pub fn for_user(user_id: impl Into<String>, token: AccessToken) -> AuthInfoBuilder {
        AuthInfoBuilder::new(Principal::new(PrincipalKind::User, user_id.into()), token)
    }

    /// Returns a builder for the organization whose credential this is.
    pub fn for_organization(org_id: impl Into<String>, token: AccessToken) -> AuthInfoBuilder {
        let org_id = org_id.into();
        let principal = Principal::new(PrincipalKind::Organization, org_id.clone());
        AuthInfoBuilder::new(principal, token).org_id(org_id)
    }

    /// Returns a builder for the machine whose credential this is.
    pub fn for_machine(machine_id: impl Into<String>, token: AccessToken) -> AuthInfoBuilder {
        AuthInfoBuilder::new(Principal::new(PrincipalKind::Machine, machine_id.into()), token)
    }

    /// Returns the caller from the extensions of a request. `None` if the request came without a
    /// token (see [`BearerAuthLayer::optional`](crate::bearer_auth::BearerAuthLayer::optional)) or
    /// the bearer-auth layer is missing.
    ///
    /// ```
    /// use clerk_mcp_tools::AuthInfo;
    ///
    /// fn user_id(parts: &http::request::Parts) -> Option<&str> {
    ///     AuthInfo::from_parts(parts).and_then(AuthInfo::user_id)
    /// }
    /// ```
    #[must_use]
    pub fn from_parts(parts: &http::request::Parts) -> Option<&Self> {
        parts.extensions.get()
    }

    pub(super) fn into_guarded(self) -> Self {
        Self { is_guarded: true, ..self }
    }

    pub(super) fn is_guarded(&self) -> bool {
        self.is_guarded
    }

    /// Returns the access token, which was issued for this server and no other. It must not be sent
    /// to another service, which could use it here, and which should accept only tokens that were
    /// issued for itself: [exchange](crate::ClerkMcp::exchange_token) it.
    #[must_use]
    pub fn token_for_this_server(&self) -> &AccessToken {
        &self.inner.token
    }

    /// Returns the type of the credential: an OAuth access token, an API key, a machine token or a
    /// session token.
    #[must_use]
    pub fn token_type(&self) -> TokenType {
        self.inner.token_type
    }

    /// Returns the id of the API key or of the opaque machine token at Clerk, such as `ak_2abc`, for
    /// an audit log. It is not the secret. `None` for other credentials.
    #[must_use]
    pub fn credential_id(&self) -> Option<&str> {
        self.inner.credential_id.as_deref()
    }

    /// Returns who calls, as a key that is the same for all tokens of this caller.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.inner.principal
    }

    /// Returns the id of the user who authorized the client, such as `user_2abc` (claim `sub`).
    /// `None` if the caller is not a user, but an organization or a machine.
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        let principal = self.principal();
        (principal.kind() == PrincipalKind::User).then(|| principal.id())
    }

    /// Returns the id of the OAuth client that the token was issued to. `None` if the verifier does
    /// not know it, and for a credential that is not an OAuth access token;
    /// [`ClerkVerifier`](crate::ClerkVerifier) always knows it.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.inner.client_id.as_deref()
    }

    /// Returns the scopes that the user granted to the client; those of the API key; or those that
    /// this server grants to the machine or to the session.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &self.inner.scopes
    }

    /// Returns whether this scope was granted, directly or by implication. Without a hierarchy, use
    /// [`Scopes::contains`].
    #[must_use]
    pub fn has_scope(&self, scope: &str, hierarchy: &ScopeHierarchy) -> bool {
        hierarchy.grants(self.scopes(), scope)
    }

    /// Returns `Ok(())` if every required scope was granted, directly or by implication.
    ///
    /// ```
    /// use clerk_mcp_tools::{AuthInfo, ScopeHierarchy, Scopes};
    ///
    /// let caller = AuthInfo::for_user("user_1", "oat_secret".into())
    ///     .scopes(Scopes::parse("files")?)
    ///     .build();
    /// let hierarchy = ScopeHierarchy::new().implies("files", ["files:read"])?;
    /// assert!(caller.has_scope("files:read", &hierarchy));
    /// assert!(caller.require_scopes(&Scopes::parse("files:read")?, &hierarchy).is_ok());
    ///
    /// let required = Scopes::parse("files:read admin")?;
    /// let error = caller.require_scopes(&required, &hierarchy).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "insufficient scope: the operation requires files:read admin"
    /// );
    /// # Ok::<(), clerk_mcp_tools::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if one of them was not granted. [`InsufficientScope`] describes how a
    /// handler turns it into a response.
    pub fn require_scopes(
        &self,
        required: &Scopes,
        hierarchy: &ScopeHierarchy,
    ) -> Result<(), InsufficientScope> {
        if hierarchy.grants_all(self.scopes(), required) {
            return Ok(());
        }
        Err(InsufficientScope::new(required.clone()))
    }

    /// Returns when the token expires, in seconds since 1970-01-01T00:00:00Z (claim `exp`). `None`
    /// if it does not expire.
    #[must_use]
    pub fn expires_at(&self) -> Option<u64> {
        self.inner.expires_at
    }

    /// Returns the resource of this server that the token was issued for, as the token spells it.
    /// `None` if the token does not name it, which the default [`Audience`](crate::Audience)
    /// rejects.
    #[must_use]
    pub fn resource(&self) -> Option<&str> {
        self.inner.resource.as_deref()
    }

    /// Returns every audience of the token (claim `aud`), or an empty slice if it has none.
    #[must_use]
    pub fn audience(&self) -> &[String] {
        &self.inner.audience
    }

    /// Returns the organization that the user selected, if the scope `user:org:read` was granted; of
    /// an organization's credential, that organization.
    #[must_use]
    pub fn org_id(&self) -> Option<&str> {
        self.inner.org_id.as_deref()
    }

    /// Returns the active organization of a session, with the role and the permissions of its
    /// member. `None` for other credentials, of which at most [`org_id`](Self::org_id) is known.
    #[must_use]
    pub fn organization(&self) -> Option<&Organization> {
        self.inner.organization.as_ref()
    }

    /// Returns the party that acts on behalf of the user, if any (claim `act`).
    #[must_use]
    pub fn actor(&self) -> Option<&Actor> {
        self.inner.actor.as_ref()
    }

    /// Returns the claims that no other method returns, such as `jti` and `iat`. For an opaque
    /// access token, these are the remaining members of Clerk's response; for an API key and an
    /// opaque machine token, its custom claims.
    #[must_use]
    pub fn claims(&self) -> &Map<String, Value> {
        &self.inner.claims
    }
}

/// Where a caller was found makes no difference.
impl PartialEq for AuthInfo {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Eq for AuthInfo {}

impl fmt::Debug for AuthInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthInfo")
            .field("token", &self.inner.token)
            .field("token_type", &self.inner.token_type)
            .field("principal", &self.inner.principal)
            .field("client_id", &self.inner.client_id)
            .field("scopes", &self.inner.scopes)
            .field("expires_at", &self.inner.expires_at)
            .field("resource", &self.inner.resource)
            .field("org_id", &self.inner.org_id)
            .field("organization", &self.inner.organization)
            .field("actor", &self.inner.actor)
            .finish_non_exhaustive()
    }
}

/// A builder of an [`AuthInfo`].
#[derive(Clone)]
#[must_use]
pub struct AuthInfoBuilder(Inner);

impl AuthInfoBuilder {
    fn new(principal: Principal, token: AccessToken) -> Self {
        Self(Inner {
            token,
            token_type: TokenType::default(),
            credential_id: None,
            principal,
            client_id: None,
            scopes: Scopes::none(),
            expires_at: None,
            resource: None,
            audience: Vec::new(),
            org_id: None,
            organization: None,
            actor: None,
            claims: Map::new(),
        })
    }

    /// Sets the issuer of the token (claim `iss`). Defaults to none.
    pub fn issuer(mut self, issuer: impl Into<Arc<str>>) -> Self {
        self.0.principal.set_issuer(issuer.into());
        self
    }

    /// Sets the type of the credential. Defaults to [`TokenType::OAuthToken`].
    pub fn token_type(mut self, token_type: TokenType) -> Self {
        self.0.token_type = token_type;
        self
    }

    /// Sets the id of the credential, which must not be its secret. Defaults to none.
    pub fn credential_id(mut self, id: impl Into<String>) -> Self {
        self.0.credential_id = Some(id.into());
        self
    }

    /// Sets the id of the OAuth client that the token was issued to. Defaults to none.
    pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
        self.0.client_id = Some(client_id.into());
        self
    }

    /// Sets the granted scopes. Defaults to none.
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.0.scopes = scopes;
        self
    }

    /// Sets when the token expires, in seconds since 1970-01-01T00:00:00Z. Defaults to never.
    pub fn expires_at(mut self, seconds: u64) -> Self {
        self.0.expires_at = Some(seconds);
        self
    }

    /// Sets the resource of this server that the token was issued for. Defaults to none.
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.0.resource = Some(resource.into());
        self
    }

    /// Sets every audience of the token. Defaults to none.
    pub fn audience<I>(mut self, audience: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.0.audience = audience.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the organization that the user selected. Defaults to none.
    pub fn org_id(mut self, org_id: impl Into<String>) -> Self {
        self.0.org_id = Some(org_id.into());
        self
    }

    /// Sets the active organization of the session, and [`org_id`](Self::org_id) to its id.
    /// Defaults to none.
    pub fn organization(mut self, organization: Organization) -> Self {
        self.0.org_id = Some(organization.id().to_owned());
        self.0.organization = Some(organization);
        self
    }

    /// Sets the party that acts on behalf of the user. Defaults to none.
    pub fn actor(mut self, actor: Actor) -> Self {
        self.0.actor = Some(actor);
        self
    }

    /// Sets further claims of the token. Defaults to none.
    pub fn claims(mut self, claims: Map<String, Value>) -> Self {
        self.0.claims = claims;
        self
    }

    /// Calls the setter if there is a value.
    pub(crate) fn set_if_some<T>(
        self,
        value: Option<T>,
        set: impl FnOnce(Self, T) -> Self,
    ) -> Self {
        match value {
            Some(value) => set(self, value),
            None => self,
        }
    }

    /// Builds the [`AuthInfo`].
    #[must_use]
    pub fn build(self) -> AuthInfo {
        AuthInfo { inner: Arc::new(self.0), is_guarded: false }
    }
}

impl fmt::Debug for AuthInfoBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthInfoBuilder")
            .field("principal", &self.0.principal)
            .finish_non_exhaustive()
    }
}
