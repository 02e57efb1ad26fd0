//! The organization that is active in a session.

/// The active organization of a session, with what its member may do there, from
/// [`AuthInfo::organization`](crate::AuthInfo::organization).
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    id: String,
    role: Option<String>,
    slug: Option<String>,
    permissions: Vec<String>,
}

impl Organization {
    /// Creates an organization without a role, a slug and permissions.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), role: None, slug: None, permissions: Vec::new() }
    }

    /// Sets the role of the member, such as `org:admin`. Defaults to none.
    #[must_use]
    pub fn with_role(mut self, role: impl Into<String>) -> Self {
        self.role = Some(role.into());
        self
    }

    /// Sets the slug of the organization. Defaults to none.
    #[must_use]
    pub fn with_slug(mut self, slug: impl Into<String>) -> Self {
        self.slug = Some(slug.into());
        self
    }

    /// Sets the permissions of the member, such as `org:files:manage`. Defaults to none.
    #[must_use]
    pub fn with_permissions<I>(mut self, permissions: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.permissions = permissions.into_iter().map(Into::into).collect();
        self
    }

    /// Returns the id, such as `org_2abc`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the role of the member, such as `org:admin`.
    #[must_use]
    pub fn role(&self) -> Option<&str> {
        self.role.as_deref()
    }

    /// Returns the slug of the organization.
    #[must_use]
    pub fn slug(&self) -> Option<&str> {
        self.slug.as_deref()
    }

    /// Returns the permissions of the member, such as `org:files:manage`. Clerk writes custom
    /// permissions into a token, and those of the system (`org:sys_…`) not.
    #[must_use]
    pub fn permissions(&self) -> &[String] {
        &self.permissions
    }

    /// Returns whether the member has this permission.
    #[must_use]
    pub fn has_permission(&self, permission: &str) -> bool {
        self.permissions.iter().any(|own| own == permission)
    }
}
