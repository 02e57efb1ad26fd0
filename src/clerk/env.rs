//! The variables of the environment that describe a Clerk instance.

use crate::error::ConfigError;
use crate::instance::{BackendApi, FrontendApi, PublishableKey, SecretKey};
use crate::jwt::JwtKey;
use crate::oauth::{Audience, ResourceUrl, Scopes};

/// A source of variables. One that is empty or blank counts as not set, and surrounding white space is removed: files with
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

    /// Returns `current` with what the environment says in its place; `None` if it says nothing.
    pub(crate) fn backend_api(
        &self,
        current: &BackendApi,
    ) -> Result<Option<BackendApi>, ConfigError> {
        let origin = self.parse("CLERK_API_URL", BackendApi::parse)?;
        match self.var("CLERK_API_VERSION") {
            None => match origin {
                Some(api) => api.with_version(current.version()).map(Some),
                None => Ok(None),
            },
            Some(version) => origin
                .unwrap_or_else(|| current.clone())
                .with_version(&version)
                .map_err(|error| error.in_variable("CLERK_API_VERSION"))
                .map(Some),
        }
    }

    pub(crate) fn resource(&self) -> Result<Option<ResourceUrl>, ConfigError> {
        self.parse("MCP_RESOURCE_URL", ResourceUrl::parse)
    }

    pub(crate) fn audience(&self) -> Result<Option<Audience>, ConfigError> {
        self.parse("MCP_AUDIENCE", str::parse)
    }

    pub(crate) fn scopes(&self) -> Result<Option<Scopes>, ConfigError> {
        self.parse("MCP_SCOPES", parse_scopes)
    }
}

/// Separated by spaces, as in OAuth. RFC 6749 section 3.3 allows a comma within a scope; no scope of Clerk has one, so
/// whoever writes it means a list.
fn parse_scopes(list: &str) -> Result<Scopes, ConfigError> {
    if list.contains(',') {
        return Err(ConfigError::invalid(
            "MCP_SCOPES",
            "contains a comma: separate the scopes with spaces, such as MCP_SCOPES='profile email'",
        ));
    }
    Scopes::parse(list)
}
