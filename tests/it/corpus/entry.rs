//! What stands in the tables: a token, what is to become of it, and the rule that says so.

use clerk_mcp_tools::VerifyErrorKind as Kind;
use clerk_mcp_tools::testing::{FakeClerk, TokenBuilder};
use serde_json::{Value, json};

use super::draft::Draft;
use crate::support::{NOW, RESOURCE};

/// What the tables are made for.
pub(super) struct Stage {
    pub(super) issuer: String,
    /// The id of a published key that is not the corpus's.
    pub(super) other_key_id: String,
    /// Where somebody listens who must never be called.
    pub(super) trap: String,
}

impl Stage {
    /// A good token, to be changed.
    pub(super) fn jwt(&self) -> Draft {
        Draft::good(&self.issuer)
    }
}

pub(super) struct Entry {
    pub(super) name: String,
    /// The RFC and section, or the fact about Clerk, that the verdict follows from.
    pub(super) rule: &'static str,
    pub(super) token: Token,
    pub(super) verdict: Verdict,
    /// Where a verifier with one PEM key, which looks at no key id and does RS256 only, comes to another verdict.
    pub(super) by_pem: Option<Verdict>,
    /// Whether a request with this token is one without a token.
    pub(super) is_no_token: bool,
}

pub(super) enum Token {
    Text(String),
    /// One on record at the instance.
    Opaque(fn(TokenBuilder) -> TokenBuilder),
}

pub(super) enum Verdict {
    Refused(Why),
    /// Let in, as the usual caller with these differences (RFC 7396).
    Accepted(Value),
    /// Good, and without the scopes that the layer asks for.
    Narrow(Value),
    /// Not to be had while Clerk does not answer. No entry says so: it follows from the others.
    Unavailable,
}

