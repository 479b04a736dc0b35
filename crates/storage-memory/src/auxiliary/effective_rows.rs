//! Read and write operations on effective-permission rows.

use std::cmp::Reverse;
use std::time::Duration;

use async_trait::async_trait;
use iam_domain::{
    Action, CompanyId, EffectiveFeaturePermission, EffectiveViewPermission, FeatureId, Timestamp, UserId, UserLevelId,
    Versions, ViewId,
};
use iam_storage::{
    EffectiveFeaturePermissions, EffectiveViewPermissions, LONGEST_VALIDITY, NewEffectiveFeaturePermission,
    NewEffectiveViewPermission, Result, StorageError,
};
use imbl::OrdMap;

use crate::auxiliary::{Batch, EffectiveRow, drop_rows, drop_user};
use crate::limit::to_usize;
use crate::shared::SharedStorage;

impl SharedStorage {
    /// Returns the current rows of a user, ordered by row key. If `key` is given, the result contains at most the row
    /// with this key.
    fn current_rows<R: EffectiveRow>(&self, company: CompanyId, user: UserId, key: Option<&R::Key>) -> Vec<R> {
        // The rows are loaded before the state. Therefore, a row whose versions match those of the state was still
        // current when the state was loaded.
        let (auxiliary, state, now) = (self.auxiliary.load(), self.state.load(), self.clock.read());
        let Some(rows) = R::rows(&auxiliary).get(&company).and_then(|users| users.get(&user)) else {
            return Vec::new();
        };
        let versions = state.versions(self.epoch, Some(company), now);
        let current = |row: &&R| row.batch().is_of(versions) && !row.batch().is_expired(now);
        match key {
            None => rows.values().filter(current).cloned().collect(),
            Some(key) => rows.get(key).filter(current).cloned().into_iter().collect(),
        }
    }

    /// Writes rows that were resolved at these versions, and returns their number. Returns `Stale` if the versions are
    /// not current, or if a change that would invalidate the rows is in progress.
    fn write_rows<R: EffectiveRow>(
        &self,
        company: CompanyId,
        versions: Versions,
        valid_for: Duration,
        rows: &[R::New],
    ) -> Result<u64> {
        if rows.is_empty() {
            return Ok(0);
        }
        // While these locks are held, no change that would invalidate the rows can begin.
        let _held_off = self.locks.try_block_changes(company).ok_or(StorageError::Stale)?;
        let state = self.state.load();
        // The version of a company is 0 until its first change. Rows cannot be written at version 0, and not for a
        // company that was erased.
        let is_erased = state.company(company).erased_at.is_some();
        let computed_at = self.clock.tick();
        if is_erased || versions.company == 0 || versions != state.versions(self.epoch, Some(company), computed_at) {
            return Err(StorageError::Stale);
        }
        R::check_references(rows, &state.catalog)?;
        // At the next boundary, the rows may differ from a fresh resolution.
        let next_boundary = state.company(company).next_boundary(computed_at);
        let expires_at = later(computed_at, valid_for.min(LONGEST_VALIDITY));
        let expires_at = next_boundary.map_or(expires_at, |next| expires_at.min(next));
        let (company_version, catalog_version) = (versions.company, versions.catalog);
        let batch = Batch { company_id: company, company_version, catalog_version, computed_at, expires_at };
        self.auxiliary.change(|auxiliary| {
            let table = R::rows_mut(auxiliary);
            for row in rows {
                let row = R::new(batch, row.clone());
                table.entry(company).or_default().entry(row.user_id()).or_default().insert(row.key(), row);
            }
        });
        Ok(rows.len() as u64)
    }

    /// Returns at most `limit` users with unexpired rows, sorted by the latest expiry time of their rows in descending
    /// order.
    fn active_users(&self, limit: u64) -> Vec<(CompanyId, UserId)> {
        let (auxiliary, now) = (self.auxiliary.load(), self.clock.read());
        let users = auxiliary
            .views
            .iter()
            .flat_map(|(company, users)| users.iter().map(|(user, rows)| (*company, *user, rows)));
        let mut active: Vec<_> = users
            .filter_map(|(company, user, rows)| Some((rows.values().map(|row| row.expires_at).max()?, company, user)))
            .filter(|(expires_at, ..)| *expires_at > now)
            .collect();
        active.sort_unstable_by_key(|user| Reverse(*user));
        active.into_iter().take(to_usize(limit)).map(|(_, company, user)| (company, user)).collect()
    }

