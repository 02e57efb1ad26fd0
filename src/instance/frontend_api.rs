//! The address of a Clerk instance's Frontend API, which issues its tokens.

use std::str::FromStr;
use std::sync::Arc;

use super::PublishableKey;
use super::base_url::check_base_url;
use super::publishable_key::{is_label, is_port};
use crate::error::ConfigError;

const SETTING: &str = "CLERK_FAPI";
const EXPECTED: &str = "URL of the Frontend API";
const REMEDY: &str = "set the origin of the Frontend API, such as https://clerk.example.com";

/// The origin of a Clerk instance's Frontend API, which is also the issuer of its tokens.
///
/// The publishable key contains it; [`FrontendApi::parse`] is for an instance behind another
/// origin, such as a proxy.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::instance::FrontendApi;
/// use clerk_mcp_tools::PublishableKey;
///
/// let key = PublishableKey::parse("pk_test_Zm9vLWJhci0xMy5jbGVyay5hY2NvdW50cy5kZXYk")?;
/// assert_eq!(FrontendApi::from(&key).issuer(), "https://foo-bar-13.clerk.accounts.dev");
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FrontendApi(Arc<str>);

impl FrontendApi {
    /// Parses an origin such as `https://clerk.example.com`. It is converted to the form in which
    /// Clerk writes it: lower case, without a trailing slash and without a default port.
    ///
    /// # Errors
    ///
    /// Returns an error if the string is not an origin, uses `http:` on a host other than a
    /// loopback host, or has a host or port that no issuer has, such as `clerk.example.com.`: no
    /// token would ever match it.
    pub fn parse(origin: &str) -> Result<Self, ConfigError> {
        let base = check_base_url(EXPECTED, SETTING, origin, REMEDY)?;
        let issuer = canonical(base);
        check_issuer(&issuer).map_err(|why| {
            ConfigError::invalid_value(EXPECTED, SETTING, format!("it {why}; {REMEDY}"))
        })?;
        Ok(Self(issuer.into()))
    }

    /// Returns the issuer of this instance's tokens (claim `iss`, RFC 8414 section 2): the origin
    /// without a trailing slash.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.0
    }
}

impl From<&PublishableKey> for FrontendApi {
    fn from(key: &PublishableKey) -> Self {
        Self(canonical(&format!("https://{}", key.frontend_api_host())).into())
    }
}

impl From<PublishableKey> for FrontendApi {
    fn from(key: PublishableKey) -> Self {
        Self::from(&key)
    }
}

/// For functions that take `impl Into<FrontendApi>`.
impl From<&FrontendApi> for FrontendApi {
    fn from(api: &FrontendApi) -> Self {
        api.clone()
    }
}

impl FromStr for FrontendApi {
    type Err = ConfigError;

    fn from_str(origin: &str) -> Result<Self, Self::Err> {
        Self::parse(origin)
    }
}

/// Rejects a host or port in a form that no issuer has. The error continues a sentence that begins
/// with "it".
fn check_issuer(origin: &str) -> Result<(), &'static str> {
    let authority = origin.split_once("://").map_or(origin, |(_, authority)| authority);
    // Between brackets is an address, which has been parsed.
    let (host, port) = match authority.rsplit_once(']') {
        Some((_, port)) => ("", port.strip_prefix(':')),
        None => {
            authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)))
        }
    };
    if host.ends_with('.') {
        return Err("has a host that ends with a dot");
    }
    if host.contains("..") || host.starts_with('.') {
        return Err("has a host with an empty label");
    }
    if !host.is_empty() && !host.split('.').all(is_label) {
        return Err("has a host with a character or a label that no host name has");
    }
    if !port.is_none_or(is_port) {
        return Err("has the port 0, or a port with a leading zero");
    }
    Ok(())
}

/// Normalizes the spelling (RFC 3986 section 6.2), because issuers are compared byte by byte.
fn canonical(origin: &str) -> String {
    let origin = origin.to_ascii_lowercase();
    let default_port = if origin.starts_with("https:") { ":443" } else { ":80" };
    origin.strip_suffix(default_port).map(str::to_owned).unwrap_or(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_https_origins_and_http_on_loopback_hosts() {
        for good in [
            "https://a.example",
            "https://a.example/",
            "http://127.0.0.1:8080",
            "http://localhost",
            "http://[::1]:1",
        ] {
            assert_eq!(FrontendApi::parse(good).unwrap().issuer(), good.trim_end_matches('/'));
        }
        for spelling in ["HTTPS://A.Example/", "https://a.example:443"] {
            assert_eq!(FrontendApi::parse(spelling).unwrap().issuer(), "https://a.example");
        }
        let bad = [
            "",
            "a.example",
            "http://a.example",
            "http://10.0.0.1",
            "https://a.example/x",
            "https://a.example//",
            "https://a.example?x",
            "https://a.example#",
            "https://u@a.example",
            "ftp://a.example",
            "https://a b",
        ];
        for text in bad {
            assert_eq!(FrontendApi::parse(text).unwrap_err().setting(), SETTING, "{text:?}");
        }
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let rows = [
            ("\"https://a.example\"", "it is surrounded by quotation marks"),
            ("https://a.example'", "it is surrounded by quotation marks"),
            ("https://a.example\n", "it contains white space"),
            ("https://a.example/x", "it has a path or a query"),
            ("https://a.example.", "it has a host that ends with a dot"),
            ("https://a.example.:443/", "it has a host that ends with a dot"),
            ("https://a..example", "it has a host with an empty label"),
            ("https://.a.example", "it has a host with an empty label"),
            ("https://a,b.example", "it has a host with a character or a label"),
            ("https://-a.example", "it has a host with a character or a label"),
            ("https://a.example:0443", "it has the port 0, or a port with a leading zero"),
            ("https://a.example:0", "it has the port 0, or a port with a leading zero"),
            ("http://[::1]:080", "it has the port 0, or a port with a leading zero"),
        ];
        for (text, expected) in rows {
            let error = FrontendApi::parse(text).unwrap_err().to_string();
            let expected = format!("invalid URL of the Frontend API: {expected}");
            assert!(error.starts_with(&expected), "{error}");
            assert!(error.ends_with("such as https://clerk.example.com"), "{error}");
        }
    }
}
