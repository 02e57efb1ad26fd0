//! The response of the token endpoint (RFC 8693 section 2.2).

use http::StatusCode;
use serde_json::Value;

use super::error::{ExchangeError, ExchangeErrorKind};
use super::request::{ACCESS_TOKEN, ExchangeRequest};
use crate::clerk::http::FullResponse;
use crate::error::{ClerkError, ClerkErrorKind};
use crate::jwt::JsonObject;
use crate::oauth::{AccessToken, Scopes, check_token68};

/// A longer life time is cut: a year.
const MAX_LIFETIME_SECONDS: u64 = 365 * 24 * 60 * 60;

/// The error codes that are known, and what they mean here.
const CODES: [(&str, ExchangeErrorKind, &str); 9] = {
    use ExchangeErrorKind::*;
    [
        ("invalid_client", Misconfigured, ""),
        (
            "unauthorized_client",
            Misconfigured,
            "the OAuth application may not exchange tokens: use a confidential one, and allow it \
             in the Clerk Dashboard",
        ),
        (
            "unsupported_grant_type",
            Misconfigured,
            "Clerk does not offer token exchange to this instance: it is a beta",
        ),
        (
            "invalid_target",
            InvalidTarget,
            "register the resource with the instance, byte for byte as it is requested, and allow \
             the OAuth application of this server to exchange tokens for it",
        ),
        ("invalid_scope", InvalidScope, "allow the scopes for the resource"),
        (
            "invalid_request",
            SubjectRejected,
            "it was revoked, or the resource of this server does not belong to its OAuth \
             application",
        ),
        ("invalid_grant", SubjectRejected, "it was revoked or is not accepted"),
        ("access_denied", Denied, "Clerk's rules do not allow it for this caller"),
        ("temporarily_unavailable", Unavailable, ""),
    ]
};

/// A token of another service, as it was issued.
#[derive(Debug)]
pub(super) struct IssuedToken {
    pub(super) access_token: AccessToken,
    pub(super) scopes: Scopes,
    /// In seconds.
    pub(super) lifetime: u64,
}

/// Why there is no token: an outage or a rejected client, which concern every further request as
/// well, or anything else.
pub(super) enum NoToken {
    Upstream(ClerkError),
    Other(ExchangeError),
}

/// Reads the response to a request.
pub(super) fn read(
    response: FullResponse,
    request: &ExchangeRequest,
) -> Result<IssuedToken, NoToken> {
    match response.status {
        StatusCode::OK => issued_token(&response.body, request).map_err(NoToken::Other),
        status if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => {
            Err(NoToken::Upstream(unavailable(&response)))
        }
        _ => Err(failed(&response)),
    }
}

fn issued_token(body: &[u8], request: &ExchangeRequest) -> Result<IssuedToken, ExchangeError> {
    let response = JsonObject::parse(body)
        .ok_or_else(|| unusable("it is not a JSON object with unique member names"))?;
    let string = |name: &str| response.get(name).and_then(Value::as_str);
    let token = string("access_token").filter(|token| check_token68(token).is_ok());
    let token = token.ok_or_else(|| unusable("it has no access token"))?;
    if token == request.subject_token.expose() {
        return Err(unusable("its token is that of the caller"));
    }
    if string("issued_token_type") != Some(ACCESS_TOKEN) {
        return Err(unusable("its issued_token_type is not that of an access token"));
    }
    if !string("token_type").is_some_and(|name| name.eq_ignore_ascii_case("bearer")) {
        return Err(unusable("its token_type is not bearer"));
    }
    let lifetime = response.get("expires_in").and_then(Value::as_u64).filter(|time| *time > 0);
    let lifetime = lifetime.ok_or_else(|| unusable("its expires_in is missing or not positive"))?;
    let scopes = granted(response.get("scope"), request)
        .ok_or_else(|| unusable("its scope is wider than requested, or no list of scopes"))?;
    Ok(IssuedToken {
        access_token: token.into(),
        scopes,
        lifetime: lifetime.min(MAX_LIFETIME_SECONDS),
    })
}

/// Returns the granted scopes. Without `scope` they are those that were requested (RFC 8693 section
/// 2.2.1).
fn granted(scope: Option<&Value>, request: &ExchangeRequest) -> Option<Scopes> {
    let Some(scope) = scope else { return Some(request.scopes.clone()) };
    let granted = Scopes::parse(scope.as_str()?).ok()?;
    let at_most = if request.scopes.is_empty() { &request.subject_scopes } else { &request.scopes };
    let is_within = granted.iter().all(|scope| at_most.contains(scope));
    is_within.then_some(granted)
}

