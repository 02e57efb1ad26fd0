//! The settings of a verifier for memberships.

use std::time::Duration;

use crate::clerk::builder::ClerkVerifierBuilder;

/// How long memberships are known, and how much memory they take.
#[derive(Clone, Copy)]
pub(in crate::clerk) struct MembershipSettings {
    pub(super) cache_ttl: Duration,
    pub(super) stale_ttl: Duration,
    pub(super) cache_bytes: u64,
}

impl Default for MembershipSettings {
    fn default() -> Self {
        Self {
            cache_ttl: Duration::from_secs(30),
            stale_ttl: Duration::ZERO,
            cache_bytes: 16 * 1024 * 1024,
        }
    }
}

/// Memberships of organizations.
impl ClerkVerifierBuilder {
    /// Sets how long the role and the permissions of a member are known, and that somebody is not a
    /// member. Defaults to 30 seconds.
    ///
    /// **This is the maximum latency of a change of role**, unless
    /// [`forget_user`](crate::ClerkVerifier::forget_user) or
    /// [`forget_organization`](crate::ClerkVerifier::forget_organization) is called. Clerk is asked
    /// at most once in this time for each user and organization. Zero asks with every request.
    pub fn membership_cache_ttl(mut self, ttl: Duration) -> Self {
        self.membership.cache_ttl = ttl;
        self
    }

    /// Sets how long a member keeps role and permissions during an outage of Clerk. Defaults to
    /// zero: for not longer than [`membership_cache_ttl`](Self::membership_cache_ttl). What needs a
    /// role is then answered with 503.
    ///
    /// The time counts from the last answer of Clerk. Past `membership_cache_ttl` Clerk is still
    /// asked first, and what was known is used only if it cannot be: it is unreachable, fails with
    /// 429 or 5xx, or its calls are limited. **During an outage this is the maximum latency of a
    /// change of role.** That somebody is not a member is never served from an earlier answer.
    pub fn membership_stale_ttl(mut self, ttl: Duration) -> Self {
        self.membership.stale_ttl = ttl;
        self
    }

    /// Sets the approximate size in bytes of what is known about memberships. Defaults to 16 MiB,
    /// enough for some 20,000 members with ten permissions each.
    pub fn membership_cache_bytes(mut self, bytes: u64) -> Self {
        self.membership.cache_bytes = bytes;
        self
    }
}
