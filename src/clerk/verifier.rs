//! The verifier of one Clerk instance's access tokens.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::audience::check_audience;
use super::builder::ClerkVerifierBuilder;
use super::client::ClerkClient;
use super::credentials::{MachineTokens, SessionTokens};
use super::failure_log::FailureLog;
use super::header_cache::HeaderCache;
use super::http::Http;
use super::jwks::RemoteJwks;
use super::membership::Memberships;
use super::metadata::MetadataSource;
use super::opaque::OpaqueTokens;
use super::stats::{Counters, VerifierStats};
use super::token_cache::{Entry, Lifetime, TokenCache};
use super::token_format::{TokenFormat, precheck, token_format};
use crate::clock::Clock;
use crate::error::{ClerkError, ConfigError, VerifyError, VerifyErrorKind};
use crate::instance::FrontendApi;
use crate::jwt::{
    AcceptedTypes, ClaimRequirements, SignedToken, UnverifiedToken, ValidClaims, VerificationKey,
};
use crate::oauth::{
    Audience, AuthInfo, AuthInfoBuilder, ResourceUrl, Scopes, TokenRequest, TokenType, VerifyToken,
};

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
///     Err(error) if error.kind() == VerifyErrorKind::InsufficientScope => println!("403: {error}"),
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

/// A verifier of the OAuth access tokens of one Clerk instance, and of its other credentials where
/// they are accepted.
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
    pub(super) opaque_tokens: OpaqueTokens,
    /// `None` without a secret key.
    pub(super) memberships: Option<Memberships>,
    pub(super) accepted: AcceptedTypes,
    pub(super) machine_tokens: Option<MachineTokens>,
    pub(super) session_tokens: Option<SessionTokens>,
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
        VerifierStats {
            key_set_age,
            cached_tokens: self.0.token_cache.len(),
            rejected_tokens: self.0.opaque_tokens.rejected_tokens(),
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

    pub(crate) fn accepts(&self, token_type: TokenType) -> bool {
        let AcceptedTypes { oauth_tokens, api_keys, machine_tokens, session_tokens } =
            self.0.accepted;
        match token_type {
            TokenType::OAuthToken => oauth_tokens,
            TokenType::ApiKey => api_keys,
            TokenType::M2mToken => machine_tokens,
            TokenType::SessionToken => session_tokens,
        }
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
            self.0.counters.cache_hit(caller.token_type());
            return Ok(caller);
        }
        match token_format(request.token(), self.0.accepted)? {
            TokenFormat::Jwt => self.verify_jwt(request, &entry).await,
            TokenFormat::Opaque(token_type) => self.verify_opaque(token_type, request).await,
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
        let known_header = known_header.as_ref();
        let token = UnverifiedToken::parse(request.token(), known_header, self.0.accepted)?;
        let token_type = token.token_type();
        self.0.counters.cache_miss(token_type);
        let (signed, key) = match &self.0.jwt_keys {
            JwtKeys::Pem(key) => (token.verify_signature(key)?, Arc::clone(key)),
            JwtKeys::Remote(keys) => keys.verify_signature(&token).await?,
        };
        let caller = self.check_claims(token_type, request, signed)?;
        if token_type == TokenType::OAuthToken {
            // One is kept, so that the headers of other types do not replace it all the time.
            self.0.header_cache.store(token.header());
        }
        let leeway = self.0.leeway.as_secs();
        let expires_at = caller.expires_at().map(|time| time.saturating_add(leeway));
        let lifetime = Lifetime { ttl: self.0.jwt_cache_ttl, expires_at, key: Some(key) };
        entry.insert(&caller, lifetime);
        Ok(caller)
    }

    /// Returns the caller of a signed token, if the claims are those of its type.
    fn check_claims(
        &self,
        token_type: TokenType,
        request: TokenRequest<'_>,
        signed: SignedToken<'_>,
    ) -> Result<AuthInfo, VerifyError> {
        let requirements =
            ClaimRequirements { issuer: self.0.instance.issuer(), leeway: self.0.leeway };
        let now = self.0.clock.unix_time().as_secs();
        match (token_type, &self.0.machine_tokens, &self.0.session_tokens) {
            (TokenType::OAuthToken, ..) => {
                self.access_token(request, signed.validate(&requirements, now)?)
            }
            (TokenType::M2mToken, Some(rules), _) => {
                let claims = signed.validate_machine(&requirements, rules.own_id(), now)?;
                rules.check_caller(&claims.subject)?;
                let scopes = rules.granted(&claims.subject);
                let builder = AuthInfo::for_machine(claims.subject, request.token().into());
                let builder = self.complete(builder, token_type, scopes, claims.expires_at);
                Ok(builder.claims(claims.rest).build())
            }
            (TokenType::SessionToken, _, Some(rules)) => {
                let is_authorized = |party: &str| rules.is_authorized(party);
                let claims = signed.validate_session(&requirements, is_authorized, now)?;
                let scopes = rules.granted().clone();
                let builder = AuthInfo::for_user(claims.subject, request.token().into());
                let builder = self.complete(builder, token_type, scopes, claims.expires_at);
                Ok(builder
                    .set_if_some(claims.organization, AuthInfoBuilder::organization)
                    .set_if_some(claims.actor, AuthInfoBuilder::actor)
                    .claims(claims.rest)
                    .build())
            }
            // Not reached: a token of a type that is not accepted is rejected when it is parsed, and
            // API keys are opaque.
            (TokenType::M2mToken | TokenType::SessionToken | TokenType::ApiKey, ..) => {
                Err(VerifyError::new(VerifyErrorKind::WrongTokenType))
            }
        }
    }

    fn complete(
        &self,
        builder: AuthInfoBuilder,
        token_type: TokenType,
        scopes: Scopes,
        expires_at: u64,
    ) -> AuthInfoBuilder {
        let builder = builder.token_type(token_type).issuer(Arc::clone(&self.0.issuer));
        builder.scopes(scopes).expires_at(expires_at)
    }

    fn access_token(
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

    async fn verify_opaque(
        &self,
        token_type: TokenType,
        request: TokenRequest<'_>,
    ) -> Result<AuthInfo, VerifyError> {
        self.0.counters.cache_miss(token_type);
        self.0.opaque_tokens.verify(token_type, request).await
    }
}

#[async_trait]
impl VerifyToken for ClerkVerifier {
    async fn verify_token(&self, request: TokenRequest<'_>) -> Result<AuthInfo, VerifyError> {
        self.verify(request).await
    }

    fn cached(&self, request: TokenRequest<'_>) -> Option<Result<AuthInfo, VerifyError>> {
        if let Some(caller) = self.0.token_cache.entry(self.with_resource(request)).try_get() {
            self.0.counters.cache_hit(caller.token_type());
            return Some(Ok(caller));
        }
        let error = precheck(request.token(), self.0.accepted).err()?;
        self.0.log.record(&error);
        Some(Err(error))
    }
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
