//! Read operations on the profiles of users.

use std::collections::BTreeSet;

use async_trait::async_trait;
use iam_domain::{CompanyId, UserId, UserProfile};
use iam_storage::{Result, UserProfiles};

use crate::repository::{Repository, StateSource};

#[async_trait]
impl<S: StateSource> UserProfiles for Repository<S> {
    async fn find(&self, company: CompanyId, users: &[UserId]) -> Result<Vec<UserProfile>> {
        let state = self.0.state();
        let users: BTreeSet<_> = users.iter().collect();
        let profiles = &state.company(company).profiles;
        Ok(users.into_iter().filter_map(|user| profiles.get(user)).cloned().collect())
    }

    async fn find_all(&self, company: CompanyId) -> Result<Vec<UserProfile>> {
        Ok(self.0.state().company(company).profiles.values().cloned().collect())
    }
}
