//! Read operations on quotas: the overrides of a company, and the counts of what the company has created.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use iam_domain::{CompanyId, Quota, QuotaOverrides, UserId, UserLevelId};
use iam_storage::{CompanyQuotas, Result};

use crate::repository::{Repository, StateSource};
use crate::state::State;

/// Converts a count.
fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Counts the distinct sets of two or more levels. Each item contains the levels of one user, ordered by id.
fn distinct_sets<'a>(held: impl Iterator<Item = Vec<&'a UserLevelId>>) -> usize {
    held.filter(|levels| levels.len() > 1).collect::<BTreeSet<_>>().len()
}

/// Counts the use of a quota by a company.
fn count(state: &State, company: CompanyId, quota: Quota) -> u64 {
    let data = state.company(company);
    let levels = || data.levels.values();
    number(match quota {
        Quota::Levels => data.levels.len(),
        Quota::LevelSets => distinct_sets(data.held.values().map(|held| held.keys().collect())),
        Quota::MenuItems => data.menu.items.len() + data.menu.sub_items.len(),
        Quota::PermissionCells => levels().map(|level| level.views.len() + level.features.len()).sum(),
        Quota::ApiKeys => {
            let keys = state.credentials.api_keys.values().map(|(key, _, _)| key);
            keys.filter(|key| key.company_id == Some(company) && key.revoked_at.is_none()).count()
        }
        Quota::TextBytes => {
            let of_levels =
                levels().map(|level| level.level.name.as_str().len() + level.level.description.as_str().len());
            let of_items = data.menu.items.values().map(|item| item.label.as_str().len());
            let of_sub_items = data.menu.sub_items.values().map(|item| item.label.as_str().len());
            of_levels.chain(of_items).chain(of_sub_items).sum()
        }
        Quota::LevelsPerUser => data.held.values().map(|held| held.len()).max().unwrap_or_default(),
    })
}

#[async_trait]
impl<S: StateSource> CompanyQuotas for Repository<S> {
    async fn overrides(&self, company: CompanyId) -> Result<QuotaOverrides> {
        Ok(self.0.state().company(company).quotas.clone())
    }

    async fn usage(&self, company: CompanyId, quotas: &[(Quota, u64)]) -> Result<BTreeMap<Quota, u64>> {
        let state = self.0.state();
        Ok(quotas.iter().map(|(quota, _)| (*quota, count(&state, company, *quota))).collect())
    }

    async fn exceeds_level_sets(
        &self,
        company: CompanyId,
        changed: &[(UserId, Vec<UserLevelId>)],
        limit: u64,
    ) -> Result<bool> {
        let state = self.0.state();
        let data = state.company(company);
        if number(data.held.len()) <= limit {
            return Ok(false);
        }
        let now = || data.held.iter().map(|(user, held)| (user, held.keys().collect::<Vec<_>>()));
        let changed: BTreeMap<_, _> = changed.iter().map(|(user, levels)| (user, levels)).collect();
        let unchanged = now().filter(|(user, _)| !changed.contains_key(user)).map(|(_, levels)| levels);
        let before = unchanged
            .chain(changed.values().map(|levels| levels.iter().collect::<BTreeSet<_>>().into_iter().collect()));
        let sets = distinct_sets(now().map(|(_, levels)| levels));
        Ok(number(sets) > limit && sets > distinct_sets(before))
    }
}
