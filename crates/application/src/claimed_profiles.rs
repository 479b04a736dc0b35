//! The background writes of the profiles that the claims of tokens contain.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use iam_domain::{ClaimedProfile, CompanyId, ProfileSource, UserId, UserProfile};
use iam_permissions_cache::{Access, Consistency, Subject};
use iam_storage::{StorageError, UnitOfWork, Work};

use crate::{Application, Failure};

/// Maximum number of profiles that one unit of work writes. It holds the lock of the company, so the number is small.
const BATCH: usize = 100;

/// Writes profiles of members of one company in a unit of work. The output is the number of changed profiles.
struct RecordProfiles {
    company: CompanyId,
    claimed: Vec<(UserId, Arc<ClaimedProfile>)>,
}

#[async_trait]
impl Work for RecordProfiles {
    type Output = u64;
    type Error = StorageError;

    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<u64, StorageError> {
        let users: Vec<_> = self.claimed.iter().map(|(user, _)| *user).collect();
        let stored = by_user(tx.user_profiles().find(self.company, &users).await?);
        let mut changed = 0;
        for (user, claimed) in &self.claimed {
            let Some(ClaimedProfile { display_name, email }) = claimed.replaces(stored.get(user)) else { continue };
            // The user may have left the company since the request.
            if tx.assignments().get_user_levels(self.company, *user).await?.is_empty() {
                continue;
            }
            let profile = UserProfile {
                company_id: self.company,
                user_id: *user,
                display_name,
                email,
                source: ProfileSource::Token,
                created_at: tx.now(),
                updated_at: tx.now(),
            };
            tx.user_profiles_mut().replace(&profile).await?;
            changed += 1;
        }
        Ok(changed)
    }
}

fn by_user(profiles: Vec<UserProfile>) -> BTreeMap<UserId, UserProfile> {
    profiles.into_iter().map(|profile| (profile.user_id, profile)).collect()
}

impl Application {
    /// Adds the profile that the token of a user contains to the queue of profiles to write, if the user is known to be a
    /// member of the company. Never waits: if the permissions of the user are not cached, the profile is dropped, and a
    /// later request adds it.
    pub fn offer_claimed_profile(&self, company: CompanyId, user: UserId, profile: &Arc<ClaimedProfile>) {
        let access = || self.permissions.try_access(company, Subject::User(user), Consistency::Cached);
        let is_member = || access().as_ref().is_some_and(Access::is_member);
        self.claimed_profiles.offer(company, user, profile, is_member);
    }

    /// Waits until a profile is in the queue. Only one task may call this method at a time.
    pub async fn claimed_profile_arrived(&self) {
        self.claimed_profiles.arrived().await;
    }

    /// Writes the profiles in the queue, and returns the number of profiles that changed. Profiles that the API has set,
    /// and profiles of users who hold no level in the company, do not change. Without a change, a company is only read.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the profiles of a company cannot be read or written. The profiles of the other
    /// companies are written even so, and later requests add the failed profiles to the queue again.
    pub async fn record_claimed_profiles(&self) -> Result<u64, Failure> {
        let (mut changed, mut failure) = (0, None);
        for (company, claimed) in self.claimed_profiles.take() {
            match self.record_profiles_of(company, &claimed).await {
                Ok(count) => changed += count,
                Err(error) => {
                    self.claimed_profiles.forget(company, claimed.into_keys());
                    failure = Some(error);
                }
            }
        }
        failure.map_or(Ok(changed), Err)
    }

    /// Forgets which profiles were examined, so that a request of each user adds the profile of its token again.
    pub fn forget_claimed_profiles(&self) {
        self.claimed_profiles.forget_all();
    }

    async fn record_profiles_of(
        &self,
        company: CompanyId,
        claimed: &BTreeMap<UserId, Arc<ClaimedProfile>>,
    ) -> Result<u64, Failure> {
        let users: Vec<_> = claimed.keys().copied().collect();
        let stored = by_user(self.reader().user_profiles().find(company, &users).await?);
        let differs = |(user, claimed): &(&UserId, &Arc<ClaimedProfile>)| claimed.replaces(stored.get(*user)).is_some();
        let differing = claimed.iter().filter(differs).map(|(user, claimed)| (*user, Arc::clone(claimed)));
        let differing: Vec<_> = differing.collect();
        let mut changed = 0;
        for batch in differing.chunks(BATCH) {
            let work = RecordProfiles { company, claimed: batch.to_vec() };
            changed += self.execute_as_system(company, work).await?;
        }
        Ok(changed)
    }
}
