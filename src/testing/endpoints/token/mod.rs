//! The token endpoint (RFC 6749 section 3.2) and the revocation endpoint (RFC 7009).

mod code;
mod exchange;
mod issue;
mod refresh;

use http::StatusCode;
use http::header::CONTENT_TYPE;

use super::clients;
use super::params::Params;
use crate::testing::request_log::RecordedRequest;
use crate::testing::response::{self, FakeResponse, OAuthError};
use crate::testing::state::FakeInstance;

const FORM: &str = "application/x-www-form-urlencoded";

/// Issues tokens for an authorization code, a refresh token or an access token.
pub(super) fn token(
    instance: &FakeInstance,
    request: &RecordedRequest,
) -> Result<FakeResponse, OAuthError> {
    let params = form(request)?;
    let client = clients::authenticate(instance, request, &params)?;
    match params.required("grant_type", "grant_type is missing")? {
        "authorization_code" => code::redeem(instance, &client, &params),
        exchange::GRANT_TYPE => exchange::exchange(instance, &client, &params),
        "refresh_token" => refresh::refresh(instance, &client, &params),
        _ => Err(OAuthError::new(
            "unsupported_grant_type",
            "grant_type must be authorization_code, refresh_token or that of token exchange",
        )),
    }
}

/// Revokes a token of the client. Responds with 200 even if it is unknown (RFC 7009 section 2.2).
pub(super) fn revoke(
    instance: &FakeInstance,
    request: &RecordedRequest,
) -> Result<FakeResponse, OAuthError> {
    let params = form(request)?;
    let client = clients::authenticate(instance, request, &params)?;
    let token = params.required("token", "token is missing")?;
    let mut records = instance.records();
    let of_refresh = records.refresh_tokens.get(token).map(|token| token.grant.client_id.as_str());
    let of_access = || records.access_tokens.get(token)?.claims.get("client_id")?.as_str();
    if of_refresh.or_else(of_access) == Some(client.id.as_str()) {
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

/// Returns the requested values if all of them were granted, and all granted values if none is
/// requested.
fn narrow(requested: Vec<String>, granted: &[String]) -> Option<Vec<String>> {
    if requested.is_empty() {
        return Some(granted.to_vec());
    }
    requested.iter().all(|value| granted.contains(value)).then_some(requested)
}

/// Returns the resources of a token request, which were all part of the authorization request
/// (RFC 8707 section 2.2).
fn resources(params: &Params, approved: &[String]) -> Result<Vec<String>, OAuthError> {
    narrow(params.resources()?, approved).ok_or_else(|| {
        OAuthError::new("invalid_target", "resource was not part of the authorization request")
    })
}
