//! The verifier of one Clerk instance's access tokens.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::audience::check_audience;
use super::builder::ClerkVerifierBuilder;
use super::client::ClerkClient;
use super::failure_log::FailureLog;
use super::header_cache::HeaderCache;
use super::http::Http;
use super::introspection::Introspection;
use super::jwks::RemoteJwks;
use super::metadata::MetadataSource;
use super::stats::{Counters, VerifierStats};
use super::token_cache::{Entry, Lifetime, TokenCache};
use super::token_format::{TokenFormat, precheck, token_format};
use crate::clock::Clock;
use crate::error::{ClerkError, ConfigError, VerifyError, VerifyErrorKind};
use crate::instance::FrontendApi;
use crate::jwt::{ClaimRequirements, UnverifiedToken, ValidClaims, VerificationKey};
use crate::oauth::{Audience, AuthInfo, AuthInfoBuilder, ResourceUrl, TokenRequest, VerifyToken};

/// Verifies a Clerk access token, JWT or opaque, as `verifyClerkToken` of `@clerk/mcp-tools` does.
///
/// This is for handlers that verify tokens themselves. The
/// [`BearerAuthLayer`](crate::bearer_auth::BearerAuthLayer) does the same and also responds to
/// rejected requests. The token must have been issued for the verifier's own resource
/// ([`ClerkVerifierBuilder::resource`]), unless its [`Audience`] allows others.
///
/// # Errors
///
/// Returns an error if the token is not valid or cannot be verified; see [`VerifyErrorKind`].
/// [`Unavailable`](VerifyErrorKind::Unavailable) and
/// [`Misconfigured`](VerifyErrorKind::Misconfigured) say nothing about the token: respond with 503
/// and 500, never with 401.
///
/// # Example
///
/// ```no_run
/// use clerk_mcp_tools::{ClerkVerifier, VerifyErrorKind, verify_clerk_token};
///
/// # async fn example(token: &str) -> Result<(), clerk_mcp_tools::ConfigError> {
/// let verifier = ClerkVerifier::from_env()?;
/// match verify_clerk_token(&verifier, token).await {
///     Ok(caller) => println!("{}, client {:?}", caller.principal(), caller.client_id()),
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
    // Bypasses the trait to avoid boxing the future.
    verifier.verify(TokenRequest::new(token)).await
}

/// A verifier of the OAuth access tokens of one Clerk instance.
///
/// JWTs are verified locally with the instance's public keys. Opaque tokens (`oat_…`) are verified
/// by a call to the Backend API, which needs the secret key. Cloning is cheap; clones share keys,
/// caches and connections.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::{ClerkVerifier, PublishableKey, SecretKey};
///
/// let key = PublishableKey::parse("pk_test_Zm9vLWJhci0xMy5jbGVyay5hY2NvdW50cy5kZXYk")?;
/// let verifier = ClerkVerifier::builder()
///     .publishable_key(key)
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
    /// That of the tokens: the origin of the Frontend API, shared by all callers.
    pub(super) issuer: Arc<str>,
    pub(super) jwt_keys: JwtKeys,
    pub(super) header_cache: HeaderCache,
    pub(super) client: Option<ClerkClient>,
    pub(super) introspection: Option<Introspection>,
    pub(super) frontend_http: Http,
    pub(super) resource: Option<ResourceUrl>,
    pub(super) audience: Audience,
    pub(super) leeway: Duration,
    pub(super) token_cache: Arc<TokenCache>,
    pub(super) jwt_cache_ttl: Duration,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) counters: Arc<Counters>,
    pub(super) log: FailureLog,
}

/// Where the keys of JWTs come from.
pub(super) enum JwtKeys {
    Pem(Arc<VerificationKey>),
    Remote(RemoteJwks),
}

impl ClerkVerifier {
    /// Returns a builder. A [publishable key](ClerkVerifierBuilder::publishable_key) or a
    /// [Frontend API](ClerkVerifierBuilder::frontend_api) is required.
    pub fn builder() -> ClerkVerifierBuilder {
        ClerkVerifierBuilder::new()
    }

