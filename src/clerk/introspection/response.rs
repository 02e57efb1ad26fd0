//! The Backend API's response about an opaque token, Clerk's form of RFC 7662 section 2.2.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::error::{ClerkError, ClerkErrorKind, VerifyError, VerifyErrorKind};
use crate::jwt::class::{check_subject, is_response_about};
use crate::jwt::{JsonObject, actor, audience, is_sender_constrained};
use crate::oauth::{Actor, Scopes, TokenType};

/// A larger `expiration` is in milliseconds. In seconds it would be in the year 5138.
const MAX_SECONDS: f64 = 1e11;

/// A token that Clerk says is valid. The audience has not been checked.
#[derive(Debug)]
pub(crate) struct IntrospectionResponse {
    pub(crate) subject: String,
    pub(crate) client_id: String,
    pub(crate) scopes: Scopes,
    pub(crate) expires_at: Option<u64>,
    pub(crate) audience: Option<Vec<String>>,
    pub(crate) org_id: Option<String>,
    pub(crate) actor: Option<Actor>,
    pub(crate) rest: Map<String, Value>,
}

impl IntrospectionResponse {
    /// Parses the body of a 200 at `now`, in seconds since 1970-01-01T00:00:00Z. `leeway` is the
    /// tolerated difference between the clocks of Clerk and this machine.
    pub(crate) fn parse(body: &[u8], now: u64, leeway: Duration) -> Result<Self, VerifyError> {
        let response = JsonObject::parse(body).ok_or_else(|| {
            unusable("the introspection response is not a JSON object with unique member names")
        })?;
        let expires_at = expiration(response.get("expiration"))?;
        reject_inactive(&response, expires_at, now.saturating_sub(leeway.as_secs()))?;
        Self::read_active(response, expires_at).ok_or_else(|| {
            unusable("the introspection response lacks a required member, or has an invalid one")
                .into()
        })
    }

    /// Reads a token that is neither revoked nor expired. A missing member is never treated as
    /// approval, and neither is one of another type.
    fn read_active(mut response: JsonObject<'_>, expires_at: Option<u64>) -> Option<Self> {
        let is_false = |name| response.get(name) == Some(&Value::Bool(false));
        let is_active = response.get("active").is_none_or(|active| *active == Value::Bool(true))
            && is_false("revoked")
            && is_false("expired");
        if !(is_response_about(TokenType::OAuthToken, &response) && is_active) {
            return None;
        }
        // These do not go into the claims; `id` may be the token itself.
        for name in ["id", "object", "type", "active", "revoked", "expired", "expiration"] {
            response.take(name);
        }
        let scopes = granted_scopes(&response)?;
        response.take("scopes");
        Some(Self {
            subject: take_string(&mut response, "subject")?,
            client_id: take_string(&mut response, "client_id")?,
            scopes,
            expires_at,
            audience: audience(response.take("aud"))?,
            org_id: take_string(&mut response, "org_id"),
            actor: actor(response.take("act"))?,
            rest: response.into_rest(),
        })
    }
}

/// Rejects a token that Clerk describes with a 200 and that is not valid, or that expired at
/// `earliest` or before.
fn reject_inactive(
    response: &JsonObject<'_>,
    expires_at: Option<u64>,
    earliest: u64,
) -> Result<(), VerifyError> {
    let reject = |kind, detail| Err(VerifyError::new(kind).with_detail(detail));
    if response.get("active") == Some(&Value::Bool(false)) {
        return reject(VerifyErrorKind::UnknownToken, "Clerk says that the token is not active");
    }
    reject_flagged(response, expires_at, earliest).map_err(|error| {
        let scopes =
            (error.kind() == VerifyErrorKind::Expired).then(|| granted_scopes(response)).flatten();
        match scopes {
            Some(scopes) => error.with_granted_scopes(scopes),
            None => error,
        }
    })?;
    if is_sender_constrained(response) {
        return reject(
            VerifyErrorKind::InvalidClaim,
            "Clerk says that `cnf` binds the token to a key, and only bearer tokens are accepted",
        );
    }
    match response.get("subject").and_then(Value::as_str) {
        // An empty or missing one makes the response unusable.
        None | Some("") => Ok(()),
        Some(subject) => check_subject(subject),
    }
}

/// Rejects a credential that Clerk says was revoked or has expired, or that expired at `earliest` or
/// before.
pub(super) fn reject_flagged(
    response: &JsonObject<'_>,
    expires_at: Option<u64>,
    earliest: u64,
) -> Result<(), VerifyError> {
    let is_true = |name| response.get(name) == Some(&Value::Bool(true));
    if is_true("revoked") {
        return Err(VerifyError::new(VerifyErrorKind::Revoked)
            .with_detail("Clerk says that the token was revoked"));
    }
    if is_true("expired") || expires_at.is_some_and(|expires_at| expires_at <= earliest) {
        return Err(VerifyError::new(VerifyErrorKind::Expired)
            .with_detail("Clerk says that the token has expired"));
    }
    Ok(())
}

fn granted_scopes(response: &JsonObject<'_>) -> Option<Scopes> {
    let scopes: Option<Vec<&str>> =
        response.get("scopes")?.as_array()?.iter().map(Value::as_str).collect();
    Scopes::granted(scopes?)
}

/// Parses `expiration`, in seconds or milliseconds. A token without one does not expire.
fn expiration(value: Option<&Value>) -> Result<Option<u64>, VerifyError> {
    let Some(value) = value else { return Ok(None) };
    let seconds = value.as_f64().map(|time| if time > MAX_SECONDS { time / 1000.0 } else { time });
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked here"
    )]
    seconds
        .filter(|seconds| (0.0..=MAX_SECONDS).contains(seconds))
        .map(|seconds| Some(seconds.floor() as u64))
        .ok_or_else(|| unusable("the token's expiration is not a time").into())
}

/// Takes a string that is not empty.
fn take_string(response: &mut JsonObject<'_>, name: &str) -> Option<String> {
    match response.take(name) {
        Some(Value::String(string)) if !string.is_empty() => Some(string),
        _ => None,
    }
}

pub(super) fn unusable(detail: &'static str) -> ClerkError {
    ClerkError::new(ClerkErrorKind::InvalidResponse, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_has_expired_carries_its_scopes() {
        let rows = [
            (r#"{"expired":true,"scopes":["a","b"]}"#, Some("a b")),
            (r#"{"expired":false,"expiration":995,"scopes":["a"]}"#, Some("a")),
            (r#"{"expired":true,"scopes":"a"}"#, None),
            (r#"{"expired":true}"#, None),
            (r#"{"expired":false,"expiration":996,"scopes":["a"]}"#, None),
            (r#"{"expired":true,"revoked":true,"scopes":["a"]}"#, None),
            (r#"{"active":false,"scopes":["a"]}"#, None),
        ];
        for (json, expected) in rows {
            let leeway = Duration::from_secs(5);
            let error = IntrospectionResponse::parse(json.as_bytes(), 1000, leeway).unwrap_err();
            assert_eq!(
                error.granted_scopes().map(ToString::to_string).as_deref(),
                expected,
                "{json}"
            );
        }
    }
}
