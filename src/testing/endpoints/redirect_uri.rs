//! Redirect URIs: which can be registered, and which match (RFC 8252 section 7).
//!
//! They are read as they are written. A URL parser would take several spellings for one URI.

use serde_json::{Map, Value};
use url::{Url, form_urlencoded};

use crate::testing::response::OAuthError;

const LOOPBACK_HOSTS: [&str; 3] = ["127.0.0.1", "[::1]", "localhost"];

/// Characters that are printable, and have no place in a redirect URI: those that no URI has
/// (RFC 3986 section 2), and the start of a fragment.
const EXCLUDED: &[u8] = b"\"<>\\^`{|}#";

/// Returns the redirect URIs in a client's metadata: at least one, all of them valid.
///
/// `schemes` are private-use schemes that are allowed although they have no dot.
pub(super) fn from_metadata(
    metadata: &Map<String, Value>,
    schemes: &[String],
) -> Result<Vec<String>, OAuthError> {
    let invalid = |description| OAuthError::new("invalid_redirect_uri", description);
    let uris = metadata.get("redirect_uris").and_then(Value::as_array);
    let uris = uris.map(Vec::as_slice).unwrap_or_default();
    if uris.is_empty() {
        return Err(invalid("at least one redirect URI is required"));
    }
    uris.iter()
        .map(|uri| uri.as_str().filter(|uri| is_valid(uri, schemes)).map(str::to_owned))
        .collect::<Option<Vec<String>>>()
        .ok_or_else(|| {
            invalid(
                "a redirect URI must be https, http on 127.0.0.1, [::1] or localhost, or of a \
                 private-use scheme with a dot, without user information, wildcard and fragment",
            )
        })
}

/// Returns whether a requested URI matches a registered one: the same string, or the same but for
/// the port of a loopback host (RFC 8252 section 7.3).
pub(super) fn matches(registered: &str, requested: &str) -> bool {
    registered == requested
        || loopback(registered).is_some_and(|uri| loopback(requested) == Some(uri))
}

/// Returns the URI with these parameters appended to its query, and otherwise unchanged.
pub(super) fn with_query(uri: &str, parameters: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    let separator = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{separator}{query}")
}

fn is_valid(uri: &str, schemes: &[String]) -> bool {
    if !uri.bytes().all(|byte| byte.is_ascii_graphic() && !EXCLUDED.contains(&byte)) {
        return false;
    }
    let Some((scheme, rest)) = uri.split_once(':') else {
        return false;
    };
    let authority = authority(rest);
    let has_plain_authority =
        authority.is_none_or(|authority| !authority.contains(['@', '*', '%']));
    let is_allowed = match scheme {
        "https" => authority.is_some_and(|authority| !authority.is_empty()),
        "http" => loopback(uri).is_some(),
        // RFC 8252 section 7.1: a domain name in reverse.
        private_use => private_use.contains('.') || schemes.iter().any(|one| one == private_use),
    };
    is_allowed && has_plain_authority && Url::parse(uri).is_ok()
}

/// Returns the authority, if what follows the scheme and its colon has one (RFC 3986 section 3.2).
fn authority(rest: &str) -> Option<&str> {
    rest.strip_prefix("//")?.split(['/', '?']).next()
}

/// Returns the host of an http URI on a loopback host, and what follows the port. `None` for any
/// other URI.
fn loopback(uri: &str) -> Option<(&'static str, &str)> {
    let rest = uri.strip_prefix("http://")?;
    let mut hosts = LOOPBACK_HOSTS.into_iter();
    let (host, rest) = hosts.find_map(|host| Some((host, rest.strip_prefix(host)?)))?;
    let rest = match rest.strip_prefix(':') {
        Some(rest) => without_port(rest)?,
        None => rest,
    };
    (rest.is_empty() || rest.starts_with(['/', '?'])).then_some((host, rest))
}

