//! What a caller may do in an organization, and who is asked for it.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::error::VerifyError;
use crate::oauth::{AuthInfo, Organization};

/// The scope that lets a token name the organization that the user selected (`org_id`).
pub(crate) const ORGANIZATION_SCOPE: &str = "user:org:read";

/// What a caller is in the organization that its token names, from
/// [`ClerkMcp::membership`](crate::ClerkMcp::membership).
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::{Membership, Organization};
///
/// let organization = Organization::new("org_1")
///     .with_role("org:editor")
///     .with_permissions(["org:files:write"]);
/// let membership = Membership::Member(organization);
/// assert_eq!(membership.role(), Some("org:editor"));
/// assert!(membership.has_permission("org:files:write"));
/// assert!(!Membership::NotMember.has_permission("org:files:write"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Membership {
    /// A user who is a member of the organization, with the role and the permissions there.
    Member(Organization),
    /// A user who is not a member of the organization that the token names, or not any more.
    NotMember,
    /// A user whose token names no organization: the scope `user:org:read` was not granted, or the
    /// user selected the personal account. The same holds for the API key of a user.
    NoOrganization,
    /// An organization itself, by its API key. It has no role and no permissions.
    Organization,
    /// A machine. It has no role and no permissions.
    Machine,
}

impl Membership {
    /// Returns the organization that the caller is a member of, with role and permissions.
    #[must_use]
    pub fn organization(&self) -> Option<&Organization> {
        match self {
            Self::Member(organization) => Some(organization),
            Self::NotMember | Self::NoOrganization | Self::Organization | Self::Machine => None,
        }
    }

    /// Returns the role of the caller, such as `org:admin`.
    #[must_use]
    pub fn role(&self) -> Option<&str> {
        self.organization()?.role()
    }

    /// Returns whether the caller has this permission, such as `org:files:manage`.
    #[must_use]
    pub fn has_permission(&self, permission: &str) -> bool {
        self.organization().is_some_and(|organization| organization.has_permission(permission))
    }
}

/// Why a caller may not do what only some members of an organization may. Signing in again does not
/// change it by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum PermissionError {
    /// The user selected no organization at the sign-in.
    #[error("no organization was selected at the sign-in")]
    NoOrganization,
    /// The user is not a member of the organization, or not any more.
    #[error("the user is not a member of the organization")]
    NotMember,
    /// The role of the user does not suffice, or lacks a permission.
    #[error("the role of the user in the organization does not allow the operation")]
    RoleNotSufficient,
    /// The caller is a machine or an organization, and so not a member.
    #[error("the caller is not a user, and so not a member of an organization")]
    NotUser,
}

impl PermissionError {
    /// Returns the fixed sentence that is sent to the caller, for its user or model to read.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::NoOrganization => {
                "The operation is for members of an organization, and none was selected at the \
                 sign-in: sign in again and select one"
            }
            Self::NotMember => "The user is not a member of the organization",
            Self::RoleNotSufficient => {
                "The role of the user in the organization does not allow the operation: an \
                 administrator of the organization can change it"
            }
            Self::NotUser => {
                "The operation is for members of an organization, and the caller is not a user"
            }
        }
    }
}

/// Looks memberships up, called by the HTTP layers for rules about roles and permissions.
///
/// Implemented by [`ClerkVerifier`](crate::ClerkVerifier). The trait is dyn-compatible.
///
/// # Example
///
/// Roles from a server's own records, in place of Clerk's:
///
/// ```
/// use async_trait::async_trait;
/// use clerk_mcp_tools::access_policy::LookUpMembership;
/// use clerk_mcp_tools::{AuthInfo, Membership, Organization, VerifyError};
///
/// struct Staff(Vec<String>);
///
/// #[async_trait]
/// impl LookUpMembership for Staff {
///     async fn look_up(&self, caller: &AuthInfo) -> Result<Membership, VerifyError> {
///         let is_listed = |id: &str| self.0.iter().any(|listed| listed == id);
///         Ok(match caller.user_id() {
///             None => Membership::Machine,
///             Some(id) if is_listed(id) => {
///                 Membership::Member(Organization::new("org_1").with_role("org:staff"))
///             }
///             Some(_) => Membership::NotMember,
///         })
///     }
/// }
/// ```
#[async_trait]
pub trait LookUpMembership: Send + Sync + 'static {
    /// Looks up what the caller is in the organization that its token names.
    ///
    /// # Errors
    ///
    /// Returns an error if that is not known at the moment.
    /// [`VerifyErrorKind::Misconfigured`](crate::VerifyErrorKind::Misconfigured) is answered with
    /// 500, and every other kind with 503.
    async fn look_up(&self, caller: &AuthInfo) -> Result<Membership, VerifyError>;

    /// Returns what is known without waiting, or `None` if [`look_up`](Self::look_up) has to be
    /// called. Must not block. Defaults to `None`.
    fn known(&self, caller: &AuthInfo) -> Option<Membership> {
        let _ = caller;
        None
    }
}

#[async_trait]
impl<L: LookUpMembership + ?Sized> LookUpMembership for Arc<L> {
    async fn look_up(&self, caller: &AuthInfo) -> Result<Membership, VerifyError> {
        (**self).look_up(caller).await
    }

    fn known(&self, caller: &AuthInfo) -> Option<Membership> {
        (**self).known(caller)
    }
}

impl fmt::Debug for dyn LookUpMembership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LookUpMembership")
    }
}
