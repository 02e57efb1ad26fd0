//! The verification of opaque tokens, by their type.

use super::introspection::Introspection;
use crate::error::{VerifyError, VerifyErrorKind};
use crate::oauth::{AuthInfo, TokenRequest, TokenType};

/// One [`Introspection`] for each type that is accepted and has a key to verify it with.
pub(super) struct OpaqueTokens {
    pub(super) access_tokens: Option<Introspection>,
    pub(super) api_keys: Option<Introspection>,
    pub(super) machine_tokens: Option<Introspection>,
}

impl OpaqueTokens {
    /// Verifies a token of a type that is accepted.
    pub(super) async fn verify(
        &self,
        token_type: TokenType,
        request: TokenRequest<'_>,
    ) -> Result<AuthInfo, VerifyError> {
        let introspection = match token_type {
            TokenType::OAuthToken => self.access_tokens.as_ref(),
            TokenType::ApiKey => self.api_keys.as_ref(),
            TokenType::M2mToken => self.machine_tokens.as_ref(),
            TokenType::SessionToken => None,
        };
        introspection.ok_or_else(|| no_key(token_type))?.verify(request).await
    }

    /// Returns the number of cached rejections.
    pub(super) fn rejected_tokens(&self) -> usize {
        let all = [&self.access_tokens, &self.api_keys, &self.machine_tokens];
        all.into_iter().flatten().map(Introspection::rejected_tokens).sum()
    }
}

fn no_key(token_type: TokenType) -> VerifyError {
    VerifyError::new(VerifyErrorKind::Misconfigured).with_detail(match token_type {
        TokenType::M2mToken => {
            "opaque machine tokens are verified with the secret key of this server's machine, or \
             with that of the instance: set CLERK_MACHINE_SECRET_KEY, which the Clerk Dashboard \
             shows on the page Machines, or CLERK_SECRET_KEY"
        }
        _ => {
            "opaque access tokens are verified with the secret key: set CLERK_SECRET_KEY, which the \
             Clerk Dashboard shows on the page API keys, or switch the instance to JWT access \
             tokens (page OAuth applications)"
        }
    })
}
