//! Counts what happens, for dashboards.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since a [`Connections`](super::Connections) was built, of this process alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientSnapshot {
    /// Sign-ins whose user was sent to an authorization server.
    pub logins_begun: u64,
    /// Sign-ins that ended with a connection.
    pub logins_completed: u64,
    /// Clients that were registered dynamically.
    pub registrations: u64,
    /// Refreshes that led to new tokens.
    pub refreshes: u64,
    /// Refreshes that failed and may succeed later.
    pub refresh_failures: u64,
    /// Connections whose user had to sign in again, because a refresh token was rejected.
    pub refresh_tokens_rejected: u64,
    /// New tokens that could not be stored at once. An alert is in place: another process cannot
    /// refresh the connection until they are.
    pub unsaved_tokens: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) logins_begun: Counter,
    pub(super) logins_completed: Counter,
    pub(super) registrations: Counter,
    pub(super) refreshes: Counter,
    pub(super) refresh_failures: Counter,
    pub(super) refresh_tokens_rejected: Counter,
    pub(super) unsaved_tokens: Counter,
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(super) fn snapshot(&self) -> ClientSnapshot {
        ClientSnapshot {
            logins_begun: self.logins_begun.get(),
            logins_completed: self.logins_completed.get(),
            registrations: self.registrations.get(),
            refreshes: self.refreshes.get(),
            refresh_failures: self.refresh_failures.get(),
            refresh_tokens_rejected: self.refresh_tokens_rejected.get(),
            unsaved_tokens: self.unsaved_tokens.get(),
        }
    }
}
