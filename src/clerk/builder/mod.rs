//! The settings of a verifier.

mod build;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::accepted::{AcceptSettings, Accepted};
use super::credentials::{ApiKeys, MachineTokens, SessionTokens};
use super::env::Env;
use super::jwks::DEFAULT_STALE_KEYS_TTL;
use super::membership::MembershipSettings;
use crate::clock::Clock;
use crate::error::ConfigError;
use crate::instance::{BackendApi, FrontendApi, PublishableKey, SecretKey};
use crate::jwt::JwtKey;
use crate::oauth::{Audience, ResourceUrl, ScopeHierarchy, Scopes};

/// The default of Clerk's own SDK.
const DEFAULT_LEEWAY: Duration = Duration::from_secs(5);

/// A builder of a [`ClerkVerifier`](crate::ClerkVerifier).
///
/// The publishable key or the Frontend API is required: they identify the issuer of the tokens.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use clerk_mcp_tools::{ClerkVerifier, PublishableKey, SecretKey};
///
/// let key = PublishableKey::parse("pk_test_Zm9vLWJhci0xMy5jbGVyay5hY2NvdW50cy5kZXYk")?;
/// let verifier = ClerkVerifier::builder()
///     .publishable_key(key)
///     .secret_key(SecretKey::parse("sk_test_0123456789")?)
///     .opaque_token_cache_ttl(Duration::from_secs(10))
///     .build()?;
/// assert!(verifier.client().is_some());
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct ClerkVerifierBuilder {
    publishable_key: Option<PublishableKey>,
    frontend_api: Option<FrontendApi>,
    secret_key: Option<SecretKey>,
    jwt_key: Option<JwtKey>,
    backend_api: BackendApi,
    keys_from_backend_api: bool,
    resource: Option<ResourceUrl>,
    accept: AcceptSettings,
    audience: Audience,
    leeway: Duration,
    jwt_cache_ttl: Duration,
    opaque_token_cache_ttl: Duration,
    rejection_cache_ttl: Duration,
    opaque_token_stale_ttl: Duration,
    token_cache_bytes: u64,
    max_concurrent_calls: usize,
    max_calls_per_ten_seconds: Option<u32>,
    pub(super) membership: MembershipSettings,
    stale_keys_ttl: Duration,
    clock: Option<Arc<dyn Clock>>,
    /// Whether settings were read from the environment.
    reads_env: bool,
    /// The first invalid variable of the environment; `build` returns it.
    problem: Option<ConfigError>,
}

impl ClerkVerifierBuilder {
    pub(super) fn new() -> Self {
        Self {
            publishable_key: None,
            frontend_api: None,
            secret_key: None,
            jwt_key: None,
            backend_api: BackendApi::default(),
            keys_from_backend_api: false,
            resource: None,
            accept: AcceptSettings::default(),
            audience: Audience::default(),
            leeway: DEFAULT_LEEWAY,
            jwt_cache_ttl: Duration::from_secs(300),
            opaque_token_cache_ttl: Duration::from_secs(60),
            rejection_cache_ttl: Duration::from_secs(10),
            opaque_token_stale_ttl: Duration::ZERO,
            token_cache_bytes: 16 * 1024 * 1024,
            max_concurrent_calls: 64,
            max_calls_per_ten_seconds: None,
            membership: MembershipSettings::default(),
            stale_keys_ttl: DEFAULT_STALE_KEYS_TTL,
            clock: None,
            reads_env: false,
            problem: None,
        }
    }

