//! The token endpoint (RFC 6749 section 3.2) and the revocation endpoint (RFC 7009).

use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::params::Params;
use super::{clients, pkce};
use crate::testing::request_log::RecordedRequest;
use crate::testing::response::{self, FakeResponse, OAuthError};
use crate::testing::state::claims;
use crate::testing::state::issued_token::{IssuedToken, ResponseOverrides};
use crate::testing::state::{AuthorizationCode, FakeInstance, Grant};
use crate::testing::token_format::TokenFormat;

const FORM: &str = "application/x-www-form-urlencoded";

/// Issues tokens for an authorization code or a refresh token.
pub(super) fn token(
    instance: &FakeInstance,
    request: &RecordedRequest,
) -> Result<FakeResponse, OAuthError> {
    let params = form(request)?;
    let client_id = clients::authenticate(instance, request, &params)?;
    match params.required("grant_type", "grant_type is missing")? {
        "authorization_code" => redeem(instance, &client_id, &params),
        "refresh_token" => refresh(instance, &client_id, &params),
        _ => Err(OAuthError::new(
            "unsupported_grant_type",
            "grant_type must be authorization_code or refresh_token",
        )),
    }
}

/// Revokes a token of the client. Responds with 200 even if there is none (RFC 7009 section 2.2).
pub(super) fn revoke(
    instance: &FakeInstance,
    request: &RecordedRequest,
) -> Result<FakeResponse, OAuthError> {
    let params = form(request)?;
    let client_id = clients::authenticate(instance, request, &params)?;
    let token = params.required("token", "token is missing")?;
    let mut records = instance.records();
    let of_refresh = records.refresh_tokens.get(token).map(|grant| grant.client_id.as_str());
    let of_access = || records.access_tokens.get(token)?.claims.get("client_id")?.as_str();
    if of_refresh.or_else(of_access) == Some(client_id.as_str()) {
        records.revoke(token);
    }
    Ok(response::empty(StatusCode::OK))
}

fn form(request: &RecordedRequest) -> Result<Params, OAuthError> {
    let content_type = request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.and_then(|value| value.split(';').next());
    if !media_type.is_some_and(|name| name.trim().eq_ignore_ascii_case(FORM)) {
        return Err(OAuthError::invalid_request("the body must be form-urlencoded"));
    }
    Ok(Params::parse(&request.body))
}

fn redeem(
    instance: &FakeInstance,
    client_id: &str,
    params: &Params,
) -> Result<FakeResponse, OAuthError> {
    let code = params.required("code", "code is missing")?;
    let code = take_code(instance, client_id, code)?;
    check_redirect_uri(&code, params)?;
    check_verifier(&code, params)?;

    let requested = params.resources()?;
    let mut grant = code.grant;
    if grant.resources.is_empty() {
        grant.resources.clone_from(&requested);
    }
    let resources = narrow(requested, &grant.resources).ok_or_else(invalid_target)?;
    let scopes = grant.scopes.clone();
    Ok(token_response(instance, grant, &scopes, &resources, code.nonce))
}

/// Removes the code: it can be used once, successfully or not (RFC 6749 section 4.1.2). A request
/// of another client does not use it up.
fn take_code(
    instance: &FakeInstance,
    client_id: &str,
    code: &str,
) -> Result<AuthorizationCode, OAuthError> {
    let invalid = OAuthError::invalid_grant(
        "the authorization code is unknown, used or expired, or was issued to another client",
    );
    let now = instance.now();
    let mut records = instance.records();
    records.codes.retain(|_, code| now < code.expires_at);
    if records.codes.get(code).is_none_or(|code| code.grant.client_id != client_id) {
        return Err(invalid);
    }
    records.codes.remove(code).ok_or(invalid)
}

fn check_redirect_uri(code: &AuthorizationCode, params: &Params) -> Result<(), OAuthError> {
    let is_same = match params.optional("redirect_uri")? {
        Some(uri) => uri == code.redirect_uri,
        None => !code.redirect_uri_sent,
    };
    if is_same {
        return Ok(());
    }
    Err(OAuthError::invalid_grant("redirect_uri differs from that of the authorization request"))
}

