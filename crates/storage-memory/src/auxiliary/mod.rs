//! Writes beside decisions: navigation trails, effective rows and uses of keys. Units of work and these writes never
//! wait for each other.

mod trails;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use iam_domain::{
    Action, ApiKeyId, CompanyId, EffectiveFeaturePermission, EffectiveViewPermission, FeatureId, SessionId, Timestamp,
    TrailEntry, UserId, UserLevelId, Versions, ViewId,
};
use iam_storage::{
    ApiKeyUses, EffectiveFeaturePermissions, EffectiveViewPermissions, LONGEST_VALIDITY, NewEffectiveFeaturePermission,
    NewEffectiveViewPermission, Result, StorageError,
};
use imbl::{OrdMap, Vector};

use crate::limit::to_usize;
use crate::shared::SharedStorage;
use crate::state::CatalogData;

/// Trails, uses of keys and effective rows.
#[derive(Clone, Default)]
pub(crate) struct Auxiliary {
    trails: OrdMap<(CompanyId, UserId), Sessions>,
    pub(crate) api_key_uses: OrdMap<ApiKeyId, Timestamp>,
    views: Rows<EffectiveViewPermission>,
    features: Rows<EffectiveFeaturePermission>,
}

/// The steps of each session of a user, oldest first. Their depth is their position here, whatever the steps say.
type Sessions = OrdMap<SessionId, Vector<TrailEntry>>;

/// Effective rows of one kind, current or not.
type Rows<R> = OrdMap<CompanyId, OrdMap<UserId, OrdMap<<R as EffectiveRow>::Key, R>>>;

/// What the two kinds of effective rows differ in, and what they have in common.
trait EffectiveRow: Clone {
    /// Its place among the rows of its user.
    type Key: Ord + Clone;
    /// What was resolved.
    type New: Clone;
    fn new(batch: &Batch, new: Self::New) -> Self;
    fn key(&self) -> Self::Key;
    fn refer_to_known(rows: &[Self::New], catalog: &CatalogData) -> Result<()>;
    fn rows(auxiliary: &Auxiliary) -> &Rows<Self>;
    fn rows_mut(auxiliary: &mut Auxiliary) -> &mut Rows<Self>;
    fn company_id(&self) -> CompanyId;
    fn user_id(&self) -> UserId;
    fn is_of(&self, current: Versions) -> bool;
    fn is_expired(&self, now: Timestamp) -> bool;
}

/// What rows that are written together have in common.
struct Batch {
    company_id: CompanyId,
    versions: Versions,
    computed_at: Timestamp,
    expires_at: Timestamp,
}

/// What both kinds of effective rows have under the same names.
macro_rules! common {
    ($table:ident) => {
        fn rows(auxiliary: &Auxiliary) -> &Rows<Self> {
            &auxiliary.$table
        }

        fn rows_mut(auxiliary: &mut Auxiliary) -> &mut Rows<Self> {
            &mut auxiliary.$table
        }

        fn company_id(&self) -> CompanyId {
            self.company_id
        }

        fn user_id(&self) -> UserId {
            self.user_id
        }

        fn is_of(&self, current: Versions) -> bool {
            self.company_version == current.company && self.catalog_version == current.catalog
        }

        fn is_expired(&self, now: Timestamp) -> bool {
            self.expires_at <= now
        }
    };
}

impl EffectiveRow for EffectiveViewPermission {
    type Key = ViewId;
    type New = NewEffectiveViewPermission;

    fn new(batch: &Batch, new: Self::New) -> Self {
        let NewEffectiveViewPermission { user_id, view_id, has_access } = new;
        let Batch { company_id, versions, computed_at, expires_at } = *batch;
        let (company_version, catalog_version) = (versions.company, versions.catalog);
        Self { user_id, company_id, view_id, has_access, computed_at, expires_at, company_version, catalog_version }
    }

    fn key(&self) -> ViewId {
        self.view_id
    }

    fn refer_to_known(rows: &[Self::New], catalog: &CatalogData) -> Result<()> {
        catalog.know_views(rows.iter().map(|row| row.view_id))
    }

    common!(views);
}

impl EffectiveRow for EffectiveFeaturePermission {
    type Key = (FeatureId, Action);
    type New = NewEffectiveFeaturePermission;

