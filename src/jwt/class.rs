//! The class of a token. Clerk issues several, some of them signed with the same key; only OAuth
//! access tokens of users are accepted, and every rule about that is in this file.
//!
//! Each rule is a list of what is accepted, so that a class that Clerk adds is rejected until this
//! crate knows it.

use serde_json::Value;

use super::object::JsonObject;
use super::reject;
use crate::error::{VerifyError, VerifyErrorKind};

/// What the opaque OAuth access tokens start with.
pub(crate) const OPAQUE_PREFIX: &str = "oat_";

/// Machine tokens, API keys, secret keys and publishable keys. Anything else may be a JWT.
const OTHER_PREFIXES: [&str; 4] = ["mt_", "ak_", "sk_", "pk_"];

/// What the ids of users start with. Those of machines start with `mch_`, those of organizations
/// with `org_`.
const USER_PREFIX: &str = "user_";

/// The `object` and the `type` of the Backend API's response about an opaque access token.
const RESPONSE_OBJECT: &str = "clerk_idp_oauth_access_token";
const RESPONSE_TYPE: &str = "oauth:access_token";

/// Rejects a token with the prefix of another class.
pub(crate) fn check_prefix(token: &str) -> Result<(), VerifyError> {
    if OTHER_PREFIXES.iter().any(|prefix| token.starts_with(prefix)) {
        return Err(other("the token is a machine token, an API key or a key of Clerk's"));
    }
    Ok(())
}

/// Checks `typ` and `cat` of a JWT's header.
pub(super) fn check_header(header: &JsonObject<'_>) -> Result<(), VerifyError> {
    // RFC 9068 section 4.
    let is_access_token = |typ: &str| {
        typ.eq_ignore_ascii_case("at+jwt") || typ.eq_ignore_ascii_case("application/at+jwt")
    };
    if !header.get("typ").and_then(Value::as_str).is_some_and(is_access_token) {
        return Err(other("the header's `typ` is not at+jwt"));
    }
    // Clerk writes it for other classes: cl_B7d4PD111AAA for session tokens, cl_B7d4PD222AAA for
    // JWT templates, cl_B7d4PD333AAA for machine tokens.
    if header.get("cat").is_some() {
        return Err(other("the header's `cat` is that of another class of tokens"));
    }
    Ok(())
}

/// Checks that the subject of a token is a user: `user_` and at least one letter, digit, `_` or
/// `-`.
pub(crate) fn check_subject(subject: &str) -> Result<(), VerifyError> {
    let is_id_char = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let is_user = subject
        .strip_prefix(USER_PREFIX)
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(is_id_char));
    if !is_user {
        return Err(other("the token's subject is not a user (`user_` and letters or digits)"));
    }
    Ok(())
}

/// Returns whether the Backend API's response is about an OAuth access token. `type` may be absent.
pub(crate) fn is_access_token_response(response: &JsonObject<'_>) -> bool {
    response.get("object").and_then(Value::as_str) == Some(RESPONSE_OBJECT)
        && response.get("type").is_none_or(|class| class.as_str() == Some(RESPONSE_TYPE))
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
}
