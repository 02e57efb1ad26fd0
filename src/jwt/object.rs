//! JSON objects whose member names are unique (RFC 8259 section 4).

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};

/// The members of a JSON object, each name once.
///
/// Of two members with the same name, two parsers may take different ones, and so read different
/// things in one token (RFC 7515 section 10.12; RFC 7519 section 4 allows rejecting them).
pub(crate) struct JsonObject<'a> {
    /// Sorted by name.
    members: Vec<(Cow<'a, str>, Value)>,
}

/// Room for the members of a usual token, so that its parse allocates once for all of them.
const USUAL_MEMBERS: usize = 16;

impl<'a> JsonObject<'a> {
    /// Parses an object. Returns `None` for any other JSON and for an object with a repeated name.
    pub(crate) fn parse(json: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// Returns the value of a member; `null` counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        let (_, value) = self.members.get(self.index(name)?)?;
        Some(value).filter(|value| !value.is_null())
    }

    /// Whether there is a member of this name, `null` or not.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.index(name).is_some()
    }

    /// Removes a member and returns its value; `null` counts as absent.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        let index = self.index(name)?;
        let (_, value) = self.members.remove(index);
        Some(value).filter(|value| !value.is_null())
    }

    /// Returns the members that were not taken.
    pub(crate) fn into_rest(self) -> Map<String, Value> {
        self.members.into_iter().map(|(name, value)| (name.into_owned(), value)).collect()
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.members.binary_search_by(|(own, _)| (**own).cmp(name)).ok()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for JsonObject<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(JsonObjectVisitor)
    }
}

struct JsonObjectVisitor;

/// A member's name, borrowed from the JSON unless it contains an escape.
#[derive(Deserialize)]
struct MemberName<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for JsonObjectVisitor {
    type Value = JsonObject<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object with unique member names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(USUAL_MEMBERS);
        while let Some((MemberName(name), value)) = access.next_entry()? {
            members.push((name, value));
        }
        // Sorting and then comparing neighbours finds repeated names without a quadratic scan.
        members.sort_unstable_by(|(a, _): &(Cow<'de, str>, Value), (b, _)| a.cmp(b));
        if !members.is_sorted_by(|(a, _), (b, _)| a < b) {
            return Err(A::Error::custom("a member name is repeated"));
        }
        Ok(JsonObject { members })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_repeated_names() {
        let rows = [
            ("{}", true),
            (r#"{"b":1,"a":{"x":1,"x":2}}"#, true),
            (r#"{"a":1,"b":2,"a":3}"#, false),
            (r#"{"a":1,"b":2,"\u0061":1}"#, false),
            (r#"{"a":null,"a":null}"#, false),
            (r#"{"x":1,"b":2,"x":1}"#, false),
            (r#"{"x":null,"\u0078":null}"#, false),
            ("[]", false),
            ("{} {}", false),
            ("", false),
        ];
        for (json, expected) in rows {
            assert_eq!(JsonObject::parse(json.as_bytes()).is_some(), expected, "{json}");
        }
    }

    #[test]
    fn takes_members_and_keeps_the_rest() {
        let mut object = JsonObject::parse(br#"{"z":1,"\u0061":"x","m":null,"b":null}"#).unwrap();
        assert_eq!((object.get("a"), object.get("b")), (Some(&"x".into()), None));
        assert!(object.has("a") && object.has("b") && !object.has("c"));
        assert_eq!((object.take("a"), object.take("b")), (Some("x".into()), None));
        assert!(!object.has("a") && !object.has("b") && object.take("a").is_none());
        let rest = serde_json::to_value(object.into_rest()).unwrap();
        assert_eq!(rest, serde_json::json!({"z": 1, "m": null}));
    }
}
