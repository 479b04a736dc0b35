//! The queue of the profiles that the claims of tokens contain, to which requests add profiles.

use std::collections::{BTreeMap, HashSet};
use std::mem;
use std::sync::{Arc, PoisonError, RwLock};

use iam_domain::{ClaimedProfile, CompanyId, UserId};
use tokio::sync::Notify;

/// Maximum number of profiles that wait to be written. Further profiles are dropped; later requests add them again.
const MAX_WAITING: usize = 1_000;

/// Maximum number of pairs of a company and a user whose profiles are known to have been examined.
const MAX_EXAMINED: usize = 100_000;

/// The queue of profiles from tokens. It is bounded, and adding to it never waits.
#[derive(Default)]
pub(crate) struct ProfileQueue {
    queue: RwLock<Queue>,
    arrived: Notify,
}

#[derive(Default)]
struct Queue {
    waiting: BTreeMap<CompanyId, BTreeMap<UserId, Arc<ClaimedProfile>>>,
    waiting_count: usize,
    /// The pairs whose profiles wait or were examined. Their further profiles are dropped.
    examined: HashSet<(CompanyId, UserId)>,
}

impl Queue {
    fn admits(&self, company: CompanyId, user: UserId) -> bool {
        self.waiting_count < MAX_WAITING
            && self.examined.len() < MAX_EXAMINED
            && !self.examined.contains(&(company, user))
    }
}

impl ProfileQueue {
    /// Adds a profile. Drops it if the queue is full or locked, if the profile of the user was examined before, or if
    /// `is_member` returns `false`.
    pub(crate) fn offer(
        &self,
        company: CompanyId,
        user: UserId,
        profile: &Arc<ClaimedProfile>,
        is_member: impl FnOnce() -> bool,
    ) {
        let is_admitted = self.queue.try_read().is_ok_and(|queue| queue.admits(company, user));
        if !is_admitted || !is_member() {
            return;
        }
        let Ok(mut queue) = self.queue.try_write() else { return };
        if queue.admits(company, user) {
            let replaced = queue.waiting.entry(company).or_default().insert(user, Arc::clone(profile));
            queue.waiting_count += usize::from(replaced.is_none());
            queue.examined.insert((company, user));
            drop(queue);
            self.arrived.notify_one();
        }
    }

    /// Removes all waiting profiles from the queue and returns them.
    pub(crate) fn take(&self) -> BTreeMap<CompanyId, BTreeMap<UserId, Arc<ClaimedProfile>>> {
        let mut queue = self.queue.write().unwrap_or_else(PoisonError::into_inner);
        queue.waiting_count = 0;
        mem::take(&mut queue.waiting)
    }

    /// Forgets that the profiles of these users were examined, so that later requests add them again.
    pub(crate) fn forget(&self, company: CompanyId, users: impl Iterator<Item = UserId>) {
        let mut queue = self.queue.write().unwrap_or_else(PoisonError::into_inner);
        for user in users {
            queue.examined.remove(&(company, user));
        }
    }

    /// Forgets which profiles were examined.
    pub(crate) fn forget_all(&self) {
        self.queue.write().unwrap_or_else(PoisonError::into_inner).examined.clear();
    }

    /// Waits until a profile was added.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use iam_domain::Name;
    use uuid::Uuid;

    use super::*;

    fn profile() -> Arc<ClaimedProfile> {
        Arc::new(ClaimedProfile { display_name: Name::parse("Ada").ok(), email: None })
    }

    fn user(number: usize) -> UserId {
        UserId::from_uuid(Uuid::from_u128(number as u128))
    }

    fn waiting(profiles: &ProfileQueue) -> usize {
        profiles.take().values().map(BTreeMap::len).sum()
    }

    const COMPANY: CompanyId = CompanyId::from_uuid(Uuid::max());

    #[test]
    fn a_full_queue_drops_profiles_and_admits_them_later() {
        let profiles = ProfileQueue::default();
        let offer = |number| profiles.offer(COMPANY, user(number), &profile(), || true);
        (0..MAX_WAITING + 10).for_each(offer);
        assert_eq!(waiting(&profiles), MAX_WAITING);
        (0..MAX_WAITING + 10).for_each(offer);
        assert_eq!(waiting(&profiles), 10);
        profiles.forget(COMPANY, [user(1), user(2)].into_iter());
        (0..MAX_WAITING).for_each(offer);
        assert_eq!(waiting(&profiles), 2);
    }

    #[test]
    fn the_memory_of_examined_users_is_bounded() {
        let profiles = ProfileQueue::default();
        let mut queue = profiles.queue.write().unwrap();
        queue.examined.extend((0..MAX_EXAMINED).map(|number| (COMPANY, user(number))));
        drop(queue);
        profiles.offer(COMPANY, user(MAX_EXAMINED), &profile(), || true);
        assert_eq!(waiting(&profiles), 0);
    }

    #[test]
    fn an_offer_does_not_wait_for_the_queue() {
        let profiles = ProfileQueue::default();
        let writing = profiles.queue.write().unwrap();
        profiles.offer(COMPANY, user(1), &profile(), || true);
        drop(writing);
        assert_eq!(waiting(&profiles), 0);
        let reading = profiles.queue.read().unwrap();
        profiles.offer(COMPANY, user(1), &profile(), || true);
        drop(reading);
        assert_eq!(waiting(&profiles), 0);
        profiles.offer(COMPANY, user(1), &profile(), || false);
        assert_eq!(waiting(&profiles), 0);
        profiles.offer(COMPANY, user(1), &profile(), || true);
        assert_eq!(waiting(&profiles), 1);
    }
}