    fn new(batch: &Batch, new: Self::New) -> Self {
        let NewEffectiveFeaturePermission { user_id, feature_id, action, allowed, scope } = new;
        let Batch { company_id, versions, computed_at, expires_at } = *batch;
        Self {
            user_id,
            company_id,
            feature_id,
            action,
            allowed,
            scope,
            computed_at,
            expires_at,
            company_version: versions.company,
            catalog_version: versions.catalog,
        }
    }

    fn key(&self) -> Self::Key {
        (self.feature_id, self.action.clone())
    }

    fn refer_to_known(rows: &[Self::New], catalog: &CatalogData) -> Result<()> {
        catalog.know_features(rows.iter().map(|row| row.feature_id))
    }

    common!(features);
}

/// The views and features that a catalog change removed, and that rows beside decisions may name.
#[derive(Default)]
pub(crate) struct Removed {
    pub(crate) views: BTreeSet<ViewId>,
    pub(crate) features: BTreeSet<FeatureId>,
}

impl Auxiliary {
    /// Forgets views and features that were removed.
    pub(crate) fn forget(&mut self, removed: &Removed) {
        if !removed.views.is_empty() {
            drop_rows::<EffectiveViewPermission>(self, usize::MAX, |row| removed.views.contains(&row.view_id));
            self.clear_views_of_trails(&removed.views);
        }
        if !removed.features.is_empty() {
            drop_rows::<EffectiveFeaturePermission>(self, usize::MAX, |row| removed.features.contains(&row.feature_id));
        }
    }

    fn clear_views_of_trails(&mut self, removed: &BTreeSet<ViewId>) {
        let still_there = |view: &ViewId| !removed.contains(view);
        let concerned = |step: &TrailEntry| !step.view_id.iter().all(still_there);
        for (user, sessions) in &self.trails.clone() {
            for (session, steps) in sessions.iter().filter(|(_, steps)| steps.iter().any(concerned)) {
                let clear = |step: TrailEntry| TrailEntry { view_id: step.view_id.filter(still_there), ..step };
                let cleared = steps.iter().cloned().map(clear).collect();
                self.trails.entry(*user).or_default().insert(session.clone(), cleared);
            }
        }
    }
}

fn drop_user<R: EffectiveRow>(auxiliary: &mut Auxiliary, company: CompanyId, user: UserId) -> u64 {
    let table = R::rows_mut(auxiliary);
    let Some(users) = table.get_mut(&company) else { return 0 };
    let dropped = users.remove(&user).map_or(0, |rows| rows.len() as u64);
    if users.is_empty() {
        table.remove(&company);
    }
    dropped
}

/// Drops at most `limit` of the rows for which `goes` returns true, in every company.
fn drop_rows<R: EffectiveRow>(auxiliary: &mut Auxiliary, limit: usize, goes: impl Fn(&R) -> bool) -> u64 {
    let rows = R::rows(auxiliary).values().flat_map(OrdMap::values).flat_map(OrdMap::values);
    let going: Vec<R> = rows.filter(|row| goes(row)).take(limit).cloned().collect();
    for row in &going {
        let (company, user) = (row.company_id(), row.user_id());
        let users = R::rows_mut(auxiliary).get_mut(&company);
        let Some(rows) = users.and_then(|users| users.get_mut(&user)) else { continue };
        rows.remove(&row.key());
        if rows.is_empty() {
            drop_user::<R>(auxiliary, company, user);
        }
    }
    going.len() as u64
}

impl SharedStorage {
    /// The current rows of a user, in their order: all of them, or the one at `place`.
    fn current_rows<R: EffectiveRow>(&self, company: CompanyId, user: UserId, place: Option<&R::Key>) -> Vec<R> {
        // In this order: a row is returned only if its versions are still current after it was read.
        let (auxiliary, state, now) = (self.auxiliary.load(), self.state.load(), self.clock.read());
        let Some(rows) = R::rows(&auxiliary).get(&company).and_then(|users| users.get(&user)) else {
            return Vec::new();
        };
        let versions = state.versions(self.epoch, Some(company));
        let current = |row: &&R| row.is_of(versions) && !row.is_expired(now);
        match place {
            None => rows.values().filter(current).cloned().collect(),
            Some(place) => rows.get(place).filter(current).cloned().into_iter().collect(),
        }
    }

