//! The claims of a signed token (RFC 7519 section 4.1) and their checks (RFC 9068 section 4).

use std::time::Duration;

use serde_json::{Map, Value};

use super::class::check_subject;
use super::object::JsonObject;
use super::reject;
use crate::error::{VerifyError, VerifyErrorKind};
use crate::oauth::{Actor, Scopes};

/// The last second of the year 9999. A later time is a mistake, such as milliseconds.
const MAX_TIME: f64 = 253_402_300_799.0;

/// The longest chain of actors that is accepted. A chain of two is one delegation after another.
const MAX_ACTORS: usize = 10;

/// What the claims are compared with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClaimRequirements<'a> {
    /// The required `iss`, compared byte by byte.
    pub(crate) issuer: &'a str,
    /// The tolerated difference between the clocks of the issuer and this server.
    pub(crate) leeway: Duration,
}

/// The claims of a token that is signed, from the right issuer and not expired. The audience has
/// not been checked.
#[derive(Debug)]
pub(crate) struct ValidClaims {
    pub(crate) subject: String,
    pub(crate) client_id: String,
    pub(crate) scopes: Scopes,
    pub(crate) expires_at: u64,
    /// `None` if the token has no `aud`, which is not the same as an empty list.
    pub(crate) audience: Option<Vec<String>>,
    pub(crate) org_id: Option<String>,
    pub(crate) actor: Option<Actor>,
    pub(crate) rest: Map<String, Value>,
    /// Keeps other modules from making one.
    _proof: (),
}

impl ValidClaims {
    /// Checks the issuer, then the times, then the other claims.
    pub(super) fn check(
        mut claims: JsonObject<'_>,
        requirements: &ClaimRequirements<'_>,
        now: u64,
    ) -> Result<Self, VerifyError> {
        check_issuer(&claims, requirements)?;
        let expires_at = check_times(&claims, requirements.leeway.as_secs(), now)
            .map_err(|error| keep_scopes(error, &mut claims))?;
        reject_confirmation(&claims)?;
        let subject =
            take_string(&mut claims, "sub")?.ok_or_else(|| invalid("`sub` is missing"))?;
        check_subject(&subject)?;
        let client_id = take_string(&mut claims, "client_id")?
            .ok_or_else(|| invalid("`client_id` is missing"))?;
        Ok(Self {
            subject,
            client_id,
            scopes: take_scopes(&mut claims)?,
            expires_at,
            audience: take_audience(&mut claims)?,
            org_id: take_string(&mut claims, "org_id")?,
            actor: take_actor(&mut claims)?,
            rest: rest(claims),
            _proof: (),
        })
    }
}

/// Checks what the tokens of other types than OAuth have in common, and returns the time at which
/// the token expires.
pub(super) fn check_common(
    claims: &JsonObject<'_>,
    requirements: &ClaimRequirements<'_>,
    now: u64,
) -> Result<u64, VerifyError> {
    check_issuer(claims, requirements)?;
    let expires_at = check_times(claims, requirements.leeway.as_secs(), now)?;
    reject_confirmation(claims)?;
    Ok(expires_at)
}

fn check_issuer(
    claims: &JsonObject<'_>,
    requirements: &ClaimRequirements<'_>,
) -> Result<(), VerifyError> {
    if claims.get("iss").and_then(Value::as_str) != Some(requirements.issuer) {
        return Err(reject(
            VerifyErrorKind::InvalidIssuer,
            "`iss` is not the Frontend API of this Clerk instance",
        ));
    }
    Ok(())
}

