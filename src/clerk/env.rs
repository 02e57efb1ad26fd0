//! The environment variables that describe a Clerk instance and an MCP endpoint.

use super::credentials::SessionTokens;
use crate::error::ConfigError;
use crate::instance::{
    BackendApi, FrontendApi, MachineId, MachineSecretKey, OAuthClientSecret, PublishableKey,
    SecretKey, check_client_id,
};
use crate::jwt::JwtKey;
use crate::oauth::{Audience, ResourceUrl, Scopes, TokenType};

/// A source of variables.
///
/// An empty or blank variable counts as not set. Surrounding white space is removed: files with
/// variables and mounted secrets often end with a newline.
pub(crate) struct Env<'a>(&'a dyn Fn(&str) -> Option<String>);

impl<'a> Env<'a> {
    pub(crate) fn new(var: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self(var)
    }

    fn var(&self, name: &str) -> Option<String> {
        (self.0)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn parse<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, ConfigError>,
    ) -> Result<Option<T>, ConfigError> {
        self.var(name)
            .map(|value| parse(&value).map_err(|error| error.in_variable(name)))
            .transpose()
    }

    pub(crate) fn publishable_key(&self) -> Result<Option<PublishableKey>, ConfigError> {
        match self.parse("CLERK_PUBLISHABLE_KEY", PublishableKey::parse)? {
            None => self.parse("NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY", PublishableKey::parse),
            key => Ok(key),
        }
    }

    pub(crate) fn frontend_api(&self) -> Result<Option<FrontendApi>, ConfigError> {
        self.parse("CLERK_FAPI", FrontendApi::parse)
    }

    pub(crate) fn secret_key(&self) -> Result<Option<SecretKey>, ConfigError> {
        self.parse("CLERK_SECRET_KEY", SecretKey::parse)
    }

    pub(crate) fn jwt_key(&self) -> Result<Option<JwtKey>, ConfigError> {
        self.parse("CLERK_JWT_KEY", JwtKey::parse)
    }

    /// Returns `current` with the changes of the environment; `None` if there are none.
    pub(crate) fn backend_api(
        &self,
        current: &BackendApi,
    ) -> Result<Option<BackendApi>, ConfigError> {
        let origin = self.parse("CLERK_API_URL", BackendApi::parse)?;
        let version = self.var("CLERK_API_VERSION");
        if origin.is_none() && version.is_none() {
            return Ok(None);
        }
        let version = version.as_deref().unwrap_or(current.version());
        let api = origin.unwrap_or_else(|| current.clone()).with_version(version);
        api.map(Some).map_err(|error| error.in_variable("CLERK_API_VERSION"))
    }

    pub(crate) fn resource(&self) -> Result<Option<ResourceUrl>, ConfigError> {
        self.parse("MCP_RESOURCE_URL", ResourceUrl::parse)
    }

    pub(crate) fn audience(&self) -> Result<Option<Audience>, ConfigError> {
        self.parse("MCP_AUDIENCE", str::parse)
    }

    /// Returns the types of `MCP_ACCEPTS`, and what they are verified with.
    pub(super) fn accepted(&self) -> Result<Option<AcceptedEnv>, ConfigError> {
        let Some(types) = self.parse("MCP_ACCEPTS", parse_types)? else { return Ok(None) };
        let accepts_machines = types.contains(&TokenType::M2mToken);
        let accepts_sessions = types.contains(&TokenType::SessionToken);
        let mut accepted = AcceptedEnv { types, ..AcceptedEnv::default() };
        if accepts_machines {
            accepted.machine_secret_key =
                self.parse("CLERK_MACHINE_SECRET_KEY", MachineSecretKey::parse)?;
            accepted.machine_id = self.parse("CLERK_MACHINE_ID", MachineId::parse)?;
        }
        if accepts_sessions {
            accepted.authorized_parties = self.parse("MCP_AUTHORIZED_PARTIES", parse_parties)?;
        }
        Ok(Some(accepted))
    }

    pub(crate) fn oauth_client_id(&self) -> Result<Option<String>, ConfigError> {
        self.parse("CLERK_OAUTH_CLIENT_ID", |id| check_client_id(id).map(|()| id.to_owned()))
    }

    pub(crate) fn oauth_client_secret(&self) -> Result<Option<OAuthClientSecret>, ConfigError> {
        self.parse("CLERK_OAUTH_CLIENT_SECRET", OAuthClientSecret::parse)
    }

    pub(crate) fn scopes(&self) -> Result<Option<Scopes>, ConfigError> {
        self.parse("MCP_SCOPES", parse_scopes)
    }
}

/// What the environment says about the types of tokens that are accepted.
#[derive(Clone, Default)]
pub(super) struct AcceptedEnv {
    pub(super) types: Vec<TokenType>,
    pub(super) machine_secret_key: Option<MachineSecretKey>,
    pub(super) machine_id: Option<MachineId>,
    /// The rules that the origins make, without scopes.
    pub(super) authorized_parties: Option<SessionTokens>,
}

/// Parses types separated by spaces, as the scopes are.
fn parse_types(list: &str) -> Result<Vec<TokenType>, ConfigError> {
    if list.contains(',') {
        return Err(ConfigError::invalid(
            "MCP_ACCEPTS",
            "contains a comma: separate the types with spaces, such as \
             MCP_ACCEPTS='oauth_token api_key'",
        ));
    }
    list.split_ascii_whitespace().map(TokenType::parse).collect()
}

fn parse_parties(list: &str) -> Result<SessionTokens, ConfigError> {
    if list.contains(',') {
        return Err(ConfigError::invalid(
            "MCP_AUTHORIZED_PARTIES",
            "contains a comma: separate the origins with spaces",
        ));
    }
    SessionTokens::from_authorized_parties(list.split_ascii_whitespace())
}

/// Parses scopes separated by spaces (RFC 6749 section 3.3). A comma may be part of a scope there,
/// but no scope of Clerk has one: it is rejected as a mistaken separator.
fn parse_scopes(list: &str) -> Result<Scopes, ConfigError> {
    if list.contains(',') {
        return Err(ConfigError::invalid(
            "MCP_SCOPES",
            "contains a comma: separate the scopes with spaces, such as \
             MCP_SCOPES='profile email'",
        ));
    }
    Scopes::parse(list)
}
