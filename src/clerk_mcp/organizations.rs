//! Roles and permissions of a caller.

use super::ClerkMcp;
use crate::clerk::ClerkVerifier;
use crate::error::{ClerkError, ConfigError};
use crate::mcp::{AccessPolicy, Requirement};
use crate::oauth::{AuthInfo, Membership, TokenType};
use crate::response::Rejection;

/// The prefix of Clerk's roles and permissions.
const PREFIX: &str = "org:";
/// The prefix of the permissions that Clerk does not write into a session token.
const SYSTEM_PREFIX: &str = "org:sys_";

/// Organizations.
impl ClerkMcp {
    /// Returns what the caller is in the organization that its token names: role and permissions,
    /// or that there are none. See [`ClerkVerifier::membership`](crate::ClerkVerifier::membership).
    ///
    /// # Errors
    ///
    /// Returns an error if that is not known at the moment.
    pub async fn membership(&self, caller: &AuthInfo) -> Result<Membership, ClerkError> {
        self.verifier().membership(caller).await
    }

    /// Returns `Ok(())` if the caller meets a requirement, such as a permission in its
    /// organization, for a handler that makes its own response. A tool of an rmcp server uses
    /// [`StepUp::require`](crate::access_policy::StepUp::require).
    ///
    /// # Errors
    ///
    /// Returns the rejection that a rule of the [access
    /// policy](crate::ClerkMcpBuilder::access_policy) would get; [`reject`](Self::reject) makes the
    /// response of it.
    ///
    /// # Example
    ///
    /// ```
    /// use clerk_mcp_tools::access_policy::Requirement;
    /// use clerk_mcp_tools::{AuthInfo, ClerkMcp, Rejection};
    ///
    /// async fn publish(clerk: &ClerkMcp, caller: &AuthInfo) -> Result<(), Rejection> {
    ///     clerk.require(caller, Requirement::permission("org:posts:publish")).await
    /// }
    /// # let _ = publish;
    /// ```
    pub async fn require(
        &self,
        caller: &AuthInfo,
        requirement: impl Into<Requirement>,
    ) -> Result<(), Rejection> {
        self.0.auth_layer.access_policy().require(caller, &requirement.into()).await
    }

    /// Forgets what is known about the memberships of a user; see
    /// [`ClerkVerifier::forget_user`](crate::ClerkVerifier::forget_user).
    pub fn forget_user(&self, user_id: &str) {
        self.verifier().forget_user(user_id);
    }

    /// Forgets what is known about the members of an organization; see
    /// [`ClerkVerifier::forget_organization`](crate::ClerkVerifier::forget_organization).
    pub fn forget_organization(&self, org_id: &str) {
        self.verifier().forget_organization(org_id);
    }
}

/// Checks that the rules about members can be applied: that memberships can be looked up, and that
/// roles and permissions have the form of Clerk's.
pub(super) fn check_members(
    policy: &AccessPolicy,
    verifier: &ClerkVerifier,
) -> Result<(), ConfigError> {
    if policy.member_requirements().next().is_none() {
        return Ok(());
    }
    if verifier.client().is_none() {
        return Err(ConfigError::missing(
            "CLERK_SECRET_KEY",
            "is required to look up roles and permissions, which the access_policy has rules \
             about: copy it from the Clerk Dashboard, page API keys, section Secret keys",
        ));
    }
    let permissions = || policy.member_requirements().flat_map(|member| member.permissions());
    let roles = policy.member_requirements().flat_map(|member| member.roles().iter().flatten());
    if let Some(name) = roles.chain(permissions()).find(|name| !name.starts_with(PREFIX)) {
        return Err(ConfigError::invalid(
            "access_policy",
            format!(
                "requires {name:?}, which is neither a role nor a permission of Clerk: write it \
                 with its prefix, such as org:admin or org:files:manage"
            ),
        ));
    }
    let system = permissions().find(|name| name.starts_with(SYSTEM_PREFIX));
    match system.filter(|_| verifier.accepts(TokenType::SessionToken)) {
        Some(name) => Err(ConfigError::conflict(
            "access_policy",
            format!(
                "requires {name}, and session tokens are accepted, into which Clerk does not write \
                 permissions of the system: require a custom permission or a role"
            ),
        )),
        None => Ok(()),
    }
}
