//! Text that must not show up in a log.

use std::fmt;
use std::sync::Arc;

/// What `Debug` shows in the place of a secret.
pub(crate) const REDACTED: &str = "[redacted]";

/// An access token as its bearer sent it.
///
/// `Debug` shows nothing of it and there is no `Display`: who needs the text says [`expose`](Self::expose).
/// A clone is cheap.
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
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(Arc<str>);

impl AccessToken {
    /// The token's text, for passing it on. Whoever has it can act as the user.
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
