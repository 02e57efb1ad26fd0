use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};

/// The names that somebody looks for in a JSON object.
pub(crate) trait Name: Copy {
    /// How many there are.
    const COUNT: usize;

    fn of(text: &str) -> Option<Self>;

    /// Its place among them, counted from 0.
    fn index(self) -> usize;
}

/// The members of a JSON object, each name once.
///
/// Of two members with one name, two parsers may take different ones, and so believe different things of one token
/// (RFC 7515 section 10.12; RFC 7519 section 4 lets us refuse).
pub(crate) struct JsonObject<N> {
    /// The value of each name that is looked for, until it is taken out.
    known: Vec<Option<Value>>,
    rest: Map<String, Value>,
    names: PhantomData<N>,
}

impl<N: Name> JsonObject<N> {
    pub(crate) fn parse(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// A member's value; `null` is as good as none.
    pub(crate) fn get(&self, name: N) -> Option<&Value> {
        self.known.get(name.index())?.as_ref().filter(|value| !value.is_null())
    }

    /// Whether there is such a member, `null` or not.
    pub(crate) fn has(&self, name: N) -> bool {
        self.known.get(name.index()).is_some_and(Option::is_some)
    }

    /// The value of a member, taken out.
    pub(crate) fn take(&mut self, name: N) -> Option<Value> {
        self.known.get_mut(name.index())?.take().filter(|value| !value.is_null())
    }

    /// The members whose names nobody looks for.
    pub(crate) fn into_rest(self) -> Map<String, Value> {
        self.rest
    }

    /// Whether there was no member of this name before.
    fn add(&mut self, key: Key<'_, N>, value: Value) -> bool {
        match key {
            Key::Known(name) => {
                self.known.get_mut(name.index()).is_some_and(|slot| slot.replace(value).is_none())
            }
            Key::Other(name) => self.rest.insert(name.into_owned(), value).is_none(),
        }
    }
}

impl<'de, N: Name> Deserialize<'de> for JsonObject<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(JsonObjectVisitor(PhantomData))
    }
}

struct JsonObjectVisitor<N>(PhantomData<N>);

impl<'de, N: Name> Visitor<'de> for JsonObjectVisitor<N> {
    type Value = JsonObject<N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object whose members have different names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut members =
            JsonObject { known: vec![None; N::COUNT], rest: Map::new(), names: PhantomData };
        while let Some(key) = access.next_key_seed(KeySeed(PhantomData))? {
            if !members.add(key, access.next_value()?) {
                return Err(A::Error::custom("two members have one name"));
            }
        }
        Ok(members)
    }
}

enum Key<'a, N> {
    Known(N),
    Other(Cow<'a, str>),
}

struct KeySeed<N>(PhantomData<N>);

impl<'de, N: Name> DeserializeSeed<'de> for KeySeed<N> {
    type Value = Key<'de, N>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de, N: Name> Visitor<'de> for KeySeed<N> {
    type Value = Key<'de, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(N::of(name).map_or(Key::Other(Cow::Borrowed(name)), Key::Known))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(N::of(name).map_or_else(|| Key::Other(Cow::Owned(name.to_owned())), Key::Known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy)]
    enum Letter {
        A,
        B,
    }

    impl Name for Letter {
        const COUNT: usize = 2;

        fn of(text: &str) -> Option<Self> {
            match text {
                "a" => Some(Self::A),
                "b" => Some(Self::B),
                _ => None,
            }
        }

        fn index(self) -> usize {
            self as usize
        }
    }

    #[test]
    fn every_name_stands_there_once() {
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
            assert_eq!(JsonObject::<Letter>::parse(json.as_bytes()).is_some(), expected, "{json}");
        }
    }

    #[test]
    fn gives_out_what_is_there() {
        let mut members = JsonObject::parse(br#"{"z":1,"\u0061":"x","m":null,"b":null}"#).unwrap();
        assert_eq!((members.get(Letter::A), members.get(Letter::B)), (Some(&"x".into()), None));
        assert!(members.has(Letter::A) && members.has(Letter::B));
        assert_eq!((members.take(Letter::A), members.take(Letter::B)), (Some("x".into()), None));
        assert!(!members.has(Letter::A) && members.take(Letter::A).is_none());
        let rest = serde_json::to_value(members.into_rest()).unwrap();
        assert_eq!(rest, serde_json::json!({"z": 1, "m": null}));
    }
}
