use url::form_urlencoded;

use super::reply::OAuthError;

/// The parameters of a query or of an `application/x-www-form-urlencoded` body.
///
/// A parameter without a value counts as left out, and one that is sent twice is an error (RFC 6749 section 3.1);
/// `resource` may repeat (RFC 8707 section 2).
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    pub(super) fn parse(encoded: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(encoded).into_owned();
        Self(pairs.filter(|(_, value)| !value.is_empty()).collect())
    }

    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, OAuthError> {
        let mut values = self.named(name);
        let first = values.next();
        match values.next() {
            None => Ok(first),
            Some(_) => Err(OAuthError::invalid_request("a parameter is sent twice")),
        }
    }

    /// As [`Params::one`], with the text for a parameter that is not there.
    pub(super) fn need(&self, name: &str, missing: &'static str) -> Result<&str, OAuthError> {
        self.one(name)?.ok_or(OAuthError::invalid_request(missing))
    }

    /// The values of `scope`, in the order they were sent.
    pub(super) fn scopes(&self) -> Result<Option<Vec<String>>, OAuthError> {
        let scope = self.one("scope")?;
        Ok(scope
            .map(|scope| scope.split(' ').filter(|s| !s.is_empty()).map(str::to_owned).collect()))
    }

    /// The resource indicators: absolute URIs without a fragment (RFC 8707 section 2).
    pub(super) fn resources(&self) -> Result<Vec<String>, OAuthError> {
        let resources: Vec<String> = self.named("resource").map(str::to_owned).collect();
        let usable = |uri: &String| url::Url::parse(uri).is_ok() && !uri.contains('#');
        if resources.iter().all(usable) {
            return Ok(resources);
        }
        Err(OAuthError::new("invalid_target", "resource is not an absolute URI without a fragment"))
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}
