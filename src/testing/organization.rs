//! An organization of a running fake Clerk.

use std::fmt;
use std::sync::Arc;

use super::state::FakeInstance;
use super::state::organization::{Membership, Organization};

/// An organization of a [`FakeClerk`](super::FakeClerk). Created by
/// [`FakeClerk::create_organization`](super::FakeClerk::create_organization).
///
/// Clones are handles to the same organization.
#[derive(Clone)]
pub struct FakeOrganization {
    instance: Arc<FakeInstance>,
    id: String,
}

impl FakeOrganization {
    pub(super) fn new(instance: Arc<FakeInstance>, id: String) -> Self {
        Self { instance, id }
    }

    pub(super) fn create(instance: Arc<FakeInstance>, name: String) -> Self {
        let id = instance.ids.id("org_");
        let organization = Organization::new(id.clone(), name, instance.now());
        instance.records().organizations.insert(id.clone(), organization);
        Self::new(instance, id)
    }

    /// Returns the id: `org_…`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Makes a user a member with this role (`org:…`) and these permissions, or changes those of a
    /// member.
    pub fn set_member<P: Into<String>>(
        &self,
        user_id: impl Into<String>,
        role: impl Into<String>,
        permissions: impl IntoIterator<Item = P>,
    ) {
        let now = self.instance.now();
        let member = Membership {
            id: self.instance.ids.id("orgmem_"),
            user_id: user_id.into(),
            role: role.into(),
            permissions: permissions.into_iter().map(Into::into).collect(),
            created_at: now,
            updated_at: now,
        };
        if let Some(organization) = self.instance.records().organizations.get_mut(&self.id) {
            organization.set_member(member);
        }
    }

    /// Ends the membership of a user. Returns whether the user was a member.
    pub fn remove_member(&self, user_id: &str) -> bool {
        let mut records = self.instance.records();
        let organization = records.organizations.get_mut(&self.id);
        organization.is_some_and(|organization| organization.remove_member(user_id))
    }
}

impl fmt::Debug for FakeOrganization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeOrganization").field("id", &self.id).finish_non_exhaustive()
    }
}
