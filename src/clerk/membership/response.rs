//! The Backend API's list of the memberships of one user in one organization.

use serde_json::Value;

use super::MemberIds;
use crate::error::{ClerkError, ClerkErrorKind};
use crate::jwt::JsonObject;
use crate::oauth::{Membership, Organization};

/// The largest number of permissions that is read. Clerk allows far fewer.
const MAX_PERMISSIONS: usize = 1000;

/// Parses the body of a 200. A missing member is never treated as approval, and neither as proof
/// that somebody is no member.
pub(super) fn parse(body: &[u8], ids: MemberIds<'_>) -> Result<Membership, ClerkError> {
    let list = JsonObject::parse(body)
        .ok_or_else(|| unusable("it is not a JSON object with unique member names"))?;
    let entries = list.get("data").and_then(Value::as_array);
    let entries = entries.ok_or_else(|| unusable("it has no list"))?;
    let total = list.get("total_count").and_then(Value::as_u64);
    match entries.as_slice() {
        [_, _, ..] => Err(unusable("it has several memberships of one user")),
        _ if total != u64::try_from(entries.len()).ok() => {
            Err(unusable("its total count is missing or is not the length of the list"))
        }
        [] => Ok(Membership::NotMember),
        [entry] => member(entry, ids).map(Membership::Member),
    }
}

fn member(entry: &Value, ids: MemberIds<'_>) -> Result<Organization, ClerkError> {
    let string = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str);
    if string("/public_user_data/user_id") != Some(ids.user) {
        return Err(unusable("it is about another user"));
    }
    if string("/organization/id") != Some(ids.organization) {
        return Err(unusable("it is about another organization"));
    }
    let role = string("/role").filter(|role| !role.is_empty());
    let role = role.ok_or_else(|| unusable("it has no role"))?;
    let permissions = permissions(entry.get("permissions"))
        .ok_or_else(|| unusable("its permissions are missing or are not a list of strings"))?;
    let organization =
        Organization::new(ids.organization).with_role(role).with_permissions(permissions);
    Ok(match string("/organization/slug") {
        Some(slug) => organization.with_slug(slug),
        None => organization,
    })
}

fn permissions(list: Option<&Value>) -> Option<Vec<&str>> {
    let list = list?.as_array().filter(|list| list.len() <= MAX_PERMISSIONS)?;
    list.iter().map(Value::as_str).collect()
}

/// `why` continues a sentence that begins with "it" or "its".
fn unusable(why: &'static str) -> ClerkError {
    ClerkError::new(
        ClerkErrorKind::InvalidResponse,
        format!("the list of memberships cannot be used: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const IDS: MemberIds<'static> = MemberIds { user: "user_1", organization: "org_1" };

    fn entry() -> Value {
        json!({
            "role": "org:admin",
            "permissions": ["org:files:write"],
            "organization": {"id": "org_1", "slug": "one"},
            "public_user_data": {"user_id": "user_1"},
        })
    }

    #[test]
    fn one_entry_is_a_member_and_none_is_not() {
        let parsed = |list: Value| parse(list.to_string().as_bytes(), IDS).unwrap();
        let organization = Organization::new("org_1")
            .with_role("org:admin")
            .with_slug("one")
            .with_permissions(["org:files:write"]);
        let member = parsed(json!({"data": [entry()], "total_count": 1}));
        assert_eq!(member, Membership::Member(organization));
        assert_eq!(parsed(json!({"data": [], "total_count": 0})), Membership::NotMember);
    }

    #[test]
    fn whatever_is_not_as_documented_is_an_error() {
        let with = |pointer: &str, value: Value| {
            let mut entry = entry();
            *entry.pointer_mut(pointer).unwrap() = value;
            json!({"data": [entry], "total_count": 1}).to_string()
        };
        let without = |name: &str| {
            let mut entry = entry();
            entry.as_object_mut().unwrap().remove(name);
            json!({"data": [entry], "total_count": 1}).to_string()
        };
        let many: Vec<_> = (0..=MAX_PERMISSIONS).map(|i| format!("org:a:{i}")).collect();
        let rows = [
            (String::new(), "not a JSON object"),
            ("[]".into(), "not a JSON object"),
            (r#"{"data":[],"data":[],"total_count":0}"#.into(), "unique member names"),
            (json!({"total_count": 0}).to_string(), "no list"),
            (json!({"data": {}, "total_count": 0}).to_string(), "no list"),
            (json!({"data": []}).to_string(), "total count"),
            (json!({"data": [], "total_count": 1}).to_string(), "total count"),
            (json!({"data": [entry()], "total_count": 2}).to_string(), "total count"),
            (json!({"data": [entry()], "total_count": "1"}).to_string(), "total count"),
            (json!({"data": [entry(), entry()], "total_count": 2}).to_string(), "several"),
            (json!({"data": [entry(), entry()], "total_count": 1}).to_string(), "several"),
            (with("/public_user_data/user_id", json!("user_2")), "another user"),
            (with("/public_user_data", json!(null)), "another user"),
            (without("public_user_data"), "another user"),
            (with("/organization/id", json!("org_2")), "another organization"),
            (without("organization"), "another organization"),
            (with("/role", json!("")), "no role"),
            (with("/role", json!(1)), "no role"),
            (without("role"), "no role"),
            (without("permissions"), "permissions"),
            (with("/permissions", json!(null)), "permissions"),
            (with("/permissions", json!("org:files:write")), "permissions"),
            (with("/permissions", json!([1])), "permissions"),
            (with("/permissions", json!(many)), "permissions"),
            (json!({"data": [1], "total_count": 1}).to_string(), "another user"),
        ];
        for (body, expected) in rows {
            let error = parse(body.as_bytes(), IDS).unwrap_err();
            assert_eq!(error.kind(), ClerkErrorKind::InvalidResponse, "{body}");
            assert!(error.to_string().contains(expected), "{error} {body}");
        }
    }
}
