//! The endpoints of the fake Clerk, each a function from a request to a response.

mod authorize;
mod backend;
mod client_metadata;
mod clients;
mod consent;
mod metadata;
mod params;
mod pkce;
mod redirect_uri;
mod registration;
mod token;

use http::header::ALLOW;
use http::{HeaderValue, StatusCode};

pub(super) use pkce::code_challenge;

use super::request_log::RecordedRequest;
use super::response::{self, FakeResponse};
use super::route::Route;
use super::state::FakeInstance;

/// Returns the response of this route to this request.
pub(super) async fn respond(
    instance: &FakeInstance,
    route: Route,
    request: &RecordedRequest,
) -> FakeResponse {
    if !route.allows(&request.method) {
        let mut response = response::empty(StatusCode::METHOD_NOT_ALLOWED);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(route.allow()));
        return response;
    }
    match route {
        Route::AuthorizationServerMetadata => metadata::authorization_server(instance),
        Route::OpenIdConfiguration => metadata::openid_configuration(instance),
        Route::Jwks => response::json(StatusCode::OK, &instance.records().keys.jwks()),
        Route::BackendJwks => into_response(backend::jwks(instance, request)),
        Route::Register => into_response(registration::register(instance, &request.body)),
        Route::Authorize => into_response(authorize::authorize(instance, request).await),
        Route::Consent => consent::decide(instance, request),
        Route::Token => into_response(token::token(instance, request)),
        Route::Revoke => into_response(token::revoke(instance, request)),
        Route::VerifyAccessToken => into_response(backend::verify_access_token(instance, request)),
        Route::VerifyApiKey => into_response(backend::verify_api_key(instance, request)),
        Route::VerifyMachineToken => {
            into_response(backend::verify_machine_token(instance, request))
        }
        Route::OrganizationMemberships => {
            into_response(backend::memberships::of_organization(instance, request))
        }
        Route::UserMemberships => into_response(backend::memberships::of_user(instance, request)),
        Route::User => into_response(backend::user(instance, request)),
    }
}

fn into_response(result: Result<FakeResponse, impl Into<FakeResponse>>) -> FakeResponse {
    result.unwrap_or_else(Into::into)
}
