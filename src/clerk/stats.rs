//! Cache sizes and call counters of a verifier.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Cache sizes and counters of a verifier at one moment, from
/// [`ClerkVerifier::stats`](crate::ClerkVerifier::stats).
///
/// With the feature `metrics`, the five counters are also counters of the `metrics` crate, as
/// `clerk_mcp_tools_token_cache_hits_total`, `clerk_mcp_tools_token_cache_misses_total`,
/// `clerk_mcp_tools_upstream_calls_total`, `clerk_mcp_tools_upstream_failures_total` and
/// `clerk_mcp_tools_rate_limited_total`.
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
    /// How many calls were made to Clerk for key sets and opaque tokens.
    pub upstream_calls: u64,
    /// How many of those calls failed. A call that rejects a token has not failed.
    pub upstream_failures: u64,
    /// How many calls about opaque tokens were not made, because of
    /// [`max_calls_per_ten_seconds`](crate::ClerkVerifierBuilder::max_calls_per_ten_seconds).
    pub rate_limited: u64,
}

/// The counters behind a [`VerifierStats`].
#[derive(Default)]
pub(super) struct Counters {
    cache_hits: AtomicU64,
    cache_misses: AtomicU64,
    upstream_calls: AtomicU64,
    upstream_failures: AtomicU64,
    rate_limited: AtomicU64,
}

macro_rules! count {
    ($counter:expr, $name:literal) => {{
        $counter.fetch_add(1, Ordering::Relaxed);
        #[cfg(feature = "metrics")]
        metrics::counter!(concat!("clerk_mcp_tools_", $name, "_total")).increment(1);
    }};
}

impl Counters {
    pub(super) fn cache_hit(&self) {
        count!(self.cache_hits, "token_cache_hits");
    }

    pub(super) fn cache_miss(&self) {
        count!(self.cache_misses, "token_cache_misses");
    }

    /// Counts a call to Clerk that has ended.
    pub(super) fn upstream_call(&self, failed: bool) {
        count!(self.upstream_calls, "upstream_calls");
        if failed {
            count!(self.upstream_failures, "upstream_failures");
        }
    }

    /// Counts a call to Clerk that was not made.
    pub(super) fn rate_limited(&self) {
        count!(self.rate_limited, "rate_limited");
    }

    pub(super) fn read(&self) -> VerifierStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        VerifierStats {
            cache_hits: read(&self.cache_hits),
            cache_misses: read(&self.cache_misses),
            upstream_calls: read(&self.upstream_calls),
            upstream_failures: read(&self.upstream_failures),
            rate_limited: read(&self.rate_limited),
            ..VerifierStats::default()
        }
    }
}