/// RFC 7636 section 4.6.
fn check_verifier(code: &AuthorizationCode, params: &Params) -> Result<(), OAuthError> {
    let verifier =
        params.required("code_verifier", "code_verifier is missing: PKCE is required")?;
    if pkce::code_challenge(verifier) == code.challenge {
        return Ok(());
    }
    Err(OAuthError::invalid_grant("code_verifier does not match the code_challenge"))
}

fn refresh(
    instance: &FakeInstance,
    client_id: &str,
    params: &Params,
) -> Result<FakeResponse, OAuthError> {
    let token = params.required("refresh_token", "refresh_token is missing")?;
    let invalid = OAuthError::invalid_grant(
        "the refresh token is unknown, used or revoked, or was issued to another client",
    );
    let grant = instance.records().refresh_tokens.get(token).cloned();
    let grant = grant.filter(|grant| grant.client_id == client_id).ok_or(invalid)?;
    let scopes = narrow(params.scopes()?.unwrap_or_default(), &grant.scopes)
        .ok_or_else(|| OAuthError::new("invalid_scope", "a scope was not granted originally"))?;
    let resources = narrow(params.resources()?, &grant.resources).ok_or_else(invalid_target)?;

    // Of two concurrent requests with the same refresh token only one succeeds.
    let grant = instance.records().refresh_tokens.remove(token).ok_or(invalid)?;
    Ok(token_response(instance, grant, &scopes, &resources, None))
}

/// Returns the requested values if all of them were granted, and all granted values if none is
/// requested.
fn narrow(requested: Vec<String>, granted: &[String]) -> Option<Vec<String>> {
    if requested.is_empty() {
        return Some(granted.to_vec());
    }
    requested.iter().all(|value| granted.contains(value)).then_some(requested)
}

fn invalid_target() -> OAuthError {
    OAuthError::new("invalid_target", "resource was not part of the authorization request")
}

/// Returns the successful response (RFC 6749 section 5.1), with an ID token if `openid` was
/// granted. The new refresh token keeps the whole grant (section 6).
fn token_response(
    instance: &FakeInstance,
    grant: Grant,
    scopes: &[String],
    resources: &[String],
    nonce: Option<String>,
) -> FakeResponse {
    let mut body = json!({
        "access_token": issue(instance, &grant, scopes, resources),
        "token_type": "Bearer",
        "expires_in": instance.config.token_lifetime.as_secs(),
        "scope": scopes.join(" "),
    });
    let refresh_token = instance.ids.secret();
    if let Value::Object(members) = &mut body {
        members.insert("refresh_token".into(), json!(refresh_token));
        if scopes.iter().any(|scope| scope == "openid") {
            members.insert("id_token".into(), json!(id_token(instance, &grant, nonce)));
        }
    }
    instance.records().refresh_tokens.insert(refresh_token, grant);
    response::no_store(response::json(StatusCode::OK, &body))
}

/// Issues and records an access token.
fn issue(
    instance: &FakeInstance,
    grant: &Grant,
    scopes: &[String],
    resources: &[String],
) -> String {
    let claims = instance.access_token_claims(&grant.subject, &grant.client_id, scopes, resources);
    let mut records = instance.records();
    let token = match records.token_format {
        TokenFormat::Opaque => format!("oat_{}", instance.ids.secret()),
        TokenFormat::Jwt => {
            let key = &records.keys.current;
            let header = Value::Object(claims::header(&key.kid));
            key.jwt(&header.to_string(), &Value::Object(claims.clone()).to_string())
        }
    };
    let record = IssuedToken {
        claims,
        grant_id: Some(grant.id.clone()),
        revoked: false,
        overrides: ResponseOverrides::default(),
    };
    records.access_tokens.insert(token.clone(), record);
    token
}

/// OpenID Connect Core 1.0 section 2.
fn id_token(instance: &FakeInstance, grant: &Grant, nonce: Option<String>) -> String {
    let now = instance.now().as_secs();
    let mut claims = json!({
        "iss": instance.issuer(),
        "sub": grant.subject,
        "aud": grant.client_id,
        "iat": now,
        "exp": now.saturating_add(instance.config.token_lifetime.as_secs()),
    });
    if let (Some(nonce), Value::Object(members)) = (nonce, &mut claims) {
        members.insert("nonce".into(), json!(nonce));
    }
    let records = instance.records();
    let key = &records.keys.current;
    let header = json!({ "alg": "RS256", "kid": key.kid, "typ": "JWT" });
    key.jwt(&header.to_string(), &claims.to_string())
}
