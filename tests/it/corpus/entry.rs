//! The entries of the corpus: a token, its expected verdict, and the rule that requires it.

use clerk_mcp_tools::VerifyErrorKind as Kind;
use clerk_mcp_tools::testing::{FakeClerk, TokenBuilder};
use serde_json::{Value, json};

use super::jwt_builder::JwtBuilder;
use crate::support::{NOW, RESOURCE};

/// The values that the tables build their tokens from.
pub(super) struct TokenParams {
    pub(super) issuer: String,
    /// The id of another published key, which no token of the corpus is signed with.
    pub(super) other_key_id: String,
    /// An origin that no verifier may ever connect to.
    pub(super) forbidden_origin: String,
}

impl TokenParams {
    /// Starts a valid token.
    pub(super) fn jwt(&self) -> JwtBuilder {
        JwtBuilder::valid(&self.issuer)
    }
}

/// One row of the corpus.
pub(super) struct Entry {
    pub(super) name: String,
    /// The RFC and section, or the property of Clerk, that the verdict follows from.
    pub(super) rule: &'static str,
    pub(super) token: Token,
    pub(super) verdict: Verdict,
    /// The verdict with a single PEM key, where it differs: such a verifier ignores `kid` and
    /// accepts RS256 only.
    pub(super) with_pem_key: Option<Verdict>,
    /// Whether the layer treats a request with this token as one without credentials.
    pub(super) counts_as_missing: bool,
}

pub(super) enum Token {
    /// The token itself.
    Literal(String),
    /// An opaque token that the instance issues and keeps a record of.
    Opaque(fn(TokenBuilder) -> TokenBuilder),
}

pub(super) enum Verdict {
    Rejected(Reason),
    /// Accepted, as the default caller with these differences (a merge patch, RFC 7396).
    Accepted(Value),
    /// Valid, but without the scopes that the layer requires.
    InsufficientScope(Value),
    /// Not decidable during an outage of Clerk. No entry names it: the runner derives it.
    Unavailable,
}