    /// Reads the settings from the environment.
    ///
    /// | variable | meaning |
    /// | --- | --- |
    /// | `CLERK_PUBLISHABLE_KEY` | [`publishable_key`](Self::publishable_key) |
    /// | `NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY` | the same, if `CLERK_PUBLISHABLE_KEY` is not set |
    /// | `CLERK_FAPI` | [`frontend_api`](Self::frontend_api) |
    /// | `CLERK_SECRET_KEY` | [`secret_key`](Self::secret_key) |
    /// | `CLERK_JWT_KEY` | [`jwt_key`](Self::jwt_key) |
    /// | `CLERK_API_URL`, `CLERK_API_VERSION` | [`backend_api`](Self::backend_api) |
    /// | `MCP_RESOURCE_URL` | [`resource`](Self::resource) |
    /// | `MCP_AUDIENCE` | [`audience`](Self::audience): `require`, `if-present` or `any` |
    /// | `MCP_ACCEPTS`, separated by spaces | the types of tokens that are accepted, by the names of [`TokenType`](crate::TokenType): `oauth_token`, `api_key`, `m2m_token`, `session_token` |
    /// | `CLERK_MACHINE_SECRET_KEY`, `CLERK_MACHINE_ID` | for `m2m_token`: one of them or both; see [`MachineTokens`] |
    /// | `MCP_AUTHORIZED_PARTIES`, separated by spaces | for `session_token`: the origins of [`SessionTokens`] |
    /// | `MCP_SCOPES`, separated by spaces | with `MCP_ACCEPTS`: the scopes that API keys need, and that machines and sessions are granted |
    ///
    /// An empty variable counts as not set. [`build`](Self::build) returns an error for an invalid
    /// one, and logs a warning if there is no secret key.
    pub fn env(self) -> Self {
        self.env_from(|name| std::env::var(name).ok())
    }

    /// Reads the variables of [`env`](Self::env) from `var`, such as a file or a test's own list.
    pub fn env_from(mut self, var: impl Fn(&str) -> Option<String>) -> Self {
        self.reads_env = true;
        if let Err(problem) = self.read_env(&Env::new(&var)) {
            self.problem.get_or_insert(problem);
        }
        self
    }

    fn read_env(&mut self, env: &Env<'_>) -> Result<(), ConfigError> {
        self.publishable_key = env.publishable_key()?.or(self.publishable_key.take());
        self.frontend_api = env.frontend_api()?.or(self.frontend_api.take());
        self.secret_key = env.secret_key()?.or(self.secret_key.take());
        self.jwt_key = env.jwt_key()?.or(self.jwt_key.take());
        self.resource = env.resource()?.or(self.resource.take());
        self.audience = env.audience()?.unwrap_or(self.audience);
        self.accept.read_env(env)?;
        if let Some(api) = env.backend_api(&self.backend_api)? {
            self.backend_api = api;
        }
        Ok(())
    }

    /// Sets the publishable key, which identifies the instance. Defaults to none: the Frontend API
    /// is then required.
    pub fn publishable_key(mut self, key: PublishableKey) -> Self {
        self.publishable_key = Some(key);
        self
    }

    /// Sets the Frontend API, which identifies the instance. Defaults to that of the publishable
    /// key.
    pub fn frontend_api(mut self, instance: FrontendApi) -> Self {
        self.frontend_api = Some(instance);
        self
    }

    /// Sets the secret key of the Backend API, for opaque tokens and
    /// [`ClerkVerifier::client`](crate::ClerkVerifier::client). Defaults to none: an opaque token is
    /// then [`Misconfigured`](crate::VerifyErrorKind::Misconfigured).
    pub fn secret_key(mut self, key: SecretKey) -> Self {
        self.secret_key = Some(key);
        self
    }

    /// Sets the instance's public key. Defaults to none: the key set is fetched.
    ///
    /// With it, JWTs are verified without a network, and a rotation of the instance's key requires
    /// a new value here.
    pub fn jwt_key(mut self, key: JwtKey) -> Self {
        self.jwt_key = Some(key);
        self
    }

    /// Sets the origin and version of the Backend API. Defaults to [`BackendApi::default`].
    pub fn backend_api(mut self, api: BackendApi) -> Self {
        self.backend_api = api;
        self
    }

    /// Fetches the key set from the Backend API, with the secret key. Defaults to the Frontend API.
    pub fn keys_from_backend_api(mut self) -> Self {
        self.keys_from_backend_api = true;
        self
    }

