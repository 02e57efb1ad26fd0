//! The few members of a JSON-RPC body that tell what it asks for, as serde finds them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::RequestId;

/// How many messages one batch may hold.
const MAX_BATCH: usize = 100;

pub(super) enum Body<'a> {
    One(RawMessage<'a>),
    Batch(Vec<RawMessage<'a>>),
}

/// The members of one message that tell what it asks for.
#[derive(Default)]
pub(super) struct RawMessage<'a> {
    pub(super) id: Option<RequestId>,
    pub(super) method: Option<MaybeString<'a>>,
    pub(super) params: Option<Params<'a>>,
}

/// A value of which only text is of interest.
pub(super) enum MaybeString<'a> {
    String(Cow<'a, str>),
    Other,
}

pub(super) enum Params<'a> {
    None,
    ByName(Names<'a>),
}

#[derive(Default)]
pub(super) struct Names<'a> {
    pub(super) name: Option<MaybeString<'a>>,
    pub(super) uri: Option<MaybeString<'a>>,
    pub(super) task_id: Option<MaybeString<'a>>,
    /// There is a member that another reader may take for one of these.
    pub(super) lookalike: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for Body<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BodyVisitor)
    }
}

struct BodyVisitor;

impl<'de> Visitor<'de> for BodyVisitor {
    type Value = Body<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message or a batch of messages")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        RawMessageVisitor.visit_map(map).map(Body::One)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut batch = Vec::new();
        while let Some(members) = seq.next_element()? {
            if batch.len() == MAX_BATCH {
                return Err(Error::custom("a batch of too many messages"));
            }
            batch.push(members);
        }
        // JSON-RPC 2.0, section 6: an empty array is no valid request.
        if batch.is_empty() {
            Err(Error::custom("a batch of no message"))
        } else {
            Ok(Body::Batch(batch))
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for RawMessage<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // An array in a batch is no message.
        deserializer.deserialize_map(RawMessageVisitor)
    }
}

struct RawMessageVisitor;

impl<'de> Visitor<'de> for RawMessageVisitor {
    type Value = RawMessage<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = RawMessage::default();
        while let Some(key) = map.next_key_seed(Among(&["id", "method", "params"]))? {
            match key {
                Key::Known("id") => once(&mut map, &mut members.id)?,
                Key::Known("method") => once(&mut map, &mut members.method)?,
                Key::Known(_) => once(&mut map, &mut members.params)?,
                Key::Lookalike => {
                    return Err(Error::custom("a member that another reader may take for one"));
                }
                Key::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(members)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Params<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ParamsVisitor)
    }
}

struct ParamsVisitor;

impl<'de> Visitor<'de> for ParamsVisitor {
    type Value = Params<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("parameters by name")
    }

    /// Some clients write `null` for no parameters.
    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Params::None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut names = Names::default();
        while let Some(key) = map.next_key_seed(Among(&["name", "uri", "taskId"]))? {
            match key {
                Key::Known("name") => once(&mut map, &mut names.name)?,
                Key::Known("uri") => once(&mut map, &mut names.uri)?,
                Key::Known(_) => once(&mut map, &mut names.task_id)?,
                Key::Lookalike | Key::Other => {
                    names.lookalike |= key == Key::Lookalike;
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Params::ByName(names))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for MaybeString<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MaybeStringVisitor)
    }
}

struct MaybeStringVisitor;

impl<'de> Visitor<'de> for MaybeStringVisitor {
    type Value = MaybeString<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(MaybeString::String(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(MaybeString::String(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(MaybeString::Other)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(MaybeString::Other)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(MaybeString::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(MaybeString::Other)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(MaybeString::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        IgnoredAny.visit_seq(seq).map(|_| MaybeString::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        IgnoredAny.visit_map(map).map(|_| MaybeString::Other)
    }
}

/// Takes the value of a member that may stand there only once.
fn once<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
    map: &mut A,
    slot: &mut Option<T>,
) -> Result<(), A::Error> {
    match slot.replace(map.next_value()?) {
        Some(_) => Err(Error::custom("a member that stands there twice")),
        None => Ok(()),
    }
}

/// A member's name, seen against those that are of interest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Known(&'static str),
    /// Not one of them, but readers that do not tell upper from lower case take it for one.
    Lookalike,
    Other,
}

#[derive(Clone, Copy)]
struct Among(&'static [&'static str; 3]);

impl<'de> DeserializeSeed<'de> for Among {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Among {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Key, E> {
        match self.0.iter().find(|name| alike(key, name)) {
            Some(name) if *name == key => Ok(Key::Known(name)),
            Some(_) => Ok(Key::Lookalike),
            None => Ok(Key::Other),
        }
    }
}

/// Whether the two are the same but for case. The long s of Unicode is a small s to those who fold by its tables; the
/// other letter of that kind, the Kelvin sign, is folded too.
fn alike(key: &str, name: &str) -> bool {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        _ => c.to_ascii_lowercase(),
    };
    key.eq_ignore_ascii_case(name)
        || (!key.is_ascii() && key.chars().map(fold).eq(name.chars().map(fold)))
}
