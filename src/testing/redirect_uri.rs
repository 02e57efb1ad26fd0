use serde_json::{Map, Value};
use url::{Host, Url};

use super::reply::OAuthError;

/// Schemes that a browser acts on itself: a redirect to them reaches no client.
const NOT_FOR_CLIENTS: [&str; 8] =
    ["javascript", "data", "file", "blob", "about", "vbscript", "ws", "wss"];

/// The redirect URIs of a client's metadata, at least one and all of them usable.
pub(super) fn registered(metadata: &Map<String, Value>) -> Result<Vec<String>, OAuthError> {
    let invalid = |description| OAuthError::new("invalid_redirect_uri", description);
    let uris = metadata.get("redirect_uris").and_then(Value::as_array);
    let uris = uris.map(Vec::as_slice).unwrap_or_default();
    if uris.is_empty() {
        return Err(invalid("at least one redirect URI is needed"));
    }
    uris.iter()
        .map(|uri| uri.as_str().filter(|uri| is_usable(uri)).map(str::to_owned))
        .collect::<Option<Vec<String>>>()
        .ok_or_else(|| {
            invalid(
                "redirect URIs are https, http on a loopback host, or a private scheme, without a fragment",
            )
        })
}

/// Whether a request may be answered at `asked`: the same text, or another port where both are the same loopback
/// address (RFC 8252 section 7.3).
pub(super) fn matches(registered: &str, asked: &str) -> bool {
    registered == asked || portless(registered).is_some_and(|one| portless(asked) == Some(one))
}

/// `uri` with these parameters at the end of its query, its text otherwise as the client wrote it.
pub(super) fn with_query(uri: &str, parameters: &[(&str, &str)]) -> String {
    let query =
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    let separator = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{separator}{query}")
}

pub(super) fn is_loopback(url: &Url) -> bool {
    is_loopback_address(url) || url.domain() == Some("localhost")
}

fn is_usable(text: &str) -> bool {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    let Ok(url) = Url::parse(text) else {
        return false;
    };
    if !plain || url.fragment().is_some() {
        return false;
    }
    match url.scheme() {
        "https" => true,
        "http" => is_loopback(&url),
        scheme => !NOT_FOR_CLIENTS.contains(&scheme),
    }
}

fn is_loopback_address(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(_)) | None => false,
    }
}

/// A redirect to a loopback address without its port; nothing for any other.
fn portless(uri: &str) -> Option<Url> {
    let mut url = Url::parse(uri).ok()?;
    if url.scheme() != "http" || !is_loopback_address(&url) || !is_usable(uri) {
        return None;
    }
    url.set_port(None).ok()?;
    Some(url)
}
