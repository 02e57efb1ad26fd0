//! Requests for tokens and their revocation (RFC 6749 sections 4.1.3 and 6, RFC 7009), with the
//! authentication of the client (RFC 6749 section 2.3).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::error::OAuthCode;
use super::failure::{Failure, FailureKind};
use super::form;
use super::http::{FullResponse, Http};
use super::record::{AuthMethod, ClientRecord};
use crate::oauth::{AccessToken, MAX_TOKEN_BYTES, Scopes, check_token68};

/// All scopes of a grant, as one string. More would make a record too long to be stored.
pub(super) const MAX_SCOPE_BYTES: usize = 8 * 1024;
/// A lifetime that is longer is cut to this: a hundred years.
const MAX_LIFETIME: u64 = 100 * 365 * 24 * 60 * 60;

/// A client with its secret.
pub(super) struct Credentials<'a> {
    pub(super) client: &'a ClientRecord,
    pub(super) secret: Option<&'a str>,
}

/// What the token endpoint issued.
pub(super) struct TokenSet {
    pub(super) access_token: AccessToken,
    pub(super) refresh_token: Option<String>,
    /// In seconds from the response.
    pub(super) expires_in: Option<u64>,
    /// `None` if they are those that were requested (RFC 6749 section 5.1).
    pub(super) scopes: Option<Scopes>,
}

/// Why the token endpoint issued nothing.
#[derive(Debug)]
pub(super) enum TokenFailure {
    /// `invalid_grant`: the code or the refresh token is not valid.
    Grant,
    /// `invalid_client`: the client is unknown, or its authentication failed.
    Client,
    /// Any other error, which says nothing about the grant.
    Other { code: Option<OAuthCode>, failure: Failure },
}

impl TokenFailure {
    fn new(code: Option<OAuthCode>, failure: Failure) -> Self {
        match code {
            Some(OAuthCode::INVALID_GRANT) => Self::Grant,
            Some(OAuthCode::INVALID_CLIENT) => Self::Client,
            code => Self::Other { code, failure },
        }
    }
}

/// Redeems a code at the token endpoint that was pinned when the sign-in began.
pub(super) async fn redeem(
    http: &Http,
    endpoint: &str,
    credentials: &Credentials<'_>,
    code: &str,
    verifier: &str,
    redirect_uri: &str,
    resource: &str,
) -> Result<TokenSet, TokenFailure> {
    let pairs = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("code_verifier", verifier),
        ("redirect_uri", redirect_uri),
        ("resource", resource),
    ];
    request(http, endpoint, credentials, &pairs).await
}

/// Redeems a refresh token. Without a `scope` the new access token has all that was granted.
pub(super) async fn refresh(
    http: &Http,
    endpoint: &str,
    credentials: &Credentials<'_>,
    refresh_token: &str,
    resource: &str,
) -> Result<TokenSet, TokenFailure> {
    let pairs =
        [("grant_type", "refresh_token"), ("refresh_token", refresh_token), ("resource", resource)];
    request(http, endpoint, credentials, &pairs).await
}

/// Revokes a token. Returns whether the authorization server said that it did.
pub(super) async fn revoke(
    http: &Http,
    endpoint: &str,
    credentials: &Credentials<'_>,
    token: &str,
    hint: &str,
) -> bool {
    let pairs = [("token", token), ("token_type_hint", hint)];
    match post(http, endpoint, credentials, &pairs).await {
        Ok(response) => response.status.is_success(),
        Err(failure) => {
            tracing::warn!(cause = %failure.detail, "failed to revoke a token");
            false
        }
    }
}

async fn request(
    http: &Http,
    endpoint: &str,
    credentials: &Credentials<'_>,
    pairs: &[(&str, &str)],
) -> Result<TokenSet, TokenFailure> {
    let other = |failure| TokenFailure::Other { code: None, failure };
    let response = post(http, endpoint, credentials, pairs).await.map_err(other)?;
    if response.status == StatusCode::OK {
        return token_set(&response).map_err(other);
    }
    Err(TokenFailure::new(error_code(&response), response.failure()))
}

