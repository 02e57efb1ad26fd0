//! The settings of a verifier.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::accepted::{AcceptSettings, Accepted};
use super::client::ClerkClient;
use super::credentials::{ApiKeys, MachineTokens, SessionTokens};
use super::env::Env;
use super::failure_log::FailureLog;
use super::header_cache::HeaderCache;
use super::http::Http;
use super::introspection::{Introspection, IntrospectionConfig, OpaqueRules};
use super::jwks::{DEFAULT_STALE_KEYS_TTL, JwksEndpoint, JwksFetcher, RemoteJwks};
use super::membership::{MembershipConfig, MembershipSettings, Memberships};
use super::opaque::OpaqueTokens;
use super::stats::Counters;
use super::token_cache::TokenCache;
use super::verifier::{ClerkVerifier, Inner, JwtKeys};
use crate::cache::RateLimit;
use crate::clock::{Clock, SystemClock};
use crate::error::ConfigError;
use crate::instance::{BackendApi, FrontendApi, InstanceType, PublishableKey, SecretKey};
use crate::jwt::JwtKey;
use crate::oauth::{Audience, ResourceUrl, ScopeHierarchy, Scopes};

/// The default of Clerk's own SDK.
const DEFAULT_LEEWAY: Duration = Duration::from_secs(5);
const MAX_LEEWAY: Duration = Duration::from_secs(300);
/// A production instance accepts 1,000 calls in 10 seconds.
const MAX_CONCURRENT_CALLS: usize = 1_000;
/// Calls in 10 seconds, below the limits of Clerk (1,000 and 100): the server itself, and other
/// servers with the same key, may call the Backend API too.
const PRODUCTION_CALLS: u32 = 800;
const DEVELOPMENT_CALLS: u32 = 80;
const MIN_CALLS: u32 = 4;
const MAX_CALLS: u32 = 1_000_000;

