//! The URL of a protected resource (RFC 8707 section 2, RFC 9728 section 1.2), kept byte for byte,
//! and the checks of URLs that tokens and keys are sent to.

use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use http::Uri;
use http::uri::Scheme;

use crate::error::{ConfigError, check_quotes_and_white_space};

const SETTING: &str = "MCP_RESOURCE_URL";

/// The public URL of an MCP endpoint, which is its resource identifier (RFC 8707 section 2, RFC
/// 9728 section 1.2).
///
/// Clients compare it byte by byte with the URL they used, so it is kept exactly as given; no
/// trailing slash is added or removed. It must come from configuration and never from a request,
/// because a client can write anything into `Host` and into forwarded headers.
///
/// The scheme must be `https`; `http` is accepted for a loopback host (`localhost`, `127.0.0.0/8`,
/// `[::1]`). A fragment and user information are rejected; a query is allowed but not recommended.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::ResourceUrl;
///
/// let resource = ResourceUrl::parse("https://mcp.example.com/mcp")?;
/// assert_eq!(resource.as_str(), "https://mcp.example.com/mcp");
/// assert_eq!(resource.path(), "/mcp");
/// assert!(resource.matches("HTTPS://MCP.example.com:443/mcp"));
/// assert!(!resource.matches("https://mcp.example.com/mcp/other"));
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ResourceUrl {
    text: Arc<str>,
    authority: Range<usize>,
    /// Where the path ends and the query, if any, begins.
    query: usize,
    hash: u64,
}

impl ResourceUrl {
    /// Parses the URL of a resource.
    ///
    /// # Errors
    ///
    /// Returns an error if the string is not a valid resource identifier. The error says what to
    /// set.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let Components { authority, query } = check(text).map_err(|why| invalid(text, why))?;
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(text);
        Ok(Self { text: text.into(), authority, query, hash })
    }

    /// Returns a hash of the URL, computed once. It has no key: URLs come from configuration.
    pub(crate) fn unkeyed_hash(&self) -> u64 {
        self.hash
    }

    /// Returns the URL exactly as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the scheme, host and port as given, without a trailing slash.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.text.get(..self.authority.end).unwrap_or_default()
    }

    /// Returns the host and port as given.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.text.get(self.authority.clone()).unwrap_or_default()
    }

    /// Returns the host as given, without the port. An IPv6 address keeps its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        let authority = self.authority();
        let colon = authority
            .rfind(':')
            .filter(|colon| !authority.get(*colon..).unwrap_or_default().contains(']'));
        colon.and_then(|colon| authority.get(..colon)).unwrap_or(authority)
    }

    /// Returns the path, which is empty if the URL has none.
    #[must_use]
    pub fn path(&self) -> &str {
        self.text.get(self.authority.end..self.query).unwrap_or_default()
    }

    /// Returns the query with its question mark, or an empty string if the URL has none.
    #[must_use]
    pub fn query(&self) -> &str {
        self.text.get(self.query..).unwrap_or_default()
    }

    /// Returns whether an audience names this resource.
    ///
    /// Scheme and host are compared case-insensitively, a default port may be omitted, and an empty
    /// path equals `/` (RFC 3986 section 6.2). Everything else is compared byte by byte; a URL with
    /// a longer path is another resource. A string that is not a valid resource identifier never
    /// matches.
    #[must_use]
    pub fn matches(&self, audience: &str) -> bool {
        if *self.text == *audience {
            return true;
        }
        let Ok(parts) = check(audience) else {
            return false;
        };
        let part = |range: Range<usize>| audience.get(range).unwrap_or_default();
        let scheme = part(0..parts.authority.start);
        let own_scheme = self.text.get(..self.authority.start).unwrap_or_default();
        own_scheme.eq_ignore_ascii_case(scheme)
            && without_default_port(own_scheme, self.authority())
                .eq_ignore_ascii_case(without_default_port(scheme, part(parts.authority.clone())))
            && same_path(self.path(), part(parts.authority.end..parts.query))
            && self.query() == part(parts.query..audience.len())
    }

    /// Returns whether the authority of a request (`Host` or `:authority`) is that of this
    /// resource.
    pub(crate) fn has_authority(&self, authority: &str) -> bool {
        let scheme = self.text.get(..self.authority.start).unwrap_or_default();
        without_default_port(scheme, self.authority())
            .eq_ignore_ascii_case(without_default_port(scheme, authority))
    }
}

impl FromStr for ResourceUrl {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for ResourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for ResourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ResourceUrl").field(&self.text).finish()
    }
}

/// Parses a URI whose characters are those of RFC 3986 section 2. `http::Uri` alone also accepts
/// others, such as a quotation mark.
pub(crate) fn parse_uri(text: &str) -> Option<Uri> {
    let is_uri_char = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&b);
    text.bytes().all(is_uri_char).then(|| text.parse().ok())?
}

