//! What the claims of a signed token have to say (RFC 9068 section 4, RFC 7519 section 4.1).

use std::time::Duration;

use serde_json::{Map, Value};

use super::object::{JsonObject, Name};
use super::refuse;
use crate::error::{VerifyError, VerifyErrorKind as Kind};
use crate::oauth::{Actor, Scopes};

/// The last second of the year 9999. A time behind it is a mistake, such as milliseconds.
const END_OF_TIME: f64 = 253_402_300_799.0;

/// The claims that are looked at.
#[derive(Clone, Copy, Debug)]
pub(super) enum Claim {
    Iss,
    Sub,
    ClientId,
    Scope,
    Scp,
    Exp,
    Nbf,
    Iat,
    Aud,
    OrgId,
    Act,
}

impl Name for Claim {
    const COUNT: usize = 11;

    fn of(text: &str) -> Option<Self> {
        Some(match text {
            "iss" => Self::Iss,
            "sub" => Self::Sub,
            "client_id" => Self::ClientId,
            "scope" => Self::Scope,
            "scp" => Self::Scp,
            "exp" => Self::Exp,
            "nbf" => Self::Nbf,
            "iat" => Self::Iat,
            "aud" => Self::Aud,
            "org_id" => Self::OrgId,
            "act" => Self::Act,
            _ => return None,
        })
    }

    fn index(self) -> usize {
        self as usize
    }
}

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
    pub(super) fn check(
        mut members: JsonObject<Claim>,
        policy: &Policy<'_>,
        now: u64,
    ) -> Result<Self, VerifyError> {
        if members.get(Claim::Iss).and_then(Value::as_str) != Some(policy.issuer) {
            return Err(refuse(
                Kind::InvalidIssuer,
                "`iss` is not the Frontend API of this Clerk instance",
            ));
        }
        let expires_at = check_times(&members, policy.leeway.as_secs(), now)?;
        let subject = take_string(&mut members, Claim::Sub)?
            .ok_or_else(|| refuse(Kind::InvalidClaim, "`sub` is missing"))?;
        if subject.starts_with("mch_") {
            return Err(refuse(Kind::WrongTokenType, "`sub` is a machine"));
        }
        let client_id = take_string(&mut members, Claim::ClientId)?
            .ok_or_else(|| refuse(Kind::InvalidClaim, "`client_id` is missing"))?;
        let claims = Self {
            subject,
            client_id,
            scopes: take_scopes(&mut members)?,
            expires_at,
            audience: take_audience(&mut members)?,
            org_id: take_string(&mut members, Claim::OrgId)?,
            actor: take_actor(&mut members)?,
            _proof: (),
            rest: rest(members),
        };
        Ok(claims)
    }
}

/// Returns when the token's time is over.
fn check_times(members: &JsonObject<Claim>, leeway: u64, now: u64) -> Result<u64, VerifyError> {
    let expires_at = time(members, Claim::Exp, f64::floor)?
        .ok_or_else(|| refuse(Kind::InvalidClaim, "`exp` is missing"))?;
    if expires_at <= now.saturating_sub(leeway) {
        return Err(refuse(Kind::Expired, "`exp` has passed"));
    }
    let latest = now.saturating_add(leeway);
    if time(members, Claim::Nbf, f64::ceil)?.is_some_and(|not_before| not_before > latest) {
        return Err(refuse(Kind::NotYetValid, "`nbf` has not come"));
    }
    if time(members, Claim::Iat, f64::ceil)?.is_some_and(|issued_at| issued_at > latest) {
        return Err(refuse(Kind::NotYetValid, "`iat` has not come: compare this machine's clock"));
    }
    Ok(expires_at)
}

/// `scp` is a list and wins over `scope`, a text with spaces. Neither means that nothing was granted.
fn take_scopes(members: &mut JsonObject<Claim>) -> Result<Scopes, VerifyError> {
    let scope = members.take(Claim::Scope);
    match (members.take(Claim::Scp), scope) {
        (Some(list), _) => {
            let list = texts(list)
                .ok_or_else(|| refuse(Kind::InvalidClaim, "`scp` is not a list of texts"))?;
            Ok(Scopes::granted(list.iter().map(String::as_str)))
        }
        (None, Some(Value::String(text))) => Ok(Scopes::granted(text.split(' '))),
        (None, Some(_)) => Err(refuse(Kind::InvalidClaim, "`scope` is not a text")),
        (None, None) => Ok(Scopes::none()),
    }
}

fn take_audience(members: &mut JsonObject<Claim>) -> Result<Option<Vec<String>>, VerifyError> {
    audience(members.take(Claim::Aud))
        .ok_or_else(|| refuse(Kind::InvalidClaim, "`aud` is neither a text nor a list of texts"))
}

/// A text or a list of texts (RFC 7519 section 4.1.3); the outer `None` means that it is neither.
pub(crate) fn audience(value: Option<Value>) -> Option<Option<Vec<String>>> {
    match value {
        None => Some(None),
        Some(Value::String(one)) => Some(Some(vec![one])),
        Some(list) => texts(list).map(Some),
    }
}

fn take_actor(members: &mut JsonObject<Claim>) -> Result<Option<Actor>, VerifyError> {
    actor(members.take(Claim::Act))
        .ok_or_else(|| refuse(Kind::InvalidClaim, "`act` is not an actor (RFC 8693 section 4.1)"))
}

/// An object with a subject (RFC 8693 section 4.1); the outer `None` means that it is something else. By hand, since
/// serde's own code for a struct takes a list as well.
pub(crate) fn actor(value: Option<Value>) -> Option<Option<Actor>> {
    let Some(value) = value else {
        return Some(None);
    };
    let Value::Object(mut members) = value else {
        return None;
    };
    let mut take = |name: &str| members.remove(name).filter(|value| !value.is_null());
    let sub = text(take("sub")?)?;
    let iss = match take("iss") {
        None => None,
        Some(iss) => Some(text(iss)?),
    };
    let act = actor(take("act"))?.map(Box::new);
    Some(Some(Actor { sub, iss, act }))
}

fn texts(list: Value) -> Option<Vec<String>> {
    let Value::Array(items) = list else {
        return None;
    };
    let texts = items
        .into_iter()
        .map(|item| if let Value::String(text) = item { Some(text) } else { None });
    texts.collect()
}

/// What has no place of its own.
fn rest(mut members: JsonObject<Claim>) -> Map<String, Value> {
    let times = [("iat", members.take(Claim::Iat)), ("nbf", members.take(Claim::Nbf))];
    let mut rest = members.into_rest();
    rest.extend(times.into_iter().filter_map(|(name, time)| Some((name.to_owned(), time?))));
    rest
}

/// A text that is not empty.
fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

fn take_string(
    members: &mut JsonObject<Claim>,
    name: Claim,
) -> Result<Option<String>, VerifyError> {
    let Some(value) = members.take(name) else {
        return Ok(None);
    };
    text(value).map(Some).ok_or_else(|| {
        refuse(Kind::InvalidClaim, "`sub`, `client_id` or `org_id` is no text or empty")
    })
}

/// A `NumericDate` (RFC 7519 section 2), which may have a fraction.
fn time(
    members: &JsonObject<Claim>,
    name: Claim,
    round: fn(f64) -> f64,
) -> Result<Option<u64>, VerifyError> {
    let Some(value) = members.get(name) else {
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
