//! Cache sizes and call counters of a verifier.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[cfg(feature = "metrics")]
use metrics::{Key, Label, Level, Metadata, with_recorder};

use crate::oauth::TokenType;

/// Cache sizes and counters of a verifier at one moment, from
/// [`ClerkVerifier::stats`](crate::ClerkVerifier::stats).
///
/// With the feature `metrics`, the five counters are also counters of the `metrics` crate, as
/// `clerk_mcp_tools_token_cache_hits_total`, `clerk_mcp_tools_token_cache_misses_total`,
/// `clerk_mcp_tools_upstream_calls_total`, `clerk_mcp_tools_upstream_failures_total` and
/// `clerk_mcp_tools_rate_limited_total`. Their label `token_type` is the name of a
/// [`TokenType`](crate::TokenType), `key_set` for calls for key sets, or
/// `membership` for calls about memberships.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifierStats {
    /// The age of the key set; `None` if none has been fetched, or if a PEM key is used.
    pub key_set_age: Option<Duration>,
    /// The number of verified tokens in the cache.
    pub cached_tokens: usize,
    /// The number of rejected opaque tokens in the cache.
    pub rejected_tokens: usize,
    /// How often a token was found in the cache.
    pub cache_hits: u64,
    /// How often a token had to be verified.
    pub cache_misses: u64,
    /// How many calls were made to Clerk for key sets, opaque tokens and memberships.
    pub upstream_calls: u64,
    /// How many of those calls failed. A call that rejects a token has not failed.
    pub upstream_failures: u64,
    /// How many calls about opaque tokens and memberships were not made, because of
    /// [`max_calls_per_ten_seconds`](crate::ClerkVerifierBuilder::max_calls_per_ten_seconds).
    pub rate_limited: u64,
    pub(super) oauth_tokens: TokenTypeStats,
    pub(super) api_keys: TokenTypeStats,
    pub(super) machine_tokens: TokenTypeStats,
    pub(super) session_tokens: TokenTypeStats,
}

impl VerifierStats {
    /// Returns the counters of one type of tokens. Calls for key sets and memberships belong to
    /// none.
    ///
    /// ```
    /// # use clerk_mcp_tools::instance::FrontendApi;
    /// # use clerk_mcp_tools::{ClerkVerifier, TokenType};
    /// # let instance = FrontendApi::parse("https://clerk.example.com")?;
    /// let verifier = ClerkVerifier::builder().frontend_api(instance).build()?;
    /// assert_eq!(verifier.stats().of_type(TokenType::ApiKey).upstream_calls, 0);
    /// # Ok::<(), clerk_mcp_tools::ConfigError>(())
    /// ```
    #[must_use]
    pub fn of_type(&self, token_type: TokenType) -> TokenTypeStats {
        match token_type {
            TokenType::OAuthToken => self.oauth_tokens,
            TokenType::ApiKey => self.api_keys,
            TokenType::M2mToken => self.machine_tokens,
            TokenType::SessionToken => self.session_tokens,
        }
    }
}

/// The counters of one type of tokens, from [`VerifierStats::of_type`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenTypeStats {
    /// How often a token was found in the cache.
    pub cache_hits: u64,
    /// How often a token had to be verified.
    pub cache_misses: u64,
    /// How many calls were made to Clerk about opaque tokens.
    pub upstream_calls: u64,
    /// How many of those calls failed. A call that rejects a token has not failed.
    pub upstream_failures: u64,
    /// How many calls were not made, because of
    /// [`max_calls_per_ten_seconds`](crate::ClerkVerifierBuilder::max_calls_per_ten_seconds).
    pub rate_limited: u64,
}

/// The counters behind a [`VerifierStats`].
#[derive(Default)]
pub(super) struct Counters {
    oauth_tokens: TypeCounters,
    api_keys: TypeCounters,
    machine_tokens: TypeCounters,
    session_tokens: TypeCounters,
    key_set_calls: AtomicU64,
    key_set_failures: AtomicU64,
    membership_calls: AtomicU64,
    membership_failures: AtomicU64,
    membership_rate_limited: AtomicU64,
}

#[derive(Default)]
struct TypeCounters {
    cache_hits: AtomicU64,
    cache_misses: AtomicU64,
    upstream_calls: AtomicU64,
    upstream_failures: AtomicU64,
    rate_limited: AtomicU64,
}

#[cfg(feature = "metrics")]
static METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

