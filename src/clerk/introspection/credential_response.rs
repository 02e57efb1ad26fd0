//! The Backend API's responses about API keys and opaque machine tokens.

use std::time::Duration;

use serde_json::{Map, Value};

use super::response::{reject_flagged, unusable};
use crate::error::{VerifyError, VerifyErrorKind};
use crate::jwt::JsonObject;
use crate::jwt::class::{is_machine_id, is_organization_id, is_response_about, is_user_id};
use crate::oauth::{PrincipalKind, TokenType};

/// The last second of the year 9999, in milliseconds.
const MAX_MILLISECONDS: f64 = 253_402_300_799_000.0;

/// A credential that Clerk says is valid. Whether it is for this server has not been checked.
#[derive(Debug)]
pub(crate) struct CredentialResponse {
    /// Not the secret, which the caller presents.
    pub(crate) id: Option<String>,
    pub(crate) subject: String,
    pub(crate) subject_kind: PrincipalKind,
    /// OAuth scopes of an API key, and ids of machines of a machine token.
    pub(crate) scopes: Vec<String>,
    pub(crate) expires_at: Option<u64>,
    pub(crate) claims: Map<String, Value>,
}

impl CredentialResponse {
    /// Parses the body of a 200 at `now`, in seconds since 1970-01-01T00:00:00Z. `leeway` is the
    /// tolerated difference between the clocks of Clerk and this machine.
    pub(crate) fn parse(
        token_type: TokenType,
        body: &[u8],
        now: u64,
        leeway: Duration,
    ) -> Result<Self, VerifyError> {
        let response = JsonObject::parse(body)
            .filter(|response| is_response_about(token_type, response))
            .ok_or_else(|| unusable("the response is not a JSON object about such a credential"))?;
        let expires_at = expiration(response.get("expiration"))?;
        reject_flagged(&response, expires_at, now.saturating_sub(leeway.as_secs()))?;
        let incomplete = || unusable("the response lacks a required member, or has an invalid one");
        let subject = response.get("subject").and_then(Value::as_str);
        let subject = subject.filter(|subject| !subject.is_empty()).ok_or_else(incomplete)?;
        let subject_kind = check_subject(token_type, subject)?;
        let subject = subject.to_owned();
        Ok(Self::read_active(response, subject, subject_kind, expires_at).ok_or_else(incomplete)?)
    }

    /// Reads a credential that is neither revoked nor expired. A missing member is never treated as
    /// approval, and neither is one of another type.
    fn read_active(
        mut response: JsonObject<'_>,
        subject: String,
        subject_kind: PrincipalKind,
        expires_at: Option<u64>,
    ) -> Option<Self> {
        let is_false = |name| response.get(name) == Some(&Value::Bool(false));
        if !(is_false("revoked") && is_false("expired")) {
            return None;
        }
        let Some(Value::Array(scopes)) = response.take("scopes") else { return None };
        let string = |value| if let Value::String(text) = value { Some(text) } else { None };
        let claims = match response.take("claims") {
            None => Map::new(),
            Some(Value::Object(claims)) => claims,
            Some(_) => return None,
        };
        Some(Self {
            id: response.take("id").and_then(string),
            subject,
            subject_kind,
            scopes: scopes.into_iter().map(string).collect::<Option<_>>()?,
            expires_at,
            claims,
        })
    }
}

/// Returns what the subject is, and rejects one that no credential of this type has.
fn check_subject(token_type: TokenType, subject: &str) -> Result<PrincipalKind, VerifyError> {
    let may_be_of_any_kind = token_type == TokenType::ApiKey;
    subject_kind(subject)
        .filter(|kind| may_be_of_any_kind || *kind == PrincipalKind::Machine)
        .ok_or_else(|| {
            VerifyError::new(VerifyErrorKind::WrongTokenType).with_detail(
                "the subject is not one that a credential of this type has: a user, an \
                 organization or a machine of an API key, and a machine of a machine token",
            )
        })
}

fn subject_kind(subject: &str) -> Option<PrincipalKind> {
    if is_user_id(subject) {
        return Some(PrincipalKind::User);
    }
    if is_organization_id(subject) {
        return Some(PrincipalKind::Organization);
    }
    is_machine_id(subject).then_some(PrincipalKind::Machine)
}