/// The kind of an error and a part of its detail, by which one rule is told from the next.
pub(super) type Why = (Kind, &'static str);

pub(super) const NO_TOKEN: Why =
    (Kind::Malformed, "the credentials are not a token68, or are too long");
pub(super) const NO_FORMAT: Why = (Kind::Malformed, "neither a JWT nor an opaque token");
pub(super) const NO_OPAQUE: Why = (Kind::Malformed, "an invalid form after oat_");
pub(super) const CLERK_KEY: Why =
    (Kind::WrongTokenType, "a machine token, an API key or a key of Clerk's");
pub(super) const NO_JWS: Why = (Kind::Malformed, "not a JWS of three parts");
pub(super) const CRITICAL: Why = (Kind::Malformed, "a critical extension");
pub(super) const NESTED: Why = (Kind::Malformed, "the payload is another token or encrypted");
pub(super) const ALGORITHM: Why =
    (Kind::UnsupportedAlgorithm, "`alg` is not RS256, RS384 or RS512");
pub(super) const NOT_THE_KEYS: Why = (Kind::UnsupportedAlgorithm, "`alg` is not that of the key");
pub(super) const TYP: Why = (Kind::WrongTokenType, "`typ` is not at+jwt");
pub(super) const CATEGORY: Why = (Kind::WrongTokenType, "`cat` is that of another class");
pub(super) const NO_KEY_ID: Why = (Kind::UnknownKey, "the header has no `kid`");
pub(super) const UNKNOWN_KEY: Why = (Kind::UnknownKey, "no key of the instance");
pub(super) const SIGNATURE: Why = (Kind::InvalidSignature, "the signature does not match");
pub(super) const NO_CLAIMS: Why =
    (Kind::InvalidClaim, "not a JSON object with unique member names");
pub(super) const ISSUER: Why = (Kind::InvalidIssuer, "`iss` is not");
pub(super) const NO_EXP: Why = (Kind::InvalidClaim, "`exp` is missing");
pub(super) const EXPIRED: Why = (Kind::Expired, "`exp` has passed");
pub(super) const NBF: Why = (Kind::NotYetValid, "`nbf` is in the future");
pub(super) const IAT: Why = (Kind::NotYetValid, "`iat` is in the future");
pub(super) const TIME: Why = (Kind::InvalidClaim, "is not a number of seconds");
pub(super) const NO_SUB: Why = (Kind::InvalidClaim, "`sub` is missing");
pub(super) const MACHINE: Why = (Kind::WrongTokenType, "`sub` is a machine");
pub(super) const NO_CLIENT: Why = (Kind::InvalidClaim, "`client_id` is missing");
pub(super) const TEXT: Why = (Kind::InvalidClaim, "is not a non-empty string");
pub(super) const SCP: Why = (Kind::InvalidClaim, "`scp` is not an array of strings");
pub(super) const SCOPE: Why = (Kind::InvalidClaim, "`scope` is not a string");
pub(super) const AUD: Why =
    (Kind::InvalidClaim, "`aud` is neither a string nor an array of strings");
pub(super) const ACT: Why = (Kind::InvalidClaim, "`act` is not an actor");
pub(super) const NO_AUDIENCE: Why = (Kind::InvalidAudience, "the token names no audience");
pub(super) const OTHER_AUDIENCE: Why = (Kind::InvalidAudience, "issued for another resource");

pub(super) fn refused(
    name: impl Into<String>,
    rule: &'static str,
    why: Why,
    token: impl Into<Token>,
) -> Entry {
    Entry::new(name, rule, Verdict::Refused(why), token)
}

pub(super) fn accepted(
    name: impl Into<String>,
    rule: &'static str,
    differences: Value,
    token: impl Into<Token>,
) -> Entry {
    Entry::new(name, rule, Verdict::Accepted(differences), token)
}

pub(super) fn narrow(
    name: impl Into<String>,
    rule: &'static str,
    differences: Value,
    token: impl Into<Token>,
) -> Entry {
    Entry::new(name, rule, Verdict::Narrow(differences), token)
}

impl Verdict {
    /// Whether it is that of a look at the token alone, without a key.
    pub(super) fn needs_nothing(&self) -> bool {
        let at_a_look = [CLERK_KEY, ALGORITHM, TYP, CATEGORY, NO_KEY_ID];
        matches!(self, Self::Refused(why) if why.0 == Kind::Malformed || at_a_look.contains(why))
    }

    /// Whether it cannot be had from the keys at hand: there may be a new one, or the token may be one that only Clerk
    /// knows.
    pub(super) fn needs_clerk(&self) -> bool {
        matches!(self, Self::Refused((Kind::UnknownToken, _)))
            || matches!(self, Self::Refused(why) if *why == UNKNOWN_KEY)
    }
}

/// What `verify_clerk_token` says of it. The layer sees at a glance what that finds when it takes the token apart.
pub(super) fn directly((kind, detail): Why) -> Why {
    if [NO_TOKEN, NO_FORMAT].contains(&(kind, detail)) {
        (kind, "the token ")
    } else {
        (kind, detail)
    }
}

/// No difference from the usual caller.
pub(super) fn usual() -> Value {
    json!({})
}

impl Entry {
    fn new(
        name: impl Into<String>,
        rule: &'static str,
        verdict: Verdict,
        token: impl Into<Token>,
    ) -> Self {
        let (name, token) = (name.into(), token.into());
        Self { name, rule, token, verdict, by_pem: None, is_no_token: false }
    }

    pub(super) fn by_pem(mut self, verdict: Verdict) -> Self {
        self.by_pem = Some(verdict);
        self
    }

    pub(super) fn without_credentials(mut self) -> Self {
        self.is_no_token = true;
        self
    }
}

impl From<Draft> for Token {
    fn from(draft: Draft) -> Self {
        Self::Text(draft.finish())
    }
}

impl From<String> for Token {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Token {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl Token {
    /// The text of one that is nowhere on record.
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Opaque(_) => None,
        }
    }

    pub(super) fn text(&self, clerk: &FakeClerk) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Opaque(change) => {
                let usual = clerk.mint().subject("user_corpus").client_id("client_corpus");
                change(usual.audience(RESOURCE).issued_at(NOW).expires_at(NOW + 3600)).opaque()
            }
        }
    }

    /// The usual caller with these differences, in the serde form of `AuthInfo`: every field of it.
    pub(super) fn caller(&self, text: &str, differences: &Value) -> Value {
        let claims = match self {
            Self::Text(_) => json!({"iat": NOW, "nbf": NOW, "jti": "oat_corpus"}),
            Self::Opaque(_) => {
                json!({"created_at": NOW, "updated_at": NOW, "revocation_reason": null})
            }
        };
        let mut caller = json!({
            "token": text,
            "clientId": "client_corpus",
            "scopes": ["profile", "email"],
            "expiresAt": NOW + 3600,
            "resource": RESOURCE,
            "extra": {"userId": "user_corpus", "aud": [RESOURCE], "claims": claims},
        });
        merge(&mut caller, differences);
        caller
    }
}

/// RFC 7396 section 2.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut target[name], value);
        }
    }
}
