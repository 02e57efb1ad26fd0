//! The consent of an interactive instance: a page with a form, and the decision of the user.

mod page;

use std::time::Duration;

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::authorize::{issue_code, redirect};
use super::params::Params;
use crate::testing::request_log::RecordedRequest;
use crate::testing::response::{self, FakeResponse, OAuthError};
use crate::testing::state::FakeInstance;
use crate::testing::state::client::Client;
use crate::testing::state::grant::{AuthorizationCode, ConsentRequest};

const COOKIE_NAME: &str = "fake_clerk_browser";
/// The length of 256 bits in base64url.
const COOKIE_LENGTH: usize = 43;
/// How long a page can be used.
const PAGE_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// Returns the page that asks the user, and keeps the request until it is decided.
///
/// The form has an unguessable id, which only the browser with the cookie of this response can use,
/// so that no other page can decide for the user.
pub(super) fn page(
    instance: &FakeInstance,
    request: &RecordedRequest,
    client: &Client,
    record: AuthorizationCode,
    state: Option<&str>,
) -> FakeResponse {
    let browser = browser(&request.headers).map_or_else(|| instance.ids.secret(), str::to_owned);
    let id = instance.ids.secret();
    let now = instance.now();
    let mut records = instance.records();
    let body = page::consent(&page::Consent {
        id: &id,
        client,
        record: &record,
        users: &records.users,
        default_user_id: &instance.defaults.user_id,
    });
    let consent = ConsentRequest {
        record,
        state: state.map(str::to_owned),
        browser: browser.clone(),
        expires_at: now.saturating_add(PAGE_LIFETIME),
    };
    records.consents.retain(|_, consent| now < consent.expires_at);
    records.consents.insert(id, consent);
    let mut response = page::response(StatusCode::OK, body);
    // Explicitly `Lax`: without the attribute, browsers send a new cookie with POSTs of other sites.
    let cookie = format!("{COOKIE_NAME}={browser}; Path=/oauth; HttpOnly; SameSite=Lax");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

/// Redirects to the client with a code, or with `access_denied` (RFC 6749 section 4.1.2.1).
pub(super) fn decide(instance: &FakeInstance, request: &RecordedRequest) -> FakeResponse {
    if !instance.config.interactive {
        return response::empty(StatusCode::NOT_FOUND);
    }
    decision(instance, request)
        .unwrap_or_else(|problem| page::response(StatusCode::BAD_REQUEST, page::problem(problem)))
}

fn decision(
    instance: &FakeInstance,
    request: &RecordedRequest,
) -> Result<FakeResponse, &'static str> {
    if is_of_another_origin(&request.headers) {
        return Err("The form was sent by another page.");
    }
    let params = Params::parse(&request.body);
    let value = |name: &str| params.optional(name).ok().flatten();
    let allowed = match value("decision") {
        Some("allow") => true,
        Some("deny") => false,
        _ => return Err("The form has no decision."),
    };
    let user_id = value("user").unwrap_or(&instance.defaults.user_id);
    if !instance.records().users.contains_key(user_id) {
        return Err("There is no such user.");
    }
    let id = value("request").unwrap_or_default();
    let mut consent = take(instance, &request.headers, id)?;

    consent.record.grant.subject = user_id.to_owned();
    let uri = consent.record.redirect_uri.clone();
    let code = allowed.then(|| issue_code(instance, consent.record));
    let denied = OAuthError::new("access_denied", "the user denied the request");
    let result = code.as_deref().ok_or(denied);
    redirect(instance, StatusCode::SEE_OTHER, &uri, consent.state.as_deref(), result)
        .map_err(|_| "The address of the application is not valid.")
}

/// Takes a request that has not been decided. A form of another browser takes nothing.
fn take(
    instance: &FakeInstance,
    headers: &HeaderMap,
    id: &str,
) -> Result<ConsentRequest, &'static str> {
    let unknown = "This page has expired or was used before.";
    let mut records = instance.records();
    let consent = records.consents.get(id).ok_or(unknown)?;
    if browser(headers) != Some(&consent.browser) {
        return Err("The page was opened in another browser, or cookies are off.");
    }
    let consent = records.consents.remove(id).ok_or(unknown)?;
    if instance.now() < consent.expires_at { Ok(consent) } else { Err(unknown) }
}

/// Browsers say which page sends a form (Fetch metadata). Cookies and `SameSite` do not tell the ports
/// of a host apart, this does.
fn is_of_another_origin(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin")
}

/// Returns the cookie that tells browsers apart.
fn browser(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).map(str::trim);
    let value = pairs.find_map(|pair| pair.strip_prefix(COOKIE_NAME)?.strip_prefix('='))?;
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (value.len() == COOKIE_LENGTH && value.bytes().all(is_valid)).then_some(value)
}
