//! What only some members of an organization may do.

use crate::oauth::{
    AuthInfo, Membership, ORGANIZATION_SCOPE, Organization, PermissionError, ScopeHierarchy,
    Scopes, TokenType,
};

/// A [`Requirement`](super::Requirement) that the caller is a member of the organization that its
/// token names, with some role and permissions, and has some scopes. Made by
/// [`Requirement::member`](super::Requirement::member),
/// [`permission`](super::Requirement::permission), [`role`](super::Requirement::role) and
/// [`any_role`](super::Requirement::any_role).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRequirement {
    /// Those of the operation, and the one that lets a token name the organization.
    scopes: Scopes,
    permissions: Vec<String>,
    /// Of each list, one of the roles is needed.
    roles: Vec<Vec<String>>,
}

impl MemberRequirement {
    /// Requires a member, of whatever role.
    pub(crate) fn any() -> Self {
        Self {
            // A scope of the form of RFC 6749.
            scopes: Scopes::new([ORGANIZATION_SCOPE]).unwrap_or_default(),
            permissions: Vec::new(),
            roles: Vec::new(),
        }
    }

    pub(crate) fn permission(permission: String) -> Self {
        Self { permissions: vec![permission], ..Self::any() }
    }

    pub(crate) fn any_role(roles: Vec<String>) -> Self {
        Self { roles: vec![roles], ..Self::any() }
    }

    /// Returns the scopes that a challenge names, with `user:org:read`, without which a token does
    /// not name the organization.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// Returns the permissions, all of which are needed.
    #[must_use]
    pub fn permissions(&self) -> &[String] {
        &self.permissions
    }

    /// Returns lists of roles; of each, one role is needed.
    #[must_use]
    pub fn roles(&self) -> &[Vec<String>] {
        &self.roles
    }

    /// Returns what both need together.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self {
            permissions: union(&self.permissions, &other.permissions),
            roles: union(&self.roles, &other.roles),
            ..self.with_scopes(&other.scopes)
        }
    }

    pub(crate) fn with_scopes(&self, scopes: &Scopes) -> Self {
        // The scope of the organization stays last: it is asked for besides those of the operation.
        let own =
            self.scopes.iter().chain(scopes.iter()).filter(|scope| *scope != ORGANIZATION_SCOPE);
        let all = own.chain([ORGANIZATION_SCOPE]);
        Self { scopes: Scopes::new(all).unwrap_or_default(), ..self.clone() }
    }

    /// Returns whether the caller has the scopes.
    ///
    /// The one for the organization is not needed by a caller whose token names it, and by one
    /// whose credential no consent would change.
    pub(crate) fn has_scopes(&self, caller: &AuthInfo, hierarchy: &ScopeHierarchy) -> bool {
        let needs_organization =
            caller.org_id().is_none() && caller.token_type() == TokenType::OAuthToken;
        self.scopes.iter().all(|scope| {
            if scope == ORGANIZATION_SCOPE {
                // Clerk knows no hierarchy.
                return !needs_organization || caller.scopes().contains(scope);
            }
            hierarchy.grants(caller.scopes(), scope)
        })
    }

    /// Checks role and permissions.
    pub(crate) fn check(&self, membership: &Membership) -> Result<(), PermissionError> {
        match membership {
            Membership::Member(organization) if self.is_met_by(organization) => Ok(()),
            Membership::Member(_) => Err(PermissionError::RoleNotSufficient),
            Membership::NotMember => Err(PermissionError::NotMember),
            Membership::NoOrganization => Err(PermissionError::NoOrganization),
            Membership::Organization | Membership::Machine => Err(PermissionError::NotUser),
        }
    }

    fn is_met_by(&self, organization: &Organization) -> bool {
        let has_role = |role: &String| organization.role() == Some(role);
        self.permissions.iter().all(|permission| organization.has_permission(permission))
            && self.roles.iter().all(|roles| roles.iter().any(has_role))
    }

    /// Returns the problem of a name that no role and no permission can have.
    pub(crate) fn problem(&self) -> Option<String> {
        let is_name = |name: &str| {
            !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control())
        };
        if let Some(permission) = self.permissions.iter().find(|name| !is_name(name)) {
            return Some(format!(
                "requires the permission {permission:?}: write it as in Clerk, such as \
                 org:files:manage"
            ));
        }
        if self.roles.iter().any(Vec::is_empty) {
            return Some(
                "requires one of no roles: name some, or write Requirement::Denied".into(),
            );
        }
        let role = self.roles.iter().flatten().find(|name| !is_name(name))?;
        Some(format!("requires the role {role:?}: write it as in Clerk, such as org:admin"))
    }
}

