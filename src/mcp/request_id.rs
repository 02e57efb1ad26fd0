use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The `id` of a JSON-RPC request, which an answer repeats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum RequestId {
    Text(String),
    Unsigned(u64),
    Signed(i64),
    /// Of a form or length that is not repeated: an answer to it has no `id`.
    #[serde(skip)]
    Other,
}

/// In bytes. Who sends a longer one finds no `id` in the refusal.
const MAX_ID: usize = 256;

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IdVisitor)
    }
}

struct IdVisitor;

impl<'de> Visitor<'de> for IdVisitor {
    type Value = RequestId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<RequestId, E> {
        Ok(if text.len() <= MAX_ID { RequestId::Text(text.to_owned()) } else { RequestId::Other })
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<RequestId, E> {
        Ok(RequestId::Unsigned(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<RequestId, E> {
        Ok(RequestId::Signed(number))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<RequestId, E> {
        Ok(RequestId::Other)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<RequestId, E> {
        Ok(RequestId::Other)
    }

    fn visit_unit<E: Error>(self) -> Result<RequestId, E> {
        Ok(RequestId::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<RequestId, A::Error> {
        IgnoredAny.visit_seq(seq).map(|_| RequestId::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RequestId, A::Error> {
        IgnoredAny.visit_map(map).map(|_| RequestId::Other)
    }
}
