//! The environment variables that describe a Clerk instance and an MCP endpoint.

use crate::error::ConfigError;
use crate::instance::{BackendApi, FrontendApi, PublishableKey, SecretKey};
use crate::jwt::JwtKey;
use crate::oauth::{Audience, ResourceUrl, Scopes};

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

    pub(crate) fn scopes(&self) -> Result<Option<Scopes>, ConfigError> {
        self.parse("MCP_SCOPES", parse_scopes)
    }
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