fn union<T: Clone + PartialEq>(one: &[T], other: &[T]) -> Vec<T> {
    let new = other.iter().filter(|item| !one.contains(item));
    one.iter().chain(new).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::AuthInfoBuilder;

    fn scopes(list: &str) -> Scopes {
        Scopes::parse(list).unwrap()
    }

    fn member(role: &str, permissions: &[&str]) -> Membership {
        let organization = Organization::new("org_1").with_role(role);
        Membership::Member(organization.with_permissions(permissions.iter().copied()))
    }

    #[test]
    fn role_and_permissions_decide() {
        let [a, b] = ["org:x:a", "org:x:b"].map(|name| MemberRequirement::permission(name.into()));
        let role = |names: &[&str]| {
            MemberRequirement::any_role(names.iter().map(|name| (*name).to_owned()).collect())
        };
        let both = a.and(&b);
        let admin = role(&["org:admin"]);
        let any = role(&["org:admin", "org:editor"]);
        use PermissionError::{NoOrganization, NotMember, NotUser, RoleNotSufficient};
        let rows = [
            (MemberRequirement::any(), member("org:guest", &[]), Ok(())),
            (a.clone(), member("org:guest", &["org:x:a"]), Ok(())),
            (a.clone(), member("org:admin", &["org:x:b"]), Err(RoleNotSufficient)),
            (a.clone(), member("org:admin", &["org:x:A", "x:a"]), Err(RoleNotSufficient)),
            (both.clone(), member("org:guest", &["org:x:b", "org:x:a"]), Ok(())),
            (both, member("org:guest", &["org:x:a"]), Err(RoleNotSufficient)),
            (admin.clone(), member("org:admin", &[]), Ok(())),
            (admin.clone(), member("org:editor", &["org:admin"]), Err(RoleNotSufficient)),
            (any.clone(), member("org:editor", &[]), Ok(())),
            (any.and(&admin), member("org:admin", &[]), Ok(())),
            (any.and(&admin), member("org:editor", &[]), Err(RoleNotSufficient)),
            (admin.and(&a), member("org:admin", &[]), Err(RoleNotSufficient)),
            (role(&[]), member("org:admin", &[]), Err(RoleNotSufficient)),
            (MemberRequirement::any(), Membership::NotMember, Err(NotMember)),
            (MemberRequirement::any(), Membership::NoOrganization, Err(NoOrganization)),
            (MemberRequirement::any(), Membership::Organization, Err(NotUser)),
            (MemberRequirement::any(), Membership::Machine, Err(NotUser)),
        ];
        for (requirement, membership, expected) in rows {
            assert_eq!(requirement.check(&membership), expected, "{requirement:?} {membership:?}");
        }
    }

    #[test]
    fn the_scope_of_the_organization_is_needed_where_a_consent_would_change_something() {
        let requirement = MemberRequirement::any().with_scopes(&scopes("w"));
        assert_eq!(requirement.scopes(), &scopes("w user:org:read"));
        let hierarchy = ScopeHierarchy::new().implies("all", ["w", "user:org:read"]).unwrap();
        let user = |list: &str| AuthInfo::for_user("user_1", "t".into()).scopes(scopes(list));
        let typed = |builder: AuthInfoBuilder, token_type| builder.token_type(token_type);
        let machine = AuthInfo::for_machine("mch_1", "t".into()).token_type(TokenType::M2mToken);
        let rows = [
            (user("w"), false),
            (user("w user:org:read"), true),
            (user("user:org:read"), false),
            (user("w").org_id("org_1"), true),
            (user("profile").org_id("org_1"), false),
            // Clerk put no organization into the token.
            (user("all"), false),
            (user("all user:org:read"), true),
            (typed(user("w"), TokenType::SessionToken), true),
            (typed(user("w"), TokenType::ApiKey), true),
            (typed(user("profile"), TokenType::ApiKey), false),
            (machine.scopes(scopes("w")), true),
        ];
        for (caller, expected) in rows {
            let caller = caller.build();
            assert_eq!(requirement.has_scopes(&caller, &hierarchy), expected, "{caller:?}");
        }
    }
}
