//! The data of one company and of its levels.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use iam_domain::escalation::Cell;
use iam_domain::{
    Action, Ceilings, CompanyDetails, CompanyModule, EntityType, FeatureId, FeaturePermission, FeatureRule,
    LevelPermissions, LevelRule, ModuleId, Period, QuotaOverrides, Timestamp, UserId, UserLevel, UserLevelId,
    UserProfile, ViewId, ViewPermission, ViewState,
};
use iam_storage::{Assigned, CompanyState, EndPosition, FeatureCell, LevelMatrix, Result, ViewCell};
use imbl::{OrdMap, OrdSet};

use crate::constraints::refuse_unknown;
use crate::state::ids::{RowId, RowKind};
use crate::state::owned::{AuditLog, MenuData};

/// The data of one company.
#[derive(Clone, Default)]
pub(crate) struct CompanyData {
    pub(crate) version: i64,
    pub(crate) provisioned_at: Option<Timestamp>,
    pub(crate) details: CompanyDetails,
    pub(crate) erased_at: Option<Timestamp>,
    pub(crate) quotas: QuotaOverrides,
    pub(crate) ceilings: Arc<Ceilings>,
    pub(crate) levels: OrdMap<UserLevelId, Arc<LevelData>>,
    /// The levels that are assigned to each user, with the periods of the assignments. Users with the same levels and
    /// periods may share one map.
    /// No operation reads by whom and when a level was assigned, so neither is kept here; the audit log states both.
    pub(crate) held: OrdMap<UserId, Arc<Assigned>>,
    /// The starts and the ends of the assignments, each with the number of assignments that start or end then.
    pub(crate) boundaries: OrdMap<Timestamp, usize>,
    pub(crate) modules: OrdMap<ModuleId, CompanyModule>,
    pub(crate) profiles: OrdMap<UserId, UserProfile>,
    pub(crate) menu: MenuData,
    pub(crate) audit: AuditLog,
}

/// A level with the cells of its two matrices and the users who hold it.
#[derive(Clone)]
pub(crate) struct LevelData {
    pub(crate) level: UserLevel,
    pub(crate) views: OrdMap<ViewId, ViewPermission>,
    pub(crate) features: OrdMap<(FeatureId, Action), FeaturePermission>,
    /// The users to whom the level is assigned: the inverse of [`CompanyData::held`].
    pub(crate) holders: OrdSet<UserId>,
}

impl LevelData {
    /// Returns `true` if the level denies a view or an action.
    pub(crate) fn has_denies(&self) -> bool {
        self.views.values().any(|cell| cell.state == ViewState::Deny) || self.features.values().any(|cell| !cell.value)
    }
}

impl CompanyData {
    /// Returns `Unknown` if a level does not exist in this company.
    pub(crate) fn check_levels(&self, ids: impl IntoIterator<Item = UserLevelId>) -> Result<()> {
        let unknown = ids.into_iter().filter(|id| !self.levels.contains_key(id));
        refuse_unknown(EntityType::UserLevel, unknown.map(|id| id.as_uuid()))
    }

    pub(crate) fn level_mut(&mut self, id: UserLevelId) -> Option<&mut LevelData> {
        self.levels.get_mut(&id).map(Arc::make_mut)
    }

    /// Returns the levels that a user holds with the periods of their assignments, ordered by id.
    pub(crate) fn assigned_to(&self, user: UserId) -> impl Iterator<Item = (&LevelData, Period)> {
        let held = self.held.get(&user).into_iter().flat_map(|held| held.iter());
        held.filter_map(|(level, period)| Some((self.levels.get(level)?.as_ref(), *period)))
    }

    /// Returns the levels whose assignments to a user are in effect at the time `now`, ordered by id.
    pub(crate) fn active_levels_of(&self, user: UserId, now: Timestamp) -> impl Iterator<Item = &LevelData> {
        self.assigned_to(user).filter(move |(_, period)| period.is_active(now)).map(|(level, _)| level)
    }

    /// Returns the levels whose assignments to a user are in effect at the time `now` and have no end, ordered by id.
    pub(crate) fn lasting_levels_of(&self, user: UserId, now: Timestamp) -> impl Iterator<Item = &LevelData> {
        self.assigned_to(user).filter(move |(_, period)| period.is_lasting(now)).map(|(level, _)| level)
    }

