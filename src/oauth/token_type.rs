//! The types of credentials that Clerk issues, and the errors about a type that is not accepted.

use std::fmt;
use std::str::FromStr;

use crate::error::{ConfigError, VerifyError, VerifyErrorKind};

/// The type of a credential that Clerk issues, by the names of Clerk's SDKs (`acceptsToken`).
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::TokenType;
///
/// assert_eq!("api_key".parse(), Ok(TokenType::ApiKey));
/// assert_eq!(TokenType::M2mToken.to_string(), "m2m_token");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TokenType {
    /// An OAuth access token, which a user granted to a client: a JWT or `oat_…`.
    #[default]
    OAuthToken,
    /// An API key of a user, an organization or a machine: `ak_…`.
    ApiKey,
    /// A token by which one machine calls another: a JWT or `mt_…`.
    M2mToken,
    /// A session token of the application's own frontend: a JWT.
    SessionToken,
}

impl TokenType {
    pub(crate) const ALL: [Self; 4] =
        [Self::OAuthToken, Self::ApiKey, Self::M2mToken, Self::SessionToken];

    /// Returns Clerk's name: `oauth_token`, `api_key`, `m2m_token` or `session_token`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OAuthToken => "oauth_token",
            Self::ApiKey => "api_key",
            Self::M2mToken => "m2m_token",
            Self::SessionToken => "session_token",
        }
    }

    /// Parses Clerk's name.
    ///
    /// # Errors
    ///
    /// Returns an error if the string is not one of the four names.
    pub fn parse(name: &str) -> Result<Self, ConfigError> {
        Self::ALL.into_iter().find(|known| known.as_str() == name).ok_or_else(|| {
            ConfigError::invalid_value(
                "token type",
                "MCP_ACCEPTS",
                "it must be oauth_token, api_key, m2m_token or session_token",
            )
        })
    }

    /// Returns the fixed sentence for the caller of a server that does not accept this type.
    pub(crate) fn not_accepted(self) -> &'static str {
        match self {
            Self::OAuthToken => {
                "The token is an OAuth access token, which this server does not accept"
            }
            Self::ApiKey => "The token is an API key, which this server does not accept",
            Self::M2mToken => "The token is a machine token, which this server does not accept",
            Self::SessionToken => "The token is a session token, which this server does not accept",
        }
    }
}

impl FromStr for TokenType {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::parse(name)
    }
}

impl fmt::Display for TokenType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The type of a credential that was rejected for it.
#[derive(Clone, Copy)]
struct Presented(TokenType);

impl VerifyError {
    /// Creates the error about a credential of a type that the server does not accept.
    pub(crate) fn type_not_accepted(token_type: TokenType, detail: &'static str) -> Self {
        let error = Self::new(VerifyErrorKind::WrongTokenType).with_detail(detail);
        error.with_context(Presented(token_type))
    }

    /// Returns the type of a credential that was rejected for it, if it is known.
    pub(crate) fn rejected_type(&self) -> Option<TokenType> {
        let Presented(token_type) = self.context()?;
        Some(*token_type)
    }
}