    /// Builds a verifier from the environment; see [`ClerkVerifierBuilder::env`] for the variables.
    ///
    /// Set `MCP_RESOURCE_URL` too if tokens are verified without a layer that names the resource.
    /// Without a resource no token can be issued for it, and each is
    /// [`Misconfigured`](VerifyErrorKind::Misconfigured).
    ///
    /// # Errors
    ///
    /// Returns an error if neither `CLERK_PUBLISHABLE_KEY` nor `CLERK_FAPI` is set, or if a setting
    /// is invalid.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::builder().env().build()
    }

    /// Returns the Frontend API of the instance, whose origin is the issuer of the tokens.
    #[must_use]
    pub fn frontend_api(&self) -> &FrontendApi {
        &self.0.instance
    }

    /// Returns the Backend API client of the instance, if a secret key is set.
    #[must_use]
    pub fn client(&self) -> Option<&ClerkClient> {
        self.0.client.as_ref()
    }

    /// Fetches the key set now, so that no request has to wait for it.
    ///
    /// Call this when the server starts, or in a readiness probe.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no key set and none can be fetched. The verifier stays usable
    /// and fetches it later.
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
            JwtKeys::Remote(keys) => keys.warm_up().await,
        }
    }

    /// Returns cache sizes and call counters, such as for a health page. Clones share them.
    ///
    /// # Example
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
            JwtKeys::Remote(keys) => keys.age(),
        };
        let introspection = self.0.introspection.as_ref();
        VerifierStats {
            key_set_age,
            cached_tokens: self.0.token_cache.len(),
            rejected_tokens: introspection.map_or(0, Introspection::rejected_tokens),
            ..self.0.counters.read()
        }
    }

    /// Returns the resource that tokens must be issued for, unless a request names another one.
    #[must_use]
    pub fn resource(&self) -> Option<&ResourceUrl> {
        self.0.resource.as_ref()
    }

    pub(crate) fn metadata_source(&self) -> MetadataSource {
        MetadataSource { http: self.0.frontend_http.clone(), instance: self.0.instance.clone() }
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.0.clock)
    }

    async fn verify(&self, request: TokenRequest<'_>) -> Result<AuthInfo, VerifyError> {
        self.look_up_or_verify(request).await.inspect_err(|error| self.0.log.record(error))
    }

    async fn look_up_or_verify(&self, request: TokenRequest<'_>) -> Result<AuthInfo, VerifyError> {
        let request = self.with_resource(request);
        let entry = self.0.token_cache.entry(request);
        if let Some(caller) = entry.get() {
            self.0.counters.cache_hit();
            return Ok(caller);
        }
        match token_format(request.token())? {
            TokenFormat::Jwt => self.verify_jwt(request, &entry).await,
            TokenFormat::Opaque => self.verify_opaque(request).await,
        }
    }

    /// Names the verifier's own resource if the request names none.
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
        let known_header = self.0.header_cache.get();
        let token = UnverifiedToken::parse(request.token(), known_header.as_ref())?;
        self.0.counters.cache_miss();
        let (signed, key) = match &self.0.jwt_keys {
            JwtKeys::Pem(key) => (token.verify_signature(key)?, Arc::clone(key)),
            JwtKeys::Remote(keys) => keys.verify_signature(&token).await?,
        };
        let leeway = self.0.leeway;
        let requirements = ClaimRequirements { issuer: self.0.instance.issuer(), leeway };
        let claims = signed.validate(&requirements, self.0.clock.unix_time().as_secs())?;
        let expires_at = Some(claims.expires_at.saturating_add(leeway.as_secs()));
        let caller = self.auth_info(request, claims)?;
        self.0.header_cache.store(token.header());
        let lifetime = Lifetime { ttl: self.0.jwt_cache_ttl, expires_at, key: Some(key) };
        entry.insert(&caller, lifetime);
        Ok(caller)
    }

    fn auth_info(
        &self,
        request: TokenRequest<'_>,
        claims: ValidClaims,
    ) -> Result<AuthInfo, VerifyError> {
        let builder = AuthInfo::for_user(claims.subject, request.token().into())
            .issuer(Arc::clone(&self.0.issuer))
            .client_id(claims.client_id)
            .scopes(claims.scopes)
            .expires_at(claims.expires_at)
            .set_if_some(claims.org_id, AuthInfoBuilder::org_id)
            .set_if_some(claims.actor, AuthInfoBuilder::actor)
            .claims(claims.rest);
        check_audience(self.0.audience, builder, claims.audience, request)
    }

    async fn verify_opaque(&self, request: TokenRequest<'_>) -> Result<AuthInfo, VerifyError> {
        self.0.counters.cache_miss();
        self.0.introspection.as_ref().ok_or_else(no_secret_key)?.verify(request).await
    }
}

#[async_trait]
impl VerifyToken for ClerkVerifier {
    async fn verify_token(&self, request: TokenRequest<'_>) -> Result<AuthInfo, VerifyError> {
        self.verify(request).await
    }

    fn cached(&self, request: TokenRequest<'_>) -> Option<Result<AuthInfo, VerifyError>> {
        if let Some(caller) = self.0.token_cache.entry(self.with_resource(request)).try_get() {
            self.0.counters.cache_hit();
            return Some(Ok(caller));
        }
        let error = precheck(request.token()).err()?;
        self.0.log.record(&error);
        Some(Err(error))
    }
}

fn no_secret_key() -> VerifyError {
    VerifyError::new(VerifyErrorKind::Misconfigured).with_detail(
        "opaque access tokens are verified with the secret key: set CLERK_SECRET_KEY, which the \
         Clerk Dashboard shows on the page API keys, or switch the instance to JWT access tokens \
         (page OAuth applications)",
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
