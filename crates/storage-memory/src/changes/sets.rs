//! Write operations on sets: mappings of the catalog, the modules of a company, and the levels of a user.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use iam_domain::{
    Assignment, CompanyId, CompanyModule, FeatureId, ModuleId, Period, Timestamp, UserId, UserLevelId, ViewId,
};
use iam_storage::{
    Assigned, AssignedLevel, AssignmentsMut, CompanyModulesMut, EditedLevels, EditedUser, FeatureViewsMut, LevelsEdit,
    ModuleFeaturesMut, ModuleViewsMut, Recorder, ReplacedLevels, Result, SetDiff, StorageError, Target,
};
use imbl::OrdSet;
use uuid::Uuid;

use crate::limit::to_usize;
use crate::repository::Repository;
use crate::state::{CatalogData, LevelData};
use crate::unit_of_work::Unit;

/// An operation that changes a set.
#[derive(Clone, Copy)]
enum SetEdit<'a, T> {
    Add(T),
    Remove(T),
    Replace(&'a [T]),
}

impl<T: Ord + Copy> SetEdit<'_, T> {
    fn diff(self, there: impl IntoIterator<Item = T>) -> SetDiff<T> {
        let there: BTreeSet<T> = there.into_iter().collect();
        let mut wanted = there.clone();
        match self {
            Self::Add(one) => {
                wanted.insert(one);
            }
            Self::Remove(one) => {
                wanted.remove(&one);
            }
            Self::Replace(all) => wanted = all.iter().copied().collect(),
        }
        SetDiff::new(there, wanted)
    }

    /// Returns `true` if the owner of the set must exist. Removing an element from the set of an unknown owner is not
    /// an error.
    const fn needs_owner(self) -> bool {
        !matches!(self, Self::Remove(_))
    }
}

/// Accessors and checks for one mapping of the catalog. A mapping assigns members, such as views, to owners, such as
/// modules.
struct Mapping<Owner, Member> {
    pairs: fn(&CatalogData) -> &OrdSet<(Owner, Member)>,
    pairs_mut: fn(&mut CatalogData) -> &mut OrdSet<(Owner, Member)>,
    /// Returns `Unknown` if the owner does not exist.
    check_owner: fn(&CatalogData, Owner) -> Result<()>,
    /// Returns `Unknown` if a member does not exist.
    check_members: fn(&CatalogData, &[Member]) -> Result<()>,
    record: fn(&mut Recorder, Owner, &SetDiff<Member>),
}

const FEATURE_VIEWS: Mapping<FeatureId, ViewId> = Mapping {
    pairs: |catalog| &catalog.feature_views,
    pairs_mut: |catalog| &mut catalog.feature_views,
    check_owner: |catalog, owner| catalog.check_features([owner]),
    check_members: |catalog, members| catalog.check_views(members.iter().copied()),
    record: Recorder::feature_views_updated,
};

const MODULE_VIEWS: Mapping<ModuleId, ViewId> = Mapping {
    pairs: |catalog| &catalog.module_views,
    pairs_mut: |catalog| &mut catalog.module_views,
    check_owner: |catalog, owner| catalog.check_modules([owner]),
    check_members: |catalog, members| catalog.check_views(members.iter().copied()),
    record: Recorder::module_views_updated,
};

const MODULE_FEATURES: Mapping<ModuleId, FeatureId> = Mapping {
    pairs: |catalog| &catalog.module_features,
    pairs_mut: |catalog| &mut catalog.module_features,
    check_owner: |catalog, owner| catalog.check_modules([owner]),
    check_members: |catalog, members| catalog.check_features(members.iter().copied()),
    record: Recorder::module_features_updated,
};

impl Unit {
    /// Changes the members of an owner in a mapping. Returns `true` if the operation added or removed a member.
    fn mapping<Owner: Ord + Copy, Member: Ord + Copy>(
        &mut self,
        mapping: &Mapping<Owner, Member>,
        owner: Owner,
        edit: SetEdit<'_, Member>,
    ) -> Result<bool> {
        self.change(Target::Catalog, |unit| {
            if edit.needs_owner() {
                (mapping.check_owner)(unit.catalog(), owner)?;
            }
            let there = (mapping.pairs)(unit.catalog()).iter().filter(|(left, _)| *left == owner);
            let diff = edit.diff(there.map(|(_, right)| *right));
            (mapping.check_members)(unit.catalog(), &diff.added)?;
            if !diff.is_empty() {
                let pairs = (mapping.pairs_mut)(unit.work.catalog_mut());
                pairs.extend(diff.added.iter().map(|member| (owner, *member)));
                for member in &diff.removed {
                    pairs.remove(&(owner, *member));
                }
            }
            (mapping.record)(&mut unit.recorder, owner, &diff);
            Ok(!diff.is_empty())
        })
    }

