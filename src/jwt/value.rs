//! JSON values that mean the same whichever features of `serde_json` a server's crates enable.
//!
//! With `raw_value` its own `Value` takes `{"$serde_json::private::RawValue": "\"x\""}` for the
//! string `x`, and with `arbitrary_precision` it takes numbers beyond the range of floats.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// What begins the names by which `serde_json` passes values between its own types.
const PRIVATE_PREFIX: &str = "$serde_json::private::";

/// With `arbitrary_precision` a number is passed as an object with this one member, a string.
const PRIVATE_NUMBER: &str = "$serde_json::private::Number";

/// What a member name that is repeated within an object leads to.
#[derive(Clone, Copy)]
pub(super) enum Repeated {
    LastCounts,
    Rejected,
}

/// Reads a value of any type.
#[derive(Clone, Copy)]
pub(super) struct JsonValue(pub(super) Repeated);

/// A member's name, borrowed from the JSON unless it contains an escape.
pub(super) struct MemberName<'a>(pub(super) Cow<'a, str>);

// By hand, since a derived one cannot read the name that a number is passed with.
impl<'de> Deserialize<'de> for MemberName<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(MemberNameVisitor)
    }
}

struct MemberNameVisitor;

impl<'de> Visitor<'de> for MemberNameVisitor {
    type Value = MemberName<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(MemberName(Cow::Borrowed(name)))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(MemberName(Cow::Owned(name.to_owned())))
    }
}

impl<'de> DeserializeSeed<'de> for JsonValue {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for JsonValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(MemberName(name)) = access.next_key()? {
            if name.starts_with(PRIVATE_PREFIX) {
                let is_number = name == PRIVATE_NUMBER && members.is_empty();
                let number = if is_number { private_number(&mut access)? } else { None };
                return number.ok_or_else(|| A::Error::custom("a member name is reserved"));
            }
            let value = access.next_value_seed(self)?;
            let earlier = members.insert(name.into_owned(), value);
            if earlier.is_some() && matches!(self.0, Repeated::Rejected) {
                return Err(A::Error::custom("a member name is repeated"));
            }
        }
        Ok(Value::Object(members))
    }
}

/// Reads a number as `serde_json` passes it with `arbitrary_precision`. `None` without that
/// feature: the object is one of the JSON itself.
///
/// With the feature such an object in the JSON is a number for every reader, and cannot be told
/// from one.
fn private_number<'de, A: MapAccess<'de>>(access: &mut A) -> Result<Option<Value>, A::Error> {
    let digits: String = access.next_value()?;
    if !numbers_are_strings() || access.next_key::<MemberName<'_>>()?.is_some() {
        return Ok(None);
    }
    // The same three steps, and the same limit, as without the feature.
    let number = digits
        .parse()
        .map(|unsigned: u64| Number::from(unsigned))
        .or_else(|_| digits.parse().map(|signed: i64| Number::from(signed)))
        .ok()
        .or_else(|| Number::from_f64(digits.parse().ok()?));
    Ok(number.map(Value::Number))
}

/// Returns whether `arbitrary_precision` is enabled: only then a number keeps more digits than a
/// float.
fn numbers_are_strings() -> bool {
    static KEEPS_DIGITS: LazyLock<bool> = LazyLock::new(|| {
        let digits = "0.10000000000000000000000000000000000001";
        serde_json::from_str(digits).is_ok_and(|number: Number| number.to_string() == digits)
    });
    *KEEPS_DIGITS
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(json: &str) -> Option<Value> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        JsonValue(Repeated::LastCounts).deserialize(&mut deserializer).ok()
    }

    #[test]
    fn reads_every_type() {
        let text = r#"{"a":[null,true,0,-1,1.5,"x","\u00e4",{}],"b":{"c":1,"c":2}}"#;
        let value = json!({"a": [null, true, 0, -1, 1.5, "x", "\u{e4}", {}], "b": {"c": 2}});
        assert_eq!(parse(text), Some(value));
        let number = |json: &str| parse(json).and_then(|value| value.as_f64());
        let rows =
            [("18446744073709551615", 1.8446744073709552e19), ("-9e2", -900.0), ("1e40", 1e40)];
        for (json, expected) in rows {
            assert_eq!(number(json), Some(expected), "{json}");
        }
    }

    /// Run with `--features serde_json/arbitrary_precision,serde_json/raw_value` as well.
    #[test]
    fn means_the_same_whichever_features_serde_json_has() {
        let rows = [
            "1e999",
            "-1e999",
            r#"{"$serde_json::private::RawValue":"\"x\""}"#,
            r#"{"\u0024serde_json::private::RawValue":"\"x\""}"#,
            r#"{"a":1,"$serde_json::private::RawValue":"1"}"#,
            r#"{"a":1,"$serde_json::private::Number":"1"}"#,
            r#"{"$serde_json::private::Number":"1","a":1}"#,
            r#"{"$serde_json::private::Number":"x"}"#,
            r#"{"$serde_json::private::Number":1}"#,
            r#"[{"$serde_json::private::Other":1}]"#,
        ];
        for json in rows {
            assert_eq!(parse(json), None, "{json}");
        }
        let number = r#"{"$serde_json::private::Number":"1"}"#;
        assert_eq!(parse(number).is_some(), numbers_are_strings());
        assert_eq!(parse(r#"{"a":"$serde_json::private::Number"}"#).unwrap()["a"], PRIVATE_NUMBER);
    }
}
