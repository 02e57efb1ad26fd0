//! The type of a token. Clerk issues several, some of them signed with the same key, and every rule
//! that tells them apart is in this file.
//!
//! Each rule is a list of what is accepted, so that a type that Clerk adds is rejected until this
//! crate knows it. No token is of two types: the prefixes of opaque ones differ, and a JWT is an
//! OAuth access token by its `typ` alone, a machine token by the subject `mch_…`, and a session
//! token by a subject `user_…` with a session.

use serde_json::Value;

use super::object::JsonObject;
use super::reject;
use crate::error::{VerifyError, VerifyErrorKind};
use crate::oauth::TokenType;

/// What the opaque credentials start with.
const OPAQUE_PREFIXES: [(&str, TokenType); 3] =
    [("oat_", TokenType::OAuthToken), ("ak_", TokenType::ApiKey), ("mt_", TokenType::M2mToken)];

/// Secret keys and publishable keys. Anything else may be a JWT.
const KEY_PREFIXES: [&str; 2] = ["sk_", "pk_"];

/// What the ids of users, organizations and machines start with.
const USER_PREFIX: &str = "user_";
const ORGANIZATION_PREFIX: &str = "org_";
const MACHINE_PREFIX: &str = "mch_";

/// The header's `cat` of session tokens and of machine tokens. That of JWT templates is
/// `cl_B7d4PD222AAA`.
const SESSION_CATEGORY: &str = "cl_B7d4PD111AAA";
const MACHINE_CATEGORY: &str = "cl_B7d4PD333AAA";

/// The `object` and the `type` of the Backend API's responses about opaque credentials.
const ACCESS_TOKEN_OBJECT: &str = "clerk_idp_oauth_access_token";
const ACCESS_TOKEN_TYPE: &str = "oauth:access_token";
const API_KEY_OBJECT: &str = "api_key";
const API_KEY_TYPE: &str = "api_key";
const MACHINE_TOKEN_OBJECT: &str = "machine_to_machine_token";

/// The types of tokens that a verifier accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AcceptedTypes {
    pub(crate) oauth_tokens: bool,
    pub(crate) api_keys: bool,
    pub(crate) machine_tokens: bool,
    pub(crate) session_tokens: bool,
}

impl AcceptedTypes {
    #[cfg(test)]
    pub(crate) const OAUTH_ONLY: Self =
        Self { oauth_tokens: true, api_keys: false, machine_tokens: false, session_tokens: false };

    /// Rejects a token of a type that is not accepted.
    pub(crate) fn check(self, token_type: TokenType) -> Result<(), VerifyError> {
        let (is_accepted, detail) = match token_type {
            TokenType::OAuthToken => {
                (self.oauth_tokens, "the verifier is set up to reject OAuth access tokens")
            }
            TokenType::ApiKey => (
                self.api_keys,
                "the token is an API key, and the verifier does not accept API keys \
                 (accept_api_keys, MCP_ACCEPTS)",
            ),
            TokenType::M2mToken => (
                self.machine_tokens,
                "the token is a machine token, and the verifier does not accept machine tokens \
                 (accept_machine_tokens, MCP_ACCEPTS)",
            ),
            TokenType::SessionToken => (
                self.session_tokens,
                "the token is a session token, and the verifier does not accept session tokens \
                 (accept_session_tokens, MCP_ACCEPTS)",
            ),
        };
        if is_accepted { Ok(()) } else { Err(VerifyError::type_not_accepted(token_type, detail)) }
    }
}

/// Returns the type of an opaque token and what follows its prefix. `None` for what may be a JWT.
/// Rejects keys.
pub(crate) fn opaque_type(token: &str) -> Result<Option<(TokenType, &str)>, VerifyError> {
    let opaque = |(prefix, token_type): (&str, TokenType)| {
        token.strip_prefix(prefix).map(|rest| (token_type, rest))
    };
    if let Some(opaque) = OPAQUE_PREFIXES.into_iter().find_map(opaque) {
        return Ok(Some(opaque));
    }
    if KEY_PREFIXES.iter().any(|prefix| token.starts_with(prefix)) {
        return Err(other("the token is a secret key or a publishable key of Clerk's"));
    }
    Ok(None)
}