async fn post(
    http: &Http,
    endpoint: &str,
    credentials: &Credentials<'_>,
    pairs: &[(&str, &str)],
) -> Result<FullResponse, Failure> {
    let Credentials { client, secret } = *credentials;
    let mut pairs = pairs.to_vec();
    let mut authorization = None;
    match (client.method, secret) {
        (AuthMethod::Basic, Some(secret)) => authorization = Some(basic(&client.id, secret)?),
        (AuthMethod::Post, Some(secret)) => {
            pairs.extend([("client_id", client.id.as_str()), ("client_secret", secret)]);
        }
        (_, _) => pairs.push(("client_id", &client.id)),
    }
    http.post_form(endpoint, &pairs, authorization).await
}

/// RFC 6749 section 2.3.1: both are form-encoded first.
fn basic(id: &str, secret: &str) -> Result<HeaderValue, Failure> {
    let pair = format!("{}:{}", form::encode_value(id), form::encode_value(secret));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)))
        .map_err(|_| Failure::new(FailureKind::Invalid, "the client's credentials are too long"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// RFC 6749 section 5.2: the error of a 400, or of a 401 if the client's authentication failed. A
/// proxy's 403 or 503 is no error of the authorization server, whatever its body.
pub(super) fn error_code(response: &FullResponse) -> Option<OAuthCode> {
    #[derive(Deserialize)]
    struct Body {
        error: String,
    }
    if !matches!(response.status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED) {
        return None;
    }
    let body: Body = serde_json::from_slice(&response.body).ok()?;
    OAuthCode::parse(&body.error)
}

fn token_set(response: &FullResponse) -> Result<TokenSet, Failure> {
    #[derive(Deserialize)]
    struct Body {
        access_token: String,
        token_type: String,
        expires_in: Option<Value>,
        refresh_token: Option<String>,
        scope: Option<String>,
    }
    let body: Body = response.json()?;
    let invalid = |detail: &'static str| Failure::new(FailureKind::Invalid, detail);
    if !body.token_type.eq_ignore_ascii_case("bearer") {
        return Err(invalid("the token is not a bearer token"));
    }
    check_token68(&body.access_token).map_err(|_| {
        invalid("the access token has characters that no token has, or is too long")
    })?;
    let refresh_token = body.refresh_token.filter(|token| !token.is_empty());
    if refresh_token.as_deref().is_some_and(|token| !is_refresh_token(token)) {
        return Err(invalid("the refresh token has characters that no token has, or is too long"));
    }
    let scopes = match body.scope {
        Some(scope) => {
            let is_short = scope.len() <= MAX_SCOPE_BYTES;
            let scopes = is_short.then(|| Scopes::granted(scope.split(' '))).flatten();
            Some(scopes.ok_or_else(|| invalid("the scope is too long"))?)
        }
        None => None,
    };
    Ok(TokenSet {
        access_token: AccessToken::from(body.access_token),
        refresh_token,
        expires_in: body.expires_in.as_ref().and_then(seconds),
        scopes,
    })
}

/// RFC 6749 appendix A.17. Escaped, other characters could make a record too long to be stored.
fn is_refresh_token(token: &str) -> bool {
    token.len() <= MAX_TOKEN_BYTES && token.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Some servers write a string, or a number with a fraction. A lifetime that cannot be read is
/// treated as one that is missing.
fn seconds(value: &Value) -> Option<u64> {
    let seconds = match value {
        Value::Number(number) => match number.as_u64() {
            Some(seconds) => seconds,
            None => number.as_f64().and_then(|seconds| format!("{seconds:.0}").parse().ok())?,
        },
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    Some(seconds.min(MAX_LIFETIME))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;

    fn response(status: u16, body: impl Into<Bytes>) -> FullResponse {
        FullResponse {
            status: StatusCode::from_u16(status).unwrap(),
            body: body.into(),
            retry_after: None,
        }
    }

    #[test]
    fn token_responses_are_read_and_checked() {
        let good = json!({ "access_token": "a.b-c", "token_type": "bEaRer" });
        let read = |change: Value| {
            let mut body = good.clone();
            body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            token_set(&response(200, body.to_string()))
        };
        let least = read(json!({})).unwrap();
        assert_eq!(least.access_token.expose(), "a.b-c");
        assert!(least.refresh_token.is_none() && least.scopes.is_none());
        for (expires_in, expected) in [
            (json!(null), None),
            (json!(3600), Some(3600)),
            (json!(0), Some(0)),
            (json!("3600"), Some(3600)),
            (json!(3600.0), Some(3600)),
            (json!(1e300), None),
            (json!(u64::MAX), Some(MAX_LIFETIME)),
            (json!(-1), None),
            (json!("soon"), None),
            (json!([1]), None),
        ] {
            let set = read(json!({ "expires_in": expires_in })).unwrap();
            assert_eq!(set.expires_in, expected, "{expires_in}");
        }
        let full = read(json!({ "refresh_token": "r \"~", "scope": "a  b" })).unwrap();
        assert_eq!(full.refresh_token.as_deref(), Some("r \"~"));
        assert_eq!(full.scopes.unwrap().to_string(), "a b");
        assert_eq!(read(json!({ "refresh_token": "" })).unwrap().refresh_token, None);
        for change in [
            json!({ "token_type": "mac" }),
            json!({ "token_type": null }),
            json!({ "access_token": "" }),
            json!({ "access_token": "a b" }),
            json!({ "access_token": "a\r\nX: y" }),
            json!({ "access_token": "a".repeat(MAX_TOKEN_BYTES + 1) }),
            json!({ "refresh_token": "a".repeat(MAX_TOKEN_BYTES + 1) }),
            json!({ "refresh_token": "a\u{1}" }),
            json!({ "refresh_token": "\u{e4}" }),
            json!({ "scope": ["a"] }),
            json!({ "scope": "a".repeat(MAX_SCOPE_BYTES + 1) }),
            json!({ "scope": "a ".repeat(201) }),
        ] {
            let failure = read(change.clone()).err().unwrap();
            assert_eq!(failure.kind, FailureKind::Invalid, "{change}");
        }
    }

    #[test]
    fn only_the_authorization_server_can_say_that_a_grant_is_invalid() {
        let rows = [
            (400, r#"{"error":"invalid_grant"}"#, "grant"),
            (401, r#"{"error":"invalid_grant","error_description":"x"}"#, "grant"),
            (401, r#"{"error":"invalid_client"}"#, "client"),
            (400, r#"{"error":"invalid_client"}"#, "client"),
            (400, r#"{"error":"invalid_scope"}"#, "other"),
            (400, r#"{"error":"something"}"#, "other"),
            (400, r#"{"error":["invalid_grant"]}"#, "other"),
            (400, "invalid_grant", "other"),
            (403, r#"{"error":"invalid_grant"}"#, "other"),
            (404, r#"{"error":"invalid_grant"}"#, "other"),
            (500, r#"{"error":"invalid_grant"}"#, "other"),
            (503, r#"{"error":"invalid_client"}"#, "other"),
            (302, r#"{"error":"invalid_grant"}"#, "other"),
        ];
        for (status, body, expected) in rows {
            let response = response(status, body);
            let failure = TokenFailure::new(error_code(&response), response.failure());
            let kind = match failure {
                TokenFailure::Grant => "grant",
                TokenFailure::Client => "client",
                TokenFailure::Other { .. } => "other",
            };
            assert_eq!(kind, expected, "{status} {body}");
        }
    }

    #[test]
    fn credentials_are_form_encoded_before_they_are_joined() {
        let value = basic("a:b", "c d%").unwrap();
        let encoded = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
        assert_eq!(STANDARD.decode(encoded).unwrap(), b"a%3Ab:c%20d%25");
        assert!(value.is_sensitive());
    }
}
