//! Where a Clerk instance issues its tokens.

use std::fmt;
use std::sync::Arc;

use super::PublishableKey;
use super::base_url::check_base_url;
use crate::error::ConfigError;

const SETTING: &str = "CLERK_FAPI";

/// The origin of a Clerk instance's Frontend API, which is also the issuer of its tokens.
///
/// It follows from the publishable key; [`FrontendApi::parse`] is for an instance behind another origin.
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
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FrontendApi(Arc<str>);

impl FrontendApi {
    /// Reads an origin such as `https://clerk.example.com`. It is kept as Clerk writes it: in small letters, without a
    /// slash at the end and without a default port.
    ///
    /// # Errors
    ///
    /// When the text is no origin, or uses `http:` off a loopback host.
    pub fn parse(origin: &str) -> Result<Self, ConfigError> {
        check_base_url(
            SETTING,
            origin,
            "set the origin of the Frontend API, such as https://clerk.example.com",
        )
        .map(|base| Self(canonical(base).into()))
    }

    /// The issuer of this instance's tokens (claim `iss`, RFC 8414 section 2): the origin, without a slash at the end.
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

impl From<&FrontendApi> for FrontendApi {
    fn from(api: &FrontendApi) -> Self {
        api.clone()
    }
}

impl fmt::Debug for FrontendApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FrontendApi").field(&self.0).finish()
    }
}

/// RFC 3986 section 6.2: issuers are compared byte by byte, so one has to be spelled like the other.
fn canonical(origin: &str) -> String {
    let origin = origin.to_ascii_lowercase();
    let default_port = if origin.starts_with("https:") { ":443" } else { ":80" };
    origin.strip_suffix(default_port).map(str::to_owned).unwrap_or(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_origins_only_and_https_off_loopback() {
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
}
