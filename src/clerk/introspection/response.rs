//! What the Backend API says about an opaque token. An answer is no proof until every member of it has been read.

use serde_json::{Map, Value};

use crate::error::{ClerkError, ClerkErrorKind, VerifyError, VerifyErrorKind};
use crate::jwt::{JsonObject, Name, actor, audience};
use crate::oauth::{Actor, Scopes};

const OBJECT: &str = "clerk_idp_oauth_access_token";
const TYPE: &str = "oauth:access_token";
/// Above this, `expiration` counts milliseconds and not seconds (as seconds, it would be the year 5138).
const MAX_SECONDS: f64 = 1e11;

/// The members that are looked at, and those that say nothing more: `id` may be the token itself.
#[derive(Clone, Copy, Debug)]
enum Member {
    Subject,
    ClientId,
    Scopes,
    Aud,
    OrgId,
    Act,
    Expiration,
    Object,
    Type,
    Active,
    Revoked,
    Expired,
    Id,
}

impl Name for Member {
    const COUNT: usize = 13;

    fn of(text: &str) -> Option<Self> {
        Some(match text {
            "subject" => Self::Subject,
            "client_id" => Self::ClientId,
            "scopes" => Self::Scopes,
            "aud" => Self::Aud,
            "org_id" => Self::OrgId,
            "act" => Self::Act,
            "expiration" => Self::Expiration,
            "object" => Self::Object,
            "type" => Self::Type,
            "active" => Self::Active,
            "revoked" => Self::Revoked,
            "expired" => Self::Expired,
            "id" => Self::Id,
            _ => return None,
        })
    }

    fn index(self) -> usize {
        self as usize
    }
}

/// A token that Clerk vouches for. Its audience has not been looked at.
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
    /// Reads the body of a 200 at this time, in seconds since 1970-01-01T00:00:00Z.
    pub(crate) fn parse(body: &[u8], now: u64) -> Result<Self, VerifyError> {
        let answer = JsonObject::parse(body).ok_or_else(|| {
            unusable("the answer about a token is not a JSON object with unique members")
        })?;
        let expires_at = expiration(answer.get(Member::Expiration))?;
        refuse_inactive(&answer, expires_at, now)?;
        Self::read(answer, expires_at)
            .ok_or_else(|| unusable("the answer about a token lacks what would prove it").into())
    }

    /// All that has to be there for a yes: silence is none, and neither is a word that means something else.
    fn read(mut answer: JsonObject<Member>, expires_at: Option<u64>) -> Option<Self> {
        let is_no = |name| answer.get(name) == Some(&Value::Bool(false));
        let is_ours = answer.get(Member::Object).and_then(Value::as_str) == Some(OBJECT)
            && answer.get(Member::Type).is_none_or(|class| class.as_str() == Some(TYPE))
            && answer.get(Member::Active).is_none_or(|active| *active == Value::Bool(true));
        if !(is_ours && is_no(Member::Revoked) && is_no(Member::Expired)) {
            return None;
        }
        let scopes = answer.take(Member::Scopes)?;
        let scopes: Option<Vec<&str>> = scopes.as_array()?.iter().map(Value::as_str).collect();
        let token = Self {
            subject: text(&mut answer, Member::Subject)?,
            client_id: text(&mut answer, Member::ClientId)?,
            scopes: Scopes::granted(scopes?),
            expires_at,
            audience: audience(answer.take(Member::Aud))?,
            org_id: text(&mut answer, Member::OrgId),
            actor: actor(answer.take(Member::Act))?,
            rest: answer.into_rest(),
        };
        Some(token)
    }
}

/// What Clerk says with a 200 about a token that is good no longer.
fn refuse_inactive(
    answer: &JsonObject<Member>,
    expires_at: Option<u64>,
    now: u64,
) -> Result<(), VerifyError> {
    let is = |name, flag: bool| answer.get(name) == Some(&Value::Bool(flag));
    let refused = |kind, detail| Err(VerifyError::new(kind).with_detail(detail));
    if is(Member::Active, false) {
        return refused(VerifyErrorKind::UnknownToken, "Clerk says that the token is not active");
    }
    if is(Member::Revoked, true) {
        return refused(VerifyErrorKind::Revoked, "Clerk says that the token was revoked");
    }
    if is(Member::Expired, true) || expires_at.is_some_and(|expires_at| expires_at <= now) {
        return refused(VerifyErrorKind::Expired, "Clerk says that the token has expired");
    }
    let subject = answer.get(Member::Subject).and_then(Value::as_str).unwrap_or_default();
    if subject.starts_with("mch_") {
        return refused(VerifyErrorKind::WrongTokenType, "the token belongs to a machine");
    }
    Ok(())
}

/// Seconds or milliseconds; `null` and nothing at all mean that the token does not expire.
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
        .ok_or_else(|| unusable("the token's expiration is no time").into())
}

/// A text that is not empty.
fn text(answer: &mut JsonObject<Member>, name: Member) -> Option<String> {
    match answer.take(name) {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        _ => None,
    }
}

fn unusable(detail: &'static str) -> ClerkError {
    ClerkError::new(ClerkErrorKind::InvalidResponse, detail)
}