/// Checks that the origin of a URL may receive a token: https on any host, or http on a loopback
/// host. The error continues a sentence that begins with "it".
pub(crate) fn check_origin(uri: &Uri) -> Result<(), &'static str> {
    let authority = uri.authority().ok_or("has no host")?;
    if authority.as_str().contains('@') {
        return Err("has a user name");
    }
    let host = uri.host().filter(|host| !host.is_empty()).ok_or("has no host")?;
    // `Uri` finds the host at the start of the authority and does not check what follows it.
    let port = authority.as_str().strip_prefix(host).ok_or("has an invalid host")?;
    if !is_port(port) {
        return Err("has an invalid port");
    }
    match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => Ok(()),
        Some(scheme) if *scheme == Scheme::HTTP && is_loopback(uri) => Ok(()),
        Some(scheme) if *scheme == Scheme::HTTP => {
            Err("uses http: on a host other than a loopback host; use https:")
        }
        _ => Err("is not an https URL"),
    }
}

/// Returns whether the string is empty or a colon and a port number.
fn is_port(text: &str) -> bool {
    let is_number =
        |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok();
    text.is_empty() || text.strip_prefix(':').is_some_and(is_number)
}

/// Returns whether the host is a loopback address or `localhost`. Does not resolve names.
pub(crate) fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match in_brackets {
        Some(address) => address.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback()),
        None => {
            host.eq_ignore_ascii_case("localhost")
                || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        }
    }
}

/// The positions of the parts within a URL.
struct Components {
    authority: Range<usize>,
    query: usize,
}

/// Checks that the string is a resource identifier. The error continues a sentence that begins with
/// "it".
fn check(text: &str) -> Result<Components, &'static str> {
    let parts = split(text).ok_or("is not an absolute https URL")?;
    if text.contains('#') {
        return Err("has a fragment, which RFC 9728 section 1.2 does not allow");
    }
    let uri = parse_uri(text).ok_or("has a character that a URL must escape")?;
    check_origin(&uri)?;
    Ok(parts)
}

fn split(text: &str) -> Option<Components> {
    let start = text.find("://")? + 3;
    let rest = text.get(start..)?;
    let end = start + rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let query = end + text.get(end..)?.find(['?', '#']).unwrap_or(text.len() - end);
    (end > start).then_some(Components { authority: start..end, query })
}

fn without_default_port<'a>(scheme: &str, authority: &'a str) -> &'a str {
    let default = if scheme.eq_ignore_ascii_case("https://") { ":443" } else { ":80" };
    // In `host:8443:443` the last number is no port, and without it another authority would be
    // left.
    let is_host = |host: &&str| host.ends_with(']') || !host.contains(':');
    authority.strip_suffix(default).filter(is_host).unwrap_or(authority)
}

fn same_path(own: &str, other: &str) -> bool {
    let is_root = |path: &str| path.is_empty() || path == "/";
    own == other || is_root(own) && is_root(other)
}

