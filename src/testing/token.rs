use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::access_token::{self, AccessToken, Shape};
use super::builder::TokenFormat;
use super::clients;
use super::params::Params;
use super::reply::{self, OAuthError, Reply};
use super::route::RecordedRequest;
use super::state::{Code, Grant, Shared};

/// The token endpoint (RFC 6749 section 3.2).
pub(super) fn token(shared: &Shared, request: &RecordedRequest) -> Result<Reply, OAuthError> {
    let params = form(request)?;
    let client_id = clients::authenticate(shared, request, &params)?;
    match params.need("grant_type", "grant_type is missing")? {
        "authorization_code" => redeem(shared, &client_id, &params),
        "refresh_token" => refresh(shared, &client_id, &params),
        _ => Err(OAuthError::new(
            "unsupported_grant_type",
            "the grant types are authorization_code and refresh_token",
        )),
    }
}

/// The revocation endpoint (RFC 7009 section 2): 200 whether there was something to revoke or not.
pub(super) fn revoke(shared: &Shared, request: &RecordedRequest) -> Result<Reply, OAuthError> {
    let params = form(request)?;
    let client_id = clients::authenticate(shared, request, &params)?;
    let token = params.need("token", "token is missing")?;
    let mut state = shared.state();
    let of_refresh = state.refresh_tokens.get(token).map(|grant| grant.client_id.as_str());
    let of_access = || state.access_tokens.get(token)?.claims.get("client_id")?.as_str();
    if of_refresh.or_else(of_access) == Some(client_id.as_str()) {
        state.revoke(token);
    }
    Ok(reply::empty(StatusCode::OK))
}

fn form(request: &RecordedRequest) -> Result<Params, OAuthError> {
    let content_type = request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.and_then(|text| text.split(';').next());
    if !media_type
        .is_some_and(|text| text.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
    {
        return Err(OAuthError::invalid_request("the body has to be form-urlencoded"));
    }
    Ok(Params::parse(&request.body))
}

fn redeem(shared: &Shared, client_id: &str, params: &Params) -> Result<Reply, OAuthError> {
    let text = params.need("code", "code is missing")?;
    let code = take_code(shared, client_id, text)?;
    check_redirect_uri(&code, params)?;
    check_verifier(&code, params)?;

    let asked = params.resources()?;
    let mut grant = code.grant;
    if grant.resources.is_empty() {
        grant.resources.clone_from(&asked);
    }
    let resources = narrowed(asked, &grant.resources).ok_or_else(invalid_target)?;
    let scopes = grant.scopes.clone();
    Ok(answer(shared, grant, &scopes, &resources, code.nonce))
}

/// Takes the code away: it has one use, successful or not. A client cannot use up the code of another.
fn take_code(shared: &Shared, client_id: &str, text: &str) -> Result<Code, OAuthError> {
    let invalid =
        OAuthError::invalid_grant("the code is unknown, used, expired or of another client");
    let now = shared.now();
    let mut state = shared.state();
    state.codes.retain(|_, code| now < code.expires_at);
    if state.codes.get(text).is_none_or(|code| code.grant.client_id != client_id) {
        return Err(invalid);
    }
    state.codes.remove(text).ok_or(invalid)
}

fn check_redirect_uri(code: &Code, params: &Params) -> Result<(), OAuthError> {
    let fits = match params.one("redirect_uri")? {
        Some(uri) => uri == code.redirect_uri,
        None => !code.redirect_uri_sent,
    };
    if fits {
        return Ok(());
    }
    Err(OAuthError::invalid_grant("redirect_uri is not that of the authorization request"))
}

/// RFC 7636 section 4.6.
fn check_verifier(code: &Code, params: &Params) -> Result<(), OAuthError> {
    let verifier = params.need("code_verifier", "code_verifier is missing: PKCE is required")?;
    if challenge_of(verifier) == code.challenge {
        return Ok(());
    }
    Err(OAuthError::invalid_grant("code_verifier does not fit the code_challenge"))
}

/// The S256 code challenge of a verifier (RFC 7636 section 4.2).
pub(super) fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()))
}

