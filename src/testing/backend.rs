use http::StatusCode;
use http::header::AUTHORIZATION;
use serde_json::Value;

use super::reply::{self, ClerkFailure, Reply};
use super::route::{self, RecordedRequest};
use super::state::Shared;

/// `GET /v1/jwks`.
pub(super) fn jwks(shared: &Shared, request: &RecordedRequest) -> Result<Reply, ClerkFailure> {
    authenticate(shared, request)?;
    Ok(reply::json(StatusCode::OK, &shared.state().keys.jwks()))
}

/// `POST /v1/oauth_applications/access_tokens/verify`. The answer to a token that is known is 200, whatever became of it.
pub(super) fn verify(shared: &Shared, request: &RecordedRequest) -> Result<Reply, ClerkFailure> {
    authenticate(shared, request)?;
    let body: Option<Value> = serde_json::from_slice(&request.body).ok();
    let token = body.as_ref().and_then(|body| body.get("access_token"));
    let token = token.and_then(Value::as_str).ok_or(ClerkFailure {
        status: StatusCode::UNPROCESSABLE_ENTITY,
        code: "form_param_missing",
        message: "access_token must be included.",
    })?;
    let now = shared.now().as_secs();
    let state = shared.state();
    let token = state.access_tokens.get(token).ok_or(not_found())?;
    Ok(reply::json(StatusCode::OK, &token.to_json(now)))
}

/// `GET /v1/users/{user_id}`.
pub(super) fn user(shared: &Shared, request: &RecordedRequest) -> Result<Reply, ClerkFailure> {
    authenticate(shared, request)?;
    let state = shared.state();
    let user = route::user_id(&request.path).and_then(|id| state.users.get(id));
    Ok(reply::json(StatusCode::OK, user.ok_or(not_found())?))
}

fn authenticate(shared: &Shared, request: &RecordedRequest) -> Result<(), ClerkFailure> {
    let header = request.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(("Bearer", key)) = header.and_then(|header| header.split_once(' ')) else {
        return Err(ClerkFailure {
            status: StatusCode::UNAUTHORIZED,
            code: "authorization_header_format_invalid",
            message: "Invalid Authorization header format. Must be \"Bearer <YOUR_API_KEY>\"",
        });
    };
    if key == shared.config.secret_key {
        return Ok(());
    }
    Err(ClerkFailure {
        status: StatusCode::UNAUTHORIZED,
        code: "clerk_key_invalid",
        message: "The provided Clerk Secret Key is invalid.",
    })
}

fn not_found() -> ClerkFailure {
    ClerkFailure {
        status: StatusCode::NOT_FOUND,
        code: "resource_not_found",
        message: "Resource not found",
    }
}
