//! The `id` of a JSON-RPC request (JSON-RPC 2.0 section 4).

use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The `id` of a JSON-RPC request, which the response repeats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum RequestId {
    String(String),
    Unsigned(u64),
    Signed(i64),
    /// A value of another type, or too long to repeat. The response has no `id`.
    #[serde(skip)]
    Other,
}

/// In bytes. A longer `id` is not repeated.
const MAX_ID_BYTES: usize = 256;

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RequestIdVisitor)
    }
}

struct RequestIdVisitor;

impl<'de> Visitor<'de> for RequestIdVisitor {
    type Value = RequestId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a request id")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<RequestId, E> {
        Ok(if text.len() <= MAX_ID_BYTES {
            RequestId::String(text.to_owned())
        } else {
            RequestId::Other
        })
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
