//! Request parameters of the OAuth endpoints.

use url::{Url, form_urlencoded};

use crate::testing::response::OAuthError;

/// The parameters of a query or of an `application/x-www-form-urlencoded` body.
///
/// A parameter without a value is treated as omitted, and a repeated one is an error (RFC 6749
/// section 3.1), except `resource` (RFC 8707 section 2).
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    pub(super) fn parse(encoded: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(encoded).into_owned();
        Self(pairs.filter(|(_, value)| !value.is_empty()).collect())
    }

    pub(super) fn optional(&self, name: &str) -> Result<Option<&str>, OAuthError> {
        let mut values = self.values(name);
        let first = values.next();
        match values.next() {
            None => Ok(first),
            Some(_) => Err(OAuthError::invalid_request("a parameter is repeated")),
        }
    }

    /// As [`Params::optional`]; `description` is that of the error if the parameter is missing.
    pub(super) fn required(
        &self,
        name: &str,
        description: &'static str,
    ) -> Result<&str, OAuthError> {
        self.optional(name)?.ok_or(OAuthError::invalid_request(description))
    }

    /// Returns the values of `scope`, in their order.
    pub(super) fn scopes(&self) -> Result<Option<Vec<String>>, OAuthError> {
        let scope = self.optional("scope")?;
        let split =
            |scope: &str| scope.split(' ').filter(|s| !s.is_empty()).map(str::to_owned).collect();
        Ok(scope.map(split))
    }

    /// Returns the resource indicators: absolute URIs without a fragment (RFC 8707 section 2).
    pub(super) fn resources(&self) -> Result<Vec<String>, OAuthError> {
        let resources: Vec<String> = self.values("resource").map(str::to_owned).collect();
        let is_valid = |uri: &String| Url::parse(uri).is_ok() && !uri.contains('#');
        if resources.iter().all(is_valid) {
            return Ok(resources);
        }
        Err(OAuthError::new("invalid_target", "resource is not an absolute URI without a fragment"))
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}
