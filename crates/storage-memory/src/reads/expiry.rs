//! Read operations on assignments that have an end.

use std::time::Duration;

use async_trait::async_trait;
use iam_domain::{CompanyId, Timestamp};
use iam_storage::{EndPosition, EndingAssignment, EndingAssignments, Result};

use crate::limit::to_usize;
use crate::reads::members::held_level;
use crate::repository::{Repository, StateSource};

#[async_trait]
impl<S: StateSource> EndingAssignments for Repository<S> {
    async fn list_ending(
        &self,
        company: CompanyId,
        before: Timestamp,
        after: Option<EndPosition>,
        limit: u64,
    ) -> Result<Vec<EndingAssignment>> {
        let (state, now) = (self.0.state(), self.0.now());
        let company = state.company(company);
        let ending = |(at, period): (EndPosition, _)| {
            let profile = company.profiles.get(&at.user);
            Some(EndingAssignment {
                user: at.user,
                external_id: state.external_ids.get(&at.user).cloned(),
                display_name: profile.and_then(|profile| profile.display_name.clone()),
                level: held_level(company.levels.get(&at.level)?, period, now),
                expires_at: at.expires_at,
            })
        };
        let mut positions: Vec<_> = company.ending().filter(|(at, _)| at.expires_at < before).collect();
        positions.sort_unstable_by_key(|(at, _)| *at);
        let page = positions.into_iter().filter(|(at, _)| Some(*at) > after);
        Ok(page.filter_map(ending).take(to_usize(limit)).collect())
    }

    async fn find_expired(&self, expired_for: Duration, limit: u64) -> Result<Vec<CompanyId>> {
        let by = self.0.now().minus(expired_for);
        let expired = self.0.state().companies_where(|company| company.ending().any(|(at, _)| at.expires_at <= by));
        Ok(expired.into_iter().take(to_usize(limit)).collect())
    }
}
