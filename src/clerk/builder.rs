use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::client::ClerkClient;
use super::http::Http;
use super::introspection::{Introspection, Settings};
use super::jwks::{DEFAULT_STALE_LIMIT, Endpoint, KeySource, Keys};
use super::stats::Stats;
use super::token_cache::KnownTokens;
use super::verifier::{ClerkVerifier, Inner, JwtKeys};
use crate::clock::{Clock, SystemClock};
use crate::error::ConfigError;
use crate::instance::{Environment, FrontendApi, PublishableKey, SecretKey};
use crate::jwt::{UsualHeader, VerificationKey};
use crate::oauth::{Audience, ResourceUrl};

/// What Clerk's own SDK allows.
const DEFAULT_LEEWAY: Duration = Duration::from_secs(5);
const LONGEST_LEEWAY: Duration = Duration::from_secs(300);
/// Clerk takes 1,000 in 10 seconds.
const MOST_UPSTREAM_CALLS: usize = 1_000;

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
    jwt_key: Option<String>,
    api_url: Option<String>,
    api_version: Option<String>,
    keys_from_backend_api: bool,
    resource: Option<ResourceUrl>,
    audience: Audience,
    leeway: Duration,
    jwts_for: Duration,
    opaque_tokens_for: Duration,
    refusals_for: Duration,
    cache_bytes: u64,
    max_upstream_calls: usize,
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
            api_url: None,
            api_version: None,
            keys_from_backend_api: false,
            resource: None,
            audience: Audience::default(),
            leeway: DEFAULT_LEEWAY,
            jwts_for: Duration::from_secs(300),
            opaque_tokens_for: Duration::from_secs(60),
            refusals_for: Duration::from_secs(10),
            cache_bytes: 16 * 1024 * 1024,
            max_upstream_calls: 64,
            stale_keys_for: DEFAULT_STALE_LIMIT,
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
    /// | `CLERK_API_URL`, `CLERK_API_VERSION` | [`api_url`](Self::api_url), [`api_version`](Self::api_version) |
    /// | `MCP_RESOURCE_URL` | [`resource`](Self::resource) |
    /// | `MCP_AUDIENCE` | [`audience`](Self::audience): `require`, `if-present` or `any` |
    ///
    /// A variable that is empty counts as not set. What cannot be used is reported by [`build`](Self::build).
    pub fn env(self) -> Self {
        self.vars(|name| std::env::var(name).ok())
    }

    /// Takes the settings of [`env`](Self::env) from somewhere else, such as a file or a test's own list.
    pub fn vars(mut self, var: impl Fn(&str) -> Option<String>) -> Self {
        if let Err(problem) = self.take_vars(&|name| var(name).filter(|value| !value.trim().is_empty())) {
            self.problem.get_or_insert(problem);
        }
        self
    }

    fn take_vars(&mut self, var: &dyn Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
        if let Some(key) = var("CLERK_PUBLISHABLE_KEY").or_else(|| var("NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY")) {
            self.publishable_key = Some(PublishableKey::parse(&key)?);
        }
        if let Some(origin) = var("CLERK_FAPI") {
            self.frontend_api = Some(FrontendApi::parse(&origin)?);
        }
        if let Some(key) = var("CLERK_SECRET_KEY") {
            self.secret_key = Some(SecretKey::parse(&key)?);
        }
        if let Some(url) = var("MCP_RESOURCE_URL") {
            self.resource = Some(ResourceUrl::parse(&url)?);
        }
        if let Some(mode) = var("MCP_AUDIENCE") {
            self.audience = audience(&mode)?;
        }
        self.jwt_key = var("CLERK_JWT_KEY").or(self.jwt_key.take());
        self.api_url = var("CLERK_API_URL").or(self.api_url.take());
        self.api_version = var("CLERK_API_VERSION").or(self.api_version.take());
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

    /// The instance's public key as PEM (label `PUBLIC KEY`, RSA). JWTs are then verified without any network, and a
    /// change of the instance's key has to be followed by hand. Line ends may be escaped as `\n`.
    pub fn jwt_key(mut self, pem: impl Into<String>) -> Self {
        self.jwt_key = Some(pem.into());
        self
    }

    /// The Backend API's origin; `https://api.clerk.com` unless it is said.
    pub fn api_url(mut self, origin: impl Into<String>) -> Self {
        self.api_url = Some(origin.into());
        self
    }

    /// The Backend API's version; `v1` unless it is said.
    pub fn api_version(mut self, version: impl Into<String>) -> Self {
        self.api_version = Some(version.into());
        self
    }

    /// Fetches the key set from the Backend API, with the secret key, and not from the Frontend API.
    pub fn keys_from_backend_api(mut self) -> Self {
        self.keys_from_backend_api = true;
        self
    }

    /// The resource that tokens must be issued for. A [`BearerAuthLayer`](crate::BearerAuthLayer) names its own with
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
    pub fn cache_jwts_for(mut self, ttl: Duration) -> Self {
        self.jwts_for = ttl;
        self
    }

    /// How long an opaque token is taken for good without Clerk being asked again, at most: 60 seconds unless it is said,
    /// and never past its expiration. **This is how late a revocation is seen.** Zero switches it off: every request
    /// then costs a call to Clerk, of which a production instance has 1,000 in 10 seconds.
    pub fn cache_opaque_tokens_for(mut self, ttl: Duration) -> Self {
        self.opaque_tokens_for = ttl;
        self
    }

    /// How long an opaque token that was refused stays refused without Clerk being asked again: 10 seconds unless it is
    /// said. At most 10,000 refusals are held. Zero switches it off.
    pub fn cache_refusals_for(mut self, ttl: Duration) -> Self {
        self.refusals_for = ttl;
        self
    }

    /// How much memory verified tokens may take, about: 16 MiB unless it is said, which is room for some 5,000 JWTs of
    /// Clerk's. Only tokens that were verified are held, so garbage never pushes out a good one.
    pub fn cache_bytes(mut self, bytes: u64) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// How many calls about opaque tokens are under way at the same time, at most: 64 unless it is said. Up to 1,024
    /// wait for their turn, each for 5 seconds; past that the answer is 503.
    pub fn max_upstream_calls(mut self, calls: usize) -> Self {
        self.max_upstream_calls = calls;
        self
    }

    /// How long the last good key set serves while no other can be fetched: 24 hours unless it is said.
    pub fn serve_stale_keys_for(mut self, limit: Duration) -> Self {
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
        if self.leeway > LONGEST_LEEWAY {
            return Err(ConfigError::invalid(
                "leeway",
                "is longer than 5 minutes: set the machine's clock right instead",
            ));
        }
        if self.max_upstream_calls == 0 || self.max_upstream_calls > MOST_UPSTREAM_CALLS {
            return Err(ConfigError::invalid("max_upstream_calls", "is not between 1 and 1,000"));
        }
        let instance = self.instance()?;
        let client = self.backend_client()?;
        let public = Http::new(instance.issuer())?;
        let clock: Arc<dyn Clock> = self.clock.clone().unwrap_or_else(|| Arc::new(SystemClock::new()));
        let stats = Arc::<Stats>::default();
        let known = Arc::new(KnownTokens::new(self.cache_bytes, Arc::clone(&clock)));
        let introspection = client.clone().map(|client| {
            Introspection::new(Settings {
                client,
                known: Arc::clone(&known),
                known_ttl: self.opaque_tokens_for,
                refused_ttl: self.refusals_for,
                most_calls: self.max_upstream_calls,
                clock: Arc::clone(&clock),
                stats: Arc::clone(&stats),
            })
        });
        Ok(ClerkVerifier(Arc::new(Inner {
            jwt_keys: self.jwt_keys(&public, client.as_ref(), &stats, &clock)?,
            usual_header: UsualHeader::default(),
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
            stats,
        })))
    }

    fn jwt_keys(
        &self,
        public: &Http,
        client: Option<&ClerkClient>,
        stats: &Arc<Stats>,
        clock: &Arc<dyn Clock>,
    ) -> Result<JwtKeys, ConfigError> {
        if let Some(pem) = &self.jwt_key {
            return Ok(JwtKeys::Pem(Arc::new(VerificationKey::from_pem(pem)?)));
        }
        let endpoint = if self.keys_from_backend_api {
            Endpoint::BackendApi(client.cloned().ok_or_else(key_set_needs_secret_key)?)
        } else {
            Endpoint::FrontendApi(public.clone())
        };
        let source = KeySource { endpoint, stats: Arc::clone(stats) };
        Ok(JwtKeys::Set(Keys::new(source, self.stale_keys_for, Arc::clone(clock))))
    }

    /// The client of the Backend API that these settings make; none without a secret key.
    pub(super) fn backend_client(&self) -> Result<Option<ClerkClient>, ConfigError> {
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        let Some(secret_key) = &self.secret_key else {
            return Ok(None);
        };
        let mut builder = ClerkClient::builder(secret_key.clone());
        if let Some(url) = &self.api_url {
            builder = builder.api_url(url);
        }
        if let Some(version) = &self.api_version {
            builder = builder.api_version(version);
        }
        builder.build().map(Some)
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

    /// Keys of two instances do not go together, and most often this is how one notices.
    fn check_environments(&self) -> Result<(), ConfigError> {
        let (Some(publishable), Some(secret)) = (&self.publishable_key, &self.secret_key) else {
            return Ok(());
        };
        if publishable.environment() == secret.environment() {
            return Ok(());
        }
        let name = |environment: Environment| environment.infix();
        Err(ConfigError::conflict(
            "CLERK_SECRET_KEY",
            format!(
                "is a {} key and CLERK_PUBLISHABLE_KEY a {} one: copy both from one instance in the Clerk Dashboard, page API keys",
                name(secret.environment()),
                name(publishable.environment()),
            ),
        ))
    }
}

fn audience(mode: &str) -> Result<Audience, ConfigError> {
    match mode {
        "require" => Ok(Audience::Require),
        "if-present" => Ok(Audience::IfPresent),
        "any" => Ok(Audience::Any),
        _ => Err(ConfigError::invalid("MCP_AUDIENCE", "is none of require, if-present and any")),
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
