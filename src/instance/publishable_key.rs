//! Clerk's publishable key, which contains the host of the instance's Frontend API.

use std::fmt;
use std::str::FromStr;

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine, alphabet};

use crate::error::{ConfigError, check_quotes_and_white_space};

const SETTING: &str = "CLERK_PUBLISHABLE_KEY";
const REMEDY: &str =
    "copy it from the Clerk Dashboard, page API keys; it starts with pk_test_ or pk_live_";

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(false);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// The type of a Clerk instance, which its keys name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InstanceType {
    /// A development instance, whose keys contain `_test_`.
    Development,
    /// A production instance, whose keys contain `_live_`.
    Production,
}

impl InstanceType {
    /// Returns the part of a key that names the type.
    pub(crate) fn infix(self) -> &'static str {
        match self {
            Self::Development => "test",
            Self::Production => "live",
        }
    }
}

/// A Clerk publishable key, such as `pk_test_Zm9vLWJhci0xMy5jbGVyay5hY2NvdW50cy5kZXYk`.
///
/// It is not a secret. It consists of `pk_test_` or `pk_live_` and the base64 of `<host>$`, where
/// the host is that of the instance's Frontend API. Padding is optional, and the URL-safe alphabet
/// is accepted too.
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
    /// Parses a publishable key.
    ///
    /// # Errors
    ///
    /// Returns an error if the string is not a publishable key. The error says where Clerk shows
    /// the key.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        check_quotes_and_white_space(text).map_err(invalid)?;
        let (instance_type, encoded) =
            split(text).ok_or_else(|| invalid("starts with neither pk_test_ nor pk_live_"))?;
        let decoded = decode(encoded).ok_or_else(|| invalid("is not base64 after its prefix"))?;
        let host = decoded
            .strip_suffix('$')
            .ok_or_else(|| invalid("is truncated or has extra characters at its end"))?;
        if !is_host(host) {
            return Err(invalid("does not contain the host of a Frontend API"));
        }
        Ok(Self { text: text.to_owned(), host: host.to_owned(), instance_type })
    }

    /// Creates the key of an instance whose Frontend API has this host (`host` or `host:port`).
    ///
    /// # Errors
    ///
    /// Returns an error if the host is not a valid host with a dot in it.
    pub fn for_host(instance_type: InstanceType, host: &str) -> Result<Self, ConfigError> {
        Self::parse(&format!(
            "pk_{}_{}",
            instance_type.infix(),
            STANDARD.encode(format!("{host}$"))
        ))
    }

    /// Returns the host of the instance's Frontend API, with the port if the key contains one.
    #[must_use]
    pub fn frontend_api_host(&self) -> &str {
        &self.host
    }

    /// Returns the type of the instance that the key belongs to.
    #[must_use]
    pub fn instance_type(&self) -> InstanceType {
        self.instance_type
    }

    /// Returns the key as it was given.
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

/// Returns whether the string is a dotted name or address with an optional port. Prevents a key
/// from turning `https://{host}` into a URL with another origin, such as `host/@evil.example`.
fn is_host(text: &str) -> bool {
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    let labels_fit = name.split('.').all(is_label);
    name.len() <= 253 && name.contains('.') && labels_fit && port.is_none_or(is_port)
}

/// Returns whether the string is a port number in the one form that an issuer can have it: an
/// origin that is written by software has no leading zero.
pub(super) fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port != 0 && port.to_string() == text)
}

/// RFC 1123 section 2.1, and the underscore, which occurs in practice.
pub(super) fn is_label(label: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=63).contains(&label.len())
        && label.bytes().all(inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// `why` continues a sentence that begins with "it".
fn invalid(why: &str) -> ConfigError {
    ConfigError::invalid_value("publishable key", SETTING, format!("it {why}; {REMEDY}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(host: &str) -> String {
        format!("pk_test_{}", STANDARD.encode(host))
    }

    #[test]
    fn accepts_every_base64_spelling() {
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
    fn rejects_invalid_keys() {
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
            key("foo.example.com:0443$"),
            key("foo.example.com:0$"),
            key("foo.example.com.$"),
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
    fn errors_say_what_is_wrong_and_where_clerk_shows_the_key() {
        let rows = [
            ("\"pk_live_Y2xlcmsuZXhhbXBsZS5jb20k\"", "is surrounded by quotation marks"),
            ("'pk_live_Y2xlcmsuZXhhbXBsZS5jb20k'", "is surrounded by quotation marks"),
            ("pk_live_Y2xlcmsuZXhhbXBsZS5jb20k'", "is surrounded by quotation marks"),
            ("pk_live_Y2xlcmsuZXhhbXBsZS5jb20k\n", "contains white space"),
            ("pk_live_Y2xlcmsu ZXhhbXBsZS5jb20k", "contains white space"),
            ("sk_live_Y2xlcmsuZXhhbXBsZS5jb20k", "starts with neither pk_test_ nor pk_live_"),
            ("pk_live_Y2xlcmsuZXhhbXBsZS5jb20", "is truncated"),
        ];
        for (text, expected) in rows {
            let error = PublishableKey::parse(text).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("invalid publishable key: it {expected}")),
                "{error}"
            );
            assert!(error.contains("Clerk Dashboard"), "{error}");
        }
    }

    #[test]
    fn for_host_is_the_inverse_of_parse() {
        let key = PublishableKey::for_host(InstanceType::Production, "clerk.example.com").unwrap();
        assert_eq!(key.as_str(), "pk_live_Y2xlcmsuZXhhbXBsZS5jb20k");
        assert_eq!(key.instance_type(), InstanceType::Production);
        assert!(PublishableKey::for_host(InstanceType::Production, "evil.com/x").is_err());
    }
}