/// What the header of a JWT says about its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderType {
    OAuth,
    Machine,
    Session,
    /// Without `cat`: the claims tell which of the two it is.
    MachineOrSession,
}

/// Returns the type of a JWT by `typ` and `cat` of its header.
pub(super) fn header_type(header: &JsonObject<'_>) -> Result<HeaderType, VerifyError> {
    // RFC 9068 section 4.
    let is_access_token = |typ: &str| {
        typ.eq_ignore_ascii_case("at+jwt") || typ.eq_ignore_ascii_case("application/at+jwt")
    };
    let typ = header.get("typ").map(Value::as_str);
    let category = header.get("cat").map(Value::as_str);
    match (typ, category) {
        (Some(Some(typ)), None) if is_access_token(typ) => Ok(HeaderType::OAuth),
        (Some(Some(typ)), Some(_)) if is_access_token(typ) => {
            Err(other("the header's `cat` is that of another class of tokens"))
        }
        (Some(Some("JWT")), None) => Ok(HeaderType::MachineOrSession),
        (Some(Some("JWT")), Some(Some(SESSION_CATEGORY))) => Ok(HeaderType::Session),
        (Some(Some("JWT")) | None, Some(Some(MACHINE_CATEGORY))) => Ok(HeaderType::Machine),
        (None, None) => Ok(HeaderType::Machine),
        _ => Err(other(
            "the header's `typ` is not at+jwt, and with its `cat` it is that of no \
             token that is accepted",
        )),
    }
}

/// Returns the type of a JWT by its header and its claims; they may not be proven yet. A token whose
/// claims are those of no type is rejected.
pub(super) fn jwt_type(
    header: HeaderType,
    claims: &JsonObject<'_>,
) -> Result<TokenType, VerifyError> {
    if header == HeaderType::OAuth {
        return Ok(TokenType::OAuthToken);
    }
    let string = |name| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    let (subject, session) = (string("sub"), string("sid"));
    if header != HeaderType::Session && is_machine_id(subject) {
        return Ok(TokenType::M2mToken);
    }
    if header != HeaderType::Machine && is_user_id(subject) && !session.is_empty() {
        return Ok(TokenType::SessionToken);
    }
    Err(other(
        "the header's `typ` is not at+jwt, and the claims are neither those of a machine token nor \
         those of a session token",
    ))
}

/// Checks that the subject of an OAuth access token is a user: `user_` and at least one letter,
/// digit, `_` or `-`.
pub(crate) fn check_subject(subject: &str) -> Result<(), VerifyError> {
    if !is_user_id(subject) {
        return Err(other("the token's subject is not a user (`user_` and letters or digits)"));
    }
    Ok(())
}

pub(crate) fn is_user_id(id: &str) -> bool {
    is_id(id, USER_PREFIX)
}

pub(crate) fn is_organization_id(id: &str) -> bool {
    is_id(id, ORGANIZATION_PREFIX)
}

pub(crate) fn is_machine_id(id: &str) -> bool {
    is_id(id, MACHINE_PREFIX)
}

fn is_id(id: &str, prefix: &str) -> bool {
    let is_id_char = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    id.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(is_id_char))
}

/// Returns whether the Backend API's response is about an opaque credential of this type. `type` may
/// be absent.
pub(crate) fn is_response_about(token_type: TokenType, response: &JsonObject<'_>) -> bool {
    let (object, class) = match token_type {
        TokenType::OAuthToken => (ACCESS_TOKEN_OBJECT, Some(ACCESS_TOKEN_TYPE)),
        TokenType::ApiKey => (API_KEY_OBJECT, Some(API_KEY_TYPE)),
        TokenType::M2mToken => (MACHINE_TOKEN_OBJECT, None),
        TokenType::SessionToken => return false,
    };
    response.get("object").and_then(Value::as_str) == Some(object)
        && response.get("type").is_none_or(|value| class.is_some() && value.as_str() == class)
}

