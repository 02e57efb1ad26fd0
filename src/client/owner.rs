//! Who has connections, and what they are connected to.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use reqwest::Url;

use crate::oauth::ResourceUrl;

/// The longest URL of a server, which users type.
const MAX_URL_BYTES: usize = 2048;

/// The owner of connections: bytes that mean a user to the application, such as a user id, or a
/// tenant and a user.
///
/// They must come from the session of a signed-in user and never from a parameter of a request. They
/// are not stored: records are found by a hash of them under a key. `Debug` does not show them.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::client::Owner;
///
/// let user = Owner::new("user_2abc");
/// // A user who belongs to several tenants has other connections in each.
/// let in_tenant = Owner::of_parts(["org_1", "user_2abc"]);
/// assert_ne!(user, in_tenant);
/// assert_ne!(Owner::of_parts(["a", "bc"]), Owner::of_parts(["ab", "c"]));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Owner(Arc<[u8]>);

impl Owner {
    /// Creates an owner from the bytes of a user id.
    #[must_use]
    pub fn new(id: impl AsRef<[u8]>) -> Self {
        Self(id.as_ref().into())
    }

    /// Creates an owner from several ids, such as those of a tenant and a user. No two lists of
    /// parts are the same owner.
    #[must_use]
    pub fn of_parts<I>(parts: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        let mut bytes = Vec::new();
        for part in parts {
            let part = part.as_ref();
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        Self(bytes.into())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner").finish_non_exhaustive()
    }
}

/// The URL of an MCP server, as users type it.
///
/// It is kept in the form in which it is called: scheme and host in lower case, without the default
/// port and without dots in the path, so that one server has one connection. The scheme is `https`,
/// or `http` for a loopback host, which [`Egress`](super::Egress) has to allow. A fragment and user
/// information are rejected.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::client::ServerUrl;
///
/// let server = ServerUrl::parse("HTTPS://MCP.example.com:443/mcp")?;
/// assert_eq!(server.as_str(), "https://mcp.example.com/mcp");
/// assert_eq!(server, "https://mcp.example.com/a/../mcp".parse()?);
/// # Ok::<(), clerk_mcp_tools::client::ServerUrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ServerUrl(ResourceUrl);

/// The error about a string that is not the URL of a server. `Display` says what is wrong and shows
/// nothing of the string.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the URL of the MCP server {0}")]
pub struct ServerUrlError(&'static str);

impl ServerUrl {
    /// Parses the URL of a server.
    ///
    /// # Errors
    ///
    /// Returns an error if it is not an https URL, has a fragment or a user name, or is longer than
    /// 2048 bytes.
    pub fn parse(text: &str) -> Result<Self, ServerUrlError> {
        let text = text.trim();
        if text.len() > MAX_URL_BYTES {
            return Err(ServerUrlError("is too long"));
        }
        let url = Url::parse(text).map_err(|_| ServerUrlError("is not an absolute https URL"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ServerUrlError("has a user name"));
        }
        if url.fragment().is_some() {
            return Err(ServerUrlError("has a fragment"));
        }
        if !matches!(url.scheme(), "https" | "http") {
            return Err(ServerUrlError("is not an https URL"));
        }
        let resource = ResourceUrl::parse(url.as_str());
        resource.map(Self).map_err(|_| {
            ServerUrlError("is not an https URL, or has a character that has to be escaped")
        })
    }

    /// Returns the URL in the form in which it is called.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(super) fn resource(&self) -> &ResourceUrl {
        &self.0
    }
}

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServerUrl").field(&self.as_str()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_has_one_url() {
        let rows = [
            ("https://h.example", "https://h.example/"),
            ("https://h.example/", "https://h.example/"),
            (" https://H.example:443/mcp\n", "https://h.example/mcp"),
            ("https://h.example/a/./b/../mcp", "https://h.example/a/mcp"),
            ("https://h.example\\mcp", "https://h.example/mcp"),
            ("https://h.example/mcp?tenant=1", "https://h.example/mcp?tenant=1"),
            ("https://b\u{fc}cher.example/mcp", "https://xn--bcher-kva.example/mcp"),
            ("https://2130706433/", "https://127.0.0.1/"),
            ("http://localhost:3000/mcp", "http://localhost:3000/mcp"),
        ];
        for (text, expected) in rows {
            assert_eq!(ServerUrl::parse(text).unwrap().as_str(), expected, "{text}");
        }
    }

    #[test]
    fn other_strings_are_rejected_and_not_shown() {
        let long = format!("https://h.example/{}", "a".repeat(MAX_URL_BYTES));
        for text in [
            "",
            "h.example/mcp",
            "//h.example/mcp",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "ftp://h.example/",
            "http://h.example/mcp",
            "https://",
            "https://user:marked@h.example/",
            "https://user@h.example/",
            "https://h.example/#marked",
            "https://h.example:99999/",
            "https://h.example/{marked}\"|",
            &long,
        ] {
            let error = ServerUrl::parse(text).unwrap_err().to_string();
            assert!(error.starts_with("the URL of the MCP server "), "{text}: {error}");
            assert!(!error.contains("marked"), "{error}");
        }
    }
}
