//! Access tokens, machine tokens and session tokens that a test makes by hand.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::state::FakeInstance;
use super::state::claims::{self, CommonClaims};
use super::state::issued_token::{IssuedToken, ResponseOverrides};
use super::state::machine::MachineToken;
use super::state::signing_keys::encode_jws;

/// The category (`cat`) in the JOSE header of session tokens.
const SESSION_CATEGORY: &str = "cl_B7d4PD111AAA";
/// The category (`cat`) in the JOSE header of machine tokens.
const MACHINE_CATEGORY: &str = "cl_B7d4PD333AAA";
const SESSION_LIFETIME: Duration = Duration::from_secs(60);

/// Builds a token by hand: an OAuth access token ([`FakeClerk::mint`](super::FakeClerk::mint)), a
/// machine token ([`FakeMachine::mint`](super::FakeMachine::mint)) or a session token
/// ([`FakeClerk::mint_session_token`](super::FakeClerk::mint_session_token)).
///
/// The defaults make a valid token. Of an access token these are: the instance's issuer and key, the
/// default user, a registered client, the scopes `profile email`, the instance's token lifetime, and
/// no audience. Each setter changes one thing, to a valid or an invalid value.
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
    class: TokenClass,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    raw_header: Option<String>,
    raw_claims: Option<String>,
    signer: Signer,
    revoked: bool,
    overrides: ResponseOverrides,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TokenClass {
    OAuth,
    Machine,
    Session,
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
        let claims = instance.access_token_claims(
            &defaults.user_id,
            &defaults.client_id,
            &scopes,
            &[],
            None,
        );
        let header = claims::header(&instance.records().keys.current.kid);
        Self::of_class(TokenClass::OAuth, instance, header, claims)
    }

    /// Returns the builder of a token of this machine, for the machines that it may call.
    pub(super) fn for_machine(instance: Arc<FakeInstance>, machine_id: &str) -> Self {
        let lifetime = instance.config.token_lifetime;
        let common = common_claims(&instance, machine_id, "mt_", lifetime);
        let (header, claims) = {
            let records = instance.records();
            let machine = records.machines.get(machine_id);
            let may_call = machine.map(|machine| machine.may_call.as_slice()).unwrap_or_default();
            let header = claims::category_header(&records.keys.current.kid, MACHINE_CATEGORY);
            (header, common.of_machine_token(may_call))
        };
        Self::of_class(TokenClass::Machine, instance, header, claims)
    }

    /// Returns the builder of a session token that this origin requested.
    pub(super) fn for_session(instance: Arc<FakeInstance>, authorized_party: &str) -> Self {
        let user_id = &instance.defaults.user_id;
        let common = common_claims(&instance, user_id, "", SESSION_LIFETIME);
        let claims = common.of_session_token(instance.ids.id("sess_"), authorized_party);
        let key_id = instance.records().keys.current.kid.clone();
        let header = claims::category_header(&key_id, SESSION_CATEGORY);
        Self::of_class(TokenClass::Session, instance, header, claims)
    }

    fn of_class(
        class: TokenClass,
        instance: Arc<FakeInstance>,
        header: Map<String, Value>,
        claims: Map<String, Value>,
    ) -> Self {
        Self {
            class,
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

    /// Sets the user ID (`sub`), or that of the machine.
    pub fn subject(self, id: impl Into<String>) -> Self {
        self.claim("sub", id.into())
    }

    /// Sets the client ID (`client_id`).
    pub fn client_id(self, client_id: impl Into<String>) -> Self {
        self.claim("client_id", client_id.into())
    }

    /// Sets the granted scopes (`scope`, separated by spaces). Those of a machine token (`scopes`) are
    /// the ids of the machines that may be called.
    pub fn scopes<S: AsRef<str>>(self, scopes: impl IntoIterator<Item = S>) -> Self {
        let scopes: Vec<String> =
            scopes.into_iter().map(|scope| scope.as_ref().to_owned()).collect();
        let name = if self.class == TokenClass::Machine { "scopes" } else { "scope" };
        self.claim(name, scopes.join(" "))
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

    /// Sets the organization ID (`org_id`). A session token gets the claims `o` and `fea`, with role
    /// and permissions if its user is a member now.
    pub fn organization(mut self, org_id: impl Into<String>) -> Self {
        let id = org_id.into();
        if self.class != TokenClass::Session {
            return self.claim("org_id", id);
        }
        match self.membership_claims(&id) {
            None => self.claim("o", json!({ "id": id })),
            Some(claims) => {
                self.claims.extend(claims);
                self
            }
        }
    }

    fn membership_claims(&self, organization_id: &str) -> Option<Map<String, Value>> {
        let records = self.instance.records();
        let organization = records.organizations.get(organization_id)?;
        let member = organization.member(self.claims.get("sub")?.as_str()?)?;
        Some(organization.session_claims(member))
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
    pub fn expired(self, expired: bool) -> Self {
        self.record_member("expired", expired)
    }

    /// Sets `expiration` in the Backend API's response, to any JSON value. Defaults to `exp`, in
    /// seconds for an access token and in milliseconds for a machine token.
    pub fn expiration(self, expiration: impl Into<Value>) -> Self {
        self.record_member("expiration", expiration)
    }

    /// Sets any member of the Backend API's response.
    pub fn record_member(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.overrides.set(name, value);
        self
    }

    /// Removes a member of the Backend API's response.
    pub fn without_record_member(mut self, name: impl Into<String>) -> Self {
        self.overrides.omitted.push(name.into());
        self
    }

    /// Returns the token as a JWT. The Backend API knows it only if it is an access token, is signed
    /// with the instance's own key, and neither header nor claims are [raw](Self::raw_claims).
    #[must_use]
    pub fn jwt(self) -> String {
        let header = self.raw_header.clone();
        let header = header.unwrap_or_else(|| Value::Object(self.header.clone()).to_string());
        let claims = self.raw_claims.clone();
        let claims = claims.unwrap_or_else(|| Value::Object(self.claims.clone()).to_string());
        let token = encode_jws(&header, &claims, |message| self.sign(message));
        if self.class == TokenClass::OAuth
            && matches!(self.signer, Signer::Current)
            && self.raw_header.is_none()
            && self.raw_claims.is_none()
        {
            self.record(token.clone());
        }
        token
    }

    /// Returns the token as an opaque string that the Backend API knows: `oat_…`, or `mt_…` of a
    /// machine. Settings of the header and the signature have no effect.
    ///
    /// Session tokens are JWTs only. For them it returns an `oat_…` that nobody issued.
    #[must_use]
    pub fn opaque(self) -> String {
        let prefix = if self.class == TokenClass::Machine { "mt_" } else { "oat_" };
        let token = format!("{prefix}{}", self.instance.ids.secret());
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
        let Self { claims, revoked, overrides, .. } = self;
        let mut records = self.instance.records();
        match self.class {
            TokenClass::Session => {}
            TokenClass::OAuth => {
                let record = IssuedToken { claims, grant_id: None, revoked, overrides };
                records.access_tokens.insert(token, record);
            }
            TokenClass::Machine => {
                records.machine_tokens.insert(token, MachineToken { claims, revoked, overrides });
            }
        }
    }
}

fn common_claims<'a>(
    instance: &'a FakeInstance,
    subject: &'a str,
    id_prefix: &str,
    lifetime: Duration,
) -> CommonClaims<'a> {
    CommonClaims {
        issuer: instance.issuer(),
        subject,
        token_id: instance.ids.id(id_prefix),
        issued_at: instance.now().as_secs(),
        lifetime,
    }
}

impl fmt::Debug for TokenBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenBuilder")
            .field("class", &self.class)
            .field("header", &self.header)
            .field("claims", &self.claims)
            .finish_non_exhaustive()
    }
}