fn other(detail: &'static str) -> VerifyError {
    reject(VerifyErrorKind::WrongTokenType, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_users_are_subjects() {
        for id in ["user_1", "user_2abC", "user_a-b_c", "user__"] {
            assert!(check_subject(id).is_ok(), "{id}");
        }
        let others = [
            "",
            "user_",
            "user",
            "USER_1",
            "user-1",
            " user_1",
            "user_1 ",
            "user_1\n",
            "user_\0",
            "user_\u{e4}",
            "user_1/../user_2",
            "xuser_1",
            "mch_1",
            "org_1",
            "client_1",
            "ins_1",
            "service-1",
        ];
        for id in others {
            let error = check_subject(id).unwrap_err();
            assert_eq!(error.kind(), VerifyErrorKind::WrongTokenType, "{id:?}");
        }
    }

    #[test]
    fn header_and_claims_tell_the_type_of_a_jwt() {
        use TokenType::{M2mToken, OAuthToken, SessionToken};
        const SESSION: &str = r#","cat":"cl_B7d4PD111AAA""#;
        const TEMPLATE: &str = r#","cat":"cl_B7d4PD222AAA""#;
        const MACHINE: &str = r#","cat":"cl_B7d4PD333AAA""#;
        const JWT: &str = r#","typ":"JWT""#;
        const AT_JWT: &str = r#","typ":"at+jwt""#;
        let (user, machine) = (r#"{"sub":"user_1","sid":"sess_1"}"#, r#"{"sub":"mch_1"}"#);
        let rows = [
            (AT_JWT, "", user, Some(OAuthToken)),
            (AT_JWT, "", machine, Some(OAuthToken)),
            (AT_JWT, MACHINE, machine, None),
            (AT_JWT, SESSION, user, None),
            (AT_JWT, r#","cat":1"#, user, None),
            (JWT, MACHINE, machine, Some(M2mToken)),
            (JWT, "", machine, Some(M2mToken)),
            ("", MACHINE, machine, Some(M2mToken)),
            ("", "", machine, Some(M2mToken)),
            (JWT, SESSION, user, Some(SessionToken)),
            (JWT, "", user, Some(SessionToken)),
            // Nearly right.
            ("", SESSION, user, None),
            ("", "", user, None),
            (JWT, MACHINE, user, None),
            (JWT, SESSION, machine, None),
            (JWT, TEMPLATE, user, None),
            (JWT, TEMPLATE, machine, None),
            (JWT, r#","cat":"cl_b7d4pd333aaa""#, machine, None),
            (JWT, r#","cat":["cl_B7d4PD333AAA"]"#, machine, None),
            (r#","typ":"jwt""#, MACHINE, machine, None),
            (r#","typ":1"#, MACHINE, machine, None),
            (r#","typ":"application/jwt""#, "", user, None),
            (JWT, "", r#"{"sub":"user_1"}"#, None),
            (JWT, "", r#"{"sub":"user_1","sid":""}"#, None),
            (JWT, "", r#"{"sub":"user_1","sid":1}"#, None),
            (JWT, "", r#"{"sub":"org_1","sid":"sess_1"}"#, None),
            (JWT, "", r#"{"sub":"mch_"}"#, None),
            (JWT, "", r#"{"sub":"MCH_1"}"#, None),
            (JWT, MACHINE, r#"{"sub":["mch_1"]}"#, None),
            (JWT, "", "{}", None),
        ];
        for (typ, category, claims, expected) in rows {
            let header = format!("{{\"alg\":\"RS256\"{typ}{category}}}");
            let header_object = JsonObject::parse(header.as_bytes()).unwrap();
            let claims_object = JsonObject::parse(claims.as_bytes()).unwrap();
            let token_type =
                header_type(&header_object).and_then(|header| jwt_type(header, &claims_object));
            assert_eq!(token_type.ok(), expected, "{header} {claims}");
        }
    }

    #[test]
    fn prefixes_tell_the_type_of_an_opaque_token() {
        let rows = [
            ("oat_a", Some(("oauth_token", "a"))),
            ("ak_a", Some(("api_key", "a"))),
            ("mt_a", Some(("m2m_token", "a"))),
            ("AK_a", None),
            ("Mt_a", None),
            ("ak-a", None),
            ("xak_a", None),
            ("a.b.c", None),
        ];
        for (token, expected) in rows {
            let opaque = opaque_type(token).unwrap().map(|(class, rest)| (class.as_str(), rest));
            assert_eq!(opaque, expected, "{token}");
        }
        assert!(opaque_type("sk_test_a").is_err() && opaque_type("pk_test_a").is_err());
    }
}
