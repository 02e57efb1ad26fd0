use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::backend::ClerkClient;
use super::builder::ClerkVerifierBuilder;
use super::http::{Http, send};
use super::metadata::MetadataSource;
use super::opaque::ActiveToken;
use crate::audience::Audience;
use crate::auth_info::{AuthInfo, AuthInfoBuilder};
use crate::clock::Clock;
use crate::error::{ClerkError, ClerkErrorKind, ConfigError, VerifyError, VerifyErrorKind};
use crate::freshness::Source;
use crate::frontend_api::FrontendApi;
use crate::jwks::{KeySet, Keys};
use crate::jwt::{Policy, UnverifiedToken, VerificationKey};
use crate::resource::ResourceUrl;
use crate::token::{TokenFormat, token_format};
use crate::verify::{TokenRequest, VerifyToken};

/// Verifies a Clerk access token, JWT or opaque, as `verifyClerkToken` of `@clerk/mcp-tools` does.
///
/// For handlers of your own; the [`BearerAuthLayer`](crate::BearerAuthLayer) does the same and answers the refusals
/// too. The token must have been issued for the verifier's own resource
/// ([`ClerkVerifierBuilder::resource`]), unless [`Audience`] says otherwise.
///
/// # Errors
///
/// By [`VerifyErrorKind`]. [`Unavailable`](VerifyErrorKind::Unavailable) and
/// [`Misconfigured`](VerifyErrorKind::Misconfigured) say nothing about the token: answer 503 and 500, never 401.
///
/// # Example
///
/// ```no_run
/// use clerk_mcp_tools::{ClerkVerifier, VerifyErrorKind, verify_clerk_token};
///
/// # async fn example(token: &str) -> Result<(), clerk_mcp_tools::ConfigError> {
/// let verifier = ClerkVerifier::from_env()?;
/// match verify_clerk_token(&verifier, token).await {
///     Ok(caller) => println!("{} by way of {}", caller.user_id(), caller.client_id()),
///     Err(error) if error.kind().is_invalid_token() => println!("401: {error}"),
///     Err(error) if error.kind() == VerifyErrorKind::Unavailable => println!("503: {error}"),
///     Err(error) => println!("500: {error}"),
/// }
/// # Ok(())
/// # }
/// ```
pub async fn verify_clerk_token(verifier: &ClerkVerifier, token: &str) -> Result<AuthInfo, VerifyError> {
    verifier.verify_token(TokenRequest::new(token)).await
}

/// Tells good access tokens of one Clerk instance from all others.
///
/// JWTs are verified on this machine, by the instance's public keys; opaque tokens (`oat_…`) by a call to the Backend
/// API, which needs the secret key. A clone is cheap and shares keys and connections.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::{ClerkVerifier, PublishableKey, SecretKey};
///
/// let verifier = ClerkVerifier::builder()
///     .publishable_key(PublishableKey::parse("pk_test_Zm9vLWJhci0xMy5jbGVyay5hY2NvdW50cy5kZXYk")?)
///     .secret_key(SecretKey::parse("sk_test_0123456789")?)
///     .resource("https://mcp.example.com/mcp".parse()?)
///     .build()?;
/// assert_eq!(verifier.frontend_api().issuer(), "https://foo-bar-13.clerk.accounts.dev");
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct ClerkVerifier(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) instance: FrontendApi,
    pub(super) jwt_keys: JwtKeys,
    pub(super) backend: Option<ClerkClient>,
    pub(super) public: Http,
    pub(super) resource: Option<ResourceUrl>,
    pub(super) audience: Audience,
    pub(super) leeway: Duration,
    pub(super) clock: Arc<dyn Clock>,
}

/// Where the keys of JWTs come from.
pub(super) enum JwtKeys {
    Pem(Box<VerificationKey>),
    Set(Keys<KeySource>),
}

/// Which of Clerk's two key set endpoints is asked.
pub(super) enum KeySource {
    FrontendApi(Http),
    BackendApi(ClerkClient),
}

#[async_trait]
impl Source for KeySource {
    type Value = KeySet;

    async fn fetch(&self) -> Result<KeySet, ClerkError> {
        let fetched = match self {
            Self::FrontendApi(http) => fetch_key_set(http).await,
            Self::BackendApi(client) => client.key_set().await,
        };
        fetched.inspect_err(|error| {
            tracing::warn!(error = %error, cause = ?error, "the key set of the Clerk instance could not be fetched");
        })
    }
}

async fn fetch_key_set(http: &Http) -> Result<KeySet, ClerkError> {
    KeySet::parse(&send(http.get("/.well-known/jwks.json")).await?.ok()?)
}

impl ClerkVerifier {
    /// Starts a verifier with settings of your own.
    pub fn builder() -> ClerkVerifierBuilder {
        ClerkVerifierBuilder::new()
    }