fn refresh(shared: &Shared, client_id: &str, params: &Params) -> Result<Reply, OAuthError> {
    let text = params.need("refresh_token", "refresh_token is missing")?;
    let invalid = OAuthError::invalid_grant(
        "the refresh token is unknown, used, revoked or of another client",
    );
    let known = shared.state().refresh_tokens.get(text).cloned();
    let grant = known.filter(|grant| grant.client_id == client_id).ok_or(invalid)?;
    let scopes = narrowed(params.scopes()?.unwrap_or_default(), &grant.scopes)
        .ok_or_else(|| OAuthError::new("invalid_scope", "a scope was not granted originally"))?;
    let resources = narrowed(params.resources()?, &grant.resources).ok_or_else(invalid_target)?;

    // Of two requests with the same refresh token one takes it.
    let grant = shared.state().refresh_tokens.remove(text).ok_or(invalid)?;
    Ok(answer(shared, grant, &scopes, &resources, None))
}

/// What was asked, if all of it was granted; everything granted where nothing was asked.
fn narrowed(asked: Vec<String>, granted: &[String]) -> Option<Vec<String>> {
    if asked.is_empty() {
        return Some(granted.to_vec());
    }
    asked.iter().all(|one| granted.contains(one)).then_some(asked)
}

fn invalid_target() -> OAuthError {
    OAuthError::new("invalid_target", "resource is not within the authorization request's")
}

/// The successful response (RFC 6749 section 5.1), with an ID token where `openid` was granted. The new refresh token
/// keeps the whole grant (section 6).
fn answer(
    shared: &Shared,
    grant: Grant,
    scopes: &[String],
    resources: &[String],
    nonce: Option<String>,
) -> Reply {
    let mut body = json!({
        "access_token": issue(shared, &grant, scopes, resources),
        "token_type": "Bearer",
        "expires_in": shared.config.token_lifetime.as_secs(),
        "scope": scopes.join(" "),
    });
    let refresh_token = shared.ids.secret();
    if let Value::Object(members) = &mut body {
        members.insert("refresh_token".into(), json!(refresh_token));
        if scopes.iter().any(|scope| scope == "openid") {
            members.insert("id_token".into(), json!(id_token(shared, &grant, nonce)));
        }
    }
    shared.state().refresh_tokens.insert(refresh_token, grant);
    reply::uncached(reply::json(StatusCode::OK, &body))
}

fn issue(shared: &Shared, grant: &Grant, scopes: &[String], resources: &[String]) -> String {
    let claims = access_token::claims(shared, &grant.subject, &grant.client_id, scopes, resources);
    let mut state = shared.state();
    let text = match state.token_format {
        TokenFormat::Opaque => format!("oat_{}", shared.ids.secret()),
        TokenFormat::Jwt => {
            let key = &state.keys.current;
            let header = Value::Object(access_token::header(&key.kid));
            key.jwt(&header.to_string(), &Value::Object(claims.clone()).to_string())
        }
    };
    let token = AccessToken {
        claims,
        grant_id: Some(grant.id.clone()),
        revoked: false,
        shape: Shape::default(),
    };
    state.access_tokens.insert(text.clone(), token);
    text
}

/// OpenID Connect Core 1.0 section 2.
fn id_token(shared: &Shared, grant: &Grant, nonce: Option<String>) -> String {
    let now = shared.now().as_secs();
    let mut claims = json!({
        "iss": shared.issuer,
        "sub": grant.subject,
        "aud": grant.client_id,
        "iat": now,
        "exp": now.saturating_add(shared.config.token_lifetime.as_secs()),
    });
    if let (Some(nonce), Value::Object(members)) = (nonce, &mut claims) {
        members.insert("nonce".into(), json!(nonce));
    }
    let state = shared.state();
    let key = &state.keys.current;
    let header = json!({ "alg": "RS256", "kid": key.kid, "typ": "JWT" });
    key.jwt(&header.to_string(), &claims.to_string())
}
