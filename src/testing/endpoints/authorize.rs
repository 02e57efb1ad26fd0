//! The authorization endpoint (RFC 6749 section 3.1).

use std::time::Duration;

use http::header::LOCATION;
use http::{HeaderValue, Method, StatusCode};

use super::params::Params;
use super::{clients, pkce, redirect_uri};
use crate::testing::request_log::RecordedRequest;
use crate::testing::response::{self, FakeResponse, OAuthError};
use crate::testing::state::FakeInstance;
use crate::testing::state::client::Client;
use crate::testing::state::grant::{AuthorizationCode, Grant};

const CODE_LIFETIME: Duration = Duration::from_secs(60);
const DEFAULT_SCOPES: [&str; 2] = ["profile", "email"];

/// Approves the request for the default user and redirects to the client.
///
/// An error is only redirected if the redirect URI is valid (RFC 6749 section 4.1.2.1).
pub(super) async fn authorize(
    instance: &FakeInstance,
    request: &RecordedRequest,
) -> Result<FakeResponse, OAuthError> {
    let params = match request.method {
        Method::POST => Params::parse(&request.body),
        _ => Params::parse(request.query.as_deref().unwrap_or_default().as_bytes()),
    };
    let client_id = params.required("client_id", "client_id is missing")?;
    let client = clients::find(instance, client_id).await?;
    let target = redirect_target(&client, &params)?;

    let approved = approve(instance, &client, &target, &params);
    let mut query = match &approved {
        Ok(code) => vec![("code", code.as_str())],
        Err(error) => vec![("error", error.code), ("error_description", error.description)],
    };
    if let Ok(Some(state)) = params.optional("state") {
        query.push(("state", state));
    }
    // RFC 9207 section 2.
    query.push(("iss", instance.issuer()));
    redirect(&redirect_uri::with_query(&target.uri, &query))
}

struct RedirectTarget {
    uri: String,
    /// Whether the request contained the URI.
    sent: bool,
}

fn redirect_target(client: &Client, params: &Params) -> Result<RedirectTarget, OAuthError> {
    let requested = params.optional("redirect_uri")?;
    let uri = match (requested, client.redirect_uris.as_slice()) {
        (Some(uri), registered) if registered.iter().any(|one| redirect_uri::matches(one, uri)) => {
            uri
        }
        (None, [only]) => only,
        (None, _) => return Err(OAuthError::invalid_request("redirect_uri is missing")),
        (Some(_), _) => {
            let description = "redirect_uri is not registered for this client";
            return Err(OAuthError::invalid_request(description));
        }
    };
    Ok(RedirectTarget { uri: uri.to_owned(), sent: requested.is_some() })
}

/// Checks the rest of the request and returns an authorization code.
fn approve(
    instance: &FakeInstance,
    client: &Client,
    target: &RedirectTarget,
    params: &Params,
) -> Result<String, OAuthError> {
    params.optional("state")?;
    if params.required("response_type", "response_type is missing")? != "code" {
        let description = "response_type must be code";
        return Err(OAuthError::new("unsupported_response_type", description));
    }
    let scopes = granted_scopes(instance, client, params)?;
    let resources = params.resources()?;
    let (audience, organization) = {
        let records = instance.records();
        (records.resources.audience(&resources), records.chosen_organization.clone())
    };
    let grant = Grant {
        id: instance.ids.id("grant_"),
        client_id: client.id.clone(),
        subject: instance.defaults.user_id.clone(),
        scopes,
        audience,
        resources,
        organization,
    };
    let record = AuthorizationCode {
        grant,
        redirect_uri: target.uri.clone(),
        redirect_uri_sent: target.sent,
        challenge: code_challenge(params)?,
        nonce: params.optional("nonce")?.map(str::to_owned),
        expires_at: instance.now().saturating_add(CODE_LIFETIME),
    };
    let code = instance.ids.secret();
    instance.records().codes.insert(code.clone(), record);
    Ok(code)
}

/// Returns the requested scopes, or the default ones (RFC 6749 section 3.3), if the instance and
/// the registration of the client allow them.
fn granted_scopes(
    instance: &FakeInstance,
    client: &Client,
    params: &Params,
) -> Result<Vec<String>, OAuthError> {
    let registered = client.scopes.as_ref().filter(|_| instance.config.registration_limits_scopes);
    let can_be_granted = |scope: &String| {
        instance.config.grantable_scopes.contains(scope)
            && registered.is_none_or(|registered| registered.contains(scope))
    };
    let Some(requested) = params.scopes()? else {
        let defaults = DEFAULT_SCOPES.iter().map(|scope| (*scope).to_owned());
        return Ok(defaults.filter(can_be_granted).collect());
    };
    if requested.iter().all(can_be_granted) {
        return Ok(requested);
    }
    let description = "a requested scope cannot be granted, or is not registered for this client";
    Err(OAuthError::new("invalid_scope", description))
}

fn code_challenge(params: &Params) -> Result<String, OAuthError> {
    let challenge =
        params.required("code_challenge", "code_challenge is missing: PKCE is required")?;
    if params.optional("code_challenge_method")? != Some("S256") {
        return Err(OAuthError::invalid_request("code_challenge_method must be S256"));
    }
    if !pkce::is_code_challenge(challenge) {
        let description = "code_challenge is not a SHA-256 digest in base64url";
        return Err(OAuthError::invalid_request(description));
    }
    Ok(challenge.to_owned())
}

fn redirect(location: &str) -> Result<FakeResponse, OAuthError> {
    let location = HeaderValue::from_str(location)
        .map_err(|_| OAuthError::invalid_request("redirect_uri is not a valid header value"))?;
    let mut response = response::no_store(response::empty(StatusCode::FOUND));
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}
