//! What a verifier has done so far, for a health page and for counters.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A verifier at one moment; see [`ClerkVerifier::stats`](crate::ClerkVerifier::stats).
///
/// With the feature `metrics`, the four counters are also counters of the `metrics` crate, as
/// `clerk_mcp_tools_token_cache_hits_total`, `clerk_mcp_tools_token_cache_misses_total`,
/// `clerk_mcp_tools_upstream_calls_total` and `clerk_mcp_tools_upstream_failures_total`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifierStats {
    /// How old the key set is; `None` where there is none, or none is needed.
    pub key_set_age: Option<Duration>,
    /// How many verified tokens are held.
    pub cached_tokens: usize,
    /// How many refused opaque tokens are held.
    pub rejected_tokens: usize,
    /// How often a token was known.
    pub hits: u64,
    /// How often a token had to be verified.
    pub misses: u64,
    /// How many calls were made to Clerk, for key sets and tokens.
    pub upstream_calls: u64,
    /// How many of them failed. A token that Clerk refused is no failure.
    pub upstream_failures: u64,
}

/// The counters behind a [`VerifierStats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    upstream_calls: AtomicU64,
    upstream_failures: AtomicU64,
}

macro_rules! count {
    ($counter:expr, $name:literal) => {{
        $counter.fetch_add(1, Ordering::Relaxed);
        #[cfg(feature = "metrics")]
        metrics::counter!(concat!("clerk_mcp_tools_", $name, "_total")).increment(1);
    }};
}

impl Counters {
    pub(crate) fn hit(&self) {
        count!(self.hits, "token_cache_hits");
    }

    pub(crate) fn miss(&self) {
        count!(self.misses, "token_cache_misses");
    }

    /// A call to Clerk that has ended.
    pub(crate) fn call(&self, failed: bool) {
        count!(self.upstream_calls, "upstream_calls");
        if failed {
            count!(self.upstream_failures, "upstream_failures");
        }
    }

    pub(crate) fn read(&self) -> VerifierStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        VerifierStats {
            hits: read(&self.hits),
            misses: read(&self.misses),
            upstream_calls: read(&self.upstream_calls),
            upstream_failures: read(&self.upstream_failures),
            ..VerifierStats::default()
        }
    }
}
