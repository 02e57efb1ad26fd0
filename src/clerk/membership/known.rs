//! What is known about memberships, bounded by the memory that it takes.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::MemberIds;
use super::settings::MembershipSettings;
use crate::cache::Key;
use crate::clock::{Clock, Moment};
use crate::oauth::Membership;

/// The weight of an entry in bytes besides its strings: the entry itself, its place in the table,
/// and the overhead of the allocations.
const ENTRY_BYTES: usize = 512;
const PERMISSION_BYTES: usize = 32;

/// The memberships of the last answers.
pub(super) struct KnownMemberships {
    by_key: Cache<Key, KnownMembership, ByBytes>,
    cache_ttl: Duration,
    stale_ttl: Duration,
    /// How often something was forgotten. Held for writing while that happens, so that no answer to
    /// an earlier call is added afterwards.
    epoch: RwLock<u64>,
}

#[derive(Clone)]
struct KnownMembership {
    user: Box<str>,
    organization: Box<str>,
    membership: Membership,
    /// When Clerk was asked.
    as_of: Moment,
}

impl KnownMemberships {
    pub(super) fn new(settings: MembershipSettings) -> Self {
        let MembershipSettings { cache_ttl, stale_ttl, cache_bytes } = settings;
        let items = usize::try_from(cache_bytes / (2 * ENTRY_BYTES as u64)).unwrap_or(usize::MAX);
        Self {
            by_key: Cache::with_weighter(items.max(1), cache_bytes, ByBytes),
            cache_ttl,
            stale_ttl,
            epoch: RwLock::default(),
        }
    }

    /// Returns how often something was forgotten so far.
    pub(super) fn epoch(&self) -> u64 {
        *self.read_epoch()
    }

    /// Returns what needs no call.
    pub(super) fn fresh(&self, key: &Key, clock: &dyn Clock) -> Option<Membership> {
        self.within(key, self.cache_ttl, clock)
    }

    /// Returns what is used while Clerk cannot be asked. That somebody was no member is no reason
    /// to reject a request now.
    pub(super) fn stale(&self, key: &Key, clock: &dyn Clock) -> Option<Membership> {
        let known = self.within(key, self.stale_ttl, clock);
        known.filter(|membership| membership.organization().is_some())
    }

    fn within(&self, key: &Key, ttl: Duration, clock: &dyn Clock) -> Option<Membership> {
        let known = self.by_key.get(key)?;
        (known.as_of.age(Moment::now(clock)) < ttl).then_some(known.membership)
    }

    /// Keeps the answer to a call that began at `as_of` and `epoch`.
    pub(super) fn insert(
        &self,
        key: Key,
        ids: MemberIds<'_>,
        membership: &Membership,
        (as_of, epoch): (Moment, u64),
    ) {
        let current = self.read_epoch();
        if *current != epoch || self.cache_ttl.max(self.stale_ttl).is_zero() {
            return;
        }
        let known = KnownMembership {
            user: ids.user.into(),
            organization: ids.organization.into(),
            membership: membership.clone(),
            as_of,
        };
        self.by_key.insert(key, known);
    }

    /// Forgets the memberships that are selected.
    pub(super) fn forget(&self, is_forgotten: impl Fn(MemberIds<'_>) -> bool) {
        let mut epoch = self.epoch.write().unwrap_or_else(PoisonError::into_inner);
        *epoch = epoch.wrapping_add(1);
        self.by_key.retain(|_, known| {
            !is_forgotten(MemberIds { user: &known.user, organization: &known.organization })
        });
    }

    fn read_epoch(&self) -> RwLockReadGuard<'_, u64> {
        self.epoch.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, KnownMembership> for ByBytes {
    fn weight(&self, _: &Key, known: &KnownMembership) -> u64 {
        let organization = known.membership.organization();
        let permissions = organization.map_or(0, |organization| {
            organization.permissions().iter().map(|text| PERMISSION_BYTES + text.len()).sum()
        });
        let texts = organization.map_or(0, |organization| {
            let texts = [Some(organization.id()), organization.role(), organization.slug()];
            texts.into_iter().flatten().map(str::len).sum()
        });
        let bytes: usize =
            ENTRY_BYTES + known.user.len() + known.organization.len() + permissions + texts;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}
