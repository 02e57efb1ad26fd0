//! OAuth clients.

/// An OAuth client, registered or identified by its metadata document.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) redirect_uris: Vec<String>,
    pub(crate) authentication: ClientAuthentication,
    /// Whether the grant types of the client include `refresh_token`.
    pub(crate) may_refresh: bool,
    /// The scopes that the client registered. `None` if it registered none, which limits nothing.
    pub(crate) scopes: Option<Vec<String>>,
}

impl Client {
    /// Returns a client as a developer sets one up in the Clerk Dashboard: public, with refresh
    /// tokens, for all scopes.
    pub(crate) fn public(id: String, redirect_uri: String) -> Self {
        Self {
            id,
            redirect_uris: vec![redirect_uri],
            authentication: ClientAuthentication::None,
            may_refresh: true,
            scopes: None,
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