    /// Returns the users whose assignments of a level are in effect at the time `now`, ordered by id.
    pub(crate) fn active_holders(&self, level: UserLevelId, now: Timestamp) -> impl Iterator<Item = UserId> {
        self.holders_whose(level, move |period| period.is_active(now))
    }

    /// Returns the users to whom a level is assigned, now or later, ordered by id.
    pub(crate) fn unexpired_holders(&self, level: UserLevelId, now: Timestamp) -> impl Iterator<Item = UserId> {
        self.holders_whose(level, move |period| !period.is_expired(now))
    }

    /// Returns the users to whom a level is assigned for a period that meets a condition, ordered by id.
    fn holders_whose(&self, level: UserLevelId, meets: impl Fn(Period) -> bool) -> impl Iterator<Item = UserId> {
        let period = move |user: &UserId| self.held.get(user).and_then(|held| held.get(&level)).copied();
        self.holders(level).filter(move |user| period(user).is_some_and(&meets))
    }

    /// Returns the positions and the periods of the assignments that have an end.
    pub(crate) fn ending(&self) -> impl Iterator<Item = (EndPosition, Period)> {
        let all =
            self.held.iter().flat_map(|(user, held)| held.iter().map(move |(level, period)| (user, level, period)));
        all.filter_map(|(user, level, period)| {
            let expires_at = period.expires_at?;
            Some((EndPosition { expires_at, user: *user, level: *level }, *period))
        })
    }

    /// Returns the levels whose assignments to each user are in effect at the time `now`. Users without such levels are
    /// absent. Users who share their assignments share one set.
    pub(crate) fn active_levels(&self, now: Timestamp) -> BTreeMap<UserId, Arc<BTreeSet<UserLevelId>>> {
        let mut sets = HashMap::new();
        let active = |(user, held): (&UserId, &Arc<Assigned>)| {
            let active = || held.iter().filter(|(_, period)| period.is_active(now)).map(|(level, _)| *level);
            let set = sets.entry(Arc::as_ptr(held)).or_insert_with(|| Arc::new(active().collect::<BTreeSet<_>>()));
            (!set.is_empty()).then(|| (*user, Arc::clone(set)))
        };
        self.held.iter().filter_map(active).collect()
    }

    /// Returns the assignments of a user.
    pub(crate) fn assigned(&self, user: UserId) -> Assigned {
        self.held.get(&user).map(|held| held.as_ref().clone()).unwrap_or_default()
    }

    /// Returns the latest start or end of an assignment that has passed at the time `now`.
    pub(crate) fn passed_boundary(&self, now: Timestamp) -> Option<Timestamp> {
        self.boundaries.range(..=now).next_back().map(|(at, _)| *at)
    }

    /// Returns the next start or end of an assignment after the time `now`.
    pub(crate) fn next_boundary(&self, now: Timestamp) -> Option<Timestamp> {
        self.boundaries.range((Bound::Excluded(now), Bound::Unbounded)).next().map(|(at, _)| *at)
    }

    /// Returns the users to whom a level is assigned, ordered by id.
    pub(crate) fn holders(&self, level: UserLevelId) -> impl Iterator<Item = UserId> {
        self.levels.get(&level).into_iter().flat_map(|level| level.holders.iter()).copied()
    }

    fn assign(&mut self, user: UserId, level: UserLevelId, period: Period) {
        for at in period.boundaries() {
            *self.boundaries.entry(at).or_default() += 1;
        }
        Arc::make_mut(self.held.entry(user).or_default()).insert(level, period);
        if let Some(level) = self.level_mut(level) {
            level.holders.insert(user);
        }
    }

    pub(crate) fn unassign(&mut self, user: UserId, level: UserLevelId) {
        let mut ended = None;
        if let Some(held) = self.held.get_mut(&user) {
            let held = Arc::make_mut(held);
            ended = held.remove(&level);
            if held.is_empty() {
                self.held.remove(&user);
            }
        }
        if let Some(level) = self.level_mut(level) {
            level.holders.remove(&user);
        }
        for at in ended.iter().flat_map(Period::boundaries) {
            if let Some(count) = self.boundaries.get_mut(&at) {
                *count -= 1;
                if *count == 0 {
                    self.boundaries.remove(&at);
                }
            }
        }
    }