fn failed(response: &FullResponse) -> NoToken {
    let body = JsonObject::parse(&response.body);
    let code = body.as_ref().and_then(|body| body.get("error")?.as_str());
    let known = CODES.into_iter().find(|(known, ..)| code == Some(*known));
    let rejects_client = || {
        let detail = "the token endpoint responded with invalid_client";
        NoToken::Upstream(ClerkError::new(ClerkErrorKind::Unauthorized, detail))
    };
    match (known, response.status) {
        (Some(("invalid_client", ..)), _) => rejects_client(),
        (Some((_, ExchangeErrorKind::Unavailable, _)), _) => {
            NoToken::Upstream(unavailable(response))
        }
        (Some((code, kind, detail)), _) => {
            NoToken::Other(ExchangeError::new(kind, detail).with_oauth_error(code))
        }
        (None, StatusCode::UNAUTHORIZED) => rejects_client(),
        (None, StatusCode::FORBIDDEN) => {
            let detail = "the token endpoint responded with 403";
            NoToken::Other(ExchangeError::new(ExchangeErrorKind::Denied, detail))
        }
        (None, status) => NoToken::Other(ExchangeError::new(
            ExchangeErrorKind::InvalidResponse,
            format!("the token endpoint responded with {}", status.as_u16()),
        )),
    }
}

fn unavailable(response: &FullResponse) -> ClerkError {
    let detail = format!("Clerk responded with {}", response.status.as_u16());
    ClerkError::new(ClerkErrorKind::Unavailable, detail).with_retry_after(response.retry_after)
}

/// `why` continues a sentence that begins with "it" or "its".
fn unusable(why: &'static str) -> ExchangeError {
    ExchangeError::new(
        ExchangeErrorKind::InvalidResponse,
        format!("the response of the token endpoint cannot be used: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::oauth::AuthInfo;

    fn scopes(list: &str) -> Scopes {
        Scopes::parse(list).unwrap()
    }

    fn request(list: &str) -> ExchangeRequest {
        let caller = AuthInfo::for_user("user_1", "subject".into()).scopes(scopes("a b c"));
        ExchangeRequest::new(&caller.build(), "https://a.example", &scopes(list), ("", 0)).unwrap()
    }

    fn body(change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> String {
        let mut body = json!({
            "access_token": "issued", "issued_token_type": ACCESS_TOKEN, "token_type": "BEARER",
            "expires_in": 60, "refresh_token": "ignored", "other": [1],
        });
        change(body.as_object_mut().unwrap());
        body.to_string()
    }

    #[test]
    fn a_token_may_have_fewer_scopes_and_never_more() {
        let rows = [
            ("a b", None, Some("a b")),
            ("a b", Some(json!("a b")), Some("a b")),
            ("a b", Some(json!("a")), Some("a")),
            ("a b", Some(json!("")), Some("")),
            ("a b", Some(json!("a b c")), None),
            ("a b", Some(json!("other")), None),
            ("a b", Some(json!(["a"])), None),
            ("", None, Some("")),
            ("", Some(json!("c")), Some("c")),
            ("", Some(json!("other")), None),
        ];
        for (requested, granted, expected) in rows {
            let body = body(|body| {
                granted.clone().map(|granted| body.insert("scope".into(), granted));
            });
            let token = issued_token(body.as_bytes(), &request(requested)).ok();
            let found = token.map(|token| token.scopes.to_string());
            assert_eq!(found.as_deref(), expected, "{requested:?} {granted:?}");
        }
    }

    #[test]
    fn whatever_is_not_as_requested_is_an_error() {
        type Change = fn(&mut serde_json::Map<String, Value>);
        let rows: [(Change, &str); 13] = [
            (|body| drop(body.remove("access_token")), "no access token"),
            (|body| body["access_token"] = json!(""), "no access token"),
            (|body| body["access_token"] = json!("a b"), "no access token"),
            (|body| body["access_token"] = json!("subject"), "that of the caller"),
            (|body| drop(body.remove("issued_token_type")), "issued_token_type"),
            (
                |body| {
                    body["issued_token_type"] =
                        json!("urn:ietf:params:oauth:token-type:refresh_token");
                },
                "issued_token_type",
            ),
            (|body| drop(body.remove("token_type")), "token_type is not bearer"),
            (|body| body["token_type"] = json!("DPoP"), "token_type is not bearer"),
            (|body| body["token_type"] = json!("N_A"), "token_type is not bearer"),
            (|body| drop(body.remove("expires_in")), "expires_in"),
            (|body| body["expires_in"] = json!(0), "expires_in"),
            (|body| body["expires_in"] = json!("60"), "expires_in"),
            (|body| body["expires_in"] = json!(-60), "expires_in"),
        ];
        for (change, expected) in rows {
            let body = body(change);
            let error = issued_token(body.as_bytes(), &request("a")).unwrap_err();
            assert_eq!(error.kind(), ExchangeErrorKind::InvalidResponse, "{body}");
            assert!(error.to_string().contains(expected), "{error}");
            assert!(!format!("{error} {error:?}").contains("issued\""), "{error:?}");
        }
        let repeated = r#"{"access_token":"a","access_token":"b"}"#;
        assert!(issued_token(repeated.as_bytes(), &request("a")).is_err());
        let long = body(|body| body["expires_in"] = json!(u64::MAX));
        let token = issued_token(long.as_bytes(), &request("a")).unwrap();
        assert_eq!(token.lifetime, MAX_LIFETIME_SECONDS);
    }
}
