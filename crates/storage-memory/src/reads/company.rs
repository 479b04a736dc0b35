//! Read operations on one company: its modules, levels, matrices, assignments and version.

use std::sync::Arc;

use async_trait::async_trait;
use iam_domain::{
    Action, Catalog, CompanyId, FeatureId, FeaturePermission, FeatureRule, GrantedModule, LevelPermissions, Module,
    ModuleId, Scope, Timestamp, UserId, UserLevel, UserLevelId, Versions, ViewId, ViewPermission,
};
use iam_storage::{
    Assignments, CompanyModules, CompanyState, CompanyStates, FeaturePermissions, LevelAssignment, Membership, Result,
    UserLevels, ViewPermissions,
};

use crate::limit::to_usize;
use crate::reads::sorted;
use crate::repository::{Repository, StateSource};
use crate::state::{CompanyData, LevelData};

fn levels_by_name<'a>(levels: impl Iterator<Item = &'a LevelData>) -> Vec<UserLevel> {
    sorted(levels.map(|level| level.level.clone()), |a, b| (&a.name, a.id).cmp(&(&b.name, b.id)))
}

#[async_trait]
impl<S: StateSource> CompanyModules for Repository<S> {
    async fn get_modules_by_company(&self, company: CompanyId) -> Result<Vec<GrantedModule>> {
        let state = self.0.state();
        let company = state.company(company);
        let modules = state.catalog.modules_of(company.modules.keys().copied());
        let granted = |module: Module| {
            let granted = company.modules.get(&module.id).cloned()?;
            Some(GrantedModule { granted, module })
        };
        Ok(modules.into_iter().filter_map(granted).collect())
    }

    async fn get_companies_by_module(&self, module: ModuleId) -> Result<Vec<CompanyId>> {
        Ok(self.0.state().companies_where(|company| company.modules.contains_key(&module)))
    }
}

#[async_trait]
impl<S: StateSource> UserLevels for Repository<S> {
    async fn find_all(&self, company: CompanyId) -> Result<Vec<UserLevel>> {
        Ok(levels_by_name(self.0.state().company(company).levels.values().map(Arc::as_ref)))
    }

    async fn find_by_id(&self, company: CompanyId, id: UserLevelId) -> Result<Option<UserLevel>> {
        Ok(self.0.state().company(company).levels.get(&id).map(|level| level.level.clone()))
    }

    async fn find_by_name(&self, company: CompanyId, name: &str) -> Result<Option<UserLevel>> {
        let state = self.0.state();
        let mut levels = state.company(company).levels.values().map(|level| &level.level);
        Ok(levels.find(|level| level.name.as_str() == name).cloned())
    }

    async fn count_pinned(&self, company: CompanyId, id: UserLevelId) -> Result<u64> {
        let state = self.0.state();
        let pinned = state.company(company).levels.get(&id).map_or(0, |level| {
            level.views.values().filter(|cell| !cell.modifiable).count()
                + level.features.values().filter(|cell| !cell.modifiable).count()
        });
        Ok(pinned as u64)
    }
}

#[async_trait]
impl<S: StateSource> ViewPermissions for Repository<S> {
    async fn find_by_user_level(&self, company: CompanyId, level: UserLevelId) -> Result<Vec<ViewPermission>> {
        let state = self.0.state();
        let level = state.company(company).levels.get(&level);
        Ok(level.into_iter().flat_map(|level| level.views.values()).cloned().collect())
    }

    async fn find_by_view(&self, company: CompanyId, view: ViewId) -> Result<Vec<ViewPermission>> {
        let state = self.0.state();
        Ok(state.company(company).levels.values().filter_map(|level| level.views.get(&view)).cloned().collect())
    }

    async fn find(&self, company: CompanyId, level: UserLevelId, view: ViewId) -> Result<Option<ViewPermission>> {
        let state = self.0.state();
        Ok(state.company(company).levels.get(&level).and_then(|level| level.views.get(&view)).cloned())
    }
}

#[async_trait]
impl<S: StateSource> FeaturePermissions for Repository<S> {
    async fn find_by_user_level(&self, company: CompanyId, level: UserLevelId) -> Result<Vec<FeaturePermission>> {
        let state = self.0.state();
        let level = state.company(company).levels.get(&level);
        Ok(level.into_iter().flat_map(|level| level.features.values()).cloned().collect())
    }

    async fn find_by_feature(&self, company: CompanyId, feature: FeatureId) -> Result<Vec<FeaturePermission>> {
        let state = self.0.state();
        let cells = state.company(company).levels.values().flat_map(|level| level.features.values());
        Ok(cells.filter(|cell| cell.feature_id == feature).cloned().collect())
    }

    async fn find(
        &self,
        company: CompanyId,
        level: UserLevelId,
        feature: FeatureId,
        action: &Action,
    ) -> Result<Option<FeaturePermission>> {
        let state = self.0.state();
        let level = state.company(company).levels.get(&level);
        Ok(level.and_then(|level| level.features.get(&(feature, action.clone()))).cloned())
    }
}

