//! Exchanges an access token for one of another resource (RFC 8693).

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::issue::record_access_token;
use crate::testing::endpoints::params::Params;
use crate::testing::response::{self, FakeResponse, OAuthError};
use crate::testing::state::FakeInstance;
use crate::testing::state::client::{Client, Exchange};
use crate::testing::state::issued_token::IssuedToken;
use crate::testing::state::records::Records;

pub(super) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// Issues an access token of the same user for the requested resource.
pub(super) fn exchange(
    instance: &FakeInstance,
    client: &Client,
    params: &Params,
) -> Result<FakeResponse, OAuthError> {
    let exchange = client.exchange.as_ref().ok_or_else(|| {
        let description = "the client is not an application that may exchange tokens";
        OAuthError::new("unauthorized_client", description)
    })?;
    check_token_types(params)?;
    let subject_token = params.required("subject_token", "subject_token is missing")?;
    let target = target(params)?;

    let mut records = instance.records();
    let now = instance.now().as_secs();
    let subject = subject(&records, exchange, subject_token, now)?;
    check_target(&records, exchange, &target)?;
    let scopes = scopes(params, subject)?;
    let claims = claims(instance, client, subject, &scopes, target);
    let grant_id = subject.grant_id.clone();
    let token = record_access_token(instance, &mut records, claims, grant_id);
    let body = json!({
        "access_token": token,
        "issued_token_type": ACCESS_TOKEN,
        "token_type": "Bearer",
        "expires_in": instance.config.token_lifetime.as_secs(),
        "scope": scopes.join(" "),
    });
    Ok(response::no_store(response::json(StatusCode::OK, &body)))
}

/// Access tokens only, and no actor (RFC 8693 section 2.1).
fn check_token_types(params: &Params) -> Result<(), OAuthError> {
    let description = "subject_token_type is missing";
    if params.required("subject_token_type", description)? != ACCESS_TOKEN {
        let description = "subject_token_type must be that of an access token";
        return Err(OAuthError::invalid_request(description));
    }
    if params.optional("requested_token_type")?.is_some_and(|name| name != ACCESS_TOKEN) {
        let description = "requested_token_type must be that of an access token";
        return Err(OAuthError::invalid_request(description));
    }
    for name in ["actor_token", "actor_token_type"] {
        if params.optional(name)?.is_some() {
            return Err(OAuthError::invalid_request("an actor_token is not supported"));
        }
    }
    Ok(())
}

/// Returns the one resource for which the token is requested.
fn target(params: &Params) -> Result<String, OAuthError> {
    if params.optional("audience")?.is_some() {
        return Err(OAuthError::new("invalid_target", "audience is not supported"));
    }
    let mut resources = params.resources()?.into_iter();
    match (resources.next(), resources.next()) {
        (Some(resource), None) => Ok(resource),
        (None, _) => Err(OAuthError::invalid_request("resource is missing")),
        (Some(_), Some(_)) => {
            Err(OAuthError::new("invalid_target", "only one resource is supported"))
        }
    }
}

/// Returns the record of a subject token that the application may exchange. The error for any other
/// one is `invalid_request` (RFC 8693 section 2.2.2).
fn subject<'a>(
    records: &'a Records,
    exchange: &Exchange,
    token: &str,
    now: u64,
) -> Result<&'a IssuedToken, OAuthError> {
    let active = records.access_tokens.get(token).filter(|token| token.is_active(now));
    let active = active
        .ok_or(OAuthError::invalid_request("the subject_token is unknown, expired or revoked"))?;
    let resource = &exchange.resource;
    if active.is_for(resource) && records.resources.is_registered(resource) {
        return Ok(active);
    }
    Err(OAuthError::invalid_request("the subject_token is not for the resource of the application"))
}

/// Compares byte for byte.
fn check_target(records: &Records, exchange: &Exchange, target: &String) -> Result<(), OAuthError> {
    if exchange.targets.contains(target) && records.resources.is_registered(target) {
        return Ok(());
    }
    let description = "the resource is not registered, or the application may not exchange for it";
    Err(OAuthError::new("invalid_target", description))
}

/// Returns the requested scopes, which must be among those of the subject token, or all of those.
fn scopes(params: &Params, subject: &IssuedToken) -> Result<Vec<String>, OAuthError> {
    super::narrow(params.scopes()?.unwrap_or_default(), &subject.scopes()).ok_or_else(|| {
        OAuthError::new("invalid_scope", "a scope was not granted to the subject_token")
    })
}

fn claims(
    instance: &FakeInstance,
    client: &Client,
    subject: &IssuedToken,
    scopes: &[String],
    target: String,
) -> Map<String, Value> {
    let claim = |name: &str| subject.claims.get(name).and_then(Value::as_str);
    let user_id = claim("sub").unwrap_or_default();
    instance.access_token_claims(user_id, &client.id, scopes, &[target], claim("org_id"))
}