    /// Changes the modules of a company. Returns `true` if the operation added or removed a module.
    fn company_modules(&mut self, company: CompanyId, edit: SetEdit<'_, ModuleId>) -> Result<bool> {
        self.change(Target::Company(company), |unit| {
            let diff = edit.diff(unit.work.company(company).modules.keys().copied());
            unit.catalog().check_modules(diff.added.iter().copied())?;
            let now = unit.recorder.now();
            let modules = &mut unit.work.company_mut(company).modules;
            for id in &diff.removed {
                modules.remove(id);
            }
            modules.extend(diff.added.iter().map(|id| {
                let (company_id, module_id, enabled) = (company, *id, true);
                (*id, CompanyModule { company_id, module_id, enabled, created_at: now, updated_at: now })
            }));
            unit.recorder.company_modules_updated(company, &diff);
            Ok(!diff.is_empty())
        })
    }

    /// Changes the assignments of a user. Returns the assignments before and after the change.
    fn assignments(
        &mut self,
        company: CompanyId,
        user: UserId,
        wanted: impl FnOnce(&Assigned, Timestamp) -> Assigned,
    ) -> Result<(Assigned, Assigned)> {
        self.change(Target::Company(company), |unit| {
            let now = unit.recorder.now();
            let data = unit.work.company_mut(company);
            let there = data.assigned(user);
            let wanted = wanted(&there, now);
            data.check_levels(wanted.keys().filter(|level| !there.contains_key(level)).copied())?;
            data.reassign(user, &there, &wanted);
            unit.recorder.assignments_updated(user, &there, &wanted);
            Ok((there, wanted))
        })
    }
}

#[async_trait]
impl FeatureViewsMut for Repository<Unit> {
    async fn add(&mut self, feature: FeatureId, view: ViewId) -> Result<bool> {
        self.0.mapping(&FEATURE_VIEWS, feature, SetEdit::Add(view))
    }

    async fn remove(&mut self, feature: FeatureId, view: ViewId) -> Result<bool> {
        self.0.mapping(&FEATURE_VIEWS, feature, SetEdit::Remove(view))
    }

    async fn replace_for_feature(&mut self, feature: FeatureId, views: &[ViewId]) -> Result<()> {
        self.0.mapping(&FEATURE_VIEWS, feature, SetEdit::Replace(views)).map(drop)
    }
}

#[async_trait]
impl ModuleViewsMut for Repository<Unit> {
    async fn add(&mut self, module: ModuleId, view: ViewId) -> Result<bool> {
        self.0.mapping(&MODULE_VIEWS, module, SetEdit::Add(view))
    }

    async fn remove(&mut self, module: ModuleId, view: ViewId) -> Result<bool> {
        self.0.mapping(&MODULE_VIEWS, module, SetEdit::Remove(view))
    }

    async fn replace_for_module(&mut self, module: ModuleId, views: &[ViewId]) -> Result<()> {
        self.0.mapping(&MODULE_VIEWS, module, SetEdit::Replace(views)).map(drop)
    }
}

#[async_trait]
impl ModuleFeaturesMut for Repository<Unit> {
    async fn add(&mut self, module: ModuleId, feature: FeatureId) -> Result<bool> {
        self.0.mapping(&MODULE_FEATURES, module, SetEdit::Add(feature))
    }

    async fn remove(&mut self, module: ModuleId, feature: FeatureId) -> Result<bool> {
        self.0.mapping(&MODULE_FEATURES, module, SetEdit::Remove(feature))
    }

    async fn replace_for_module(&mut self, module: ModuleId, features: &[FeatureId]) -> Result<()> {
        self.0.mapping(&MODULE_FEATURES, module, SetEdit::Replace(features)).map(drop)
    }
}

#[async_trait]
impl CompanyModulesMut for Repository<Unit> {
    async fn add(&mut self, company: CompanyId, module: ModuleId) -> Result<bool> {
        self.0.company_modules(company, SetEdit::Add(module))
    }

    async fn remove(&mut self, company: CompanyId, module: ModuleId) -> Result<bool> {
        self.0.company_modules(company, SetEdit::Remove(module))
    }

    async fn replace_for_company(&mut self, company: CompanyId, modules: &[ModuleId]) -> Result<()> {
        self.0.company_modules(company, SetEdit::Replace(modules)).map(drop)
    }

