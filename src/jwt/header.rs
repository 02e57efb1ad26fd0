//! The header of a token (RFC 7515 section 4).

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use jsonwebtoken::Algorithm;
use serde_json::Value;

use super::token::{decode, malformed};
use super::{JsonObject, Name, refuse};
use crate::error::{VerifyError, VerifyErrorKind as Kind};

/// Machine tokens, JWT templates and sessions: the same key signs them, and none is an OAuth access token.
const OTHER_CATEGORIES: [&str; 3] = ["cl_B7d4PD333AAA", "cl_B7d4PD222AAA", "cl_B7d4PD111AAA"];

/// A header with which a token may be good.
pub(crate) struct Header {
    /// As it stands in the token.
    text: Box<str>,
    algorithm: Algorithm,
    key_id: Option<String>,
}

impl Header {
    pub(super) fn parse(text: &str) -> Result<Self, VerifyError> {
        let json = decode(text)?;
        let mut members = JsonObject::parse(&json).ok_or_else(malformed)?;
        let algorithm = check_header(&members)?;
        let key_id = match members.take(Member::Kid) {
            None => None,
            Some(Value::String(id)) => Some(id),
            Some(_) => return Err(malformed()),
        };
        Ok(Self { text: text.into(), algorithm, key_id })
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// The header of the last good token. All tokens of one key have the same, so most need not be read.
#[derive(Debug, Default)]
pub(crate) struct HeaderCache(RwLock<Option<Arc<Header>>>);

impl HeaderCache {
    /// The header with this text, if it is the usual one.
    pub(super) fn get(&self, text: &str) -> Option<Arc<Header>> {
        let usual = self.0.read().unwrap_or_else(PoisonError::into_inner);
        usual.as_ref().filter(|header| *header.text == *text).cloned()
    }

    /// Remembers the header of a token that was found good.
    pub(crate) fn remember(&self, header: &Arc<Header>) {
        if self.get(&header.text).is_none() {
            *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(header));
        }
    }
}

/// The members that are looked at.
#[derive(Clone, Copy, Debug)]
enum Member {
    Alg,
    Kid,
    Typ,
    Cat,
    Crit,
    B64,
    Cty,
    Enc,
}

impl Name for Member {
    const COUNT: usize = 8;

    fn of(text: &str) -> Option<Self> {
        Some(match text {
            "alg" => Self::Alg,
            "kid" => Self::Kid,
            "typ" => Self::Typ,
            "cat" => Self::Cat,
            "crit" => Self::Crit,
            "b64" => Self::B64,
            "cty" => Self::Cty,
            "enc" => Self::Enc,
            _ => return None,
        })
    }

    fn index(self) -> usize {
        self as usize
    }
}

fn check_header(header: &JsonObject<Member>) -> Result<Algorithm, VerifyError> {
    // RFC 7515 section 4.1.11: whoever does not understand a critical extension refuses; none is understood here.
    if header.has(Member::Crit) || header.has(Member::B64) {
        return Err(refuse(Kind::Malformed, "the header names a critical extension"));
    }
    if is_nested(header) {
        return Err(refuse(
            Kind::Malformed,
            "the header says that the content is another token, or encrypted",
        ));
    }
    let text = |name| header.get(name).and_then(Value::as_str);
    let algorithm = match text(Member::Alg) {
        Some("RS256") => Algorithm::RS256,
        Some("RS384") => Algorithm::RS384,
        Some("RS512") => Algorithm::RS512,
        _ => {
            return Err(refuse(
                Kind::UnsupportedAlgorithm,
                "the header names no algorithm that is accepted",
            ));
        }
    };
    // RFC 9068 section 4: this is what keeps a session token or an ID token of the same instance out.
    let is_access_token = |typ: &str| {
        typ.eq_ignore_ascii_case("at+jwt") || typ.eq_ignore_ascii_case("application/at+jwt")
    };
    if !text(Member::Typ).is_some_and(is_access_token) {
        return Err(refuse(Kind::WrongTokenType, "the header's `typ` is not at+jwt"));
    }
    match header.get(Member::Cat) {
        None => Ok(algorithm),
        Some(Value::String(category)) if !OTHER_CATEGORIES.contains(&category.as_str()) => {
            Ok(algorithm)
        }
        Some(_) => Err(refuse(
            Kind::WrongTokenType,
            "the header's `cat` is that of another class of tokens",
        )),
    }
}

/// Whether the content has to be a JWT itself (RFC 7519 section 5.2), or the whole a JWE (RFC 7516 section 9). Whoever
/// signed such a header did not mean the claims that stand there.
fn is_nested(header: &JsonObject<Member>) -> bool {
    let content = header.get(Member::Cty).and_then(Value::as_str).unwrap_or_default();
    let is_jwt =
        content.rsplit(['/', '+']).next().is_some_and(|kind| kind.eq_ignore_ascii_case("jwt"));
    is_jwt || header.has(Member::Enc)
}
