//! Checks the settings of a verifier, and builds it.

use std::sync::Arc;
use std::time::Duration;

use super::ClerkVerifierBuilder;
use crate::cache::RateLimit;
use crate::clerk::accepted::Accepted;
use crate::clerk::client::ClerkClient;
use crate::clerk::credentials::MachineTokens;
use crate::clerk::failure_log::FailureLog;
use crate::clerk::header_cache::HeaderCache;
use crate::clerk::http::Http;
use crate::clerk::introspection::{Introspection, IntrospectionConfig, OpaqueRules};
use crate::clerk::jwks::{JwksEndpoint, JwksFetcher, RemoteJwks};
use crate::clerk::membership::{MembershipConfig, Memberships};
use crate::clerk::opaque::OpaqueTokens;
use crate::clerk::stats::Counters;
use crate::clerk::token_cache::TokenCache;
use crate::clerk::verifier::{ClerkVerifier, Inner, JwtKeys};
use crate::clock::{Clock, SystemClock};
use crate::error::ConfigError;
use crate::instance::{FrontendApi, InstanceType, SecretKey};

const MAX_LEEWAY: Duration = Duration::from_secs(300);
/// A production instance accepts 1,000 calls in 10 seconds.
const MAX_CONCURRENT_CALLS: usize = 1_000;
/// Calls in 10 seconds, below the limits of Clerk (1,000 and 100): the server itself, and other
/// servers with the same key, may call the Backend API too.
const PRODUCTION_CALLS: u32 = 800;
const DEVELOPMENT_CALLS: u32 = 80;
const MIN_CALLS: u32 = 4;
const MAX_CALLS: u32 = 1_000_000;

impl ClerkVerifierBuilder {
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
