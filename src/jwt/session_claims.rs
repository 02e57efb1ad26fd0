//! The claims of a session token, of version 1 or 2.

use serde_json::{Map, Value};

use super::claims::{self, ClaimRequirements};
use super::class::is_organization_id;
use super::object::JsonObject;
use super::reject;
use crate::error::{VerifyError, VerifyErrorKind};
use crate::oauth::{Actor, Organization};

/// The largest number of permissions and of features that are read. Clerk allows far fewer.
const MAX_NAMES: usize = 1000;

/// The claims of a session token that is signed, from the right issuer, not expired, and of an
/// authorized party.
#[derive(Debug)]
pub(crate) struct SessionClaims {
    pub(crate) subject: String,
    pub(crate) expires_at: u64,
    pub(crate) organization: Option<Organization>,
    pub(crate) actor: Option<Actor>,
    pub(crate) rest: Map<String, Value>,
}

impl SessionClaims {
    /// Checks the claims of a token whose type is known.
    pub(super) fn check(
        mut claims: JsonObject<'_>,
        requirements: &ClaimRequirements<'_>,
        is_authorized: impl FnOnce(&str) -> bool,
        now: u64,
    ) -> Result<Self, VerifyError> {
        let expires_at = claims::check_common(&claims, requirements, now)?;
        let party = claims.get("azp").and_then(Value::as_str);
        if !party.is_some_and(is_authorized) {
            return Err(invalid(
                "`azp` is missing or is not one of the authorized parties \
                 (SessionTokens::from_authorized_parties, MCP_AUTHORIZED_PARTIES)",
            ));
        }
        // A pending session has tasks left, such as a second factor. Clerk's SDKs take its user for
        // signed out.
        if claims.get("sts").is_some_and(|status| status.as_str() != Some("active")) {
            return Err(invalid("`sts` says that the session is not active"));
        }
        let organization = organization(&claims)?;
        let subject =
            claims::take_string(&mut claims, "sub")?.ok_or_else(|| invalid("`sub` is missing"))?;
        let actor = claims::take_actor(&mut claims)?;
        Ok(Self { subject, expires_at, organization, actor, rest: claims::rest(claims) })
    }
}

/// Reads the organization of version 2: `o`, and the features in `fea`. That of version 1 is not
/// read, and stays among the claims.
fn organization(claims: &JsonObject<'_>) -> Result<Option<Organization>, VerifyError> {
    match claims.get("v").map(Value::as_u64) {
        None | Some(Some(1)) => return Ok(None),
        Some(Some(2)) => {}
        Some(_) => return Err(invalid("`v` is a version that is not known")),
    }
    let Some(members) = claims.get("o") else { return Ok(None) };
    let features = claims.get("fea").map_or(Some(""), Value::as_str);
    let organization = members.as_object().zip(features);
    organization
        .and_then(|(members, features)| read_organization(members, features))
        .map(Some)
        .ok_or_else(|| invalid("`o` or `fea` is not that of a session token of version 2"))
}