macro_rules! count {
    ($counter:expr, $name:literal, $label:literal) => {{
        $counter.fetch_add(1, Ordering::Relaxed);
        #[cfg(feature = "metrics")]
        {
            // With a name that is not a literal, the macro of `metrics` builds and hashes a key at
            // each call.
            static LABELS: [Label; 1] = [Label::from_static_parts("token_type", $label)];
            static KEY: Key =
                Key::from_static_parts(concat!("clerk_mcp_tools_", $name, "_total"), &LABELS);
            with_recorder(|recorder| recorder.register_counter(&KEY, &METADATA).increment(1));
        }
    }};
}

/// With a literal label for each type, as a static needs it.
macro_rules! count_by_type {
    ($counters:expr, $token_type:expr, $counter:ident, $name:literal) => {
        match $token_type {
            TokenType::OAuthToken => count!($counters.oauth_tokens.$counter, $name, "oauth_token"),
            TokenType::ApiKey => count!($counters.api_keys.$counter, $name, "api_key"),
            TokenType::M2mToken => count!($counters.machine_tokens.$counter, $name, "m2m_token"),
            TokenType::SessionToken => {
                count!($counters.session_tokens.$counter, $name, "session_token");
            }
        }
    };
}

impl Counters {
    pub(super) fn cache_hit(&self, token_type: TokenType) {
        count_by_type!(self, token_type, cache_hits, "token_cache_hits");
    }

    pub(super) fn cache_miss(&self, token_type: TokenType) {
        count_by_type!(self, token_type, cache_misses, "token_cache_misses");
    }

    /// Counts a call to Clerk about an opaque token that has ended.
    pub(super) fn upstream_call(&self, token_type: TokenType, failed: bool) {
        count_by_type!(self, token_type, upstream_calls, "upstream_calls");
        if failed {
            count_by_type!(self, token_type, upstream_failures, "upstream_failures");
        }
    }

    /// Counts a call for a key set that has ended.
    pub(super) fn key_set_call(&self, failed: bool) {
        count!(self.key_set_calls, "upstream_calls", "key_set");
        if failed {
            count!(self.key_set_failures, "upstream_failures", "key_set");
        }
    }

    /// Counts a call about a membership that has ended.
    pub(super) fn membership_call(&self, failed: bool) {
        count!(self.membership_calls, "upstream_calls", "membership");
        if failed {
            count!(self.membership_failures, "upstream_failures", "membership");
        }
    }

    /// Counts a call about a membership that was not made.
    pub(super) fn membership_rate_limited(&self) {
        count!(self.membership_rate_limited, "rate_limited", "membership");
    }

    /// Counts a call to Clerk that was not made.
    pub(super) fn rate_limited(&self, token_type: TokenType) {
        count_by_type!(self, token_type, rate_limited, "rate_limited");
    }

    pub(super) fn read(&self) -> VerifierStats {
        let (oauth_tokens, api_keys) = (self.oauth_tokens.read(), self.api_keys.read());
        let machine_tokens = self.machine_tokens.read();
        let session_tokens = self.session_tokens.read();
        let types = [oauth_tokens, api_keys, machine_tokens, session_tokens];
        let sum = |counter: fn(&TokenTypeStats) -> u64| types.iter().map(counter).sum::<u64>();
        let others = |counters: &[&AtomicU64]| {
            counters.iter().map(|counter| counter.load(Ordering::Relaxed)).sum::<u64>()
        };
        VerifierStats {
            cache_hits: sum(|stats| stats.cache_hits),
            cache_misses: sum(|stats| stats.cache_misses),
            upstream_calls: sum(|stats| stats.upstream_calls)
                + others(&[&self.key_set_calls, &self.membership_calls]),
            upstream_failures: sum(|stats| stats.upstream_failures)
                + others(&[&self.key_set_failures, &self.membership_failures]),
            rate_limited: sum(|stats| stats.rate_limited)
                + others(&[&self.membership_rate_limited]),
            oauth_tokens,
            api_keys,
            machine_tokens,
            session_tokens,
            ..VerifierStats::default()
        }
    }
}

impl TypeCounters {
    fn read(&self) -> TokenTypeStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        TokenTypeStats {
            cache_hits: read(&self.cache_hits),
            cache_misses: read(&self.cache_misses),
            upstream_calls: read(&self.upstream_calls),
            upstream_failures: read(&self.upstream_failures),
            rate_limited: read(&self.rate_limited),
        }
    }
}
