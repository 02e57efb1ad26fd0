//! The verification of opaque access tokens, API keys and machine tokens.
//!
//! The status is 200 for every credential that exists, whether it is active, expired or revoked.

use http::StatusCode;
use serde_json::Value;

use super::{authenticate, bearer_key, invalid_key, not_found};
use crate::testing::request_log::RecordedRequest;
use crate::testing::response::{self, BackendApiError, FakeResponse};
use crate::testing::state::FakeInstance;

/// `POST /v1/oauth_applications/access_tokens/verify`.
pub(in crate::testing::endpoints) fn verify_access_token(
    instance: &FakeInstance,
    request: &RecordedRequest,
) -> Result<FakeResponse, BackendApiError> {
    authenticate(instance, request)?;
    let token = parameter(request, "access_token", "access_token must be included.")?;
    let now = instance.now().as_secs();
    let records = instance.records();
    let token = records.access_tokens.get(&token).ok_or(not_found())?;
    Ok(response::json(StatusCode::OK, &token.to_json(now)))
}

/// `POST /v1/api_keys/verify`.
pub(in crate::testing::endpoints) fn verify_api_key(
    instance: &FakeInstance,
    request: &RecordedRequest,
) -> Result<FakeResponse, BackendApiError> {
    authenticate(instance, request)?;
    check_enabled(instance.config.api_keys)?;
    let secret = parameter(request, "secret", "secret must be included.")?;
    let now = instance.now();
    let records = instance.records();
    let key = records.api_keys.get(&secret).ok_or(not_found())?;
    Ok(response::json(StatusCode::OK, &key.to_json(now)))
}

/// `POST /v1/m2m_tokens/verify`. With the secret key of a machine, only the tokens with which that
/// machine may be called exist.
pub(in crate::testing::endpoints) fn verify_machine_token(
    instance: &FakeInstance,
    request: &RecordedRequest,
) -> Result<FakeResponse, BackendApiError> {
    let key = bearer_key(request)?;
    let now = instance.now();
    let records = instance.records();
    let called = records.machines.values().find(|machine| machine.secret_key == key);
    if called.is_none() && key != instance.config.secret_key {
        return Err(invalid_key());
    }
    check_enabled(instance.config.machine_tokens)?;
    let token = parameter(request, "token", "token must be included.")?;
    let token = records.machine_tokens.get(&token).ok_or(not_found())?;
    if called.is_some_and(|machine| !token.may_call(&machine.id)) {
        return Err(not_found());
    }
    Ok(response::json(StatusCode::OK, &token.to_json(now)))
}

/// Returns a string member of the JSON body.
fn parameter(
    request: &RecordedRequest,
    name: &str,
    message: &'static str,
) -> Result<String, BackendApiError> {
    let body: Option<Value> = serde_json::from_slice(&request.body).ok();
    let value = body.as_ref().and_then(|body| body.get(name)).and_then(Value::as_str);
    value.map(str::to_owned).ok_or(BackendApiError {
        status: StatusCode::UNPROCESSABLE_ENTITY,
        code: "form_param_missing",
        message,
    })
}

fn check_enabled(is_enabled: bool) -> Result<(), BackendApiError> {
    if is_enabled {
        return Ok(());
    }
    Err(BackendApiError {
        status: StatusCode::FORBIDDEN,
        code: "feature_not_enabled",
        message: "This feature is not enabled on this instance",
    })
}
