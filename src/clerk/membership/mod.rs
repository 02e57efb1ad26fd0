//! Role and permissions of a caller in the organization that its token names.

mod known;
mod lookup;
mod response;
mod settings;

use async_trait::async_trait;

pub(super) use lookup::{MembershipConfig, Memberships};
pub(super) use settings::MembershipSettings;

use super::verifier::ClerkVerifier;
use crate::error::{ClerkError, ClerkErrorKind, VerifyError};
use crate::jwt::class::{is_organization_id, is_user_id};
use crate::oauth::{AuthInfo, LookUpMembership, Membership, PrincipalKind};

const NO_SECRET_KEY: &str = "roles and permissions are looked up with the secret key: set \
    CLERK_SECRET_KEY, which the Clerk Dashboard shows on the page API keys";

/// A user and an organization, by ids whose form was checked: they become part of a path.
#[derive(Clone, Copy)]
struct MemberIds<'a> {
    user: &'a str,
    organization: &'a str,
}

/// What a token says about the membership of its caller.
enum InToken<'a> {
    /// All there is to know.
    Settled(Membership),
    /// Only Clerk knows it.
    Ask(MemberIds<'a>),
}

impl ClerkVerifier {
    /// Returns what the caller is in the organization that its token names: role and permissions,
    /// or that there are none.
    ///
    /// An OAuth access token names at most the organization, so Clerk is asked (Backend API, with
    /// the secret key): one call for all who wait, within
    /// [`max_calls_per_ten_seconds`](crate::ClerkVerifierBuilder::max_calls_per_ten_seconds). The
    /// answer is known for
    /// [`membership_cache_ttl`](crate::ClerkVerifierBuilder::membership_cache_ttl). A session token
    /// of version 2 brings role and permissions along, without those of the system (`org:sys_…`).
    /// Machines and organizations are no members, and nobody is asked.
    ///
    /// # Errors
    ///
    /// Returns an error if the call fails and nothing that may still be used is known, or if it
    /// cannot be made ([`InvalidRequest`](ClerkErrorKind::InvalidRequest)): there is no secret key,
    /// or the caller is one of another instance. Respond with 503 to
    /// [`Unavailable`](ClerkErrorKind::Unavailable), never with 401 or 403.
    ///
    /// # Example
    ///
    /// ```
    /// use clerk_mcp_tools::{AuthInfo, ClerkError, ClerkVerifier};
    ///
    /// async fn may_publish(clerk: &ClerkVerifier, caller: &AuthInfo) -> Result<bool, ClerkError> {
    ///     let membership = clerk.membership(caller).await?;
    ///     Ok(membership.has_permission("org:posts:publish"))
    /// }
    /// ```
    pub async fn membership(&self, caller: &AuthInfo) -> Result<Membership, ClerkError> {
        let ids = match self.membership_in_token(caller)? {
            InToken::Settled(membership) => return Ok(membership),
            InToken::Ask(ids) => ids,
        };
        let memberships = self.0.memberships.as_ref().ok_or_else(|| invalid(NO_SECRET_KEY))?;
        let outcome = memberships.look_up(ids).await;
        outcome.inspect_err(|error| self.0.log.membership_failed(error))
    }

    /// Forgets what is known about the memberships of a user, such as `user_2abc`, so that the next
    /// request asks Clerk: for a webhook, such as `organizationMembership.updated`.
    ///
    /// It looks at everything that is known, so it takes time in proportion to that, some
    /// milliseconds for 100,000 members. Other processes have to be told as well.
    pub fn forget_user(&self, user_id: &str) {
        if let Some(memberships) = &self.0.memberships {
            memberships.forget(|ids| ids.user == user_id);
        }
    }

    /// Forgets what is known about the members of an organization, such as `org_2abc`, as
    /// [`forget_user`](Self::forget_user) does for a user.
    pub fn forget_organization(&self, org_id: &str) {
        if let Some(memberships) = &self.0.memberships {
            memberships.forget(|ids| ids.organization == org_id);
        }
    }

    fn membership_in_token<'a>(&self, caller: &'a AuthInfo) -> Result<InToken<'a>, ClerkError> {
        let principal = caller.principal();
        if principal.issuer().is_some_and(|issuer| issuer != &*self.0.issuer) {
            return Err(invalid("the caller was authenticated by another issuer"));
        }
        let settled = match principal.kind() {
            PrincipalKind::Machine => Membership::Machine,
            PrincipalKind::Organization => Membership::Organization,
            PrincipalKind::User => match (caller.organization(), caller.org_id()) {
                (Some(organization), _) if organization.role().is_some() => {
                    Membership::Member(organization.clone())
                }
                (_, Some(organization)) => {
                    let ids = MemberIds { user: principal.id(), organization };
                    return Ok(InToken::Ask(ids.checked()?));
                }
                (_, None) => Membership::NoOrganization,
            },
        };
        Ok(InToken::Settled(settled))
    }
}

impl MemberIds<'_> {
    fn checked(self) -> Result<Self, ClerkError> {
        const MAX_BYTES: usize = 128;
        let is_short = self.user.len().max(self.organization.len()) <= MAX_BYTES;
        if is_short && is_user_id(self.user) && is_organization_id(self.organization) {
            return Ok(self);
        }
        Err(invalid("the id of the user or of the organization has an invalid form"))
    }
}

#[async_trait]
impl LookUpMembership for ClerkVerifier {
    async fn look_up(&self, caller: &AuthInfo) -> Result<Membership, VerifyError> {
        self.membership(caller).await.map_err(VerifyError::from)
    }

    fn known(&self, caller: &AuthInfo) -> Option<Membership> {
        match self.membership_in_token(caller).ok()? {
            InToken::Settled(membership) => Some(membership),
            InToken::Ask(ids) => self.0.memberships.as_ref()?.known(ids),
        }
    }
}

fn invalid(detail: &'static str) -> ClerkError {
    ClerkError::new(ClerkErrorKind::InvalidRequest, detail)
}