/// Parses `expiration`, in milliseconds. A credential without one does not expire.
fn expiration(value: Option<&Value>) -> Result<Option<u64>, VerifyError> {
    let Some(value) = value else { return Ok(None) };
    let milliseconds = value.as_f64().filter(|time| (0.0..=MAX_MILLISECONDS).contains(time));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range was checked above"
    )]
    milliseconds
        .map(|milliseconds| Some((milliseconds / 1000.0).floor() as u64))
        .ok_or_else(|| unusable("the expiration is not a time in milliseconds").into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn parse(token_type: TokenType, change: Value) -> Result<CredentialResponse, VerifyErrorKind> {
        let object = if token_type == TokenType::ApiKey {
            json!({"object": "api_key", "type": "api_key", "id": "ak_1", "subject": "user_1",
                "claims": null, "scopes": ["a"]})
        } else {
            json!({"object": "machine_to_machine_token", "id": "mt_1", "subject": "mch_1",
                "claims": null, "scopes": ["mch_2"]})
        };
        let mut members = object.as_object().unwrap().clone();
        members.extend(
            json!({"revoked": false, "expired": false, "expiration": null})
                .as_object()
                .unwrap()
                .clone(),
        );
        for (name, value) in change.as_object().unwrap() {
            if value == "missing" {
                members.remove(name);
            } else {
                members.insert(name.clone(), value.clone());
            }
        }
        let body = Value::Object(members).to_string();
        CredentialResponse::parse(token_type, body.as_bytes(), NOW, Duration::from_secs(5))
            .map_err(|error| error.kind())
    }

    #[test]
    fn only_a_complete_response_approves() {
        use VerifyErrorKind::{Expired, Revoked, Unavailable, WrongTokenType};
        let both = [TokenType::ApiKey, TokenType::M2mToken];
        let rows = [
            (json!({}), None),
            (json!({"x": 1, "id": "missing", "claims": {"a": 1}, "scopes": []}), None),
            (json!({"expiration": NOW * 1000}), None),
            (json!({"expiration": (NOW - 4) * 1000}), None),
            (json!({"expiration": (NOW - 5) * 1000 + 999}), Some(Expired)),
            (json!({"expiration": (NOW - 5) * 1000}), Some(Expired)),
            // No guess: this time in seconds was in the year 1970.
            (json!({"expiration": NOW + 1000}), Some(Expired)),
            (json!({"expiration": 0}), Some(Expired)),
            (json!({"expiration": -1}), Some(Unavailable)),
            (json!({"expiration": "1800000000000"}), Some(Unavailable)),
            (json!({"expiration": 1e18}), Some(Unavailable)),
            (json!({"expired": true}), Some(Expired)),
            (json!({"revoked": true}), Some(Revoked)),
            (json!({"revoked": true, "expired": true}), Some(Revoked)),
            (json!({"revoked": "missing"}), Some(Unavailable)),
            (json!({"expired": "missing"}), Some(Unavailable)),
            (json!({"revoked": null}), Some(Unavailable)),
            (json!({"revoked": "false"}), Some(Unavailable)),
            (json!({"expired": 0}), Some(Unavailable)),
            (json!({"subject": "missing"}), Some(Unavailable)),
            (json!({"subject": ""}), Some(Unavailable)),
            (json!({"subject": "client_1"}), Some(WrongTokenType)),
            (json!({"subject": "MCH_1"}), Some(WrongTokenType)),
            (json!({"scopes": "missing"}), Some(Unavailable)),
            (json!({"scopes": "a"}), Some(Unavailable)),
            (json!({"scopes": ["a", 1]}), Some(Unavailable)),
            (json!({"claims": []}), Some(Unavailable)),
            (json!({"object": "missing"}), Some(Unavailable)),
            (json!({"object": "clerk_idp_oauth_access_token"}), Some(Unavailable)),
            (json!({"type": "session"}), Some(Unavailable)),
        ];
        for (change, expected) in rows {
            for token_type in both {
                let outcome = parse(token_type, change.clone());
                assert_eq!(outcome.err(), expected, "{token_type} {change}");
            }
        }
        let swapped =
            [(TokenType::ApiKey, "machine_to_machine_token"), (TokenType::M2mToken, "api_key")];
        for (token_type, object) in swapped {
            assert_eq!(parse(token_type, json!({"object": object})).err(), Some(Unavailable));
        }
    }

    #[test]
    fn the_subject_says_who_calls() {
        use PrincipalKind::{Machine, Organization, User};
        let rows = [
            (TokenType::ApiKey, "user_1", Some(User)),
            (TokenType::ApiKey, "org_1", Some(Organization)),
            (TokenType::ApiKey, "mch_1", Some(Machine)),
            (TokenType::ApiKey, "org_", None),
            (TokenType::M2mToken, "mch_1", Some(Machine)),
            (TokenType::M2mToken, "user_1", None),
            (TokenType::M2mToken, "org_1", None),
        ];
        for (token_type, subject, expected) in rows {
            let outcome = parse(token_type, json!({"subject": subject}));
            let kind = outcome.ok().map(|response| response.subject_kind);
            assert_eq!(kind, expected, "{token_type} {subject}");
        }
    }
}