/// Shows the origin at most: the rest of the string may be a password, or a key in the wrong place.
fn invalid(text: &str, why: &'static str) -> ConfigError {
    // Not in `parse`, because RFC 3986 allows a URL to end with `'`.
    let why = check_quotes_and_white_space(text).err().unwrap_or(why);
    let origin = split(text).and_then(|parts| text.get(..parts.authority.end));
    let is_public = |origin: &&str| {
        origin.starts_with("http") && !origin.contains('@') && parse_uri(origin).is_some()
    };
    let subject = origin.filter(is_public).unwrap_or("it");
    ConfigError::invalid_value(
        "resource URL",
        SETTING,
        format!(
            "{subject} {why}; set the public URL of the MCP endpoint, such as \
             https://mcp.example.com/mcp"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_text_and_splits_it() {
        let rows = [
            ("https://h.example", "https://h.example", "", ""),
            ("https://h.example/", "https://h.example", "/", ""),
            ("https://h.example/a/mcp", "https://h.example", "/a/mcp", ""),
            ("https://h.example:8443/mcp?x=1", "https://h.example:8443", "/mcp", "?x=1"),
            ("http://localhost:3000/mcp", "http://localhost:3000", "/mcp", ""),
            ("http://127.0.0.1:3000?x", "http://127.0.0.1:3000", "", "?x"),
            ("http://[::1]:3000/mcp", "http://[::1]:3000", "/mcp", ""),
        ];
        for (text, origin, path, query) in rows {
            let url = ResourceUrl::parse(text).unwrap();
            assert_eq!(
                (url.as_str(), url.origin(), url.path(), url.query()),
                (text, origin, path, query)
            );
        }
    }

    #[test]
    fn the_authority_of_a_request_is_compared_without_its_default_port() {
        let rows = [
            ("https://h.example/mcp", "h.example", true),
            ("https://h.example/mcp", "H.example:443", true),
            ("https://h.example:8443/mcp", "h.example:8443", true),
            ("https://h.example:8443/mcp", "h.example:8443:443", false),
            ("https://h.example/mcp", "h.example:443:443", false),
            ("http://[::1]/mcp", "[::1]:80", true),
        ];
        for (own, authority, expected) in rows {
            let url = ResourceUrl::parse(own).unwrap();
            assert_eq!(url.has_authority(authority), expected, "{own} ~ {authority}");
        }
    }

    #[test]
    fn host_has_no_port() {
        let rows = [
            ("https://h.example", "h.example"),
            ("https://h.example:443/", "h.example"),
            ("http://[::1]", "[::1]"),
            ("http://[::1]:3000/mcp", "[::1]"),
        ];
        for (text, host) in rows {
            assert_eq!(ResourceUrl::parse(text).unwrap().host(), host);
        }
    }

    #[test]
    fn rejects_invalid_resource_urls_without_showing_passwords() {
        let rows = [
            "",
            "/mcp",
            "mcp.example.com/mcp",
            "https://",
            "https:///mcp",
            "ftp://h.example/mcp",
            "http://h.example/mcp",
            "http://127.0.0.1.evil.example/mcp",
            "http://localhost.evil.example/",
            "https://h.example/mcp#f",
            "https://h.example/#",
            "https://u:p@h.example/mcp",
            "https://h.example /mcp",
            "https://h.example/m cp",
            "https://h.example/\nmcp",
            "https://h.example:99999/",
            "https://h.example:/",
            "https://:443/mcp",
            "http://localhost:;",
            "http://[::1].evil.example/mcp",
            "http://[127.0.0.1]/mcp",
            "http://[::1]:80:81/",
            "https://h.example/a\"b",
            "https://h.example/{a}",
            "https://h.example/ä",
        ];
        for text in rows {
            let error = ResourceUrl::parse(text).unwrap_err();
            assert_eq!(error.setting(), SETTING, "{text:?}");
            assert!(!error.to_string().contains("u:p"), "{error}");
        }
    }

    #[test]
    fn errors_name_quotation_marks_and_white_space() {
        let rows = [
            ("\"https://h.example/mcp\"", "it is surrounded by quotation marks"),
            ("'https://h.example/mcp'", "it is surrounded by quotation marks"),
            ("https://h.example/mcp\n", "https://h.example contains white space"),
            (" https://h.example/mcp", "it contains white space"),
            ("https://h.example/mcp#f", "https://h.example has a fragment"),
            ("ftp://h.example/mcp", "it is not an https URL"),
            ("mcp.example.com", "it is not an absolute https URL"),
        ];
        for (text, expected) in rows {
            let error = ResourceUrl::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("invalid resource URL: {expected}")), "{error}");
            assert!(error.contains("set the public URL of the MCP endpoint"), "{error}");
        }
    }

    #[test]
    fn matches_only_the_same_resource() {
        let rows = [
            ("https://h.example/mcp", "https://h.example/mcp", true),
            ("https://h.example/mcp", "HTTPS://H.Example/mcp", true),
            ("https://h.example/mcp", "https://h.example:443/mcp", true),
            ("https://h.example:443/mcp", "https://h.example/mcp", true),
            ("https://h.example", "https://h.example/", true),
            ("https://h.example/", "https://h.example", true),
            ("http://localhost:80/x", "http://localhost/x", true),
            ("https://h.example/mcp", "https://h.example/MCP", false),
            ("https://h.example/mcp", "https://h.example/mcp/", false),
            ("https://h.example/mcp", "https://h.example/mcp2", false),
            ("https://h.example/mcp", "https://h.example/mc", false),
            ("https://h.example/mcp", "https://h.example", false),
            ("https://h.example/mcp", "https://h.example/mcp?x", false),
            ("https://h.example/mcp", "https://h.example/mcp#x", false),
            ("https://h.example/mcp", "https://h.example:80/mcp", false),
            ("https://h.example/mcp", "http://h.example/mcp", false),
            ("https://h.example/mcp", "https://h.example.evil/mcp", false),
            ("https://h.example/mcp", "https://u@h.example/mcp", false),
            ("https://h.example/mcp", "h.example/mcp", false),
            ("https://h.example/mcp", "", false),
            ("https://h.example", "https://h.example:443:443", false),
            // The last number is no port: none of these is a URL.
            ("https://h.example:8443/mcp", "https://h.example:8443:443/mcp", false),
            ("https://h.example:8443/mcp", "https://h.example:8443:/mcp", false),
            ("http://localhost:3000/mcp", "http://localhost:3000:80/mcp", false),
            ("http://[::1]/mcp", "http://[::1]:80/mcp", true),
            ("http://[::1]:3000/mcp", "http://[::1]:3000:80/mcp", false),
            ("https://h.example?x=1", "https://h.example/?x=1", true),
            ("https://h.example/?x=1", "https://h.example:443?x=1", true),
            ("https://h.example?x=1", "https://h.example?x=2", false),
            ("https://h.example?x=1", "https://h.example", false),
            ("https://h.example?x=1", "https://h.example/mcp?x=1", false),
            ("https://h.example?", "https://h.example", false),
        ];
        for (own, audience, expected) in rows {
            assert_eq!(
                ResourceUrl::parse(own).unwrap().matches(audience),
                expected,
                "{own} ~ {audience}"
            );
        }
    }
}
