//! Which types of tokens a verifier accepts: what its builder and the environment say together.

use super::credentials::{
    ApiKeys, MachineTokens, SessionTokens, missing_parties, no_api_key_scopes,
};
use super::env::{AcceptedEnv, Env};
use crate::error::ConfigError;
use crate::jwt::AcceptedTypes;
use crate::oauth::{ScopeHierarchy, Scopes, TokenType};

/// The settings, of which [`resolve`](Self::resolve) makes the rules.
#[derive(Clone, Default)]
pub(super) struct AcceptSettings {
    pub(super) rejects_oauth_tokens: bool,
    pub(super) api_keys: Option<ApiKeys>,
    pub(super) machine_tokens: Option<MachineTokens>,
    pub(super) session_tokens: Option<SessionTokens>,
    env: Option<AcceptedEnv>,
    /// The scopes of the endpoint, for the types that the environment names.
    scopes: Option<Scopes>,
    hierarchy: ScopeHierarchy,
}

/// The rules for each type.
pub(super) struct Accepted {
    pub(super) types: AcceptedTypes,
    pub(super) api_keys: Option<ApiKeys>,
    pub(super) machine_tokens: Option<MachineTokens>,
    pub(super) session_tokens: Option<SessionTokens>,
}

impl AcceptSettings {
    pub(super) fn read_env(&mut self, env: &Env<'_>) -> Result<(), ConfigError> {
        if let Some(accepted) = env.accepted()? {
            self.env = Some(accepted);
            self.scopes = env.scopes()?.or(self.scopes.take());
        }
        Ok(())
    }

    /// Sets the scopes of the endpoint: those that API keys need, and that machines and sessions are
    /// granted, unless the builder says otherwise.
    pub(super) fn set_endpoint_scopes(&mut self, scopes: Scopes, hierarchy: ScopeHierarchy) {
        self.scopes = Some(scopes);
        self.hierarchy = hierarchy;
    }

    pub(super) fn resolve(&self) -> Result<Accepted, ConfigError> {
        let accepted = match &self.env {
            None => Accepted {
                types: self.types(!self.rejects_oauth_tokens),
                api_keys: self.api_keys.clone(),
                machine_tokens: self.machine_tokens.clone(),
                session_tokens: self.session_tokens.clone(),
            },
            Some(env) => self.resolve_env(env)?,
        };
        let AcceptedTypes { oauth_tokens, api_keys, machine_tokens, session_tokens } =
            accepted.types;
        if oauth_tokens || api_keys || machine_tokens || session_tokens {
            return Ok(accepted);
        }
        Err(ConfigError::invalid(
            "reject_oauth_tokens",
            "leaves no credential that is accepted: accept API keys, machine tokens or session \
             tokens as well, or leave it out",
        ))
    }

    /// Returns the rules for the types of `MCP_ACCEPTS`, which is the whole list.
    fn resolve_env(&self, env: &AcceptedEnv) -> Result<Accepted, ConfigError> {
        let lists = |token_type| env.types.contains(&token_type);
        self.check_all_are_listed(env)?;
        let scopes = self.scopes.clone().unwrap_or_default();
        let api_keys = match &self.api_keys {
            None if lists(TokenType::ApiKey) => {
                let rules = ApiKeys::requiring_scopes(scopes.clone());
                let rules = rules.map_err(|_| no_api_key_scopes())?;
                Some(rules.scope_hierarchy(self.hierarchy.clone()))
            }
            rules => rules.clone(),
        };
        let machine_tokens = match &self.machine_tokens {
            None if lists(TokenType::M2mToken) => {
                let parts = (env.machine_secret_key.clone(), env.machine_id.clone());
                let rules = MachineTokens::from_parts(parts.0, parts.1).ok_or_else(no_machine)?;
                Some(rules.granting(scopes.clone()))
            }
            rules => rules.clone(),
        };
        let session_tokens = match &self.session_tokens {
            None if lists(TokenType::SessionToken) => {
                let parties = env.authorized_parties.clone().ok_or_else(missing_parties)?;
                Some(parties.granting(scopes))
            }
            rules => rules.clone(),
        };
        let types = AcceptedTypes {
            oauth_tokens: lists(TokenType::OAuthToken),
            api_keys: api_keys.is_some(),
            machine_tokens: machine_tokens.is_some(),
            session_tokens: session_tokens.is_some(),
        };
        Ok(Accepted { types, api_keys, machine_tokens, session_tokens })
    }

    /// Checks that the environment does not leave out, or name, what the builder says otherwise.
    fn check_all_are_listed(&self, env: &AcceptedEnv) -> Result<(), ConfigError> {
        let set = self.types(false);
        let rules = [
            (set.api_keys, TokenType::ApiKey),
            (set.machine_tokens, TokenType::M2mToken),
            (set.session_tokens, TokenType::SessionToken),
        ];
        let is_left_out =
            |(is_set, token_type): &(bool, TokenType)| *is_set && !env.types.contains(token_type);
        if let Some((_, token_type)) = rules.into_iter().find(is_left_out) {
            return Err(ConfigError::conflict(
                "MCP_ACCEPTS",
                format!(
                    "does not have {token_type}, for which the program sets rules: add it, or remove \
                     the rules"
                ),
            ));
        }
        if self.rejects_oauth_tokens && env.types.contains(&TokenType::OAuthToken) {
            return Err(ConfigError::conflict(
                "MCP_ACCEPTS",
                "has oauth_token, which the program rejects (reject_oauth_tokens): remove one of them",
            ));
        }
        Ok(())
    }

    fn types(&self, oauth_tokens: bool) -> AcceptedTypes {
        AcceptedTypes {
            oauth_tokens,
            api_keys: self.api_keys.is_some(),
            machine_tokens: self.machine_tokens.is_some(),
            session_tokens: self.session_tokens.is_some(),
        }
    }
}

fn no_machine() -> ConfigError {
    ConfigError::missing(
        "CLERK_MACHINE_ID",
        "is not set, and neither is CLERK_MACHINE_SECRET_KEY: MCP_ACCEPTS has m2m_token, and without \
         one of them every machine of the instance would get in; the Clerk Dashboard shows both on \
         the page Machines",
    )
}
