//! JSON objects whose member names are unique (RFC 8259 section 4).

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::value::{JsonValue, MemberName, Repeated};

/// The members of a JSON object, each name once.
///
/// Of two members with the same name, two parsers may take different ones, and so read different
/// things in one token (RFC 7515 section 10.12; RFC 7519 section 4 allows rejecting them). The same
/// holds at every depth of [`ACTOR`], whose members say who acts for the user. Within other
/// members, which nothing is decided by, the last one counts.
pub(crate) struct JsonObject<'a> {
    members: Vec<Member<'a>>,
}

type Member<'a> = (Cow<'a, str>, Value);

/// The claim whose value is read as strictly as the object itself (RFC 8693 section 4.1).
const ACTOR: &str = "act";

/// The capacity for the members of a usual token, so that parsing it allocates only once.
const USUAL_MEMBERS: usize = 16;

/// Up to this many members, comparing all pairs of names is faster than sorting them.
const MAX_MEMBERS_TO_PAIR: usize = 32;

impl<'a> JsonObject<'a> {
    /// Parses an object. Returns `None` for any other JSON and for an object with a repeated name.
    pub(crate) fn parse(json: &'a [u8]) -> Option<Self> {
        // Faster than a check of each string by itself.
        let json = std::str::from_utf8(json).ok()?;
        serde_json::from_str(json).ok()
    }

    /// Returns the value of a member; `null` counts as absent.
    #[inline]
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        let (_, value) = self.members.get(self.index(name)?)?;
        Some(value).filter(|value| !value.is_null())
    }

    /// Returns whether there is a member of this name, `null` or not.
    #[inline]
    pub(crate) fn has(&self, name: &str) -> bool {
        self.index(name).is_some()
    }

    /// Removes a member and returns its value; `null` counts as absent.
    #[inline]
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        let index = self.index(name)?;
        let (_, value) = self.members.swap_remove(index);
        Some(value).filter(|value| !value.is_null())
    }

    /// Returns the members that were not taken.
    pub(crate) fn into_rest(self) -> Map<String, Value> {
        // Few are left: `collect` would sort them first.
        let mut rest = Map::new();
        for (name, value) in self.members {
            rest.insert(name.into_owned(), value);
        }
        rest
    }

    // Inlined, so that a literal name is compared without a call.
    #[inline(always)]
    fn index(&self, name: &str) -> Option<usize> {
        self.members.iter().position(|(own, _)| own == name)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for JsonObject<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(JsonObjectVisitor)
    }
}

struct JsonObjectVisitor;

impl<'de> Visitor<'de> for JsonObjectVisitor {
    type Value = JsonObject<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object with unique member names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(USUAL_MEMBERS);
        while let Some(MemberName(name)) = access.next_key()? {
            let repeated = if name == ACTOR { Repeated::Rejected } else { Repeated::LastCounts };
            let value = access.next_value_seed(JsonValue(repeated))?;
            members.push((name, value));
        }
        if has_repeated_name(&members) {
            return Err(A::Error::custom("a member name is repeated"));
        }
        Ok(JsonObject { members })
    }
}

fn has_repeated_name(members: &[Member<'_>]) -> bool {
    if members.len() <= MAX_MEMBERS_TO_PAIR {
        let mut seen = 0;
        return members.iter().enumerate().any(|(index, (name, _))| {
            let bit = name_bit(name);
            let may_be_earlier = seen & bit != 0;
            seen |= bit;
            may_be_earlier && members.iter().take(index).any(|(earlier, _)| earlier == name)
        });
    }
    // A header is parsed before its signature is verified: no quadratic time for a long one.
    let mut names: Vec<&str> = members.iter().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    !names.is_sorted_by(|a, b| a < b)
}

/// Returns one bit of 64 for a name. Names with different bits differ.
fn name_bit(name: &str) -> u64 {
    let byte = |byte: Option<&u8>| byte.map_or(0, |byte| u32::from(*byte));
    let bytes = name.as_bytes();
    let sum = byte(bytes.first()).wrapping_mul(7).wrapping_add(byte(bytes.last()));
    1 << (sum % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_repeated_names() {
        let rows = [
            ("{}", true),
            (r#"{"b":1,"a":{"x":1,"x":2}}"#, true),
            (r#"{"b":{"act":{"x":1,"x":2}}}"#, true),
            (r#"{"act":{"x":1,"y":{"x":2}},"x":1}"#, true),
            (r#"{"act":{"x":1,"x":2}}"#, false),
            (r#"{"a\u0063t":{"x":1,"\u0078":2}}"#, false),
            (r#"{"act":{"act":{"x":null,"x":null}}}"#, false),
            (r#"{"act":[{"x":1,"x":2}]}"#, false),
            // The same bit of `name_bit`.
            (r#"{"act":{},"cnf":1,"ant":2}"#, true),
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
    fn finds_a_repeated_name_among_any_number_of_members() {
        for count in [2, MAX_MEMBERS_TO_PAIR, MAX_MEMBERS_TO_PAIR + 1, 500] {
            let members = |last: usize| {
                let names = (0..count - 1).chain([last]).map(|i| format!("\"m{i}\":0"));
                format!("{{{}}}", names.collect::<Vec<_>>().join(","))
            };
            assert!(JsonObject::parse(members(count - 1).as_bytes()).is_some(), "{count}");
            assert!(JsonObject::parse(members(0).as_bytes()).is_none(), "{count}");
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
