//! Access tokens that a test makes by hand.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::state::FakeInstance;
use super::state::claims;
use super::state::issued_token::{IssuedToken, ResponseOverrides};
use super::state::signing_keys::encode_jws;

/// Builds an access token by hand. Created by [`FakeClerk::mint`](super::FakeClerk::mint).
///
/// The defaults make a valid token: the instance's issuer and key, the default user, a registered
/// client, the scopes `profile email`, the instance's token lifetime, and no audience. Each setter
/// changes one thing, to a valid or an invalid value.
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
/// let valid = clerk.mint().audience("https://mcp.example.com/mcp").jwt();
/// let forged = clerk.mint().foreign_key().jwt();
/// let revoked = clerk.mint().scopes(["profile"]).revoked(true).opaque();
/// assert!(revoked.starts_with("oat_"));
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use]
pub struct TokenBuilder {
    instance: Arc<FakeInstance>,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    raw_header: Option<String>,
    raw_claims: Option<String>,
    signer: Signer,
    revoked: bool,
    overrides: ResponseOverrides,
}

#[derive(Clone)]
enum Signer {
    /// The instance's current key.
    Current,
    /// A key that is never published.
    Foreign,
    /// These bytes instead of a signature.
    Fixed(Vec<u8>),
}

impl TokenBuilder {
    pub(super) fn new(instance: Arc<FakeInstance>) -> Self {
        let scopes = ["profile".to_owned(), "email".to_owned()];
        let defaults = &instance.defaults;
        let claims =
            instance.access_token_claims(&defaults.user_id, &defaults.client_id, &scopes, &[]);
        let header = claims::header(&instance.records().keys.current.kid);
        Self {
            header,
            claims,
            raw_header: None,
            raw_claims: None,
            signer: Signer::Current,
            revoked: false,
            overrides: ResponseOverrides::default(),
            instance,
        }
    }

    /// Sets the user ID (`sub`).
    pub fn subject(self, user_id: impl Into<String>) -> Self {
        self.claim("sub", user_id.into())
    }

    /// Sets the client ID (`client_id`).
    pub fn client_id(self, client_id: impl Into<String>) -> Self {
        self.claim("client_id", client_id.into())
    }

    /// Sets the granted scopes (`scope`, separated by spaces).
    pub fn scopes<S: AsRef<str>>(self, scopes: impl IntoIterator<Item = S>) -> Self {
        let scopes: Vec<String> =
            scopes.into_iter().map(|scope| scope.as_ref().to_owned()).collect();
        self.claim("scope", scopes.join(" "))
    }

    /// Sets a single audience (`aud` as a string).
    pub fn audience(self, resource: impl Into<String>) -> Self {
        self.claim("aud", resource.into())
    }

    /// Sets any number of audiences (`aud` as an array).
    pub fn audiences<S: Into<String>>(self, resources: impl IntoIterator<Item = S>) -> Self {
        let resources: Vec<String> = resources.into_iter().map(Into::into).collect();
        self.claim("aud", resources)
    }

    /// Sets the organization ID (`org_id`).
    pub fn organization(self, org_id: impl Into<String>) -> Self {
        self.claim("org_id", org_id.into())
    }

    /// Sets the actor (`act`, RFC 8693 section 4.1).
    pub fn actor(self, actor: Value) -> Self {
        self.claim("act", actor)
    }

    /// Sets the time of issue (`iat`), in seconds since 1970.
    pub fn issued_at(self, unix_seconds: u64) -> Self {
        self.claim("iat", unix_seconds)
    }

    /// Sets the start of validity (`nbf`), in seconds since 1970.
    pub fn not_before(self, unix_seconds: u64) -> Self {
        self.claim("nbf", unix_seconds)
    }

    /// Sets the expiration (`exp`), in seconds since 1970.
    pub fn expires_at(self, unix_seconds: u64) -> Self {
        self.claim("exp", unix_seconds)
    }

    /// Sets the expiration (`exp`) relative to the instance's clock, in whole seconds.
    pub fn expires_in(self, lifetime: Duration) -> Self {
        let expires_at = self.instance.now().saturating_add(lifetime);
        self.expires_at(expires_at.as_secs())
    }

