//! Tokens for calls to other services.

use super::{ClerkMcp, ClerkMcpBuilder};
use crate::clerk::env::Env;
use crate::clerk::{
    ClerkVerifier, ExchangeError, ExchangeErrorKind, ExchangedToken, TokenExchange,
};
use crate::error::ConfigError;
use crate::instance::OAuthClientSecret;
use crate::oauth::{AuthInfo, Scopes};

/// The OAuth application that stands for the server.
#[derive(Clone, Debug, Default)]
pub(super) struct ExchangeSettings {
    client_id: Option<String>,
    secret: Option<OAuthClientSecret>,
}

impl ExchangeSettings {
    pub(super) fn read_env(&mut self, env: &Env<'_>) -> Result<(), ConfigError> {
        self.client_id = env.oauth_client_id()?.or(self.client_id.take());
        self.secret = env.oauth_client_secret()?.or(self.secret.take());
        Ok(())
    }

    /// Builds the exchange; `None` without an application.
    pub(super) fn build(
        self,
        verifier: &ClerkVerifier,
    ) -> Result<Option<TokenExchange>, ConfigError> {
        const PROBLEM: &str = "is not set, and the other one of CLERK_OAUTH_CLIENT_ID and \
            CLERK_OAUTH_CLIENT_SECRET is: set both, from the Clerk Dashboard, page OAuth \
            applications, or none";
        match (self.client_id, self.secret) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(ConfigError::missing("CLERK_OAUTH_CLIENT_ID", PROBLEM)),
            (Some(_), None) => Err(ConfigError::missing("CLERK_OAUTH_CLIENT_SECRET", PROBLEM)),
            (Some(id), Some(secret)) => {
                let instance = verifier.frontend_api().clone();
                let builder = TokenExchange::builder(instance, id, secret);
                builder.clock(verifier.clock()).build().map(Some)
            }
        }
    }
}

/// Calls to other services.
impl ClerkMcpBuilder {
    /// Sets the confidential OAuth application of the instance that stands for this server when it
    /// [exchanges tokens](ClerkMcp::exchange_token). Defaults to none, or to that of
    /// [`env`](Self::env).
    pub fn token_exchange(
        mut self,
        client_id: impl Into<String>,
        secret: OAuthClientSecret,
    ) -> Self {
        self.exchange =
            ExchangeSettings { client_id: Some(client_id.into()), secret: Some(secret) };
        self
    }
}

/// Calls to other services.
impl ClerkMcp {
    /// Returns a token of the caller's user for another service, in exchange for the caller's own
    /// (RFC 8693). A beta of Clerk's: see [`TokenExchange`].
    ///
    /// `resource` is the URI that the other service is registered with at Clerk, byte for byte.
    /// `scopes` are those that the call needs, all of which the caller's token must have.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such token; see [`ExchangeErrorKind`]. A server without an
    /// OAuth application ([`ClerkMcpBuilder::token_exchange`]) is
    /// [`Misconfigured`](ExchangeErrorKind::Misconfigured).
    ///
    /// # Example
    ///
    /// ```
    /// use clerk_mcp_tools::clerk::ExchangeError;
    /// use clerk_mcp_tools::{AuthInfo, ClerkMcp, Scopes};
    ///
    /// const NOTES: &str = "https://notes.example.com";
    ///
    /// /// Returns the `Authorization` header of a call to the service for notes.
    /// async fn header(
    ///     clerk: &ClerkMcp,
    ///     caller: &AuthInfo,
    ///     scopes: &Scopes,
    /// ) -> Result<String, ExchangeError> {
    ///     let token = clerk.exchange_token(caller, NOTES, scopes).await?;
    ///     Ok(format!("Bearer {}", token.access_token().expose()))
    /// }
    /// # let _ = header;
    /// ```
    pub async fn exchange_token(
        &self,
        caller: &AuthInfo,
        resource: &str,
        scopes: &Scopes,
    ) -> Result<ExchangedToken, ExchangeError> {
        match &self.0.exchange {
            Some(exchange) => exchange.exchange(caller, resource, scopes).await,
            None => Err(ExchangeError::new(
                ExchangeErrorKind::Misconfigured,
                "no OAuth application stands for it: set CLERK_OAUTH_CLIENT_ID and \
                 CLERK_OAUTH_CLIENT_SECRET",
            )),
        }
    }
}
