//! The authorization endpoint (RFC 6749 section 3.1).

use std::time::Duration;

use http::header::LOCATION;
use http::{HeaderValue, Method, StatusCode};

use super::params::Params;
use super::{clients, consent, pkce, redirect_uri};
use crate::testing::request_log::RecordedRequest;
use crate::testing::response::{self, FakeResponse, OAuthError};
use crate::testing::state::FakeInstance;
use crate::testing::state::client::Client;
use crate::testing::state::grant::{AuthorizationCode, Grant};

const CODE_LIFETIME: Duration = Duration::from_secs(60);
const DEFAULT_SCOPES: [&str; 2] = ["profile", "email"];

/// Approves the request for the default user and redirects to the client. An interactive instance
/// responds with the consent page instead.
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
    let state = params.optional("state").ok().flatten();

    let checked = check(instance, &client, &target, &params);
    match checked {
        Ok(record) if instance.config.interactive => {
            Ok(consent::page(instance, request, &client, record, state))
        }
        Ok(record) => {
            let code = issue_code(instance, record);
            redirect(instance, StatusCode::FOUND, &target.uri, state, Ok(&code))
        }
        Err(error) => redirect(instance, StatusCode::FOUND, &target.uri, state, Err(error)),
    }
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

/// Checks the rest of the request and returns what a code would stand for.
fn check(
    instance: &FakeInstance,
    client: &Client,
    target: &RedirectTarget,
    params: &Params,
) -> Result<AuthorizationCode, OAuthError> {
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
    Ok(AuthorizationCode {
        grant,
        redirect_uri: target.uri.clone(),
        redirect_uri_sent: target.sent,
        challenge: code_challenge(params)?,
        nonce: params.optional("nonce")?.map(str::to_owned),
        expires_at: instance.now().saturating_add(CODE_LIFETIME),
    })
}

/// Returns a new code that stands for this record.
pub(super) fn issue_code(instance: &FakeInstance, mut record: AuthorizationCode) -> String {
    record.expires_at = instance.now().saturating_add(CODE_LIFETIME);
    let code = instance.ids.secret();
    instance.records().codes.insert(code.clone(), record);
    code
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

/// Redirects to the client with a code or an error (RFC 6749 section 4.1.2).
pub(super) fn redirect(
    instance: &FakeInstance,
    status: StatusCode,
    redirect_uri: &str,
    state: Option<&str>,
    result: Result<&str, OAuthError>,
) -> Result<FakeResponse, OAuthError> {
    let mut query = match &result {
        Ok(code) => vec![("code", *code)],
        Err(error) => vec![("error", error.code), ("error_description", error.description)],
    };
    query.extend(state.map(|state| ("state", state)));
    // RFC 9207 section 2.
    query.push(("iss", instance.issuer()));
    let location = HeaderValue::from_str(&redirect_uri::with_query(redirect_uri, &query))
        .map_err(|_| OAuthError::invalid_request("redirect_uri is not a valid header value"))?;
    let mut response = response::no_store(response::empty(status));
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}
