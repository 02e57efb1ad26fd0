use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::access_token::{self, AccessToken, Shape};
use super::keys;
use super::state::Shared;

/// An access token that a test makes by hand, from [`FakeClerk::mint`](super::FakeClerk::mint).
///
/// It starts as a good one: the instance's issuer and key, the default user, a registered client, the scopes `profile
/// email`, the instance's lifetime from now, and no audience. Setters change one thing each, right or wrong.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::testing::FakeClerk;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let clerk = FakeClerk::start().await?;
///
/// let good = clerk.mint().audience("https://mcp.example.com/mcp").jwt();
/// let of_no_one_we_know = clerk.mint().foreign_key().jwt();
/// let revoked = clerk.mint().scopes(["profile"]).revoked(true).opaque();
/// assert!(revoked.starts_with("oat_"));
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use]
pub struct TokenBuilder {
    shared: Arc<Shared>,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    raw_header: Option<String>,
    raw_claims: Option<String>,
    signer: Signer,
    revoked: bool,
    shape: Shape,
}

#[derive(Clone)]
enum Signer {
    Current,
    Foreign,
    Fixed(Vec<u8>),
}

impl TokenBuilder {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let scopes = ["profile".to_owned(), "email".to_owned()];
        let defaults = &shared.defaults;
        let claims =
            access_token::claims(&shared, &defaults.user_id, &defaults.client_id, &scopes, &[]);
        let header = access_token::header(&shared.state().keys.current.kid);
        Self {
            header,
            claims,
            raw_header: None,
            raw_claims: None,
            signer: Signer::Current,
            revoked: false,
            shape: Shape::default(),
            shared,
        }
    }

    /// The user (`sub`).
    pub fn subject(self, user_id: impl Into<String>) -> Self {
        self.claim("sub", user_id.into())
    }

    /// The client (`client_id`).
    pub fn client_id(self, client_id: impl Into<String>) -> Self {
        self.claim("client_id", client_id.into())
    }

    /// The granted scopes (`scope`, separated by spaces).
    pub fn scopes<S: AsRef<str>>(self, scopes: impl IntoIterator<Item = S>) -> Self {
        let scopes: Vec<String> =
            scopes.into_iter().map(|scope| scope.as_ref().to_owned()).collect();
        self.claim("scope", scopes.join(" "))
    }

    /// One audience (`aud`, a string).
    pub fn audience(self, resource: impl Into<String>) -> Self {
        self.claim("aud", resource.into())
    }

    /// Any number of audiences (`aud`, an array).
    pub fn audiences<S: Into<String>>(self, resources: impl IntoIterator<Item = S>) -> Self {
        let resources: Vec<String> = resources.into_iter().map(Into::into).collect();
        self.claim("aud", resources)
    }

    /// The organization (`org_id`).
    pub fn organization(self, org_id: impl Into<String>) -> Self {
        self.claim("org_id", org_id.into())
    }

    /// Who acts for the user (`act`, RFC 8693 section 4.1).
    pub fn actor(self, actor: Value) -> Self {
        self.claim("act", actor)
    }

    /// When it was issued (`iat`), in seconds since 1970.
    pub fn issued_at(self, unix_seconds: u64) -> Self {
        self.claim("iat", unix_seconds)
    }

    /// When it begins to be good (`nbf`), in seconds since 1970.
    pub fn not_before(self, unix_seconds: u64) -> Self {
        self.claim("nbf", unix_seconds)
    }

    /// When it ends (`exp`), in seconds since 1970.
    pub fn expires_at(self, unix_seconds: u64) -> Self {
        self.claim("exp", unix_seconds)
    }

    /// When it ends (`exp`), counted from the instance's clock in whole seconds.
    pub fn expires_in(self, lifetime: Duration) -> Self {
        let expires_at = self.shared.now().saturating_add(lifetime);
        self.expires_at(expires_at.as_secs())
    }

    /// Any claim.
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.claims.insert(name.into(), value.into());
        self
    }

    /// Leaves a claim out.
    pub fn without_claim(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Any member of the JOSE header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.header.insert(name.into(), value.into());
        self
    }

    /// Leaves a member of the JOSE header out.
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// This text as the JOSE header, for JSON that is broken or names a member twice.
    pub fn raw_header(mut self, json: impl Into<String>) -> Self {
        self.raw_header = Some(json.into());
        self
    }

    /// This text as the claims of the JWT, for JSON that is broken or names a claim twice.
    pub fn raw_claims(mut self, json: impl Into<String>) -> Self {
        self.raw_claims = Some(json.into());
        self
    }

    /// Signs with a key that the instance never publishes, under the id of one that it does.
    pub fn foreign_key(mut self) -> Self {
        self.signer = Signer::Foreign;
        self
    }

    /// These bytes in place of a signature.
    pub fn signature(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.signer = Signer::Fixed(bytes.into());
        self
    }

    /// Whether the Backend API calls it revoked.
    pub fn revoked(mut self, revoked: bool) -> Self {
        self.revoked = revoked;
        self
    }

    /// Whether the Backend API calls it expired. Default: what `exp` and the instance's clock say.
    pub fn expired(mut self, expired: bool) -> Self {
        self.shape.expired = Some(expired);
        self
    }

    /// The `expiration` that the Backend API answers, in seconds, milliseconds or nonsense. Default: `exp`.
    pub fn expiration(mut self, expiration: impl Into<Value>) -> Self {
        self.shape.expiration = Some(expiration.into());
        self
    }

    /// Any member of what the Backend API answers.
    pub fn record_member(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.shape.members.insert(name.into(), value.into());
        self
    }

    /// Leaves a member out of what the Backend API answers.
    pub fn without_record_member(mut self, name: impl Into<String>) -> Self {
        self.shape.without.push(name.into());
        self
    }

    /// The token as a JWT. The Backend API knows it only if the instance's own key signed the claims as set.
    #[must_use]
    pub fn jwt(self) -> String {
        let header = self.raw_header.clone();
        let header = header.unwrap_or_else(|| Value::Object(self.header.clone()).to_string());
        let claims = self.raw_claims.clone();
        let claims = claims.unwrap_or_else(|| Value::Object(self.claims.clone()).to_string());
        let text = keys::compact(&header, &claims, |message| self.sign(message));
        if matches!(self.signer, Signer::Current)
            && self.raw_header.is_none()
            && self.raw_claims.is_none()
        {
            self.remember(text.clone());
        }
        text
    }

    /// The token as `oat_…`, with these claims on record at the instance. What concerns header and signature has no
    /// effect.
    #[must_use]
    pub fn opaque(self) -> String {
        let text = format!("oat_{}", self.shared.ids.secret());
        self.remember(text.clone());
        text
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.signer {
            Signer::Current => self.shared.state().keys.current.sign(message),
            Signer::Fixed(bytes) => bytes.clone(),
            Signer::Foreign => {
                let key = self.shared.foreign_key.get_or_init(|| self.shared.new_key().ok());
                key.as_ref().map(|key| key.sign(message)).unwrap_or_default()
            }
        }
    }

    fn remember(self, text: String) {
        let token = AccessToken {
            claims: self.claims,
            grant_id: None,
            revoked: self.revoked,
            shape: self.shape,
        };
        self.shared.state().access_tokens.insert(text, token);
    }
}

impl fmt::Debug for TokenBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenBuilder")
            .field("header", &self.header)
            .field("claims", &self.claims)
            .finish_non_exhaustive()
    }
}
