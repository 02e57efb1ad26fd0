//! Keys, tokens and resources of a running fake Clerk.

use std::io;

use serde_json::Value;

use super::FakeClerk;
use crate::testing::token_format::TokenFormat;

/// Keys, tokens and resources.
impl FakeClerk {
    /// Replaces the signing key and removes the previous ones from the key sets. Keys added with
    /// [`publish_jwk`](Self::publish_jwk) stay.
    ///
    /// # Errors
    ///
    /// Returns an error if no key can be generated.
    pub fn rotate_keys(&self) -> io::Result<()> {
        let next = self.instance().generate_key()?;
        self.instance().records().keys.rotate(next);
        Ok(())
    }

    /// Replaces the signing key and keeps the previous ones in the key sets.
    ///
    /// # Errors
    ///
    /// Returns an error if no key can be generated.
    pub fn add_key(&self) -> io::Result<()> {
        let next = self.instance().generate_key()?;
        self.instance().records().keys.add(next);
        Ok(())
    }

    /// Adds any JSON value to the key sets, before the instance's own keys.
    pub fn publish_jwk(&self, jwk: Value) {
        self.instance().records().keys.publish(jwk);
    }

    /// Returns the JWK Set as it is served.
    #[must_use]
    pub fn jwks(&self) -> Value {
        self.instance().records().keys.jwks()
    }

    /// Revokes an access token, an opaque machine token, an API key (by its secret), or a refresh
    /// token with all access tokens of its grant. Returns whether it exists.
    ///
    /// A revoked JWT still passes signature verification; only the Backend API reports it as
    /// revoked. Machine tokens that are JWTs, and session tokens, cannot be revoked.
    pub fn revoke(&self, token: &str) -> bool {
        self.instance().records().revoke(token)
    }

    /// Sets the format of the access tokens that the token endpoint issues from now on.
    pub fn set_token_format(&self, format: TokenFormat) {
        self.instance().records().token_format = format;
    }

    /// Registers a resource, such as a server whose port is known only after the start. See
    /// [`register_resource`](crate::testing::FakeClerkBuilder::register_resource) of the builder.
    pub fn register_resource(&self, resource: impl Into<String>) {
        self.instance().records().resources.register(resource.into());
    }

    /// Sets whether tokens name their audience from now on. A grant that is made while it is off
    /// gets no audience later either: its user has to sign in again. See
    /// [`include_audience`](crate::testing::FakeClerkBuilder::include_audience) of the builder.
    pub fn set_include_audience(&self, include: bool) {
        self.instance().records().resources.include_audience = include;
    }
}
