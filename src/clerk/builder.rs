use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::client::ClerkClient;
use super::env::Env;
use super::http::Http;
use super::introspection::{Introspection, IntrospectionConfig};
use super::jwks::{DEFAULT_STALE_KEYS_TTL, Endpoint, JwksFetcher, RemoteJwks};
use super::stats::Counters;
use super::token_cache::TokenCache;
use super::verifier::{ClerkVerifier, Inner, JwtKeys};
use crate::clock::{Clock, SystemClock};
use crate::error::ConfigError;
use crate::instance::{BackendApi, FrontendApi, InstanceType, PublishableKey, SecretKey};
use crate::jwt::{HeaderCache, JwtKey};
use crate::oauth::{Audience, ResourceUrl};

/// What Clerk's own SDK allows.
const DEFAULT_LEEWAY: Duration = Duration::from_secs(5);
const MAX_LEEWAY: Duration = Duration::from_secs(300);
/// Clerk takes 1,000 in 10 seconds.
const MAX_CONCURRENT_CALLS: usize = 1_000;

/// Builds a [`ClerkVerifier`].
///
/// Needed is one of the publishable key and the Frontend API's origin: they say who issues the tokens. `Debug` shows
/// no key.
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
    audience: Audience,
    leeway: Duration,
    jwts_for: Duration,
    opaque_tokens_for: Duration,
    refusals_for: Duration,
    token_cache_bytes: u64,
    max_concurrent_calls: usize,
    stale_keys_for: Duration,
    clock: Option<Arc<dyn Clock>>,
    /// The first setting of the environment that cannot be used; `build` reports it.
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
            audience: Audience::default(),
            leeway: DEFAULT_LEEWAY,
            jwts_for: Duration::from_secs(300),
            opaque_tokens_for: Duration::from_secs(60),
            refusals_for: Duration::from_secs(10),
            token_cache_bytes: 16 * 1024 * 1024,
            max_concurrent_calls: 64,
            stale_keys_for: DEFAULT_STALE_KEYS_TTL,
            clock: None,
            problem: None,
        }
    }

    /// Takes the settings of the environment.
    ///
    /// | variable | meaning |
    /// | --- | --- |
    /// | `CLERK_PUBLISHABLE_KEY`, or else `NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY` | [`publishable_key`](Self::publishable_key) |
    /// | `CLERK_FAPI` | [`frontend_api`](Self::frontend_api) |
    /// | `CLERK_SECRET_KEY` | [`secret_key`](Self::secret_key) |
    /// | `CLERK_JWT_KEY` | [`jwt_key`](Self::jwt_key) |
    /// | `CLERK_API_URL`, `CLERK_API_VERSION` | [`backend_api`](Self::backend_api) |
    /// | `MCP_RESOURCE_URL` | [`resource`](Self::resource) |
    /// | `MCP_AUDIENCE` | [`audience`](Self::audience): `require`, `if-present` or `any` |
    ///
    /// A variable that is empty counts as not set. What cannot be used is reported by [`build`](Self::build).
    pub fn env(self) -> Self {
        self.env_from(|name| std::env::var(name).ok())
    }

    /// Takes the settings of [`env`](Self::env) from somewhere else, such as a file or a test's own list.
    pub fn env_from(mut self, var: impl Fn(&str) -> Option<String>) -> Self {
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
        if let Some(api) = env.backend_api(&self.backend_api)? {
            self.backend_api = api;
        }
        Ok(())
    }

    /// The instance, by its publishable key.
    pub fn publishable_key(mut self, key: PublishableKey) -> Self {
        self.publishable_key = Some(key);
        self
    }

    /// The instance, by the origin of its Frontend API; overrides what the publishable key says.
    pub fn frontend_api(mut self, instance: FrontendApi) -> Self {
        self.frontend_api = Some(instance);
        self
    }

    /// Opens the Backend API: opaque tokens need it, and so does [`ClerkVerifier::client`].
    pub fn secret_key(mut self, key: SecretKey) -> Self {
        self.secret_key = Some(key);
        self
    }

    /// Sets the instance's public key. JWTs are then verified without any network, and a change of the instance's key has
    /// to be followed by hand.
    pub fn jwt_key(mut self, key: JwtKey) -> Self {
        self.jwt_key = Some(key);
        self
    }

    /// Sets where the Backend API is called. Defaults to [`BackendApi::default`].
    pub fn backend_api(mut self, api: BackendApi) -> Self {
        self.backend_api = api;
        self
    }

    /// Fetches the key set from the Backend API, with the secret key, and not from the Frontend API.
    pub fn keys_from_backend_api(mut self) -> Self {
        self.keys_from_backend_api = true;
        self
    }

    /// The resource that tokens must be issued for. A [`BearerAuthLayer`](crate::bearer_auth::BearerAuthLayer) names its own with
    /// every request, and that one counts.
    pub fn resource(mut self, resource: ResourceUrl) -> Self {
        self.resource = Some(resource);
        self
    }

    /// How a token's audience is looked at; [`Audience::Require`] unless it is said.
    pub fn audience(mut self, audience: Audience) -> Self {
        self.audience = audience;
        self
    }

    /// How far the clocks of Clerk and of this machine may be apart; 5 seconds unless it is said, 5 minutes at most. It is
    /// for JWTs: whether an opaque token has expired is for Clerk to say.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// How long a verified JWT is taken for good without being verified again, at most: 5 minutes unless it is said, and
    /// never past its `exp` or once its key has left the key set. Zero switches it off.
    pub fn jwt_cache_ttl(mut self, ttl: Duration) -> Self {
        self.jwts_for = ttl;
        self
    }

    /// How long an opaque token is taken for good without Clerk being asked again, at most: 60 seconds unless it is said,
    /// and never past its expiration. **This is how late a revocation is seen.** Zero switches it off: every request
    /// then costs a call to Clerk, of which a production instance has 1,000 in 10 seconds.
    pub fn opaque_token_cache_ttl(mut self, ttl: Duration) -> Self {
        self.opaque_tokens_for = ttl;
        self
    }

    /// How long an opaque token that was refused stays refused without Clerk being asked again: 10 seconds unless it is
    /// said. At most 10,000 refusals are held. Zero switches it off.
    pub fn rejection_cache_ttl(mut self, ttl: Duration) -> Self {
        self.refusals_for = ttl;
        self
    }

    /// How much memory verified tokens may take, about: 16 MiB unless it is said, which is room for some 5,000 JWTs of
    /// Clerk's. Only tokens that were verified are held, so garbage never pushes out a good one.
    pub fn token_cache_bytes(mut self, bytes: u64) -> Self {
        self.token_cache_bytes = bytes;
        self
    }

    /// How many calls about opaque tokens are under way at the same time, at most: 64 unless it is said. Up to 1,024
    /// wait for their turn, each for 5 seconds; past that the answer is 503.
    pub fn max_concurrent_calls(mut self, calls: usize) -> Self {
        self.max_concurrent_calls = calls;
        self
    }

    /// How long the last good key set serves while no other can be fetched: 24 hours unless it is said.
    pub fn stale_keys_ttl(mut self, limit: Duration) -> Self {
        self.stale_keys_for = limit;
        self
    }

    /// Where the time comes from; the machine's clocks unless it is said.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// The verifier.
    ///
    /// # Errors
    ///
    /// When the instance is not named, when a setting cannot be used, or when two contradict each other, such as a live
    /// publishable key and a test secret key.
    pub fn build(self) -> Result<ClerkVerifier, ConfigError> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        self.check_environments()?;
        if self.leeway > MAX_LEEWAY {
            return Err(ConfigError::invalid(
                "leeway",
                "is longer than 5 minutes: set the machine's clock right instead",
            ));
        }
        if self.max_concurrent_calls == 0 || self.max_concurrent_calls > MAX_CONCURRENT_CALLS {
            return Err(ConfigError::invalid("max_concurrent_calls", "is not between 1 and 1,000"));
        }
        let instance = self.instance()?;
        let client = self.client()?;
        let public = Http::new(instance.issuer())?;
        let clock: Arc<dyn Clock> =
            self.clock.clone().unwrap_or_else(|| Arc::new(SystemClock::new()));
        let counters = Arc::<Counters>::default();
        let known = Arc::new(TokenCache::new(self.token_cache_bytes, Arc::clone(&clock)));
        let introspection = client.clone().map(|client| {
            Introspection::new(IntrospectionConfig {
                client,
                known: Arc::clone(&known),
                known_ttl: self.opaque_tokens_for,
                refused_ttl: self.refusals_for,
                most_calls: self.max_concurrent_calls,
                clock: Arc::clone(&clock),
                counters: Arc::clone(&counters),
            })
        });
        Ok(ClerkVerifier(Arc::new(Inner {
            jwt_keys: self.jwt_keys(&public, client.as_ref(), &counters, &clock)?,
            header_cache: HeaderCache::default(),
            instance,
            client,
            introspection,
            public,
            resource: self.resource,
            audience: self.audience,
            leeway: self.leeway,
            known,
            known_jwt_ttl: self.jwts_for,
            clock,
            counters,
        })))
    }

    fn jwt_keys(
        &self,
        public: &Http,
        client: Option<&ClerkClient>,
        counters: &Arc<Counters>,
        clock: &Arc<dyn Clock>,
    ) -> Result<JwtKeys, ConfigError> {
        if let Some(key) = &self.jwt_key {
            return Ok(JwtKeys::Pem(key.clone().into_verification_key()));
        }
        let endpoint = if self.keys_from_backend_api {
            Endpoint::BackendApi(client.cloned().ok_or_else(key_set_needs_secret_key)?)
        } else {
            Endpoint::FrontendApi(public.clone())
        };
        let source = JwksFetcher { endpoint, counters: Arc::clone(counters) };
        Ok(JwtKeys::Set(RemoteJwks::new(source, self.stale_keys_for, Arc::clone(clock))))
    }

    /// Builds the client of the Backend API; `None` without a secret key.
    fn client(&self) -> Result<Option<ClerkClient>, ConfigError> {
        let client = |key: &SecretKey| {
            ClerkClient::builder()
                .secret_key(key.clone())
                .backend_api(self.backend_api.clone())
                .build()
        };
        self.secret_key.as_ref().map(client).transpose()
    }

    fn instance(&self) -> Result<FrontendApi, ConfigError> {
        let by_key = || self.publishable_key.as_ref().map(FrontendApi::from);
        self.frontend_api.clone().or_else(by_key).ok_or_else(|| {
            ConfigError::missing(
                "CLERK_PUBLISHABLE_KEY",
                "is not set: copy it from the Clerk Dashboard, page API keys; it says whose tokens to accept",
            )
        })
    }

    /// RemoteJwks of two instances do not go together, and most often this is how one notices.
    fn check_environments(&self) -> Result<(), ConfigError> {
        let (Some(publishable), Some(secret)) = (&self.publishable_key, &self.secret_key) else {
            return Ok(());
        };
        if publishable.instance_type() == secret.instance_type() {
            return Ok(());
        }
        let name = |environment: InstanceType| environment.infix();
        Err(ConfigError::conflict(
            "CLERK_SECRET_KEY",
            format!(
                "is a {} key and CLERK_PUBLISHABLE_KEY a {} one: copy both from one instance in the Clerk Dashboard, page API keys",
                name(secret.instance_type()),
                name(publishable.instance_type()),
            ),
        ))
    }
}

fn key_set_needs_secret_key() -> ConfigError {
    ConfigError::missing(
        "CLERK_SECRET_KEY",
        "is not set, and the key set is to come from the Backend API: copy it from the Clerk Dashboard, page API keys",
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
