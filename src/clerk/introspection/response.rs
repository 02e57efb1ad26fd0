//! The Backend API's response about an opaque token, Clerk's form of RFC 7662 section 2.2.

use serde_json::{Map, Value};

use crate::error::{ClerkError, ClerkErrorKind, VerifyError, VerifyErrorKind};
use crate::jwt::{JsonObject, actor, audience};
use crate::oauth::{Actor, Scopes};

const OBJECT: &str = "clerk_idp_oauth_access_token";
const TYPE: &str = "oauth:access_token";
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
    /// Parses the body of a 200 at `now`, in seconds since 1970-01-01T00:00:00Z.
    pub(crate) fn parse(body: &[u8], now: u64) -> Result<Self, VerifyError> {
        let response = JsonObject::parse(body).ok_or_else(|| {
            unusable("the introspection response is not a JSON object with unique member names")
        })?;
        let expires_at = expiration(response.get("expiration"))?;
        reject_inactive(&response, expires_at, now)?;
        Self::read_active(response, expires_at).ok_or_else(|| {
            unusable("the introspection response lacks a required member, or has an invalid one")
                .into()
        })
    }

    /// Reads a token that is neither revoked nor expired. A missing member is never treated as
    /// approval, and neither is one of another type.
    fn read_active(mut response: JsonObject<'_>, expires_at: Option<u64>) -> Option<Self> {
        let is_false = |name| response.get(name) == Some(&Value::Bool(false));
        let is_access_token = response.get("object").and_then(Value::as_str) == Some(OBJECT)
            && response.get("type").is_none_or(|class| class.as_str() == Some(TYPE))
            && response.get("active").is_none_or(|active| *active == Value::Bool(true));
        if !(is_access_token && is_false("revoked") && is_false("expired")) {
            return None;
        }
        // These do not go into the claims; `id` may be the token itself.
        for name in ["id", "object", "type", "active", "revoked", "expired", "expiration"] {
            response.take(name);
        }
        let scopes = response.take("scopes")?;
        let scopes: Option<Vec<&str>> = scopes.as_array()?.iter().map(Value::as_str).collect();
        Some(Self {
            subject: take_string(&mut response, "subject")?,
            client_id: take_string(&mut response, "client_id")?,
            scopes: Scopes::granted(scopes?),
            expires_at,
            audience: audience(response.take("aud"))?,
            org_id: take_string(&mut response, "org_id"),
            actor: actor(response.take("act"))?,
            rest: response.into_rest(),
        })
    }
}

/// Rejects a token that Clerk describes with a 200 and that is not valid.
fn reject_inactive(
    response: &JsonObject<'_>,
    expires_at: Option<u64>,
    now: u64,
) -> Result<(), VerifyError> {
    let is = |name, flag: bool| response.get(name) == Some(&Value::Bool(flag));
    let reject = |kind, detail| Err(VerifyError::new(kind).with_detail(detail));
    if is("active", false) {
        return reject(VerifyErrorKind::UnknownToken, "Clerk says that the token is not active");
    }
    if is("revoked", true) {
        return reject(VerifyErrorKind::Revoked, "Clerk says that the token was revoked");
    }
    if is("expired", true) || expires_at.is_some_and(|expires_at| expires_at <= now) {
        return reject(VerifyErrorKind::Expired, "Clerk says that the token has expired");
    }
    let subject = response.get("subject").and_then(Value::as_str).unwrap_or_default();
    if subject.starts_with("mch_") {
        return reject(VerifyErrorKind::WrongTokenType, "the token belongs to a machine");
    }
    Ok(())
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

fn unusable(detail: &'static str) -> ClerkError {
    ClerkError::new(ClerkErrorKind::InvalidResponse, detail)
}