/// Returns the time at which the token expires.
fn check_times(claims: &JsonObject<'_>, leeway: u64, now: u64) -> Result<u64, VerifyError> {
    let expires_at = time(claims, "exp", f64::floor)?.ok_or_else(|| invalid("`exp` is missing"))?;
    if expires_at <= now.saturating_sub(leeway) {
        return Err(reject(VerifyErrorKind::Expired, "`exp` has passed"));
    }
    let latest = now.saturating_add(leeway);
    if time(claims, "nbf", f64::ceil)?.is_some_and(|not_before| not_before > latest) {
        return Err(reject(VerifyErrorKind::NotYetValid, "`nbf` is in the future"));
    }
    if time(claims, "iat", f64::ceil)?.is_some_and(|issued_at| issued_at > latest) {
        return Err(reject(
            VerifyErrorKind::NotYetValid,
            "`iat` is in the future: check this machine's clock",
        ));
    }
    Ok(expires_at)
}

/// Adds the scopes of a token to the error that says that it has expired.
fn keep_scopes(error: VerifyError, claims: &mut JsonObject<'_>) -> VerifyError {
    if error.kind() != VerifyErrorKind::Expired {
        return error;
    }
    match take_scopes(claims) {
        Ok(scopes) => error.with_granted_scopes(scopes),
        Err(_) => error,
    }
}

/// Rejects a token that is bound to a key of its client (RFC 7800 section 3.1; RFC 9449 section
/// 6.1, RFC 8705 section 3.1): accepted as a bearer token, anybody who copied it could use it.
fn reject_confirmation(claims: &JsonObject<'_>) -> Result<(), VerifyError> {
    if is_sender_constrained(claims) {
        return Err(invalid("`cnf` binds the token to a key, and only bearer tokens are accepted"));
    }
    Ok(())
}

/// Returns whether a token, or Clerk's response about one, has a confirmation claim.
pub(crate) fn is_sender_constrained(claims: &JsonObject<'_>) -> bool {
    claims.get("cnf").is_some()
}

/// Returns the time of issue, since 1970-01-01T00:00:00Z.
pub(super) fn issue_time(claims: &JsonObject<'_>) -> Result<Option<Duration>, VerifyError> {
    Ok(time(claims, "iat", f64::ceil)?.map(Duration::from_secs))
}

/// Takes the scopes. An `scp` array takes precedence over a space-separated `scope`; a token with
/// neither has no scopes.
fn take_scopes(claims: &mut JsonObject<'_>) -> Result<Scopes, VerifyError> {
    let scope = claims.take("scope");
    match (claims.take("scp"), scope) {
        (Some(scp), _) => {
            let scp = strings(scp).ok_or_else(|| invalid("`scp` is not an array of strings"))?;
            Scopes::granted(scp.iter().map(String::as_str)).ok_or_else(too_many_scopes)
        }
        (None, Some(Value::String(scope))) => {
            Scopes::granted(scope.split(' ')).ok_or_else(too_many_scopes)
        }
        (None, Some(_)) => Err(invalid("`scope` is not a string")),
        (None, None) => Ok(Scopes::none()),
    }
}

fn too_many_scopes() -> VerifyError {
    invalid("the token has more than 200 scopes")
}

fn take_audience(claims: &mut JsonObject<'_>) -> Result<Option<Vec<String>>, VerifyError> {
    audience(claims.take("aud"))
        .ok_or_else(|| invalid("`aud` is neither a string nor an array of strings"))
}

/// Parses `aud`, a string or an array of strings (RFC 7519 section 4.1.3). The outer `None` means
/// that it is neither.
pub(crate) fn audience(value: Option<Value>) -> Option<Option<Vec<String>>> {
    match value {
        None => Some(None),
        Some(Value::String(one)) => Some(Some(vec![one])),
        Some(list) => strings(list).map(Some),
    }
}

pub(super) fn take_actor(claims: &mut JsonObject<'_>) -> Result<Option<Actor>, VerifyError> {
    actor(claims.take("act")).ok_or_else(|| {
        invalid("`act` is not an actor, or one of more than ten (RFC 8693 section 4.1)")
    })
}