    /// Sets the resource that tokens must be issued for. Defaults to none.
    ///
    /// A [`BearerAuthLayer`](crate::bearer_auth::BearerAuthLayer) names its own resource with every
    /// request, which takes precedence.
    pub fn resource(mut self, resource: ResourceUrl) -> Self {
        self.resource = Some(resource);
        self
    }

    /// Sets how a token's audience is checked. Defaults to [`Audience::Require`].
    pub fn audience(mut self, audience: Audience) -> Self {
        self.audience = audience;
        self
    }

    /// Accepts API keys (`ak_…`) as well, by these rules. Defaults to rejecting them. The secret key
    /// is required.
    ///
    /// They name no resource, and their audience is not checked: [`ApiKeys`] says what binds them to
    /// this server instead, and what their verification costs.
    pub fn accept_api_keys(mut self, rules: ApiKeys) -> Self {
        self.accept.api_keys = Some(rules);
        self
    }

    /// Accepts machine tokens (`mt_…` and JWTs) as well, by these rules. Defaults to rejecting them.
    ///
    /// They name machines and no resource: [`MachineTokens`] says what binds them to this server.
    pub fn accept_machine_tokens(mut self, rules: MachineTokens) -> Self {
        self.accept.machine_tokens = Some(rules);
        self
    }

    /// Accepts session tokens of the application's own frontend as well, by these rules. Defaults to
    /// rejecting them.
    ///
    /// **A session token is a whole login**; see [`SessionTokens`]. It names no resource.
    pub fn accept_session_tokens(mut self, rules: SessionTokens) -> Self {
        self.accept.session_tokens = Some(rules);
        self
    }

    /// Rejects OAuth access tokens, for a server that only machines or API keys call. Defaults to
    /// accepting them.
    pub fn reject_oauth_tokens(mut self) -> Self {
        self.accept.rejects_oauth_tokens = true;
        self
    }

    /// Sets the scopes of the endpoint, which the types of `MCP_ACCEPTS` need or are granted.
    pub(crate) fn endpoint_scopes(mut self, scopes: Scopes, hierarchy: ScopeHierarchy) -> Self {
        self.accept.set_endpoint_scopes(scopes, hierarchy);
        self
    }

    /// Sets the tolerated difference between the clocks of Clerk and this machine. Defaults to 5
    /// seconds, and is at most 5 minutes.
    ///
    /// It applies to `exp`, `nbf` and `iat` of a JWT and to the `expiration` of an opaque token,
    /// unless Clerk says that the opaque token has expired: within the leeway Clerk is asked with
    /// every request.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Sets the maximum time that a verified JWT is served from the cache. Defaults to 5 minutes.
    ///
    /// A cached JWT never outlives its `exp` (plus leeway) or its key in the key set. Zero disables
    /// the cache for JWTs.
    pub fn jwt_cache_ttl(mut self, ttl: Duration) -> Self {
        self.jwt_cache_ttl = ttl;
        self
    }

    /// Sets the maximum time that a verified opaque token is served from the cache. Defaults to 60
    /// seconds.
    ///
    /// **This is the maximum latency of a revocation.** A cached token never outlives its
    /// expiration. Zero disables the cache for opaque tokens: every request then costs a call to
    /// Clerk, of which a production instance accepts 1,000 in 10 seconds.
    pub fn opaque_token_cache_ttl(mut self, ttl: Duration) -> Self {
        self.opaque_token_cache_ttl = ttl;
        self
    }

    /// Sets how long the rejection of an opaque token is cached. Defaults to 10 seconds.
    ///
    /// At most 10,000 rejections are cached. Zero disables this cache.
    pub fn rejection_cache_ttl(mut self, ttl: Duration) -> Self {
        self.rejection_cache_ttl = ttl;
        self
    }

