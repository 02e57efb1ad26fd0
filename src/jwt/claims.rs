//! What the claims of a signed token have to say (RFC 9068 section 4, RFC 7519 section 4.1).

use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::refuse;
use crate::auth_info::Actor;
use crate::error::{VerifyError, VerifyErrorKind as Kind};
use crate::scope::Scopes;

/// The last second of the year 9999. A time behind it is a mistake, such as milliseconds.
const END_OF_TIME: f64 = 253_402_300_799.0;

/// What the claims are compared with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy<'a> {
    /// Who must have issued the token, byte by byte.
    pub(crate) issuer: &'a str,
    /// How far the clocks of issuer and server may be apart.
    pub(crate) leeway: Duration,
}

/// The claims of a token that is signed, ours and of now. Its audience has not been looked at.
#[derive(Debug)]
pub(crate) struct ValidClaims {
    pub(crate) subject: String,
    pub(crate) client_id: String,
    pub(crate) scopes: Scopes,
    pub(crate) expires_at: u64,
    /// `None` where the token has no such claim, which is not the same as an empty list.
    pub(crate) audience: Option<Vec<String>>,
    pub(crate) org_id: Option<String>,
    pub(crate) actor: Option<Actor>,
    pub(crate) rest: Map<String, Value>,
    /// Nobody outside this module can make one.
    _proof: (),
}

impl ValidClaims {
    /// Issuer, then time, then the rest.
    pub(super) fn check(mut members: Members, policy: &Policy<'_>, now: u64) -> Result<Self, VerifyError> {
        if members.get("iss").and_then(Value::as_str) != Some(policy.issuer) {
            return Err(refuse(Kind::InvalidIssuer, "`iss` is not the Frontend API of this Clerk instance"));
        }
        let expires_at = check_times(&members, policy.leeway.as_secs(), now)?;
        let subject =
            members.take_text("sub")?.ok_or_else(|| refuse(Kind::InvalidClaim, "`sub` is missing"))?;
        if subject.starts_with("mch_") {
            return Err(refuse(Kind::WrongTokenType, "`sub` is a machine"));
        }
        let client_id = members
            .take_text("client_id")?
            .ok_or_else(|| refuse(Kind::InvalidClaim, "`client_id` is missing"))?;
        let claims = Self {
            subject,
            client_id,
            scopes: take_scopes(&mut members)?,
            expires_at,
            audience: take_audience(&mut members)?,
            org_id: members.take_text("org_id")?,
            actor: take_actor(&mut members)?,
            _proof: (),
            rest: members.into_rest(),
        };
        Ok(claims)
    }
}

/// Returns when the token's time is over.
fn check_times(members: &Members, leeway: u64, now: u64) -> Result<u64, VerifyError> {
    let expires_at =
        members.time("exp", f64::floor)?.ok_or_else(|| refuse(Kind::InvalidClaim, "`exp` is missing"))?;
    if expires_at <= now.saturating_sub(leeway) {
        return Err(refuse(Kind::Expired, "`exp` has passed"));
    }
    let latest = now.saturating_add(leeway);
    if members.time("nbf", f64::ceil)?.is_some_and(|not_before| not_before > latest) {
        return Err(refuse(Kind::NotYetValid, "`nbf` has not come"));
    }
    if members.time("iat", f64::ceil)?.is_some_and(|issued_at| issued_at > latest) {
        return Err(refuse(Kind::NotYetValid, "`iat` has not come: compare this machine's clock"));
    }
    Ok(expires_at)
}

/// `scp` is a list and wins over `scope`, a text with spaces. Neither means that nothing was granted.
fn take_scopes(members: &mut Members) -> Result<Scopes, VerifyError> {
    let scope = members.take("scope");
    match (members.take("scp"), scope) {
        (Some(list), _) => {
            let list =
                texts(&list).ok_or_else(|| refuse(Kind::InvalidClaim, "`scp` is not a list of texts"))?;
            Ok(Scopes::granted(list.iter().map(String::as_str)))
        }
        (None, Some(Value::String(text))) => Ok(Scopes::granted(text.split(' '))),
        (None, Some(_)) => Err(refuse(Kind::InvalidClaim, "`scope` is not a text")),
        (None, None) => Ok(Scopes::none()),
    }
}

fn take_audience(members: &mut Members) -> Result<Option<Vec<String>>, VerifyError> {
    audience(members.take("aud"))
        .ok_or_else(|| refuse(Kind::InvalidClaim, "`aud` is neither a text nor a list of texts"))
}

/// A text or a list of texts (RFC 7519 section 4.1.3); the outer `None` means that it is neither.
pub(crate) fn audience(value: Option<Value>) -> Option<Option<Vec<String>>> {
    match value {
        None => Some(None),
        Some(Value::String(one)) => Some(Some(vec![one])),
        Some(list) => texts(&list).map(Some),
    }
}

fn take_actor(members: &mut Members) -> Result<Option<Actor>, VerifyError> {
    let Some(value) = members.take("act") else {
        return Ok(None);
    };
    serde_json::from_value(value)
        .map(Some)
        .map_err(|_| refuse(Kind::InvalidClaim, "`act` is not an actor (RFC 8693 section 4.1)"))
}

fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

/// The members of a JSON object, each name once.
///
/// Of two members with one name, two parsers may take different ones, and so believe different things of one token
/// (RFC 8725 section 2.4; RFC 7519 section 4 lets us refuse).
#[derive(Debug)]
pub(crate) struct Members(Map<String, Value>);

impl Members {
    pub(crate) fn parse(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// A member's value; `null` is as good as none.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// Whether there is such a member, `null` or not.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The value of a member, taken out.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    /// A text that is not empty.
    fn take_text(&mut self, name: &'static str) -> Result<Option<String>, VerifyError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
            Some(_) => Err(refuse(Kind::InvalidClaim, "`sub`, `client_id` or `org_id` is no text or empty")),
        }
    }

    /// A `NumericDate` (RFC 7519 section 2), which may have a fraction.
    fn time(&self, name: &str, round: fn(f64) -> f64) -> Result<Option<u64>, VerifyError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let seconds = value.as_f64().filter(|seconds| (0.0..=END_OF_TIME).contains(seconds));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range was checked above"
        )]
        seconds
            .map(|seconds| Some(round(seconds) as u64))
            .ok_or_else(|| refuse(Kind::InvalidClaim, "`exp`, `nbf` or `iat` is no number of seconds"))
    }

    pub(crate) fn into_rest(mut self) -> Map<String, Value> {
        for known in ["iss", "exp"] {
            self.0.remove(known);
        }
        self.0
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(UniqueMembers)
    }
}

struct UniqueMembers;

impl<'de> Visitor<'de> for UniqueMembers {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object whose members have different names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Members, A::Error> {
        let mut members = Map::new();
        while let Some((name, value)) = access.next_entry::<String, Value>()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("two members have one name"));
            }
        }
        Ok(Members(members))
    }
}
