//! Cache warming: loads recently active users when the process starts.

use std::collections::BTreeMap;

use iam_domain::{CompanyId, UserId};
use iam_storage::Result;

use crate::Permissions;
use crate::loading::context::Source;
use crate::maintenance::log_failure;

/// Maximum number of users of a company that are loaded in one statement.
const MAX_USERS_PER_LOAD: usize = 500;
/// Maximum number of attempts to load a batch of users.
const WARM_ATTEMPTS: usize = 2;

impl Permissions {
    /// Loads recently active users into the cache: users with unexpired effective-permission rows. Selects at most
    /// `max_users` of these users: those whose rows expire last. Returns the number of these users who are then cached.
    /// A user who is not cached after the first load, for example because of a concurrent change, is loaded once more.
    ///
    /// # Errors
    ///
    /// Returns an error if the query for active users fails. Failures to load users are only logged.
    pub async fn warm(&self, max_users: u64) -> Result<usize> {
        let active = self.context.storage.effective_view_permissions().find_active(max_users).await?;
        let mut companies: BTreeMap<CompanyId, Vec<UserId>> = BTreeMap::new();
        for (company, user) in &active {
            companies.entry(*company).or_default().push(*user);
        }
        let mut loaded = 0;
        for (company, users) in companies {
            for users in users.chunks(MAX_USERS_PER_LOAD) {
                let mut missing = users.to_vec();
                for _ in 0..WARM_ATTEMPTS {
                    if let Err(error) = self.loads.users_together(company, missing.clone(), Source::Replicas).await {
                        log_failure(company, &error);
                    }
                    missing.retain(|user| !self.context.cache.keeps(&(company, *user)));
                    if missing.is_empty() {
                        break;
                    }
                }
                loaded += users.len() - missing.len();
            }
        }
        Ok(loaded)
    }
}
