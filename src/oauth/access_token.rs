//! The access token as a type that no log can show.

use std::fmt;
use std::sync::Arc;

/// Shown by `Debug` in place of a secret.
pub(crate) const REDACTED: &str = "[redacted]";

/// An access token: as the client sent it, or of another service, from an
/// [exchange](crate::ClerkMcp::exchange_token).
///
/// `Debug` does not show the token, and there is no `Display`; [`expose`](Self::expose) returns it.
/// Cloning is cheap (`Arc`).
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::bearer_auth::AccessToken;
///
/// let token = AccessToken::from("oat_secret");
/// assert_eq!(format!("{token:?}"), "AccessToken([redacted])");
/// assert_eq!(token.expose(), "oat_secret");
/// ```
///
/// None of these compiles:
///
/// ```compile_fail,E0277
/// # let token = clerk_mcp_tools::bearer_auth::AccessToken::from("oat_secret");
/// let header = format!("Bearer {token}");
/// ```
///
/// ```compile_fail,E0277
/// # let token = clerk_mcp_tools::bearer_auth::AccessToken::from("oat_secret");
/// fn call_another_service(token: impl AsRef<str>) {}
/// call_another_service(token);
/// ```
///
/// ```compile_fail,E0277
/// # let token = clerk_mcp_tools::bearer_auth::AccessToken::from("oat_secret");
/// let text: String = token.into();
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(Arc<str>);

impl AccessToken {
    /// Returns the token in the clear, to verify it, or to send it to the service that it was
    /// issued for. A bearer token lets anyone who has it act as the user.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for AccessToken {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for AccessToken {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessToken({REDACTED})")
    }
}
