use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::builder::ClerkVerifierBuilder;
use super::client::ClerkClient;
use super::http::Http;
use super::introspection::{Introspection, IntrospectionResponse};
use super::jwks::{JwksFetcher, RemoteJwks};
use super::metadata::MetadataSource;
use super::stats::{Counters, VerifierStats};
use super::token_cache::{Entry, Lifetime, TokenCache};
use super::token_format::{TokenFormat, precheck, token_format};
use crate::clock::Clock;
use crate::error::{ClerkError, ConfigError, VerifyError, VerifyErrorKind};
use crate::instance::FrontendApi;
use crate::jwt::{HeaderCache, Policy, UnverifiedToken, VerificationKey};
use crate::oauth::{Audience, AuthInfo, AuthInfoBuilder, ResourceUrl, TokenRequest, VerifyToken};

/// Verifies a Clerk access token, JWT or opaque, as `verifyClerkToken` of `@clerk/mcp-tools` does.
///
/// For handlers of your own; the [`BearerAuthLayer`](crate::bearer_auth::BearerAuthLayer) does the same and answers the refusals
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
pub async fn verify_clerk_token(
    verifier: &ClerkVerifier,
    token: &str,
) -> Result<AuthInfo, VerifyError> {
    // Not by the trait, which would put the future into a box.
    verifier.verify(TokenRequest::new(token)).await
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
    pub(super) header_cache: HeaderCache,
    pub(super) client: Option<ClerkClient>,
    pub(super) introspection: Option<Introspection>,
    pub(super) public: Http,
    pub(super) resource: Option<ResourceUrl>,
    pub(super) audience: Audience,
    pub(super) leeway: Duration,
    pub(super) known: Arc<TokenCache>,
    pub(super) known_jwt_ttl: Duration,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) counters: Arc<Counters>,
}

/// Where the keys of JWTs come from.
pub(super) enum JwtKeys {
    Pem(Arc<VerificationKey>),
    Set(RemoteJwks<JwksFetcher>),
}

impl ClerkVerifier {
    /// Starts a verifier with settings of your own.
    pub fn builder() -> ClerkVerifierBuilder {
        ClerkVerifierBuilder::new()
    }

