//! The Backend API: key set, token verification, users.

use http::StatusCode;
use http::header::AUTHORIZATION;
use serde_json::Value;

use crate::testing::request_log::RecordedRequest;
use crate::testing::response::{self, BackendApiError, FakeResponse};
use crate::testing::route;
use crate::testing::state::FakeInstance;

/// `GET /v1/jwks`.
pub(super) fn jwks(
    instance: &FakeInstance,
    request: &RecordedRequest,
) -> Result<FakeResponse, BackendApiError> {
    authenticate(instance, request)?;
    Ok(response::json(StatusCode::OK, &instance.records().keys.jwks()))
}

/// `POST /v1/oauth_applications/access_tokens/verify`. The status is 200 for every token that
/// exists, whether it is active, expired or revoked.
pub(super) fn verify(
    instance: &FakeInstance,
    request: &RecordedRequest,
) -> Result<FakeResponse, BackendApiError> {
    authenticate(instance, request)?;
    let body: Option<Value> = serde_json::from_slice(&request.body).ok();
    let token = body.as_ref().and_then(|body| body.get("access_token"));
    let token = token.and_then(Value::as_str).ok_or(BackendApiError {
        status: StatusCode::UNPROCESSABLE_ENTITY,
        code: "form_param_missing",
        message: "access_token must be included.",
    })?;
    let now = instance.now().as_secs();
    let records = instance.records();
    let token = records.access_tokens.get(token).ok_or(not_found())?;
    Ok(response::json(StatusCode::OK, &token.to_json(now)))
}

/// `GET /v1/users/{user_id}`.
pub(super) fn user(
    instance: &FakeInstance,
    request: &RecordedRequest,
) -> Result<FakeResponse, BackendApiError> {
    authenticate(instance, request)?;
    let records = instance.records();
    let user = route::user_id(&request.path).and_then(|id| records.users.get(id));
    Ok(response::json(StatusCode::OK, user.ok_or(not_found())?))
}

fn authenticate(instance: &FakeInstance, request: &RecordedRequest) -> Result<(), BackendApiError> {
    let header = request.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(("Bearer", key)) = header.and_then(|header| header.split_once(' ')) else {
        return Err(BackendApiError {
            status: StatusCode::UNAUTHORIZED,
            code: "authorization_header_format_invalid",
            message: "Invalid Authorization header format. Must be \"Bearer <YOUR_API_KEY>\"",
        });
    };
    if key == instance.config.secret_key {
        return Ok(());
    }
    Err(BackendApiError {
        status: StatusCode::UNAUTHORIZED,
        code: "clerk_key_invalid",
        message: "The provided Clerk Secret Key is invalid.",
    })
}

fn not_found() -> BackendApiError {
    BackendApiError {
        status: StatusCode::NOT_FOUND,
        code: "resource_not_found",
        message: "Resource not found",
    }
}
