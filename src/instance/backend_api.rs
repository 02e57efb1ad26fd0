//! The address of Clerk's Backend API.

use std::str::FromStr;

use super::base_url::check_base_url;
use crate::error::ConfigError;

const DEFAULT_ORIGIN: &str = "https://api.clerk.com";
const DEFAULT_VERSION: &str = "v1";

/// The origin and version of Clerk's Backend API.
///
/// Defaults to `https://api.clerk.com` and `v1`, which serve every Clerk instance.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::instance::BackendApi;
///
/// assert_eq!(BackendApi::default().origin(), "https://api.clerk.com");
/// let local: BackendApi = "http://127.0.0.1:8080".parse()?;
/// assert_eq!((local.origin(), local.version()), ("http://127.0.0.1:8080", "v1"));
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BackendApi {
    origin: String,
    version: String,
}

impl BackendApi {
    /// Parses an origin such as `https://api.clerk.com`. The version is `v1`.
    ///
    /// # Errors
    ///
    /// Returns an error if the string is not an origin, or uses `http:` on a host other than a
    /// loopback host.
    pub fn parse(origin: &str) -> Result<Self, ConfigError> {
        let origin = check_base_url(
            "URL of Clerk's Backend API",
            "CLERK_API_URL",
            origin,
            "leave it out, or set https://api.clerk.com",
        )?;
        Ok(Self { origin: origin.to_owned(), version: DEFAULT_VERSION.to_owned() })
    }

    /// Sets the version, which is the first segment of every path. Defaults to `v1`.
    ///
    /// # Errors
    ///
    /// Returns an error if the version is not a `v` followed by digits.
    pub fn with_version(mut self, version: &str) -> Result<Self, ConfigError> {
        let digits = version.strip_prefix('v').unwrap_or_default();
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(ConfigError::invalid_value(
                "version of Clerk's Backend API",
                "CLERK_API_VERSION",
                "it is not of the form v1; leave it out, or set v1",
            ));
        }
        version.clone_into(&mut self.version);
        Ok(self)
    }

    /// Returns the origin, without a trailing slash.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Returns the version, such as `v1`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }
}

impl Default for BackendApi {
    fn default() -> Self {
        Self { origin: DEFAULT_ORIGIN.to_owned(), version: DEFAULT_VERSION.to_owned() }
    }
}

impl FromStr for BackendApi {
    type Err = ConfigError;

    fn from_str(origin: &str) -> Result<Self, Self::Err> {
        Self::parse(origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_is_wrong_and_what_to_set() {
        let rows = [
            (BackendApi::parse("'https://api.clerk.com'"), "is surrounded by quotation marks"),
            (BackendApi::parse("https://api.clerk.com\n"), "contains white space"),
            (BackendApi::parse("http://api.clerk.com"), "use https:"),
            (BackendApi::parse("https://api.clerk.com/v1"), "must be an origin"),
            (BackendApi::default().with_version("1"), "set v1"),
        ];
        for (outcome, expected) in rows {
            let error = outcome.unwrap_err().to_string();
            assert!(error.contains("Clerk's Backend API: it"), "{error}");
            assert!(error.contains(expected) && error.contains("leave it out"), "{error}");
        }
    }
}
