//! Organizations and their members, as the Backend API reports them.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::api_key::milliseconds;

/// What the default user may do in the default organization: Clerk's system permissions of an admin.
const ADMIN_PERMISSIONS: [&str; 8] = [
    "org:sys_profile:manage",
    "org:sys_profile:delete",
    "org:sys_memberships:read",
    "org:sys_memberships:manage",
    "org:sys_domains:read",
    "org:sys_domains:manage",
    "org:sys_billing:read",
    "org:sys_billing:manage",
];

/// An organization with its members, in the order in which they joined.
pub(crate) struct Organization {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) created_at: Duration,
    pub(crate) members: Vec<Membership>,
}

/// The membership of a user, with the permissions of its role.
pub(crate) struct Membership {
    pub(crate) id: String,
    pub(crate) user_id: String,
    pub(crate) role: String,
    pub(crate) permissions: Vec<String>,
    pub(crate) created_at: Duration,
    pub(crate) updated_at: Duration,
}

impl Organization {
    pub(crate) fn new(id: String, name: String, created_at: Duration) -> Self {
        Self { id, name, created_at, members: Vec::new() }
    }

    pub(crate) fn member(&self, user_id: &str) -> Option<&Membership> {
        self.members.iter().find(|member| member.user_id == user_id)
    }

    /// Adds a member, or changes role and permissions of one.
    pub(crate) fn set_member(&mut self, changed: Membership) {
        let of_user = |member: &&mut Membership| member.user_id == changed.user_id;
        match self.members.iter_mut().find(of_user) {
            None => self.members.push(changed),
            Some(member) => {
                member.role = changed.role;
                member.permissions = changed.permissions;
                member.updated_at = changed.updated_at;
            }
        }
    }

    /// Removes a member. Returns whether there was one.
    pub(crate) fn remove_member(&mut self, user_id: &str) -> bool {
        let before = self.members.len();
        self.members.retain(|member| member.user_id != user_id);
        self.members.len() < before
    }

    /// Returns the organization as part of a membership.
    fn to_json(&self) -> Value {
        let created_at = milliseconds(self.created_at);
        json!({
            "object": "organization",
            "id": self.id,
            "name": self.name,
            "slug": self.slug(),
            "image_url": "https://img.clerk.com/preview.png",
            "has_image": false,
            "members_count": self.members.len(),
            "max_allowed_memberships": 0,
            "admin_delete_enabled": true,
            "public_metadata": {},
            "private_metadata": {},
            "created_at": created_at,
            "updated_at": created_at,
        })
    }

    fn slug(&self) -> String {
        let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        self.name.chars().map(letter).collect()
    }

    /// Returns the claims `o` and `fea` of a session token of version 2 of this member. They name the
    /// permissions as a table: `fea` has the rows, `per` the columns, and `fpm` a number for each row,
    /// whose lowest bit stands for the first column. System permissions are left out.
    pub(crate) fn session_claims(&self, member: &Membership) -> Map<String, Value> {
        let mut features: Vec<&str> = Vec::new();
        let mut actions: Vec<&str> = Vec::new();
        let mut cells = Vec::new();
        for (feature, action) in member.permissions.iter().filter_map(|name| custom(name)) {
            cells.push((index(&mut features, feature), index(&mut actions, action)));
        }
        let bits = |row: u32| {
            let of_row = cells.iter().filter(|cell| cell.0 == row);
            of_row.fold(0_u64, |bits, cell| bits | 1_u64.checked_shl(cell.1).unwrap_or(0))
        };
        let rows: Vec<String> =
            (0_u32..).zip(&features).map(|(row, _)| bits(row).to_string()).collect();
        let role = member.role.strip_prefix("org:").unwrap_or(&member.role);
        let mut organization = json!({ "id": self.id, "slg": self.slug(), "rol": role });
        if let (Value::Object(members), false) = (&mut organization, features.is_empty()) {
            members.insert("per".into(), json!(actions.join(",")));
            members.insert("fpm".into(), json!(rows.join(",")));
        }
        let features: Vec<_> = features.iter().map(|feature| format!("o:{feature}")).collect();
        Map::from_iter([
            ("o".to_owned(), organization),
            ("fea".to_owned(), json!(features.join(","))),
        ])
    }
}

impl Membership {
    /// Returns the membership of an admin.
    pub(crate) fn admin(id: String, user_id: String, now: Duration) -> Self {
        Self {
            id,
            user_id,
            role: "org:admin".to_owned(),
            permissions: ADMIN_PERMISSIONS.map(str::to_owned).to_vec(),
            created_at: now,
            updated_at: now,
        }
    }

    /// Returns the object that the Backend API responds with. `user` is `None` if the instance does
    /// not know the user.
    pub(crate) fn to_json(&self, organization: &Organization, user: Option<&Value>) -> Value {
        let of_user = |name: &str| user.and_then(|user| user.get(name));
        json!({
            "object": "organization_membership",
            "id": self.id,
            "role": self.role,
            "role_name": role_name(&self.role),
            "permissions": self.permissions,
            "public_metadata": {},
            "private_metadata": {},
            "organization": organization.to_json(),
            "public_user_data": {
                "user_id": self.user_id,
                "first_name": of_user("first_name"),
                "last_name": of_user("last_name"),
                "image_url": of_user("image_url"),
                "has_image": of_user("has_image"),
                "identifier": user.and_then(|user| user.pointer("/email_addresses/0/email_address")),
                "username": of_user("username"),
            },
            "created_at": milliseconds(self.created_at),
            "updated_at": milliseconds(self.updated_at),
        })
    }
}

/// Returns feature and action of a permission that is not one of Clerk's system permissions.
fn custom(permission: &str) -> Option<(&str, &str)> {
    let (feature, action) = permission.strip_prefix("org:")?.split_once(':')?;
    (!feature.starts_with("sys_")).then_some((feature, action))
}

/// Returns the index of a name, which is added if it is new.
fn index<'a>(names: &mut Vec<&'a str>, name: &'a str) -> u32 {
    let found = names.iter().position(|known| *known == name);
    let index = found.unwrap_or_else(|| {
        names.push(name);
        names.len().saturating_sub(1)
    });
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// Returns the name that people see: `Admin` for `org:admin`.
fn role_name(role: &str) -> String {
    let key = role.strip_prefix("org:").unwrap_or(role);
    let mut letters = key.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}
