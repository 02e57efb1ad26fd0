//! Redirect URIs: which can be registered, and which match (RFC 8252 section 7).

use serde_json::{Map, Value};
use url::{Host, Url, form_urlencoded};

use crate::testing::response::OAuthError;

/// Schemes that a browser handles itself, so that a redirect reaches no client.
const BROWSER_SCHEMES: [&str; 8] =
    ["javascript", "data", "file", "blob", "about", "vbscript", "ws", "wss"];

/// Returns the redirect URIs in a client's metadata: at least one, all of them valid.
pub(super) fn from_metadata(metadata: &Map<String, Value>) -> Result<Vec<String>, OAuthError> {
    let invalid = |description| OAuthError::new("invalid_redirect_uri", description);
    let uris = metadata.get("redirect_uris").and_then(Value::as_array);
    let uris = uris.map(Vec::as_slice).unwrap_or_default();
    if uris.is_empty() {
        return Err(invalid("at least one redirect URI is required"));
    }
    uris.iter()
        .map(|uri| uri.as_str().filter(|uri| is_valid(uri)).map(str::to_owned))
        .collect::<Option<Vec<String>>>()
        .ok_or_else(|| {
            invalid(
                "a redirect URI must have no fragment, and be https, http on a loopback host, or \
                 of a private-use scheme",
            )
        })
}

/// Returns whether a requested URI matches a registered one: the same string, or the same loopback
/// address with another port (RFC 8252 section 7.3).
pub(super) fn matches(registered: &str, requested: &str) -> bool {
    registered == requested
        || without_port(registered).is_some_and(|uri| without_port(requested) == Some(uri))
}

/// Returns the URI with these parameters appended to its query, and otherwise unchanged.
pub(super) fn with_query(uri: &str, parameters: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    let separator = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{separator}{query}")
}

pub(super) fn is_loopback(url: &Url) -> bool {
    is_loopback_address(url) || url.domain() == Some("localhost")
}

fn is_valid(uri: &str) -> bool {
    let is_printable = uri.bytes().all(|byte| byte.is_ascii_graphic());
    let Ok(url) = Url::parse(uri) else {
        return false;
    };
    if !is_printable || url.fragment().is_some() {
        return false;
    }
    match url.scheme() {
        "https" => true,
        "http" => is_loopback(&url),
        scheme => !BROWSER_SCHEMES.contains(&scheme),
    }
}

fn is_loopback_address(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(_)) | None => false,
    }
}

/// Returns a redirect URI to a loopback address without its port, and `None` for any other URI.
fn without_port(uri: &str) -> Option<Url> {
    let mut url = Url::parse(uri).ok()?;
    if url.scheme() != "http" || !is_loopback_address(&url) || !is_valid(uri) {
        return None;
    }
    url.set_port(None).ok()?;
    Some(url)
}
