//! How much memory a caller's description takes, about.

use serde_json::Value;

use super::{Actor, AuthInfo};
use crate::oauth::Scopes;

/// A value in a list or a text in one: the value itself, and its share of what holds it.
const ITEM: usize = 32;
/// A member of an object: its name, its value, and their share of the node that holds them.
const MEMBER: usize = 96;

impl AuthInfo {
    /// In bytes, but for the token's text. What an authorization server answers is as long as it likes, so whoever keeps
    /// many of these has to weigh them.
    pub(crate) fn approximate_size(&self) -> usize {
        let optional =
            [self.client_id(), self.org_id(), self.resource()].map(|text| text.map_or(0, str::len));
        let members =
            self.claims().iter().map(|(name, value)| MEMBER + name.len() + of_value(value));
        optional.into_iter().chain(members).sum::<usize>()
            + self.user_id().len()
            + of_scopes(self.scopes())
            + self.audience().iter().map(|text| ITEM + text.len()).sum::<usize>()
            + of_actors(self.actor())
    }
}

fn of_scopes(scopes: &Scopes) -> usize {
    scopes.iter().map(|scope| ITEM + scope.len()).sum()
}

fn of_actors(mut actor: Option<&Actor>) -> usize {
    let mut size = 0;
    while let Some(Actor { sub, iss, act }) = actor {
        size += MEMBER + sub.len() + iss.as_ref().map_or(0, String::len);
        actor = act.as_deref();
    }
    size
}

/// What the value refers to. It is nested no deeper than a reader of JSON follows.
fn of_value(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(|item| ITEM + of_value(item)).sum(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| MEMBER + name.len() + of_value(value)).sum()
        }
    }
}