    fn write_rows<R: EffectiveRow>(
        &self,
        company: CompanyId,
        versions: Versions,
        valid_for: Duration,
        rows: &[R::New],
    ) -> Result<u64> {
        // Until the rows are written no change can begin that would outdate them.
        let _held_off = self.locks.hold_off(company).ok_or(StorageError::Stale)?;
        let state = self.state.load();
        // A company that has never changed has no version for a row.
        if versions.company == 0 || versions != state.versions(self.epoch, Some(company)) {
            return Err(StorageError::Stale);
        }
        R::refer_to_known(rows, &state.catalog)?;
        let computed_at = self.clock.tick();
        let expires_at = later(computed_at, valid_for.min(LONGEST_VALIDITY));
        let batch = Batch { company_id: company, versions, computed_at, expires_at };
        self.auxiliary.change(|auxiliary| {
            let table = R::rows_mut(auxiliary);
            for row in rows {
                let row = R::new(&batch, row.clone());
                table.entry(company).or_default().entry(row.user_id()).or_default().insert(row.key(), row);
            }
        });
        Ok(rows.len() as u64)
    }

    /// The users with rows that have not expired, the last to expire first.
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

    fn drop_rows_of_company<R: EffectiveRow>(&self, company: CompanyId) -> u64 {
        self.auxiliary.change(|auxiliary| {
            let users = R::rows_mut(auxiliary).remove(&company);
            users.iter().flat_map(OrdMap::values).map(|rows| rows.len() as u64).sum()
        })
    }
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(time.micros().saturating_add(micros)).unwrap_or(time)
}

/// The two traits for effective rows differ in names, in how a row is named, and in what only one of them has.
macro_rules! effective_rows {
    ($($name:ident: $row:ident from $new:ident, ($($argument:ident: $type:ty),+) at $place:expr, $({ $($only:tt)* })?;)+) => {$(
        #[async_trait]
        impl $name for SharedStorage {
            async fn find(&self, company: CompanyId, user: UserId, $($argument: $type),+) -> Result<Option<$row>> {
                Ok(self.current_rows(company, user, Some(&$place)).pop())
            }

            async fn find_all_for_user(&self, company: CompanyId, user: UserId) -> Result<Vec<$row>> {
                Ok(self.current_rows(company, user, None))
            }

            async fn upsert_many(
                &self,
                company: CompanyId,
                versions: Versions,
                valid_for: Duration,
                rows: &[$new],
            ) -> Result<u64> {
                if rows.is_empty() { Ok(0) } else { self.write_rows::<$row>(company, versions, valid_for, rows) }
            }

            async fn delete_for_user(&self, company: CompanyId, user: UserId) -> Result<u64> {
                Ok(self.auxiliary.change(|auxiliary| drop_user::<$row>(auxiliary, company, user)))
            }

            async fn delete_for_user_level(&self, company: CompanyId, level: UserLevelId) -> Result<u64> {
                Ok(self.drop_rows_of_level::<$row>(company, level))
            }

            async fn delete_for_company(&self, company: CompanyId) -> Result<u64> {
                Ok(self.drop_rows_of_company::<$row>(company))
            }

            async fn delete_expired(&self, limit: u64) -> Result<u64> {
                let now = self.clock.read();
                Ok(self.auxiliary.change(|auxiliary| drop_rows::<$row>(auxiliary, to_usize(limit), |row| row.is_expired(now))))
            }

            $($($only)*)?
        }
    )+};
}

effective_rows! {
    EffectiveViewPermissions: EffectiveViewPermission from NewEffectiveViewPermission, (view: ViewId) at view, {
        async fn find_active(&self, limit: u64) -> Result<Vec<(CompanyId, UserId)>> {
            Ok(self.active_users(limit))
        }
    };
    EffectiveFeaturePermissions: EffectiveFeaturePermission from NewEffectiveFeaturePermission,
        (feature: FeatureId, action: &Action) at (feature, action.clone()),;
}

#[async_trait]
impl ApiKeyUses for SharedStorage {
    async fn record(&self, uses: &[(ApiKeyId, Timestamp)]) -> Result<()> {
        let state = self.state.load();
        self.auxiliary.change(|auxiliary| {
            for (id, at) in uses.iter().filter(|(id, _)| state.credentials.api_keys.contains_key(id)) {
                let last = auxiliary.api_key_uses.entry(*id).or_insert(*at);
                *last = (*last).max(*at);
            }
        });
        Ok(())
    }
}