    async fn set_enabled(&mut self, company: CompanyId, module: ModuleId, enabled: bool) -> Result<()> {
        self.0.change(Target::Company(company), |unit| {
            let now = unit.recorder.now();
            let modules = &mut unit.work.company_mut(company).modules;
            let granted = modules.get_mut(&module).ok_or(StorageError::NotFound)?;
            let before = std::mem::replace(&mut granted.enabled, enabled);
            if before != enabled {
                granted.updated_at = now;
            }
            unit.recorder.company_module_switched(company, module, before, enabled);
            Ok(())
        })
    }
}

#[async_trait]
impl AssignmentsMut for Repository<Unit> {
    async fn add(&mut self, assignment: &Assignment) -> Result<bool> {
        let Assignment { company_id, user_id, user_level_id, period, .. } = *assignment;
        let with = |there: &Assigned, _| {
            let mut wanted = there.clone();
            wanted.insert(user_level_id, period);
            wanted
        };
        let (before, after) = self.0.assignments(company_id, user_id, with)?;
        Ok(before != after)
    }

    async fn remove(&mut self, company: CompanyId, user: UserId, level: UserLevelId) -> Result<bool> {
        let without = |there: &Assigned, _| {
            let mut wanted = there.clone();
            wanted.remove(&level);
            wanted
        };
        let (before, after) = self.0.assignments(company, user, without)?;
        Ok(before != after)
    }

    async fn replace_for_user(
        &mut self,
        company: CompanyId,
        user: UserId,
        levels: &[UserLevelId],
        _assigned_by: Option<Uuid>,
    ) -> Result<ReplacedLevels> {
        let replaced = |there: &Assigned, now: Timestamp| {
            let kept = |level: &UserLevelId| there.get(level).filter(|period| !period.is_expired(now)).copied();
            levels.iter().map(|level| (*level, kept(level).unwrap_or_default())).collect()
        };
        let (before, _) = self.0.assignments(company, user, replaced)?;
        let data = self.0.work.company(company);
        let mut held: Vec<_> = data.assigned_to(user).collect();
        held.sort_by_key(|(held, _)| (&held.level.name, held.level.id));
        let assigned = |(held, period): (&LevelData, Period)| AssignedLevel {
            level: held.level.clone(),
            has_denies: held.has_denies(),
            period,
        };
        Ok(ReplacedLevels { before, after: held.into_iter().map(assigned).collect() })
    }

    async fn edit(
        &mut self,
        company: CompanyId,
        edits: &[LevelsEdit],
        _assigned_by: Option<Uuid>,
    ) -> Result<EditedLevels> {
        self.0.change(Target::Company(company), |unit| {
            LevelsEdit::check(edits)?;
            let now = unit.recorder.now();
            let data = unit.work.company_mut(company);
            let asked: BTreeSet<_> =
                edits.iter().flat_map(|edit| edit.add.keys().chain(&edit.remove)).copied().collect();
            data.check_levels(asked)?;
            let added: BTreeSet<_> = edits.iter().flat_map(|edit| edit.add.keys()).copied().collect();
            let is_denying = |id: &UserLevelId| data.levels.get(id).is_some_and(|level| level.has_denies());
            let denying = added.into_iter().filter(is_denying).collect();
            let mut users = Vec::with_capacity(edits.len());
            for edit in edits {
                let user = edit.user;
                let before = data.assigned(user);
                let after = edit.applied_to(&before, now);
                data.reassign(user, &before, &after);
                unit.recorder.assignments_updated(user, &before, &after);
                users.push(EditedUser { user, before, after });
            }
            Ok(EditedLevels { users, denying })
        })
    }

    async fn remove_expired(&mut self, company: CompanyId, by: Timestamp, limit: u64) -> Result<u64> {
        self.0.change(Target::Company(company), |unit| {
            let data = unit.work.company_mut(company);
            let mut expired: Vec<_> = data.ending().filter(|(at, _)| at.expires_at <= by).collect();
            expired.sort_unstable_by_key(|(at, _)| *at);
            expired.truncate(to_usize(limit));
            let mut of_users: BTreeMap<UserId, Assigned> = BTreeMap::new();
            for (at, period) in &expired {
                data.unassign(at.user, at.level);
                of_users.entry(at.user).or_default().insert(at.level, *period);
            }
            for (user, assigned) in &of_users {
                unit.recorder.assignments_expired(*user, assigned);
            }
            Ok(u64::try_from(expired.len()).unwrap_or(u64::MAX))
        })
    }
}