fn without_port(rest: &str) -> Option<&str> {
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (port, rest) = rest.split_at_checked(end)?;
    port.parse::<u16>().is_ok().then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_port_of_a_loopback_host_may_differ() {
        for (registered, requested, expected) in [
            ("http://127.0.0.1/cb", "http://127.0.0.1:9/cb", true),
            ("http://127.0.0.1:4000/cb", "http://127.0.0.1/cb", true),
            ("http://127.0.0.1:4000/cb?a", "http://127.0.0.1:65535/cb?a", true),
            ("http://[::1]:4000/cb", "http://[::1]:9/cb", true),
            ("http://localhost:4000/cb", "http://localhost:9/cb", true),
            ("http://127.0.0.1", "http://127.0.0.1:9", true),
            ("https://app.example/cb", "https://app.example/cb", true),
            ("com.example.app:/cb", "com.example.app:/cb", true),
            ("https://127.0.0.1:1/cb", "https://127.0.0.1:2/cb", false),
            ("https://app.example/cb", "https://app.example:443/cb", false),
            ("https://app.example/cb", "https://app.example/cb/", false),
            ("https://app.example/cb", "HTTPS://app.example/cb", false),
            ("http://127.0.0.2:1/cb", "http://127.0.0.2:2/cb", false),
            ("http://127.0.0.1/cb", "http://localhost/cb", false),
            ("http://127.0.0.1/cb", "http://[::1]/cb", false),
            ("http://127.0.0.1/cb", "http://127.1:9/cb", false),
            ("http://127.0.0.1/cb", "http://0x7f000001/cb", false),
            ("http://127.0.0.1/cb", "http:\\\\127.0.0.1:9\\cb", false),
            ("http://127.0.0.1/cb", "http:/127.0.0.1:9/cb", false),
            ("http://127.0.0.1/cb", "http:127.0.0.1:9/cb", false),
            ("http://127.0.0.1/cb", "HTTP://127.0.0.1:9/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:9/x/../cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:9/./cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:9/%63b", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:9/cb?", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:9/cb#a", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:+9/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:65536/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:9@evil.example/cb", false),
            ("http://127.0.0.1", "http://127.0.0.1.evil.example", false),
            ("http://localhost/cb", "http://LOCALHOST:9/cb", false),
            ("http://localhost/cb", "http://localhost.:9/cb", false),
        ] {
            assert_eq!(matches(registered, requested), expected, "{registered} {requested}");
        }
    }

    #[test]
    fn registered_uris_are_plain() {
        let schemes = ["cursor".to_owned()];
        for (uri, expected) in [
            ("https://app.example/cb", true),
            ("https://app.example", true),
            ("https://app.example:8443/cb?a=%20", true),
            ("https://app.example/*/@me", true),
            ("http://127.0.0.1/cb", true),
            ("http://[::1]:4000/cb", true),
            ("http://localhost:4000", true),
            ("com.example.app:/cb", true),
            ("com.example.app://callback", true),
            ("cursor://anysphere.cursor-mcp/oauth/callback", true),
            ("https://*.example/cb", false),
            ("https://%2a.example/cb", false),
            ("https://u:p@a.example/cb", false),
            ("https://u@a.example/cb", false),
            ("https://app.example/cb#a", false),
            ("https://app.example/cb#", false),
            ("https:///cb", false),
            ("https:app.example/cb", false),
            ("https:/app.example/cb", false),
            ("https:\\\\app.example\\cb", false),
            ("https://app.example:port/cb", false),
            ("HTTPS://app.example/cb", false),
            ("http://app.example/cb", false),
            ("http://127.1/cb", false),
            ("http://127.0.0.2/cb", false),
            ("http://u@127.0.0.1/cb", false),
            ("http://127.0.0.1.evil.example/", false),
            ("http://*/cb", false),
            ("com.example.app://u@host/cb", false),
            ("com.example.app://*.host/cb", false),
            ("intent://x", false),
            ("javascript:alert(1)", false),
            ("data:text/html,x", false),
            ("file:///etc/passwd", false),
            ("ftp://app.example/cb", false),
            ("/callback", false),
            ("", false),
            ("https://app.example/a b", false),
            ("https://app.example/ü", false),
            ("https://app.example/<a>", false),
            ("https://app.example/\n", false),
            (":/cb", false),
            ("com..example.app /cb", false),
        ] {
            assert_eq!(is_valid(uri, &schemes), expected, "{uri}");
        }
        assert!(!is_valid("cursor://anysphere.cursor-mcp/oauth/callback", &[]));
    }
}
