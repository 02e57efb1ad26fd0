//! An organization, with what its member may do there.

use std::fmt;
use std::sync::Arc;

/// An organization, with what its member may do there: from
/// [`AuthInfo::organization`](crate::AuthInfo::organization), or from a
/// [`Membership`](crate::Membership). Cloning is cheap (`Arc`).
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::{AuthInfo, Organization};
///
/// let organization = Organization::new("org_1")
///     .with_role("org:admin")
///     .with_permissions(["org:files:manage"]);
/// let caller = AuthInfo::for_user("user_1", "token".into()).organization(organization).build();
/// assert_eq!(caller.org_id(), Some("org_1"));
/// let organization = caller.organization().unwrap();
/// assert!(organization.has_permission("org:files:manage"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Organization(Arc<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    id: String,
    role: Option<String>,
    slug: Option<String>,
    permissions: Vec<String>,
}

impl Organization {
    /// Creates an organization without a role, a slug and permissions.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        let (role, slug, permissions) = (None, None, Vec::new());
        Self(Arc::new(Inner { id: id.into(), role, slug, permissions }))
    }

    /// Sets the role of the member, such as `org:admin`. Defaults to none.
    #[must_use]
    pub fn with_role(mut self, role: impl Into<String>) -> Self {
        self.inner_mut().role = Some(role.into());
        self
    }

    /// Sets the slug of the organization. Defaults to none.
    #[must_use]
    pub fn with_slug(mut self, slug: impl Into<String>) -> Self {
        self.inner_mut().slug = Some(slug.into());
        self
    }

    /// Sets the permissions of the member, such as `org:files:manage`. Defaults to none.
    #[must_use]
    pub fn with_permissions<I>(mut self, permissions: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.inner_mut().permissions = permissions.into_iter().map(Into::into).collect();
        self
    }

    fn inner_mut(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.0)
    }

    /// Returns the id, such as `org_2abc`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Returns the role of the member, such as `org:admin`.
    #[must_use]
    pub fn role(&self) -> Option<&str> {
        self.0.role.as_deref()
    }

    /// Returns the slug of the organization.
    #[must_use]
    pub fn slug(&self) -> Option<&str> {
        self.0.slug.as_deref()
    }

    /// Returns the permissions of the member, such as `org:files:manage`. Clerk writes custom
    /// permissions into a session token, and those of the system (`org:sys_…`) not.
    #[must_use]
    pub fn permissions(&self) -> &[String] {
        &self.0.permissions
    }

    /// Returns whether the member has this permission.
    #[must_use]
    pub fn has_permission(&self, permission: &str) -> bool {
        self.0.permissions.iter().any(|own| own == permission)
    }
}

impl fmt::Debug for Organization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Organization")
            .field("id", &self.0.id)
            .field("role", &self.0.role)
            .field("slug", &self.0.slug)
            .field("permissions", &self.0.permissions)
            .finish()
    }
}