/// Returns the matrix keys of the cells for these actions, or `None` if one of the features does not exist.
fn cells(catalog: &Catalog, actions: &[(&str, Action)]) -> Option<Vec<(FeatureId, Action)>> {
    actions.iter().map(|(key, action)| Some((catalog.feature_by_key(key)?.id, action.clone()))).collect()
}

/// Returns `true` if the levels of a user together allow the actions of all these cells for the whole company and deny
/// none of them. Only assignments without an end count as allowing. The level of `assumed` is evaluated with these rules
/// instead of its stored rules.
fn allows_all(
    data: &CompanyData,
    user: UserId,
    wanted: &[(FeatureId, Action)],
    assumed: Option<&LevelPermissions>,
    now: Timestamp,
) -> bool {
    let levels: Vec<_> = data.assigned_to(user).filter(|(_, period)| !period.is_expired(now)).collect();
    wanted.iter().all(|wanted @ (feature, action)| {
        let rule = |level: &LevelData| match assumed.filter(|assumed| assumed.level == level.level.id) {
            Some(assumed) => assumed.features.get(feature).and_then(|rules| rules.get(action)).copied(),
            None => level.features.get(wanted).map(|cell| FeatureRule { value: cell.value, scope: cell.scope }),
        };
        let said = || levels.iter().filter_map(|(level, period)| Some((rule(level)?, period)));
        said().all(|(rule, _)| rule.value)
            && said().any(|(rule, period)| rule.scope >= Scope::Company && period.is_lasting(now))
    })
}

#[async_trait]
impl<S: StateSource> Assignments for Repository<S> {
    async fn get_assigned(&self, company: CompanyId, user: UserId) -> Result<Vec<LevelAssignment>> {
        let (state, now) = (self.0.state(), self.0.now());
        let assigned = state.company(company).assigned_to(user);
        let assigned = assigned.map(|(level, period)| LevelAssignment {
            level: level.level.clone(),
            period,
            state: period.state(now),
        });
        Ok(sorted(assigned, |a, b| (&a.level.name, a.level.id).cmp(&(&b.level.name, b.level.id))))
    }

    async fn get_user_levels(&self, company: CompanyId, user: UserId) -> Result<Vec<UserLevel>> {
        let (state, now) = (self.0.state(), self.0.now());
        let assigned = state.company(company).assigned_to(user);
        Ok(levels_by_name(assigned.filter(|(_, period)| !period.is_expired(now)).map(|(level, _)| level)))
    }

    async fn get_memberships(&self, user: UserId, after: Option<CompanyId>, limit: u64) -> Result<Vec<Membership>> {
        let (state, now) = (self.0.state(), self.0.now());
        let companies = state.companies_where(|company| company.active_levels_of(user, now).next().is_some());
        let page = companies.into_iter().filter(|company| Some(*company) > after).take(to_usize(limit));
        let membership = |id| {
            let company = state.company(id);
            Membership {
                company: id,
                details: company.details.clone(),
                levels: levels_by_name(company.active_levels_of(user, now)),
            }
        };
        Ok(page.map(membership).collect())
    }

    async fn get_users(&self, company: CompanyId, level: UserLevelId) -> Result<Vec<UserId>> {
        Ok(self.0.state().company(company).holders(level).collect())
    }

    async fn find_holder(
        &self,
        company: CompanyId,
        actions: &[(&str, Action)],
        assumed: Option<&LevelPermissions>,
    ) -> Result<Option<UserId>> {
        let state = self.0.state();
        let data = state.company(company);
        let Some(wanted) = cells(&state.catalog.compiled(), actions) else { return Ok(None) };
        Ok(data.held.keys().copied().find(|user| allows_all(data, *user, &wanted, assumed, self.0.now())))
    }

    async fn is_holder(&self, company: CompanyId, user: UserId, actions: &[(&str, Action)]) -> Result<bool> {
        let state = self.0.state();
        let wanted = cells(&state.catalog.compiled(), actions);
        Ok(wanted.is_some_and(|wanted| allows_all(state.company(company), user, &wanted, None, self.0.now())))
    }

    async fn list_users(
        &self,
        company: CompanyId,
        level: UserLevelId,
        after: Option<UserId>,
        limit: u64,
    ) -> Result<Vec<UserId>> {
        let state = self.0.state();
        let rest = state.company(company).holders(level).filter(|user| Some(*user) > after);
        Ok(rest.take(to_usize(limit)).collect())
    }
}

#[async_trait]
impl<S: StateSource> CompanyStates for Repository<S> {
    async fn read(&self, company: CompanyId) -> Result<Option<CompanyState>> {
        Ok(self.0.state().companies.get(&company).map(|company| company.to_state()))
    }

    async fn versions(&self, company: Option<CompanyId>) -> Result<Versions> {
        Ok(self.0.state().versions(self.0.epoch(), company, self.0.now()))
    }
}
