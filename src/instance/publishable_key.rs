//! Clerk's publishable key: where an instance's Frontend API lives.

use std::fmt;
use std::str::FromStr;

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine, alphabet};

use crate::error::ConfigError;

const SETTING: &str = "CLERK_PUBLISHABLE_KEY";
const WHERE: &str =
    "copy it from the Clerk Dashboard, page API keys; it starts with pk_test_ or pk_live_";

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(false);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Which kind of Clerk instance a key belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InstanceType {
    /// A development instance: keys with `_test_`.
    Development,
    /// A production instance: keys with `_live_`.
    Production,
}

impl InstanceType {
    pub(crate) fn infix(self) -> &'static str {
        match self {
            Self::Development => "test",
            Self::Production => "live",
        }
    }
}

/// A Clerk publishable key, such as `pk_test_Zm9vLWJhci0xMy5jbGVyay5hY2NvdW50cy5kZXYk`.
///
/// It is public, and its only content is the host of the instance's Frontend API: `pk_test_` or `pk_live_`, then
/// base64 (padding optional, the URL-safe alphabet tolerated) of `<host>$`.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::PublishableKey;
///
/// let key: PublishableKey = "pk_test_Zm9vLWJhci0xMy5jbGVyay5hY2NvdW50cy5kZXYk".parse()?;
/// assert_eq!(key.frontend_api_host(), "foo-bar-13.clerk.accounts.dev");
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublishableKey {
    text: String,
    host: String,
    instance_type: InstanceType,
}

impl PublishableKey {
    /// Reads a publishable key.
    ///
    /// # Errors
    ///
    /// When the text is not a publishable key. The error says where Clerk shows the right one.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let (instance_type, encoded) =
            split(text).ok_or_else(|| invalid("it has neither of Clerk's prefixes"))?;
        let decoded =
            decode(encoded).ok_or_else(|| invalid("the part after the prefix is not base64"))?;
        let host = decoded
            .strip_suffix('$')
            .ok_or_else(|| invalid("the key is cut off or has something behind its end"))?;
        if !is_host(host) {
            return Err(invalid("it does not name the host of a Frontend API"));
        }
        Ok(Self { text: text.to_owned(), host: host.to_owned(), instance_type })
    }

    /// The key of an instance whose Frontend API has this host (`host` or `host:port`).
    ///
    /// # Errors
    ///
    /// When the host is not a plain host with a dot in it.
    pub fn for_host(instance_type: InstanceType, host: &str) -> Result<Self, ConfigError> {
        Self::parse(&format!(
            "pk_{}_{}",
            instance_type.infix(),
            STANDARD.encode(format!("{host}$"))
        ))
    }

    /// The host of the instance's Frontend API, with its port where the key names one.
    #[must_use]
    pub fn frontend_api_host(&self) -> &str {
        &self.host
    }

    /// Which kind of instance the key belongs to.
    #[must_use]
    pub fn instance_type(&self) -> InstanceType {
        self.instance_type
    }

    /// The key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for PublishableKey {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for PublishableKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for PublishableKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublishableKey").field(&self.text).finish()
    }
}

fn split(text: &str) -> Option<(InstanceType, &str)> {
    if let Some(rest) = text.strip_prefix("pk_test_") {
        return Some((InstanceType::Development, rest));
    }
    Some((InstanceType::Production, text.strip_prefix("pk_live_")?))
}

fn decode(encoded: &str) -> Option<String> {
    let bytes = STANDARD.decode(encoded).or_else(|_| URL_SAFE.decode(encoded)).ok()?;
    String::from_utf8(bytes).ok()
}

/// A dotted name or address, with an optional port: nothing that could turn `https://{host}` into another origin.
fn is_host(text: &str) -> bool {
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    let labels_fit = name.split('.').all(is_label);
    let port_fits = port
        .is_none_or(|port| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok());
    name.len() <= 253 && name.contains('.') && labels_fit && port_fits
}

/// RFC 1123 section 2.1, by length and alphabet; an underscore occurs in practice.
fn is_label(label: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=63).contains(&label.len())
        && label.bytes().all(inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn invalid(why: &str) -> ConfigError {
    ConfigError::invalid(SETTING, format!("is not a Clerk publishable key: {why}; {WHERE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(host: &str) -> String {
        format!("pk_test_{}", STANDARD.encode(host))
    }

    #[test]
    fn reads_keys_in_every_tolerated_spelling() {
        let rows = [
            ("pk_test_Zm9vLWJhci0xMy5jbGVyay5hY2NvdW50cy5kZXYk", "foo-bar-13.clerk.accounts.dev"),
            ("pk_live_Y2xlcmsuZXhhbXBsZS5jb20k", "clerk.example.com"),
            ("pk_live_YS5leGFtcGxlLmNvbSQ=", "a.example.com"),
            ("pk_live_YS5leGFtcGxlLmNvbSQ", "a.example.com"),
            ("pk_test_MTI3LjAuMC4xOjgwODAk", "127.0.0.1:8080"),
        ];
        for (text, host) in rows {
            assert_eq!(PublishableKey::parse(text).unwrap().frontend_api_host(), host, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_key() {
        let rows = [
            String::new(),
            "pk_test_".into(),
            "sk_test_Zm9vLWJhci0xMy5jbGVyay5hY2NvdW50cy5kZXYk".into(),
            " pk_test_Zm9vLWJhci0xMy5jbGVyay5hY2NvdW50cy5kZXYk".into(),
            "pk_test_Zm9vLWJhci0xMy5jbGVyay5hY2NvdW50cy5kZXYk\n".into(),
            "pk_test_Zm9v LWJhci0xMy5jbGVyay5hY2NvdW50cy5kZXYk".into(),
            key("foo.example.com"),
            key("foo.example.com$$"),
            key("foo$.example.com$"),
            key("localhost$"),
            key("https://foo.example.com$"),
            key("foo.example.com/path$"),
            key("user@foo.example.com$"),
            key("foo.example.com:port$"),
            key("foo.example.com:99999$"),
            key("foo.example.com:+80$"),
            key("foo.example.com:$"),
            key("foo .example.com$"),
            key("foo.\u{7f}example.com$"),
            key("foo..example.com$"),
            key(".example.com$"),
            key("foo.example.com?q$"),
            key("foo.example.com#f$"),
            key("foo.example.com\\evil$"),
            key("foo.exämple.com$"),
        ];
        for text in rows {
            let error = PublishableKey::parse(&text).unwrap_err();
            assert_eq!(error.setting(), "CLERK_PUBLISHABLE_KEY", "{text:?}");
        }
    }

    #[test]
    fn for_host_is_the_inverse() {
        let key = PublishableKey::for_host(InstanceType::Production, "clerk.example.com").unwrap();
        assert_eq!(key.as_str(), "pk_live_Y2xlcmsuZXhhbXBsZS5jb20k");
        assert_eq!(key.instance_type(), InstanceType::Production);
        assert!(PublishableKey::for_host(InstanceType::Production, "evil.com/x").is_err());
    }
}
