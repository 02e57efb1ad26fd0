//! OAuth clients.

/// An OAuth client, registered or identified by its metadata document.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) id: String,
    /// The name for people. `None` if the client has none.
    pub(crate) name: Option<String>,
    pub(crate) redirect_uris: Vec<String>,
    pub(crate) authentication: ClientAuthentication,
    /// Whether the grant types of the client include `refresh_token`.
    pub(crate) may_refresh: bool,
    /// The scopes that the client registered. `None` if it registered none, which limits nothing.
    pub(crate) scopes: Option<Vec<String>>,
    /// `None` if the client may not exchange tokens.
    pub(crate) exchange: Option<Exchange>,
}

/// For what an application may exchange tokens (RFC 8693).
#[derive(Clone)]
pub(crate) struct Exchange {
    /// The application's own resource, for which the tokens are that it exchanges.
    pub(crate) resource: String,
    /// The resources for which it may get tokens.
    pub(crate) targets: Vec<String>,
}

impl Client {
    /// Returns a client as a developer sets one up in the Clerk Dashboard: public, with refresh
    /// tokens, for all scopes.
    pub(crate) fn public(id: String, redirect_uri: String) -> Self {
        Self {
            id,
            name: None,
            redirect_uris: vec![redirect_uri],
            authentication: ClientAuthentication::None,
            may_refresh: true,
            scopes: None,
            exchange: None,
        }
    }

    /// Returns a confidential application that stands for the server of this resource.
    pub(crate) fn application(id: String, secret: String, resource: String) -> Self {
        Self {
            id,
            name: None,
            redirect_uris: Vec::new(),
            authentication: ClientAuthentication::SecretBasic(secret),
            may_refresh: false,
            scopes: None,
            exchange: Some(Exchange { resource, targets: Vec::new() }),
        }
    }
}

impl Client {
    /// Returns the client secret, if the client has one.
    pub(crate) fn secret(&self) -> Option<&str> {
        match &self.authentication {
            ClientAuthentication::None => None,
            ClientAuthentication::SecretBasic(secret)
            | ClientAuthentication::SecretPost(secret) => Some(secret),
        }
    }
}

/// A method of client authentication with its secret: the registered one, or that of a request.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum ClientAuthentication {
    None,
    SecretBasic(String),
    SecretPost(String),
}