/// The kind of an error, and a part of its detail that identifies the rule.
pub(super) type Reason = (Kind, &'static str);

pub(super) const NOT_TOKEN68: Reason =
    (Kind::Malformed, "the credentials are not a token68, or are too long");
pub(super) const UNKNOWN_FORMAT: Reason = (Kind::Malformed, "neither a JWT nor an opaque token");
pub(super) const INVALID_OPAQUE: Reason = (Kind::Malformed, "an invalid form after oat_");
pub(super) const CLERK_KEY: Reason =
    (Kind::WrongTokenType, "a secret key or a publishable key of Clerk's");
pub(super) const API_KEY: Reason = (Kind::WrongTokenType, "the token is an API key");
pub(super) const MACHINE_TOKEN: Reason = (Kind::WrongTokenType, "the token is a machine token");
pub(super) const SESSION_TOKEN: Reason = (Kind::WrongTokenType, "the token is a session token");
pub(super) const INVALID_JWS: Reason = (Kind::Malformed, "not a JWS of three parts");
pub(super) const CRITICAL_EXTENSION: Reason = (Kind::Malformed, "a critical extension");
pub(super) const NESTED_TOKEN: Reason =
    (Kind::Malformed, "the payload is another token or encrypted");
pub(super) const UNSUPPORTED_ALGORITHM: Reason =
    (Kind::UnsupportedAlgorithm, "`alg` is not RS256, RS384 or RS512");
pub(super) const KEY_ALGORITHM_MISMATCH: Reason =
    (Kind::UnsupportedAlgorithm, "`alg` is not that of the key");
pub(super) const WRONG_TYP: Reason = (Kind::WrongTokenType, "`typ` is not at+jwt");
pub(super) const WRONG_CAT: Reason = (Kind::WrongTokenType, "`cat` is that of another class");
pub(super) const MISSING_KID: Reason = (Kind::UnknownKey, "the header has no `kid`");
pub(super) const UNKNOWN_KID: Reason = (Kind::UnknownKey, "no key of the instance");
pub(super) const INVALID_SIGNATURE: Reason =
    (Kind::InvalidSignature, "the signature does not match");
pub(super) const INVALID_CLAIMS_JSON: Reason =
    (Kind::InvalidClaim, "not a JSON object with unique member names");
pub(super) const WRONG_ISS: Reason = (Kind::InvalidIssuer, "`iss` is not");
pub(super) const MISSING_EXP: Reason = (Kind::InvalidClaim, "`exp` is missing");
pub(super) const EXPIRED: Reason = (Kind::Expired, "`exp` has passed");
pub(super) const NOT_YET_VALID: Reason = (Kind::NotYetValid, "`nbf` is in the future");
pub(super) const ISSUED_IN_FUTURE: Reason = (Kind::NotYetValid, "`iat` is in the future");
pub(super) const INVALID_TIME: Reason = (Kind::InvalidClaim, "is not a number of seconds");
pub(super) const MISSING_SUB: Reason = (Kind::InvalidClaim, "`sub` is missing");
pub(super) const NOT_A_USER: Reason = (Kind::WrongTokenType, "the token's subject is not a user");
pub(super) const MISSING_CLIENT_ID: Reason = (Kind::InvalidClaim, "`client_id` is missing");
pub(super) const INVALID_STRING: Reason = (Kind::InvalidClaim, "is not a non-empty string");
pub(super) const INVALID_SCP: Reason = (Kind::InvalidClaim, "`scp` is not an array of strings");
pub(super) const INVALID_SCOPE: Reason = (Kind::InvalidClaim, "`scope` is not a string");
pub(super) const INVALID_AUD: Reason =
    (Kind::InvalidClaim, "`aud` is neither a string nor an array of strings");
pub(super) const TOO_MANY_SCOPES: Reason =
    (Kind::InvalidClaim, "the token has more than 200 scopes");
pub(super) const SENDER_CONSTRAINED: Reason =
    (Kind::InvalidClaim, "only bearer tokens are accepted");
pub(super) const INVALID_ACT: Reason = (Kind::InvalidClaim, "`act` is not an actor");
pub(super) const MISSING_AUDIENCE: Reason = (Kind::InvalidAudience, "the token names no audience");
pub(super) const WRONG_AUDIENCE: Reason = (Kind::InvalidAudience, "issued for another resource");

/// When the JWTs of the corpus were issued, unless an entry says otherwise: so long before the key
/// set is fetched that no newer key can have signed them.
pub(super) const ISSUED: u64 = NOW - 3600;

pub(super) fn rejected(
    name: impl Into<String>,
    rule: &'static str,
    reason: Reason,
    token: impl Into<Token>,
) -> Entry {
    Entry::new(name, rule, Verdict::Rejected(reason), token)
}

pub(super) fn accepted(
    name: impl Into<String>,
    rule: &'static str,
    differences: Value,
    token: impl Into<Token>,
) -> Entry {
    Entry::new(name, rule, Verdict::Accepted(differences), token)
}

pub(super) fn insufficient_scope(
    name: impl Into<String>,
    rule: &'static str,
    differences: Value,
    token: impl Into<Token>,
) -> Entry {
    Entry::new(name, rule, Verdict::InsufficientScope(differences), token)
}

impl Verdict {
    /// Whether it follows from the token alone, without any key.
    pub(super) fn needs_no_key(&self) -> bool {
        let before_keys = [
            CLERK_KEY,
            API_KEY,
            MACHINE_TOKEN,
            SESSION_TOKEN,
            UNSUPPORTED_ALGORITHM,
            WRONG_TYP,
            WRONG_CAT,
            MISSING_KID,
        ];
        matches!(self, Self::Rejected(reason) if reason.0 == Kind::Malformed || before_keys.contains(reason))
    }

    /// Whether cached keys cannot decide: only Clerk knows the token.
    pub(super) fn needs_clerk(&self) -> bool {
        matches!(self, Self::Rejected((Kind::UnknownToken, _)))
    }
}

/// The reason that `verify_clerk_token` gives. The layer checks the syntax before it calls the
/// verifier, and so reports a syntax error with another detail.
pub(super) fn reason_from_verifier((kind, detail): Reason) -> Reason {
    if [NOT_TOKEN68, UNKNOWN_FORMAT].contains(&(kind, detail)) {
        (kind, "the token ")
    } else {
        (kind, detail)
    }
}

/// No differences from the default caller.
pub(super) fn default_caller() -> Value {
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
        Self { name, rule, token, verdict, with_pem_key: None, counts_as_missing: false }
    }

    pub(super) fn with_pem_key(mut self, verdict: Verdict) -> Self {
        self.with_pem_key = Some(verdict);
        self
    }

    pub(super) fn counting_as_missing(mut self) -> Self {
        self.counts_as_missing = true;
        self
    }
}

impl From<JwtBuilder> for Token {
    fn from(builder: JwtBuilder) -> Self {
        Self::Literal(builder.finish())
    }
}

impl From<String> for Token {
    fn from(token: String) -> Self {
        Self::Literal(token)
    }
}

impl From<&str> for Token {
    fn from(token: &str) -> Self {
        Self::Literal(token.to_owned())
    }
}

impl Token {
    /// The token, unless the instance has to issue it.
    pub(super) fn as_literal(&self) -> Option<&str> {
        match self {
            Self::Literal(token) => Some(token),
            Self::Opaque(_) => None,
        }
    }

    /// The token as it is sent. Issues an opaque token anew each time.
    pub(super) fn serialize(&self, clerk: &FakeClerk) -> String {
        match self {
            Self::Literal(token) => token.clone(),
            Self::Opaque(change) => {
                let mint = clerk.mint().subject("user_corpus").client_id("client_corpus");
                change(mint.audience(RESOURCE).issued_at(NOW).expires_at(NOW + 3600)).opaque()
            }
        }
    }

    /// The default caller with these differences, as the JSON form of `AuthInfo`, all fields.
    pub(super) fn caller(&self, token: &str, differences: &Value) -> Value {
        let claims = match self {
            Self::Literal(_) => json!({"iat": ISSUED, "nbf": NOW, "jti": "oat_corpus"}),
            Self::Opaque(_) => {
                json!({"created_at": NOW, "updated_at": NOW, "revocation_reason": null})
            }
        };
        let mut caller = json!({
            "token": token,
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

/// Applies a merge patch (RFC 7396 section 2).
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