    /// Sets any claim.
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.claims.insert(name.into(), value.into());
        self
    }

    /// Removes a claim.
    pub fn without_claim(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Sets any member of the JOSE header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.header.insert(name.into(), value.into());
        self
    }

    /// Removes a member of the JOSE header.
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// Replaces the whole JOSE header with this string, such as malformed JSON or duplicate
    /// members.
    pub fn raw_header(mut self, json: impl Into<String>) -> Self {
        self.raw_header = Some(json.into());
        self
    }

    /// Replaces all claims of the JWT with this string, such as malformed JSON or duplicate claims.
    pub fn raw_claims(mut self, json: impl Into<String>) -> Self {
        self.raw_claims = Some(json.into());
        self
    }

    /// Signs with a key that the instance never publishes, under the `kid` of its current key.
    ///
    /// A verifier fetches the key set for the first such token, and rejects it. For 30 seconds more
    /// it answers [`Unavailable`](crate::VerifyErrorKind::Unavailable) to others, since a newer key
    /// could have signed them, unless [`issued_at`](Self::issued_at) is more than 10 minutes ago.
    pub fn foreign_key(mut self) -> Self {
        self.signer = Signer::Foreign;
        self
    }

    /// Uses these bytes as the signature.
    pub fn signature(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.signer = Signer::Fixed(bytes.into());
        self
    }

    /// Sets `revoked` in the Backend API's response. Defaults to `false`.
    pub fn revoked(mut self, revoked: bool) -> Self {
        self.revoked = revoked;
        self
    }

    /// Sets `expired` in the Backend API's response. Defaults to whether `exp` has passed by the
    /// instance's clock.
    pub fn expired(mut self, expired: bool) -> Self {
        self.overrides.expired = Some(expired);
        self
    }

    /// Sets `expiration` in the Backend API's response, to any JSON value. Defaults to `exp`.
    pub fn expiration(mut self, expiration: impl Into<Value>) -> Self {
        self.overrides.expiration = Some(expiration.into());
        self
    }

    /// Sets any member of the Backend API's response.
    pub fn record_member(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.overrides.members.insert(name.into(), value.into());
        self
    }

    /// Removes a member of the Backend API's response.
    pub fn without_record_member(mut self, name: impl Into<String>) -> Self {
        self.overrides.omitted.push(name.into());
        self
    }

    /// Returns the token as a JWT. The Backend API knows it only if it is signed with the
    /// instance's own key and neither header nor claims are [raw](Self::raw_claims).
    #[must_use]
    pub fn jwt(self) -> String {
        let header = self.raw_header.clone();
        let header = header.unwrap_or_else(|| Value::Object(self.header.clone()).to_string());
        let claims = self.raw_claims.clone();
        let claims = claims.unwrap_or_else(|| Value::Object(self.claims.clone()).to_string());
        let token = encode_jws(&header, &claims, |message| self.sign(message));
        if matches!(self.signer, Signer::Current)
            && self.raw_header.is_none()
            && self.raw_claims.is_none()
        {
            self.record(token.clone());
        }
        token
    }

    /// Returns the token as an opaque `oat_…` string that the Backend API knows. Settings of the
    /// header and the signature have no effect.
    #[must_use]
    pub fn opaque(self) -> String {
        let token = format!("oat_{}", self.instance.ids.secret());
        self.record(token.clone());
        token
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.signer {
            Signer::Current => self.instance.records().keys.current.sign(message),
            Signer::Fixed(bytes) => bytes.clone(),
            Signer::Foreign => {
                let generate = || self.instance.generate_key().ok();
                let key = self.instance.foreign_key.get_or_init(generate);
                key.as_ref().map(|key| key.sign(message)).unwrap_or_default()
            }
        }
    }

    /// Makes the token known to the Backend API.
    fn record(self, token: String) {
        let record = IssuedToken {
            claims: self.claims,
            grant_id: None,
            revoked: self.revoked,
            overrides: self.overrides,
        };
        self.instance.records().access_tokens.insert(token, record);
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