fn read_organization(members: &Map<String, Value>, features: &str) -> Option<Organization> {
    let string = |name: &str| match members.get(name) {
        None | Some(Value::Null) => Some(None),
        Some(Value::String(text)) => Some(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => None,
    };
    let id = string("id")?.filter(|id| is_organization_id(id))?;
    let permissions = match (string("per")?, string("fpm")?) {
        (Some(names), Some(maps)) => permissions(features, names, maps)?,
        _ => Vec::new(),
    };
    let organization = Organization::new(id).with_permissions(permissions);
    let organization = match string("rol")? {
        Some(role) => organization.with_role(format!("org:{role}")),
        None => organization,
    };
    Some(match string("slg")? {
        Some(slug) => organization.with_slug(slug),
        None => organization,
    })
}

/// Decodes the permissions: for each feature of the organization, in the order of `fea`, `maps` has a
/// decimal number whose bits say which of the names the member has, the lowest bit the first one.
fn permissions(features: &str, names: &str, maps: &str) -> Option<Vec<String>> {
    let names: Vec<&str> = names.split(',').map(str::trim).take(MAX_NAMES).collect();
    let features = features.split(',').filter_map(organization_feature).take(MAX_NAMES);
    let mut permissions = Vec::new();
    for (feature, map) in features.zip(maps.split(',')) {
        let bits = bits(map.trim(), names.len())?;
        let granted = names.iter().zip(bits).filter(|(_, bit)| *bit);
        permissions.extend(granted.map(|(name, _)| format!("org:{feature}:{name}")));
    }
    Some(permissions)
}

/// Returns the name of a feature such as `o:files` or `uo:files`, if it is one of organizations.
fn organization_feature(feature: &str) -> Option<&str> {
    let (owners, name) = feature.trim().split_once(':')?;
    owners.contains('o').then_some(name)
}

/// Returns the lowest bits of a decimal number of any length, the lowest first.
fn bits(decimal: &str, count: usize) -> Option<Vec<bool>> {
    if decimal.is_empty() || decimal.len() > MAX_NAMES {
        return None;
    }
    let mut digits: Vec<u8> = decimal.bytes().map(|b| b.wrapping_sub(b'0')).collect();
    if digits.iter().any(|digit| *digit > 9) {
        return None;
    }
    let mut bits = Vec::with_capacity(count);
    while bits.len() < count {
        // Divides by two; the remainder is the next bit.
        let remainder = digits.iter_mut().fold(0, |remainder, digit| {
            let value = remainder * 10 + *digit;
            *digit = value / 2;
            value % 2
        });
        bits.push(remainder == 1);
    }
    Some(bits)
}

fn invalid(detail: &'static str) -> VerifyError {
    reject(VerifyErrorKind::InvalidClaim, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_the_permissions_of_each_feature() {
        let rows = [
            // The example of Clerk's documentation of version 2.
            (
                "o:dashboard,o:impersonation",
                "manage,read",
                "1,2",
                vec!["org:dashboard:manage", "org:impersonation:read"],
            ),
            ("o:a,u:b,uo:c", "x,y", "3,1", vec!["org:a:x", "org:a:y", "org:c:x"]),
            ("o:a", " x , y ", " 2 ", vec!["org:a:y"]),
            ("o:a", "x,y", "0", vec![]),
            ("o:a,o:b", "x", "1", vec!["org:a:x"]),
            ("o:a", "x", "1,1", vec!["org:a:x"]),
            ("o:a", "x", "4", vec![]),
            ("u:a", "x", "1", vec![]),
            ("", "x", "1", vec![]),
            ("a", "x", "1", vec![]),
        ];
        for (features, names, maps, expected) in rows {
            let decoded = permissions(features, names, maps).unwrap();
            assert_eq!(decoded, expected, "{features} {names} {maps}");
        }
        for maps in ["x", "", "-1", "1.0", "0x1", "1e1"] {
            assert_eq!(permissions("o:a", "x", maps), None, "{maps}");
        }
        let names: Vec<String> = (0..100).map(|i| format!("p{i}")).collect();
        let highest = (1_u128 << 99).to_string();
        assert_eq!(permissions("o:a", &names.join(","), &highest).unwrap(), ["org:a:p99"]);
    }

    #[test]
    fn reads_the_organization_of_version_2_only() {
        let read = |json: &str| organization(&JsonObject::parse(json.as_bytes()).unwrap());
        let full = r#"{"v":2,"fea":"o:files","o":{"id":"org_1","slg":"one","rol":"admin","per":"read","fpm":"1"}}"#;
        let expected = Organization::new("org_1")
            .with_slug("one")
            .with_role("org:admin")
            .with_permissions(["org:files:read"]);
        assert_eq!(read(full).unwrap(), Some(expected));
        let none = ["{}", r#"{"v":1,"o":{"id":"org_1"}}"#, r#"{"v":2}"#, r#"{"o":{"id":"org_1"}}"#];
        for json in none {
            assert_eq!(read(json).unwrap(), None, "{json}");
        }
        let invalid = [
            r#"{"v":3}"#,
            r#"{"v":"2"}"#,
            r#"{"v":2,"o":"org_1"}"#,
            r#"{"v":2,"o":{}}"#,
            r#"{"v":2,"o":{"id":"user_1"}}"#,
            r#"{"v":2,"o":{"id":"org_1","rol":1}}"#,
            r#"{"v":2,"o":{"id":"org_1"},"fea":1}"#,
            r#"{"v":2,"fea":"o:a","o":{"id":"org_1","per":"a","fpm":"x"}}"#,
        ];
        for json in invalid {
            assert_eq!(read(json).unwrap_err().kind(), VerifyErrorKind::InvalidClaim, "{json}");
        }
    }
}