    fn drop_rows_of_level<R: EffectiveRow>(&self, company: CompanyId, level: UserLevelId) -> u64 {
        let state = self.state.load();
        let holders = state.company(company).holders(level);
        self.auxiliary.change(|auxiliary| holders.map(|user| drop_user::<R>(auxiliary, company, user)).sum())
    }

    fn drop_rows_of_user<R: EffectiveRow>(&self, company: CompanyId, user: UserId) -> u64 {
        self.auxiliary.change(|auxiliary| drop_user::<R>(auxiliary, company, user))
    }

    fn drop_expired_rows<R: EffectiveRow>(&self, limit: u64) -> u64 {
        let now = self.clock.read();
        self.auxiliary.change(|auxiliary| drop_rows::<R>(auxiliary, to_usize(limit), |row| row.batch().is_expired(now)))
    }

    fn drop_rows_of_company<R: EffectiveRow>(&self, company: CompanyId) -> u64 {
        self.auxiliary.change(|auxiliary| {
            let users = R::rows_mut(auxiliary).remove(&company);
            users.iter().flat_map(OrdMap::values).map(|rows| rows.len() as u64).sum()
        })
    }
}

/// Returns `time + by`, or `time` if the sum is out of range.
fn later(time: Timestamp, by: Duration) -> Timestamp {
    let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(time.micros().saturating_add(micros)).unwrap_or(time)
}

#[async_trait]
impl EffectiveViewPermissions for SharedStorage {
    async fn find(&self, company: CompanyId, user: UserId, view: ViewId) -> Result<Option<EffectiveViewPermission>> {
        Ok(self.current_rows(company, user, Some(&view)).pop())
    }

    async fn find_all_for_user(&self, company: CompanyId, user: UserId) -> Result<Vec<EffectiveViewPermission>> {
        Ok(self.current_rows(company, user, None))
    }

    async fn upsert_many(
        &self,
        company: CompanyId,
        versions: Versions,
        valid_for: Duration,
        rows: &[NewEffectiveViewPermission],
    ) -> Result<u64> {
        self.write_rows::<EffectiveViewPermission>(company, versions, valid_for, rows)
    }

    async fn delete_for_user(&self, company: CompanyId, user: UserId) -> Result<u64> {
        Ok(self.drop_rows_of_user::<EffectiveViewPermission>(company, user))
    }

    async fn delete_for_user_level(&self, company: CompanyId, level: UserLevelId) -> Result<u64> {
        Ok(self.drop_rows_of_level::<EffectiveViewPermission>(company, level))
    }

    async fn delete_for_company(&self, company: CompanyId) -> Result<u64> {
        Ok(self.drop_rows_of_company::<EffectiveViewPermission>(company))
    }

    async fn delete_expired(&self, limit: u64) -> Result<u64> {
        Ok(self.drop_expired_rows::<EffectiveViewPermission>(limit))
    }

    async fn find_active(&self, limit: u64) -> Result<Vec<(CompanyId, UserId)>> {
        Ok(self.active_users(limit))
    }
}

#[async_trait]
impl EffectiveFeaturePermissions for SharedStorage {
    async fn find(
        &self,
        company: CompanyId,
        user: UserId,
        feature: FeatureId,
        action: &Action,
    ) -> Result<Option<EffectiveFeaturePermission>> {
        Ok(self.current_rows(company, user, Some(&(feature, action.clone()))).pop())
    }

    async fn find_all_for_user(&self, company: CompanyId, user: UserId) -> Result<Vec<EffectiveFeaturePermission>> {
        Ok(self.current_rows(company, user, None))
    }

    async fn upsert_many(
        &self,
        company: CompanyId,
        versions: Versions,
        valid_for: Duration,
        rows: &[NewEffectiveFeaturePermission],
    ) -> Result<u64> {
        self.write_rows::<EffectiveFeaturePermission>(company, versions, valid_for, rows)
    }

    async fn delete_for_user(&self, company: CompanyId, user: UserId) -> Result<u64> {
        Ok(self.drop_rows_of_user::<EffectiveFeaturePermission>(company, user))
    }

    async fn delete_for_user_level(&self, company: CompanyId, level: UserLevelId) -> Result<u64> {
        Ok(self.drop_rows_of_level::<EffectiveFeaturePermission>(company, level))
    }

    async fn delete_for_company(&self, company: CompanyId) -> Result<u64> {
        Ok(self.drop_rows_of_company::<EffectiveFeaturePermission>(company))
    }

    async fn delete_expired(&self, limit: u64) -> Result<u64> {
        Ok(self.drop_expired_rows::<EffectiveFeaturePermission>(limit))
    }
}