    /// A verifier with the settings of the environment; see [`ClerkVerifierBuilder::env`] for the variables.
    ///
    /// # Errors
    ///
    /// When neither `CLERK_PUBLISHABLE_KEY` nor `CLERK_FAPI` is set, or when a setting cannot be used.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::builder().env().build()
    }

    /// The Frontend API of the instance, whose origin is the issuer of the tokens.
    #[must_use]
    pub fn frontend_api(&self) -> &FrontendApi {
        &self.0.instance
    }

    /// The Backend API of the instance, where a secret key is set.
    #[must_use]
    pub fn client(&self) -> Option<&ClerkClient> {
        self.0.backend.as_ref()
    }

    /// The resource that tokens must be issued for, unless a request names one.
    #[must_use]
    pub fn resource(&self) -> Option<&ResourceUrl> {
        self.0.resource.as_ref()
    }

    pub(crate) fn metadata_source(&self) -> MetadataSource {
        MetadataSource { http: self.0.public.clone(), instance: self.0.instance.clone() }
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.0.clock)
    }

    async fn verify(&self, request: TokenRequest<'_>) -> Result<AuthInfo, VerifyError> {
        match token_format(request.token())? {
            TokenFormat::Jwt => self.verify_jwt(request).await,
            TokenFormat::Opaque => self.verify_opaque(request).await,
        }
    }

    async fn verify_jwt(&self, request: TokenRequest<'_>) -> Result<AuthInfo, VerifyError> {
        let token = UnverifiedToken::parse(request.token())?;
        let signed = match &self.0.jwt_keys {
            JwtKeys::Pem(key) => token.verify_signature(key)?,
            JwtKeys::Set(keys) => {
                let id = token.key_id().ok_or_else(no_key_id)?;
                let key = keys.find(id).await?;
                token.verify_signature(&key)?
            }
        };
        let policy = Policy { issuer: self.0.instance.issuer(), leeway: self.0.leeway };
        let claims = signed.validate(&policy, self.now())?;
        let caller = AuthInfo::builder(request.token(), claims.subject, claims.client_id)
            .scopes(claims.scopes)
            .expires_at(claims.expires_at)
            .org_id(claims.org_id)
            .actor(claims.actor)
            .claims(claims.rest);
        self.finish(caller, claims.audience, request)
    }

    async fn verify_opaque(&self, request: TokenRequest<'_>) -> Result<AuthInfo, VerifyError> {
        let backend = self.0.backend.as_ref().ok_or_else(no_secret_key)?;
        let answer =
            backend.verify_access_token(request.token()).await.map_err(|error| match error.kind() {
                ClerkErrorKind::NotFound => VerifyError::new(VerifyErrorKind::UnknownToken)
                    .with_detail("Clerk does not know the token")
                    .with_source(error),
                _ => error.into(),
            })?;
        let token = ActiveToken::parse(&answer, self.now())?;
        let caller = AuthInfo::builder(request.token(), token.subject, token.client_id)
            .scopes(token.scopes)
            .expires_at(token.expires_at)
            .org_id(token.org_id)
            .actor(token.actor)
            .claims(token.rest);
        self.finish(caller, token.audience, request)
    }

    /// The last question, the same for both formats: is the token meant for this server?
    fn finish(
        &self,
        caller: AuthInfoBuilder,
        audience: Option<Vec<String>>,
        request: TokenRequest<'_>,
    ) -> Result<AuthInfo, VerifyError> {
        let resource = request.resource().or(self.0.resource.as_ref());
        let named = self.0.audience.check(resource, audience.as_deref())?.map(str::to_owned);
        Ok(caller.resource(named).audience(audience.unwrap_or_default()).build())
    }

    fn now(&self) -> u64 {
        self.0.clock.unix_time().as_secs()
    }
}

#[async_trait]
impl VerifyToken for ClerkVerifier {
    async fn verify_token(&self, request: TokenRequest<'_>) -> Result<AuthInfo, VerifyError> {
        self.verify(request).await.inspect_err(log)
    }
}

/// The cause, for the operator; the caller gets one fixed sentence.
fn log(error: &VerifyError) {
    let (kind, detail) = (error.kind(), error.detail());
    match kind {
        VerifyErrorKind::Misconfigured => {
            tracing::error!(?kind, detail, cause = ?error, "an access token could not be verified");
        }
        VerifyErrorKind::Unavailable => {
            tracing::warn!(?kind, detail, cause = ?error, "an access token could not be verified");
        }
        // What the settings of a client or of this server may be to blame for.
        VerifyErrorKind::InvalidAudience | VerifyErrorKind::InvalidIssuer => {
            tracing::warn!(?kind, detail, "an access token was refused");
        }
        _ => tracing::debug!(?kind, detail, "an access token was refused"),
    }
}

fn no_key_id() -> VerifyError {
    VerifyError::new(VerifyErrorKind::UnknownKey).with_detail("the header names no key")
}

fn no_secret_key() -> VerifyError {
    VerifyError::new(VerifyErrorKind::Misconfigured).with_detail(
        "opaque access tokens are verified with the secret key: set CLERK_SECRET_KEY, which the Clerk Dashboard shows \
         on the page API keys, or switch the instance to JWT access tokens (page OAuth applications)",
    )
}

impl fmt::Debug for ClerkVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClerkVerifier")
            .field("instance", &self.0.instance)
            .field("resource", &self.0.resource)
            .field("audience", &self.0.audience)
            .field("client", &self.0.backend)
            .finish_non_exhaustive()
    }
}
