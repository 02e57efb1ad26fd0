//! What an operation needs besides the baseline.

use super::member::MemberRequirement;
use crate::oauth::{AuthInfo, ScopeHierarchy, Scopes};

/// What a rule of an [`AccessPolicy`](crate::AccessPolicy) requires, in addition to the baseline
/// that every request needs.
///
/// The requirements of several rules add up: scopes, permissions and roles are united, and
/// [`Denied`](Self::Denied) wins.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::access_policy::Requirement;
/// use clerk_mcp_tools::Scopes;
///
/// // Rules take scopes as they are.
/// let requirement = Requirement::from(Scopes::parse("files:write")?);
/// assert_eq!(requirement, Requirement::Scopes(Scopes::parse("files:write")?));
///
/// // Only members of the organization with this permission, and with the scope.
/// let both = Requirement::permission("org:files:manage").and(&requirement);
/// # let _ = both;
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Requirement {
    /// All of these scopes. Without any, the baseline is enough.
    Scopes(Scopes),
    /// A member of the organization that the token names, with these roles and permissions, and all
    /// of these scopes. Needs an [`AccessPolicyLayer::look_up_memberships`], which
    /// [`ClerkMcp`](crate::ClerkMcp) sets.
    ///
    /// [`AccessPolicyLayer::look_up_memberships`]:
    /// crate::access_policy::AccessPolicyLayer::look_up_memberships
    Member(MemberRequirement),
    /// Nobody may do it. The request is rejected with 403 and no challenge.
    Denied,
}

/// What a caller lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lacking<'a> {
    /// Nobody may do it.
    Denied,
    /// One of these scopes, or the whole token.
    Scopes(&'a Scopes),
}

impl Requirement {
    /// Requires a member of the organization that the token names, of whatever role.
    #[must_use]
    pub fn member() -> Self {
        Self::Member(MemberRequirement::any())
    }

    /// Requires a permission in the organization that the token names, such as `org:files:manage`.
    ///
    /// Prefer permissions to roles: which roles have one can be changed in Clerk.
    #[must_use]
    pub fn permission(permission: impl Into<String>) -> Self {
        Self::Member(MemberRequirement::permission(permission.into()))
    }

    /// Requires a role in the organization that the token names, such as `org:admin`.
    #[must_use]
    pub fn role(role: impl Into<String>) -> Self {
        Self::any_role([role])
    }

    /// Requires one of these roles in the organization that the token names.
    #[must_use]
    pub fn any_role<I>(roles: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Self::Member(MemberRequirement::any_role(roles.into_iter().map(Into::into).collect()))
    }

    /// Requires nothing but the baseline.
    pub(crate) const fn baseline() -> Self {
        Self::Scopes(Scopes::none())
    }

    /// Returns what both need together.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Denied, _) | (_, Self::Denied) => Self::Denied,
            (Self::Scopes(scopes), Self::Scopes(more)) => Self::Scopes(scopes.union(more)),
            (Self::Member(member), Self::Member(more)) => Self::Member(member.and(more)),
            (Self::Member(member), Self::Scopes(scopes))
            | (Self::Scopes(scopes), Self::Member(member)) => {
                Self::Member(member.with_scopes(scopes))
            }
        }
    }

    /// Returns the scopes that a challenge names; none if it is denied.
    pub(crate) fn scopes(&self) -> Option<&Scopes> {
        match self {
            Self::Scopes(scopes) => Some(scopes),
            Self::Member(member) => Some(member.scopes()),
            Self::Denied => None,
        }
    }

    /// Returns what it requires of a member.
    pub(crate) fn member_requirement(&self) -> Option<&MemberRequirement> {
        match self {
            Self::Member(member) => Some(member),
            Self::Scopes(_) | Self::Denied => None,
        }
    }

    /// Checks what the token says. Returns what remains to be checked about the membership of the
    /// caller, or what the caller lacks.
    pub(crate) fn check<'a>(
        &'a self,
        caller: Option<&'a AuthInfo>,
        hierarchy: &ScopeHierarchy,
    ) -> Result<Option<(&'a MemberRequirement, &'a AuthInfo)>, Lacking<'a>> {
        match (self, caller) {
            (Self::Denied, _) => Err(Lacking::Denied),
            (Self::Scopes(scopes), _) if scopes.is_empty() => Ok(None),
            (Self::Scopes(scopes), Some(caller))
                if hierarchy.grants_all(caller.scopes(), scopes) =>
            {
                Ok(None)
            }
            (Self::Member(member), Some(caller)) if member.has_scopes(caller, hierarchy) => {
                Ok(Some((member, caller)))
            }
            (Self::Scopes(scopes), _) => Err(Lacking::Scopes(scopes)),
            (Self::Member(member), _) => Err(Lacking::Scopes(member.scopes())),
        }
    }
}

impl From<Scopes> for Requirement {
    fn from(scopes: Scopes) -> Self {
        Self::Scopes(scopes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_add_up_and_denied_wins() {
        let scopes = |list| Requirement::Scopes(Scopes::parse(list).unwrap());
        let rows = [
            (Requirement::baseline(), Requirement::baseline(), Requirement::baseline()),
            (scopes("a"), Requirement::baseline(), scopes("a")),
            (scopes("b a"), scopes("a c"), scopes("b a c")),
            (scopes("a"), Requirement::Denied, Requirement::Denied),
            (Requirement::Denied, scopes("a"), Requirement::Denied),
            (Requirement::Denied, Requirement::Denied, Requirement::Denied),
            (Requirement::permission("org:a:b"), Requirement::Denied, Requirement::Denied),
            (Requirement::member(), Requirement::baseline(), Requirement::member()),
            (Requirement::baseline(), Requirement::member(), Requirement::member()),
            (
                Requirement::permission("org:a:b"),
                Requirement::member(),
                Requirement::permission("org:a:b"),
            ),
        ];
        for (one, other, expected) in rows {
            assert_eq!(one.and(&other), expected, "{one:?} {other:?}");
        }
    }

    #[test]
    fn a_member_needs_the_scopes_of_both_and_that_of_the_organization_last() {
        let scopes = |list| Requirement::Scopes(Scopes::parse(list).unwrap());
        let member = Requirement::permission("org:a:b");
        for needed in [
            scopes("a").and(&member).and(&scopes("b")),
            scopes("a b").and(&member),
            scopes("user:org:read a").and(&member).and(&scopes("b a")),
        ] {
            assert_eq!(needed.scopes().unwrap().to_string(), "a b user:org:read");
            let member = needed.member_requirement().unwrap();
            assert_eq!((member.permissions().len(), member.roles().len()), (1, 0));
        }
        let roles = Requirement::role("a").and(&Requirement::any_role(["b", "c"]));
        let expected = [vec!["a".to_owned()], vec!["b".to_owned(), "c".to_owned()]];
        assert_eq!(roles.member_requirement().unwrap().roles(), expected);
    }
}
