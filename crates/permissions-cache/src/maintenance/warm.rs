//! The start of a process: it loads the users who were active before.

use std::collections::BTreeMap;

use iam_domain::{CompanyId, UserId};
use iam_storage::Result;

use crate::Permissions;
use crate::maintenance::log_failure;

/// How many users of a company are loaded in one statement.
const TOGETHER: usize = 500;
/// How many attempts are made to load them at the start, until they are kept.
const WARM_ATTEMPTS: usize = 2;

impl Permissions {
    /// Loads the users who were active before this process started, the latest first; returns how many of them are
    /// kept. Those that are not, because a change was reported meanwhile that the load may have missed, are loaded once
    /// more.
    ///
    /// # Errors
    ///
    /// Errors of the storage.
    pub async fn warm(&self, max_users: u64) -> Result<usize> {
        let active = self.context.storage.effective_view_permissions().find_active(max_users).await?;
        let mut companies: BTreeMap<CompanyId, Vec<UserId>> = BTreeMap::new();
        for (company, user) in &active {
            companies.entry(*company).or_default().push(*user);
        }
        let mut loaded = 0;
        for (company, users) in companies {
            for users in users.chunks(TOGETHER) {
                let mut missing = users.to_vec();
                for _ in 0..WARM_ATTEMPTS {
                    if let Err(error) = self.loads.users_together(company, missing.clone()).await {
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