/// Parses `act`, an object with a `sub` (RFC 8693 section 4.1). The outer `None` means that it is
/// anything else, or a chain of more than [`MAX_ACTORS`]. By hand, since a derived `Deserialize`
/// accepts an array too.
pub(crate) fn actor(value: Option<Value>) -> Option<Option<Actor>> {
    actors(value, MAX_ACTORS)
}

fn actors(value: Option<Value>, max: usize) -> Option<Option<Actor>> {
    let Some(value) = value else {
        return Some(None);
    };
    let remaining = max.checked_sub(1)?;
    let Value::Object(mut members) = value else {
        return None;
    };
    let mut take = |name: &str| members.remove(name).filter(|value| !value.is_null());
    let sub = non_empty_string(take("sub")?)?;
    let iss = match take("iss") {
        None => None,
        Some(iss) => Some(non_empty_string(iss)?),
    };
    let act = actors(take("act"), remaining)?.map(Box::new);
    Some(Some(Actor { sub, iss, act }))
}

fn strings(list: Value) -> Option<Vec<String>> {
    let Value::Array(items) = list else {
        return None;
    };
    let string = |item| if let Value::String(string) = item { Some(string) } else { None };
    items.into_iter().map(string).collect()
}

/// Returns the claims without a field of their own. `iat` and `nbf` are among them.
pub(super) fn rest(mut claims: JsonObject<'_>) -> Map<String, Value> {
    for checked in ["iss", "exp"] {
        claims.take(checked);
    }
    for time in ["iat", "nbf"] {
        // `null` counts as absent.
        if claims.get(time).is_none() {
            claims.take(time);
        }
    }
    claims.into_rest()
}

pub(super) fn take_string(
    claims: &mut JsonObject<'_>,
    name: &str,
) -> Result<Option<String>, VerifyError> {
    let Some(value) = claims.take(name) else {
        return Ok(None);
    };
    non_empty_string(value)
        .map(Some)
        .ok_or_else(|| invalid("`sub`, `client_id` or `org_id` is not a non-empty string"))
}

fn non_empty_string(value: Value) -> Option<String> {
    match value {
        Value::String(string) if !string.is_empty() => Some(string),
        _ => None,
    }
}

/// Parses a `NumericDate` (RFC 7519 section 2), which may have a fraction.
fn time(
    claims: &JsonObject<'_>,
    name: &str,
    round: fn(f64) -> f64,
) -> Result<Option<u64>, VerifyError> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let seconds = value.as_f64().filter(|seconds| (0.0..=MAX_TIME).contains(seconds));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range was checked above"
    )]
    seconds
        .map(|seconds| Some(round(seconds) as u64))
        .ok_or_else(|| invalid("`exp`, `nbf` or `iat` is not a number of seconds"))
}

fn invalid(detail: &'static str) -> VerifyError {
    reject(VerifyErrorKind::InvalidClaim, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expired_token_of_the_right_issuer_carries_its_scopes() {
        let requirements =
            ClaimRequirements { issuer: "https://i.example", leeway: Duration::from_secs(5) };
        let rows = [
            (r#"{"iss":"https://i.example","exp":995,"scope":"a b"}"#, Some("a b")),
            (r#"{"iss":"https://i.example","exp":995,"scope":"a","scp":["c"]}"#, Some("c")),
            (r#"{"iss":"https://i.example","exp":995}"#, Some("")),
            (r#"{"iss":"https://i.example","exp":995,"scope":1}"#, None),
            // Not expired, or not from the issuer.
            (r#"{"iss":"https://i.example","exp":996,"scope":"a b"}"#, None),
            (r#"{"iss":"https://o.example","exp":995,"scope":"a b"}"#, None),
        ];
        for (json, expected) in rows {
            let claims = JsonObject::parse(json.as_bytes()).unwrap();
            let error = ValidClaims::check(claims, &requirements, 1000).unwrap_err();
            assert_eq!(
                error.granted_scopes().map(ToString::to_string).as_deref(),
                expected,
                "{json}"
            );
        }
    }
}
