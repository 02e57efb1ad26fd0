//! The Backend API: key set, verification of opaque credentials, users and their memberships.

pub(super) mod memberships;
mod verify;

use http::StatusCode;
use http::header::AUTHORIZATION;

pub(super) use verify::{verify_access_token, verify_api_key, verify_machine_token};

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

/// Checks that the request has the instance's secret key.
fn authenticate(instance: &FakeInstance, request: &RecordedRequest) -> Result<(), BackendApiError> {
    if bearer_key(request)? == instance.config.secret_key {
        return Ok(());
    }
    Err(invalid_key())
}

fn bearer_key(request: &RecordedRequest) -> Result<&str, BackendApiError> {
    let header = request.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(("Bearer", key)) = header.and_then(|header| header.split_once(' ')) else {
        return Err(BackendApiError {
            status: StatusCode::UNAUTHORIZED,
            code: "authorization_header_format_invalid",
            message: "Invalid Authorization header format. Must be \"Bearer <YOUR_API_KEY>\"",
        });
    };
    Ok(key)
}

fn invalid_key() -> BackendApiError {
    BackendApiError {
        status: StatusCode::UNAUTHORIZED,
        code: "clerk_key_invalid",
        message: "The provided Clerk Secret Key is invalid.",
    }
}

fn not_found() -> BackendApiError {
    BackendApiError {
        status: StatusCode::NOT_FOUND,
        code: "resource_not_found",
        message: "Resource not found",
    }
}
