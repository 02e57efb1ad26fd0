//! What is known of a caller once the token has been verified.

mod insufficient_scope;
mod serde_form;
mod size;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::oauth::{AccessToken, ScopeHierarchy, Scopes};

pub use insufficient_scope::InsufficientScope;

/// Who acts for the user, and for whom that one acts in turn (RFC 8693 section 4.1, claim `act`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Actor {
    /// Who acts.
    pub sub: String,
    /// Who says so, where that is somebody else than the token's issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// The actor before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Box<Actor>>,
}

/// A caller whose access token was verified.
///
/// The bearer-auth layer puts it into the request's extensions, where a handler finds it; a tool of rmcp finds it with
/// [`AuthInfo::from_parts`]. A clone is one counter. `Debug` does not show the token.
///
/// Its serde form is the `AuthInfo` of the TypeScript SDK for MCP, `{"token", "clientId", "scopes", "expiresAt",
/// "resource", "extra": {"userId"}}`. **That form contains the token.** What else is known stands in `extra`: `orgId`,
/// `act`, `aud` and `claims`.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::{AuthInfo, Scopes};
///
/// let caller = AuthInfo::for_user("user_1", "oat_secret".into()).client_id("client_1").scopes(Scopes::parse("profile")?).build();
/// assert_eq!(caller.user_id(), "user_1");
/// assert!(caller.scopes().contains("profile"));
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct AuthInfo(Arc<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    token: AccessToken,
    user_id: String,
    client_id: Option<String>,
    scopes: Scopes,
    expires_at: Option<u64>,
    resource: Option<String>,
    audience: Vec<String>,
    org_id: Option<String>,
    actor: Option<Actor>,
    claims: Map<String, Value>,
}

impl AuthInfo {
    /// Returns a builder for a user who presents this token, for a [`VerifyToken`](crate::bearer_auth::VerifyToken) of
    /// your own.
    pub fn for_user(user_id: impl Into<String>, token: AccessToken) -> AuthInfoBuilder {
        AuthInfoBuilder(Inner {
            token,
            user_id: user_id.into(),
            client_id: None,
            scopes: Scopes::none(),
            expires_at: None,
            resource: None,
            audience: Vec::new(),
            org_id: None,
            actor: None,
            claims: Map::new(),
        })
    }

    /// The caller of the request that these parts belong to, if the bearer-auth layer let it in with a token.
    ///
    /// ```
    /// use clerk_mcp_tools::AuthInfo;
    ///
    /// fn user_id(parts: &http::request::Parts) -> Option<&str> {
    ///     AuthInfo::from_parts(parts).map(AuthInfo::user_id)
    /// }
    /// ```
    #[must_use]
    pub fn from_parts(parts: &http::request::Parts) -> Option<&Self> {
        parts.extensions.get()
    }

    /// The token itself.
    #[must_use]
    pub fn token(&self) -> &AccessToken {
        &self.0.token
    }

    /// The user who signed in, such as `user_2abc` (claim `sub`).
    #[must_use]
    pub fn user_id(&self) -> &str {
        &self.0.user_id
    }

    /// Returns the OAuth client that the token was issued to; `None` if the verifier does not know it.
    /// [`ClerkVerifier`](crate::ClerkVerifier) always does.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.0.client_id.as_deref()
    }

    /// What the user granted to the client.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &self.0.scopes
    }

    /// Whether this scope was granted, or one that implies it. Without a hierarchy, ask [`Scopes::contains`].
    #[must_use]
    pub fn has_scope(&self, scope: &str, hierarchy: &ScopeHierarchy) -> bool {
        hierarchy.grants(self.scopes(), scope)
    }

    /// Nothing if all of `required` were granted, or scopes that imply them.
    ///
    /// ```
    /// use clerk_mcp_tools::{AuthInfo, ScopeHierarchy, Scopes};
    ///
    /// let caller = AuthInfo::for_user("user_1", "oat_secret".into()).client_id("client_1").scopes(Scopes::parse("files")?).build();
    /// let hierarchy = ScopeHierarchy::new().implies("files", ["files:read"])?;
    /// assert!(caller.has_scope("files:read", &hierarchy));
    /// assert!(caller.require_scopes(&Scopes::parse("files:read")?, &hierarchy).is_ok());
    /// let error = caller.require_scopes(&Scopes::parse("files:read admin")?, &hierarchy).unwrap_err();
    /// assert_eq!(error.to_string(), "not every scope was granted that is needed: files:read admin");
    /// # Ok::<(), clerk_mcp_tools::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When one of them was not granted. [`InsufficientScope`] says how that becomes a response.
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

    /// When the token's time is over, in seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn expires_at(&self) -> Option<u64> {
        self.0.expires_at
    }

    /// The resource of this server that the token was found to be issued for; `None` where the audience was not
    /// looked at or the token names none.
    #[must_use]
    pub fn resource(&self) -> Option<&str> {
        self.0.resource.as_deref()
    }

    /// Every audience that the token names; empty where it names none.
    #[must_use]
    pub fn audience(&self) -> &[String] {
        &self.0.audience
    }

    /// The organization that the user chose, where the scope `user:org:read` was granted.
    #[must_use]
    pub fn org_id(&self) -> Option<&str> {
        self.0.org_id.as_deref()
    }

    /// Who acts for the user, if somebody does.
    #[must_use]
    pub fn actor(&self) -> Option<&Actor> {
        self.0.actor.as_ref()
    }

    /// The claims that no other method names, such as `jti` and `iat`; of an opaque token, the remaining members of
    /// Clerk's answer.
    #[must_use]
    pub fn claims(&self) -> &Map<String, Value> {
        &self.0.claims
    }
}

impl fmt::Debug for AuthInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthInfo")
            .field("token", &self.0.token)
            .field("user_id", &self.0.user_id)
            .field("client_id", &self.0.client_id)
            .field("scopes", &self.0.scopes)
            .field("expires_at", &self.0.expires_at)
            .field("resource", &self.0.resource)
            .field("org_id", &self.0.org_id)
            .field("actor", &self.0.actor)
            .finish_non_exhaustive()
    }
}

/// Builds an [`AuthInfo`].
#[derive(Clone)]
#[must_use]
pub struct AuthInfoBuilder(Inner);

impl AuthInfoBuilder {
    /// Sets the OAuth client that the token was issued to. Defaults to none.
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

    /// Sets every audience that the token names. Defaults to none.
    pub fn audience<I>(mut self, audience: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.0.audience = audience.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the organization that the user chose. Defaults to none.
    pub fn org_id(mut self, org_id: impl Into<String>) -> Self {
        self.0.org_id = Some(org_id.into());
        self
    }

    /// Sets who acts for the user. Defaults to nobody.
    pub fn actor(mut self, actor: Actor) -> Self {
        self.0.actor = Some(actor);
        self
    }

    /// Sets further claims. Defaults to none.
    pub fn claims(mut self, claims: Map<String, Value>) -> Self {
        self.0.claims = claims;
        self
    }

    /// Calls a setter if there is a value for it.
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

    /// The caller.
    #[must_use]
    pub fn build(self) -> AuthInfo {
        AuthInfo(Arc::new(self.0))
    }
}

impl fmt::Debug for AuthInfoBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthInfoBuilder").field("user_id", &self.0.user_id).finish_non_exhaustive()
    }
}
