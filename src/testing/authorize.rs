use std::time::Duration;

use http::header::{CACHE_CONTROL, LOCATION};
use http::{HeaderValue, Method, StatusCode};

use super::params::Params;
use super::reply::{self, OAuthError, Reply};
use super::route::RecordedRequest;
use super::state::{Client, Code, Grant, Shared};
use super::{clients, redirect_uri};

const CODE_LIFETIME: Duration = Duration::from_secs(60);
const DEFAULT_SCOPES: [&str; 2] = ["profile", "email"];
/// A SHA-256 in base64url (RFC 7636 section 4.2).
const CHALLENGE_LENGTH: usize = 43;

/// The authorization endpoint, where the default user approves everything.
///
/// Until the redirect URI is known to be the client's, an error is answered and never redirected (RFC 6749 section
/// 4.1.2.1).
pub(super) async fn authorize(
    shared: &Shared,
    request: &RecordedRequest,
) -> Result<Reply, OAuthError> {
    let params = match request.method {
        Method::POST => Params::parse(&request.body),
        _ => Params::parse(request.query.as_deref().unwrap_or_default().as_bytes()),
    };
    let client_id = params.need("client_id", "client_id is missing")?;
    let client = clients::find(shared, client_id).await?;
    let target = target(&client, &params)?;

    let approved = approve(shared, client_id, &target, &params);
    let mut answer = match &approved {
        Ok(code) => vec![("code", code.as_str())],
        Err(error) => vec![("error", error.code), ("error_description", error.description)],
    };
    if let Ok(Some(state)) = params.one("state") {
        answer.push(("state", state));
    }
    answer.push(("iss", shared.issuer.as_str()));
    redirect(&redirect_uri::with_query(&target.uri, &answer))
}

struct Target {
    uri: String,
    sent: bool,
}

fn target(client: &Client, params: &Params) -> Result<Target, OAuthError> {
    let asked = params.one("redirect_uri")?;
    let uri = match (asked, client.redirect_uris.as_slice()) {
        (Some(asked), known) if known.iter().any(|uri| redirect_uri::matches(uri, asked)) => asked,
        (None, [only]) => only,
        (None, _) => return Err(OAuthError::invalid_request("redirect_uri is missing")),
        (Some(_), _) => {
            return Err(OAuthError::invalid_request("redirect_uri is not one of the client's"));
        }
    };
    Ok(Target { uri: uri.to_owned(), sent: asked.is_some() })
}

/// Checks the rest of the request and returns an authorization code.
fn approve(
    shared: &Shared,
    client_id: &str,
    target: &Target,
    params: &Params,
) -> Result<String, OAuthError> {
    params.one("state")?;
    if params.need("response_type", "response_type is missing")? != "code" {
        let description = "the only response type is code";
        return Err(OAuthError::new("unsupported_response_type", description));
    }
    let grant = Grant {
        id: shared.ids.id("grant_"),
        client_id: client_id.to_owned(),
        subject: shared.defaults.user_id.clone(),
        scopes: scopes(shared, params)?,
        resources: params.resources()?,
    };
    let code = Code {
        grant,
        redirect_uri: target.uri.clone(),
        redirect_uri_sent: target.sent,
        challenge: challenge(params)?,
        nonce: params.one("nonce")?.map(str::to_owned),
        expires_at: shared.now().saturating_add(CODE_LIFETIME),
    };
    let text = shared.ids.secret();
    shared.state().codes.insert(text.clone(), code);
    Ok(text)
}

fn scopes(shared: &Shared, params: &Params) -> Result<Vec<String>, OAuthError> {
    let grantable = &shared.config.grantable_scopes;
    let Some(asked) = params.scopes()? else {
        let defaults = DEFAULT_SCOPES.iter().map(|scope| (*scope).to_owned());
        return Ok(defaults.filter(|scope| grantable.contains(scope)).collect());
    };
    if asked.iter().all(|scope| grantable.contains(scope)) {
        return Ok(asked);
    }
    let description = "a scope is not one that this client may have";
    Err(OAuthError::new("invalid_scope", description))
}

fn challenge(params: &Params) -> Result<String, OAuthError> {
    let challenge = params.need("code_challenge", "code_challenge is missing: PKCE is required")?;
    if params.one("code_challenge_method")? != Some("S256") {
        return Err(OAuthError::invalid_request("code_challenge_method has to be S256"));
    }
    let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if challenge.len() != CHALLENGE_LENGTH || !challenge.bytes().all(is_base64url) {
        return Err(OAuthError::invalid_request("code_challenge is not a SHA-256 in base64url"));
    }
    Ok(challenge.to_owned())
}

fn redirect(location: &str) -> Result<Reply, OAuthError> {
    let location = HeaderValue::from_str(location)
        .map_err(|_| OAuthError::invalid_request("redirect_uri does not fit into a header"))?;
    let mut reply = reply::empty(StatusCode::FOUND);
    reply.headers_mut().insert(LOCATION, location);
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(reply)
}