/// A builder of a [`ClerkVerifier`].
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

    /// Sets the secret key of the Backend API, for opaque tokens and [`ClerkVerifier::client`].
    /// Defaults to none: an opaque token is then
    /// [`Misconfigured`](crate::VerifyErrorKind::Misconfigured).
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
    /// its own [client](ClerkVerifier::client), such as
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

    /// Sets the clock. Defaults to [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Builds the verifier.
    ///
    /// # Errors
    ///
    /// Returns an error if neither the publishable key nor the Frontend API is set, if a setting is
    /// invalid, if two contradict each other, such as a live publishable key and a test secret key,
    /// if API keys are accepted without a secret key, or if no type of tokens is accepted.
    pub fn build(self) -> Result<ClerkVerifier, ConfigError> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        self.check_instance_types()?;
        self.check_limits()?;
        let instance = self.instance()?;
        let clock: Arc<dyn Clock> =
            self.clock.clone().unwrap_or_else(|| Arc::new(SystemClock::new()));
        let issuer: Arc<str> = instance.issuer().into();
        let client = self.client(&clock)?;
        let accepted = self.accept.resolve()?;
        if accepted.types.api_keys && client.is_none() {
            return Err(api_keys_need_secret_key());
        }
        self.warn_without_secret_key(&accepted);
        let frontend_http = Http::new(instance.issuer(), Arc::clone(&clock))?;
        let counters = Arc::<Counters>::default();
        let token_cache = Arc::new(TokenCache::new(self.token_cache_bytes, Arc::clone(&clock)));
        let rate = Arc::new(RateLimit::new(self.max_calls()));
        let memberships = client.clone().map(|client| {
            Memberships::new(MembershipConfig {
                settings: self.membership,
                client,
                max_concurrent_calls: self.max_concurrent_calls,
                rate: Arc::clone(&rate),
                clock: Arc::clone(&clock),
                counters: Arc::clone(&counters),
            })
        });
        let opaque_tokens =
            self.opaque_tokens(&accepted, client.as_ref(), &clock, |rules, client| {
                Introspection::new(IntrospectionConfig {
                    rules,
                    client,
                    issuer: Arc::clone(&issuer),
                    leeway: self.leeway,
                    token_cache: Arc::clone(&token_cache),
                    token_cache_ttl: self.opaque_token_cache_ttl,
                    rejection_cache_ttl: self.rejection_cache_ttl,
                    stale_ttl: self.opaque_token_stale_ttl,
                    stale_bytes: self.token_cache_bytes,
                    max_concurrent_calls: self.max_concurrent_calls,
                    rate: Arc::clone(&rate),
                    clock: Arc::clone(&clock),
                    counters: Arc::clone(&counters),
                })
            })?;
        Ok(ClerkVerifier(Arc::new(Inner {
            jwt_keys: self.jwt_keys(&frontend_http, client.as_ref(), &counters, &clock)?,
            header_cache: HeaderCache::default(),
            instance,
            client,
            opaque_tokens,
            memberships,
            accepted: accepted.types,
            machine_tokens: accepted.machine_tokens,
            session_tokens: accepted.session_tokens,
            frontend_http,
            resource: self.resource,
            issuer,
            audience: self.audience,
            leeway: self.leeway,
            token_cache,
            jwt_cache_ttl: self.jwt_cache_ttl,
            log: FailureLog::new(Arc::clone(&clock)),
            clock,
            counters,
        })))
    }

    /// Builds the verification of each type of opaque tokens that is accepted and has a key.
    fn opaque_tokens(
        &self,
        accepted: &Accepted,
        client: Option<&ClerkClient>,
        clock: &Arc<dyn Clock>,
        new: impl Fn(OpaqueRules, ClerkClient) -> Introspection,
    ) -> Result<OpaqueTokens, ConfigError> {
        let new = |rules, client: &ClerkClient| new(rules, client.clone());
        let machine_client = self.machine_client(accepted, clock)?;
        let machine_client = machine_client.as_ref().or_else(|| {
            // With the key of the instance, only a token that names this machine is accepted.
            let rules = accepted.machine_tokens.as_ref()?;
            client.filter(|_| rules.own_id().is_some())
        });
        let access_tokens = client.filter(|_| accepted.types.oauth_tokens);
        Ok(OpaqueTokens {
            access_tokens: access_tokens
                .map(|client| new(OpaqueRules::AccessTokens(self.audience), client)),
            api_keys: client
                .zip(accepted.api_keys.clone())
                .map(|(client, rules)| new(OpaqueRules::ApiKeys(rules), client)),
            machine_tokens: machine_client
                .zip(accepted.machine_tokens.clone())
                .map(|(client, rules)| new(OpaqueRules::MachineTokens(rules), client)),
        })
    }

    /// Builds a client with the secret key of this server's machine, if there is one.
    fn machine_client(
        &self,
        accepted: &Accepted,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<ClerkClient>, ConfigError> {
        let rules = accepted.machine_tokens.as_ref();
        let Some(key) = rules.and_then(MachineTokens::own_key) else { return Ok(None) };
        ClerkClient::for_machine(key, &self.backend_api, Arc::clone(clock)).map(Some)
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

    fn check_limits(&self) -> Result<(), ConfigError> {
        if self.leeway > MAX_LEEWAY {
            return Err(ConfigError::invalid(
                "leeway",
                "is longer than 5 minutes: correct the clock of this machine instead",
            ));
        }
        if self.max_concurrent_calls == 0 || self.max_concurrent_calls > MAX_CONCURRENT_CALLS {
            return Err(ConfigError::invalid("max_concurrent_calls", "is not between 1 and 1,000"));
        }
        if !(MIN_CALLS..=MAX_CALLS).contains(&self.max_calls()) {
            return Err(ConfigError::invalid(
                "max_calls_per_ten_seconds",
                "is not between 4 and 1,000,000",
            ));
        }
        Ok(())
    }

    fn max_calls(&self) -> u32 {
        let instance_type = self.secret_key.as_ref().map(SecretKey::instance_type);
        self.max_calls_per_ten_seconds.unwrap_or(match instance_type {
            Some(InstanceType::Production) => PRODUCTION_CALLS,
            _ => DEVELOPMENT_CALLS,
        })
    }

    fn jwt_keys(
        &self,
        frontend_http: &Http,
        client: Option<&ClerkClient>,
        counters: &Arc<Counters>,
        clock: &Arc<dyn Clock>,
    ) -> Result<JwtKeys, ConfigError> {
        if let Some(key) = &self.jwt_key {
            return Ok(JwtKeys::Pem(key.clone().into_verification_key()));
        }
        let endpoint = if self.keys_from_backend_api {
            JwksEndpoint::BackendApi(client.cloned().ok_or_else(key_set_needs_secret_key)?)
        } else {
            JwksEndpoint::FrontendApi(frontend_http.clone())
        };
        let fetcher = JwksFetcher { endpoint, counters: Arc::clone(counters) };
        Ok(JwtKeys::Remote(RemoteJwks::new(fetcher, self.stale_keys_ttl, Arc::clone(clock))))
    }

    /// Builds the client of the Backend API; `None` without a secret key.
    fn client(&self, clock: &Arc<dyn Clock>) -> Result<Option<ClerkClient>, ConfigError> {
        let client = |key: &SecretKey| {
            ClerkClient::builder()
                .secret_key(key.clone())
                .backend_api(self.backend_api.clone())
                .clock(Arc::clone(clock))
                .build()
        };
        self.secret_key.as_ref().map(client).transpose()
    }

    fn instance(&self) -> Result<FrontendApi, ConfigError> {
        let by_key = || self.publishable_key.as_ref().map(FrontendApi::from);
        self.frontend_api.clone().or_else(by_key).ok_or_else(|| {
            ConfigError::missing(
                "CLERK_PUBLISHABLE_KEY",
                "is not set: copy it from the Clerk Dashboard, page API keys; it identifies the \
                 instance whose tokens are accepted",
            )
        })
    }

    /// Rejects a live key beside a test key: they belong to two instances.
    fn check_instance_types(&self) -> Result<(), ConfigError> {
        let (Some(publishable), Some(secret)) = (&self.publishable_key, &self.secret_key) else {
            return Ok(());
        };
        if publishable.instance_type() == secret.instance_type() {
            return Ok(());
        }
        let name = |instance_type: InstanceType| instance_type.infix();
        Err(ConfigError::conflict(
            "CLERK_SECRET_KEY",
            format!(
                "is a {} key and CLERK_PUBLISHABLE_KEY is a {} key: copy both from one \
                 instance in the Clerk Dashboard, page API keys",
                name(secret.instance_type()),
                name(publishable.instance_type()),
            ),
        ))
    }
}

fn api_keys_need_secret_key() -> ConfigError {
    ConfigError::missing(
        "CLERK_SECRET_KEY",
        "is required to verify API keys: copy it from the Clerk Dashboard, page API keys, section \
         Secret keys",
    )
}

fn key_set_needs_secret_key() -> ConfigError {
    ConfigError::missing(
        "CLERK_SECRET_KEY",
        "is required to fetch the key set from the Backend API: copy it from the Clerk Dashboard, \
         page API keys",
    )
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