    /// Returns the state of the company.
    pub(crate) fn to_state(&self) -> CompanyState {
        let Self { version, provisioned_at, details, erased_at, .. } = self;
        let (version, provisioned_at, erased_at) = (*version, *provisioned_at, *erased_at);
        CompanyState { version, provisioned_at, details: details.clone(), erased_at }
    }

    /// Returns the ids of all rows of the company.
    pub(crate) fn ids(&self) -> impl Iterator<Item = RowId> {
        let records = self.audit.keys().map(|cursor| (RowKind::AuditLogs, cursor.id.as_uuid()));
        self.content_ids().chain(records)
    }

    /// Returns the ids of the rows of the company's content: all rows except the audit records.
    pub(crate) fn content_ids(&self) -> impl Iterator<Item = RowId> {
        let items = self.menu.items.keys().map(|id| (RowKind::MenuItems, id.as_uuid()));
        let sub_items = self.menu.sub_items.keys().map(|id| (RowKind::SubMenuItems, id.as_uuid()));
        self.levels.values().flat_map(|level| level.ids()).chain(items).chain(sub_items)
    }

    /// Replaces the assignments of a user `there` with those in `wanted`.
    pub(crate) fn reassign(&mut self, user: UserId, there: &Assigned, wanted: &Assigned) {
        for (level, _) in there.iter().filter(|(level, period)| wanted.get(level) != Some(period)) {
            self.unassign(user, *level);
        }
        for (level, period) in wanted.iter().filter(|(level, period)| there.get(level) != Some(period)) {
            self.assign(user, *level, *period);
        }
    }

    pub(crate) fn enabled_modules(&self) -> BTreeSet<ModuleId> {
        self.modules.values().filter(|module| module.enabled).map(|module| module.module_id).collect()
    }
}

impl LevelData {
    pub(crate) fn new(level: UserLevel) -> Self {
        Self { level, views: OrdMap::new(), features: OrdMap::new(), holders: OrdSet::new() }
    }

    pub(crate) fn permissions(&self) -> LevelPermissions {
        let rule = |cell: &FeaturePermission| FeatureRule { value: cell.value, scope: cell.scope };
        LevelPermissions::new(
            self.level.id,
            self.views.values().map(|cell| (cell.view_id, cell.state)),
            self.features.values().map(|cell| (cell.feature_id, cell.action.clone(), rule(cell))),
        )
    }

    /// Returns the level with its two matrices.
    pub(crate) fn matrix(&self) -> LevelMatrix {
        let rule = |cell: &FeaturePermission| FeatureRule { value: cell.value, scope: cell.scope };
        let view =
            |cell: &ViewPermission| ViewCell { view: cell.view_id, state: cell.state, modifiable: cell.modifiable };
        let feature = |cell: &FeaturePermission| FeatureCell {
            feature: cell.feature_id,
            action: cell.action.clone(),
            rule: rule(cell),
            modifiable: cell.modifiable,
        };
        LevelMatrix {
            level: self.level.clone(),
            views: self.views.values().map(view).collect(),
            features: self.features.values().map(feature).collect(),
        }
    }

    /// Returns the level's rule for a cell.
    pub(crate) fn rule(&self, cell: &Cell) -> LevelRule {
        match cell {
            Cell::View(view) => self.views.get(view).map(|cell| cell.state).into(),
            Cell::Action(feature, action) => {
                let cell = self.features.get(&(*feature, action.clone()));
                cell.map(|cell| FeatureRule { value: cell.value, scope: cell.scope }).into()
            }
        }
    }

    /// Returns the ids of the level and of its cells.
    pub(crate) fn ids(&self) -> impl Iterator<Item = RowId> {
        let views = self.views.values().map(|cell| (RowKind::ViewPermissions, cell.id.as_uuid()));
        let features = self.features.values().map(|cell| (RowKind::FeaturePermissions, cell.id.as_uuid()));
        std::iter::once((RowKind::UserLevels, self.level.id.as_uuid())).chain(views).chain(features)
    }
}