    /// Sets how long an opaque token that Clerk accepted stays valid during an outage of Clerk.
    /// Defaults to zero: for not longer than
    /// [`opaque_token_cache_ttl`](Self::opaque_token_cache_ttl).
    ///
    /// The time counts from the last call in which Clerk accepted the token. A token whose time in
    /// the cache is over is still verified by a call first, and only accepted without one if Clerk
    /// cannot be asked: it is unreachable, fails with 429 or 5xx, or its calls are limited. Such a
    /// token never outlives its expiration, and not a response in which Clerk rejects it.
    /// **During an outage this is the maximum latency of a revocation.** It takes up to
    /// [`token_cache_bytes`](Self::token_cache_bytes) of memory more.
    pub fn opaque_token_stale_ttl(mut self, ttl: Duration) -> Self {
        self.opaque_token_stale_ttl = ttl;
        self
    }

    /// Sets the approximate size in bytes of the cache of verified tokens. Defaults to 16 MiB,
    /// enough for some 5,000 of Clerk's JWTs.
    ///
    /// Only valid tokens are cached, so invalid ones never evict them.
    pub fn token_cache_bytes(mut self, bytes: u64) -> Self {
        self.token_cache_bytes = bytes;
        self
    }

    /// Sets the maximum number of concurrent calls about opaque tokens, between 1 and 1,000.
    /// Defaults to 64.
    ///
    /// Up to 1,024 calls are in flight or wait for their turn, for at most 5 seconds each. Further
    /// tokens are [`Unavailable`](crate::VerifyErrorKind::Unavailable).
    pub fn max_concurrent_calls(mut self, calls: usize) -> Self {
        self.max_concurrent_calls = calls;
        self
    }

    /// Sets the maximum number of calls about opaque tokens and memberships in any 10 seconds,
    /// between 4 and 1,000,000. Defaults to 800 with a secret key of a production instance
    /// (`sk_live_…`) and to 80 with one of a development instance, of which Clerk accepts 1,000 and
    /// 100.
    ///
    /// Half of the calls may come at once; the others are spread evenly. Tokens that were accepted
    /// before, of which the last 10,000 are remembered, can use all of them. All others can use a
    /// quarter at once, so that made-up tokens do not use up the calls of good ones. Memberships,
    /// which are those of callers with a valid token, can use all of them. Further ones are
    /// [`Unavailable`](crate::VerifyErrorKind::Unavailable), with the time to wait, and are counted in
    /// [`rate_limited`](crate::clerk::VerifierStats::rate_limited).
    ///
    /// The rest of Clerk's limit is for calls that do not count here: those that the server makes with
    /// its own [client](crate::ClerkVerifier::client), such as
    /// [`get_user`](crate::clerk::ClerkClient::get_user).
    ///
    /// The limit is that of one verifier. If several servers share a secret key, divide.
    pub fn max_calls_per_ten_seconds(mut self, calls: u32) -> Self {
        self.max_calls_per_ten_seconds = Some(calls);
        self
    }

    /// Sets how long the last good key set is used while no other can be fetched. Defaults to 24
    /// hours.
    pub fn stale_keys_ttl(mut self, ttl: Duration) -> Self {
        self.stale_keys_ttl = ttl;
        self
    }

    /// Sets the clock. Defaults to [`SystemClock`](crate::clock::SystemClock).
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Without the warning, a variable that was forgotten is noticed with the first opaque token.
    fn warn_without_secret_key(&self, accepted: &Accepted) {
        if self.reads_env && self.secret_key.is_none() && accepted.types.oauth_tokens {
            tracing::warn!(
                "CLERK_SECRET_KEY is not set: opaque access tokens (oat_...) cannot be verified; \
                 the Clerk Dashboard shows the key on the page API keys"
            );
        }
    }
}

impl fmt::Debug for ClerkVerifierBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClerkVerifierBuilder")
            .field("publishable_key", &self.publishable_key)
            .field("frontend_api", &self.frontend_api)
            .field("resource", &self.resource)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}
