//! The approximate memory use of an `AuthInfo`, by which the token cache is bounded.

use serde_json::Value;

use super::{Actor, AuthInfo, Organization};
use crate::oauth::Scopes;

/// The overhead of an element of a list, in bytes: the value itself and its share of the
/// allocation.
const ELEMENT_OVERHEAD: usize = 32;
/// The overhead of a member of an object, in bytes: name, value and their share of the map's node.
const MEMBER_OVERHEAD: usize = 96;

impl AuthInfo {
    /// Returns the approximate size on the heap in bytes, without the token. Needed because the
    /// number and the length of claims are not bounded.
    pub(crate) fn approximate_size(&self) -> usize {
        let optional = [self.client_id(), self.org_id(), self.resource(), self.credential_id()]
            .map(|text| text.map_or(0, str::len));
        let audience = self.audience().iter().map(|text| ELEMENT_OVERHEAD + text.len());
        let claims = self
            .claims()
            .iter()
            .map(|(name, value)| MEMBER_OVERHEAD + name.len() + value_size(value));
        self.principal().id().len()
            + scopes_size(self.scopes())
            + actors_size(self.actor())
            + self.organization().map_or(0, organization_size)
            + optional.into_iter().chain(audience).chain(claims).sum::<usize>()
    }
}

fn scopes_size(scopes: &Scopes) -> usize {
    scopes.iter().map(|scope| ELEMENT_OVERHEAD + scope.len()).sum()
}

fn organization_size(organization: &Organization) -> usize {
    let texts = [Some(organization.id()), organization.role(), organization.slug()];
    let permissions = organization.permissions().iter().map(|text| ELEMENT_OVERHEAD + text.len());
    texts.into_iter().flatten().map(str::len).chain(permissions).sum()
}

fn actors_size(mut actor: Option<&Actor>) -> usize {
    let mut size = 0;
    while let Some(Actor { sub, iss, act }) = actor {
        size += MEMBER_OVERHEAD + sub.len() + iss.as_ref().map_or(0, String::len);
        actor = act.as_deref();
    }
    size
}

/// The recursion is bounded by serde_json, which reads at most 128 levels.
fn value_size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(|item| ELEMENT_OVERHEAD + value_size(item)).sum(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| MEMBER_OVERHEAD + name.len() + value_size(value))
            .sum(),
    }
}
