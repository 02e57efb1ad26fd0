//! What a user approved, and the codes and refresh tokens that stand for it.

use std::time::Duration;

/// What the user approved.
#[derive(Clone)]
pub(crate) struct Grant {
    pub(crate) id: String,
    pub(crate) client_id: String,
    pub(crate) subject: String,
    pub(crate) scopes: Vec<String>,
    /// The resources of the authorization request. A token request may narrow them.
    pub(crate) resources: Vec<String>,
    /// Those of the resources that tokens of this grant name as their audience. It is decided once,
    /// so that a grant that was made without an audience stays without one.
    pub(crate) audience: Vec<String>,
    /// The organization that the user chose. Tokens name it if `user:org:read` was granted.
    pub(crate) organization: Option<String>,
}

/// An authorization code that has not been redeemed.
pub(crate) struct AuthorizationCode {
    pub(crate) grant: Grant,
    pub(crate) redirect_uri: String,
    /// Whether the authorization request contained the redirect URI, so that the token request must
    /// repeat it (RFC 6749 section 4.1.3).
    pub(crate) redirect_uri_sent: bool,
    pub(crate) challenge: String,
    pub(crate) nonce: Option<String>,
    pub(crate) expires_at: Duration,
}

/// A request that the user has not decided yet.
pub(crate) struct ConsentRequest {
    /// What the code will stand for.
    pub(crate) record: AuthorizationCode,
    pub(crate) state: Option<String>,
    /// The cookie of the browser that shows the page.
    pub(crate) browser: String,
    pub(crate) expires_at: Duration,
}

/// An authorization code that has been redeemed, kept to recognize a second use.
pub(crate) struct UsedCode {
    pub(crate) client_id: String,
    pub(crate) grant_id: String,
}

/// A refresh token. It is kept after its use to recognize a second one.
pub(crate) struct RefreshToken {
    pub(crate) grant: Grant,
    pub(crate) expires_at: Duration,
    pub(crate) used: bool,
}