    /// A verifier with the settings of the environment; see [`ClerkVerifierBuilder::env`] for the variables.
    ///
    /// Where tokens are verified without a layer that names the resource, `MCP_RESOURCE_URL` has to be among them:
    /// without any resource no token can be found to be meant for it, and each is
    /// [`Misconfigured`](VerifyErrorKind::Misconfigured).
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
        self.0.client.as_ref()
    }

    /// Fetches the keys now, so that no request has to wait for them: at the start of a server, or for a probe that
    /// asks whether it is ready.
    ///
    /// # Errors
    ///
    /// When there are no keys and they cannot be fetched. The verifier works all the same as soon as they can.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let verifier = clerk_mcp_tools::ClerkVerifier::from_env()?;
    /// verifier.warm_up().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn warm_up(&self) -> Result<(), ClerkError> {
        match &self.0.jwt_keys {
            JwtKeys::Pem(_) => Ok(()),
            JwtKeys::Set(keys) => keys.warm_up().await,
        }
    }

    /// What this verifier and its clones hold and have done so far, for a health page.
    ///
    /// ```
    /// # use clerk_mcp_tools::instance::FrontendApi;
    /// # use clerk_mcp_tools::ClerkVerifier;
    /// # let instance = FrontendApi::parse("https://clerk.example.com")?;
    /// let verifier = ClerkVerifier::builder().frontend_api(instance).build()?;
    /// assert_eq!(verifier.stats().cached_tokens, 0);
    /// # Ok::<(), clerk_mcp_tools::ConfigError>(())
    /// ```
    #[must_use]
    pub fn stats(&self) -> VerifierStats {
        let key_set_age = match &self.0.jwt_keys {
            JwtKeys::Pem(_) => None,
            JwtKeys::Set(keys) => keys.age(),
        };
        VerifierStats {
            key_set_age,
            cached_tokens: self.0.known.len(),
            rejected_tokens: self.0.introspection.as_ref().map_or(0, Introspection::refused_tokens),
            ..self.0.counters.read()
        }
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
        self.look_up_or_prove(request).await.inspect_err(log)
    }

    async fn look_up_or_prove(&self, request: TokenRequest<'_>) -> Result<AuthInfo, VerifyError> {
        let request = self.with_resource(request);
        let entry = self.0.known.entry(request);
        if let Some(caller) = entry.get() {
            self.0.counters.hit();
            return Ok(caller);
        }
        match token_format(request.token())? {
            TokenFormat::Jwt => self.verify_jwt(request, &entry).await,
            TokenFormat::Opaque => self.verify_opaque(request).await,
        }
    }

    /// The resource that a request does not name is the verifier's own.
    fn with_resource<'a>(&'a self, request: TokenRequest<'a>) -> TokenRequest<'a> {
        match (request.resource(), &self.0.resource) {
            (None, Some(own)) => request.for_resource(own),
            _ => request,
        }
    }

    async fn verify_jwt(
        &self,
        request: TokenRequest<'_>,
        entry: &Entry<'_>,
    ) -> Result<AuthInfo, VerifyError> {
        let token = UnverifiedToken::parse(request.token(), &self.0.header_cache)?;
        self.0.counters.miss();
        let (signed, key) = match &self.0.jwt_keys {
            JwtKeys::Pem(key) => (token.verify_signature(key)?, Arc::clone(key)),
            JwtKeys::Set(keys) => keys.verify_signature(&token).await?,
        };
        let leeway = self.0.leeway;
        let claims =
            signed.validate(&Policy { issuer: self.0.instance.issuer(), leeway }, self.now())?;
        let expires_at = claims.expires_at;
        let caller = AuthInfo::for_user(claims.subject, request.token().into())
            .client_id(claims.client_id)
            .scopes(claims.scopes)
            .expires_at(expires_at)
            .set_if_some(claims.org_id, AuthInfoBuilder::org_id)
            .set_if_some(claims.actor, AuthInfoBuilder::actor)
            .claims(claims.rest);
        let caller = check_audience(self.0.audience, caller, claims.audience, request)?;
        let expires_at = Some(expires_at.saturating_add(leeway.as_secs()));
        let lifetime = Lifetime { ttl: self.0.known_jwt_ttl, expires_at, key: Some(key) };
        self.0.header_cache.remember(token.header());
        entry.insert(&caller, lifetime);
        Ok(caller)
    }

    async fn verify_opaque(&self, request: TokenRequest<'_>) -> Result<AuthInfo, VerifyError> {
        self.0.counters.miss();
        let introspection = self.0.introspection.as_ref().ok_or_else(no_secret_key)?;
        let audience = self.0.audience;
        let accept = move |request: TokenRequest<'_>, token: IntrospectionResponse| {
            let caller = AuthInfo::for_user(token.subject, request.token().into())
                .client_id(token.client_id)
                .scopes(token.scopes)
                .set_if_some(token.expires_at, AuthInfoBuilder::expires_at)
                .set_if_some(token.org_id, AuthInfoBuilder::org_id)
                .set_if_some(token.actor, AuthInfoBuilder::actor)
                .claims(token.rest);
            check_audience(audience, caller, token.audience, request)
        };
        introspection.ask(request, accept).await
    }

    fn now(&self) -> u64 {
        self.0.clock.unix_time().as_secs()
    }
}

#[async_trait]
impl VerifyToken for ClerkVerifier {
    async fn verify_token(&self, request: TokenRequest<'_>) -> Result<AuthInfo, VerifyError> {
        self.verify(request).await
    }

    fn cached(&self, request: TokenRequest<'_>) -> Option<Result<AuthInfo, VerifyError>> {
        if let Some(caller) = self.0.known.entry(self.with_resource(request)).try_get() {
            self.0.counters.hit();
            return Some(Ok(caller));
        }
        // What cannot be a token needs no more than a look at it.
        precheck(request.token()).err().map(|error| Err(error).inspect_err(log))
    }
}

/// The last question, the same for both formats: is the token meant for this server?
fn check_audience(
    mode: Audience,
    caller: AuthInfoBuilder,
    audience: Option<Vec<String>>,
    request: TokenRequest<'_>,
) -> Result<AuthInfo, VerifyError> {
    let named = mode.check(request.resource(), audience.as_deref())?.map(str::to_owned);
    let caller = caller.set_if_some(named, AuthInfoBuilder::resource);
    Ok(caller.audience(audience.unwrap_or_default()).build())
}

/// The cause, for the operator; the caller gets one fixed sentence.
fn log(error: &VerifyError) {
    let (kind, detail) = (error.kind(), error.detail());
    match kind {
        VerifyErrorKind::Misconfigured => {
            tracing::error!(?kind, cause = ?error, "an access token could not be verified");
        }
        VerifyErrorKind::Unavailable => {
            tracing::warn!(?kind, cause = ?error, "an access token could not be verified");
        }
        // What the settings of a client or of this server may be to blame for.
        VerifyErrorKind::InvalidAudience | VerifyErrorKind::InvalidIssuer => {
            tracing::warn!(?kind, detail, "an access token was refused");
        }
        _ => tracing::debug!(?kind, detail, "an access token was refused"),
    }
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
            .field("client", &self.0.client)
            .finish_non_exhaustive()
    }
}
