//! What belongs to one company: its modules, levels, matrices, assignments and version.

use std::collections::BTreeMap;

use async_trait::async_trait;
use iam_domain::{
    Action, CompanyId, FeatureId, FeaturePermission, GrantedModule, ModuleId, Timestamp, UserId, UserLevel,
    UserLevelId, Versions, ViewId, ViewPermission,
};
use iam_storage::{
    Assignments, CompanyModules, CompanyState, CompanyStates, CurrentVersions, FeaturePermissions, Result, UserLevels,
    ViewPermissions,
};
use sea_orm::{DbBackend, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QueryTrait};
use uuid::Uuid;

use super::is_unstorable;
use crate::entities::{
    company_states, company2modules, modules, user_level_feature_permissions, user_level_view_permissions, user_levels,
};
use crate::epoch::{EPOCH, epoch};
use crate::error::from_db;
use crate::repository::{CATALOG, CREDENTIALS, Connected, Repository, column, is_company, statement};

#[async_trait]
impl<T: Connected> CompanyModules for Repository<T> {
    async fn get_modules_by_company(&self, company: CompanyId) -> Result<Vec<GrantedModule>> {
        let sql = "SELECT o.*, m.company_id, m.module_id, m.enabled AS m_enabled, m.created_at AS m_created_at,
                m.updated_at AS m_updated_at
            FROM company2modules m JOIN modules o ON o.id = m.module_id WHERE m.company_id = $1
            ORDER BY o.name, o.id";
        let rows = self.rows(self.of(company, statement(sql, [company.as_uuid().into()]))).await?;
        rows.iter()
            .map(|row| {
                let granted = company2modules::Model {
                    company_id: column(row, "company_id")?,
                    module_id: column(row, "module_id")?,
                    enabled: column(row, "m_enabled")?,
                    created_at: column(row, "m_created_at")?,
                    updated_at: column(row, "m_updated_at")?,
                };
                let module = modules::Model::from_query_result(row, "").map_err(from_db)?;
                Ok(GrantedModule { granted: granted.into(), module: module.try_into()? })
            })
            .collect()
    }

    async fn get_companies_by_module(&self, module: ModuleId) -> Result<Vec<CompanyId>> {
        let sql = "SELECT company_id FROM company2modules WHERE module_id = $1 ORDER BY company_id";
        let ids: Vec<Uuid> =
            self.column(self.of(None, statement(sql, [module.as_uuid().into()])), "company_id").await?;
        Ok(ids.into_iter().map(CompanyId::from_uuid).collect())
    }
}

#[async_trait]
impl<T: Connected> UserLevels for Repository<T> {
    async fn find_all(&self, company: CompanyId) -> Result<Vec<UserLevel>> {
        let levels = user_levels::Entity::find().filter(user_levels::COLUMN.company_id.eq(company.as_uuid()));
        let levels = levels.order_by_asc(user_levels::COLUMN.name).order_by_asc(user_levels::COLUMN.id);
        self.query::<user_levels::Model, _>(self.of(company, levels.build(DbBackend::Postgres))).await
    }

    async fn find_by_id(&self, company: CompanyId, id: UserLevelId) -> Result<Option<UserLevel>> {
        let level = user_levels::Entity::find_by_id(id.as_uuid());
        let level = level.filter(user_levels::COLUMN.company_id.eq(company.as_uuid())).build(DbBackend::Postgres);
        self.query_one::<user_levels::Model, _>(self.of(company, level)).await
    }

    async fn find_by_name(&self, company: CompanyId, name: &str) -> Result<Option<UserLevel>> {
        if is_unstorable(name) {
            return Ok(None);
        }
        let sql = "SELECT * FROM user_levels WHERE company_id = $1 AND name = $2";
        self.query_one::<user_levels::Model, _>(
            self.of(company, statement(sql, [company.as_uuid().into(), name.into()])),
        )
        .await
    }

    async fn count_pinned(&self, company: CompanyId, id: UserLevelId) -> Result<u64> {
        let sql = "SELECT
            (SELECT count(*) FROM user_level_view_permissions
                WHERE company_id = $1 AND user_level_id = $2 AND NOT modifiable)
            + (SELECT count(*) FROM user_level_feature_permissions
                WHERE company_id = $1 AND user_level_id = $2 AND NOT modifiable) AS pinned";
        let row = self.row(self.of(company, statement(sql, [company.as_uuid().into(), id.as_uuid().into()]))).await?;
        Ok(row.map(|row| column::<i64>(&row, "pinned")).transpose()?.unwrap_or_default().unsigned_abs())
    }
}

#[async_trait]
impl<T: Connected> ViewPermissions for Repository<T> {
    async fn find_by_user_level(&self, company: CompanyId, level: UserLevelId) -> Result<Vec<ViewPermission>> {
        let sql = "SELECT * FROM user_level_view_permissions WHERE company_id = $1 AND user_level_id = $2
            ORDER BY view_id";
        let values = [company.as_uuid().into(), level.as_uuid().into()];
        self.query::<user_level_view_permissions::Model, _>(self.of(company, statement(sql, values))).await
    }

    async fn find_by_view(&self, company: CompanyId, view: ViewId) -> Result<Vec<ViewPermission>> {
        let sql = "SELECT * FROM user_level_view_permissions WHERE company_id = $1 AND view_id = $2
            ORDER BY user_level_id";
        let values = [company.as_uuid().into(), view.as_uuid().into()];
        self.query::<user_level_view_permissions::Model, _>(self.of(company, statement(sql, values))).await
    }

    async fn find(&self, company: CompanyId, level: UserLevelId, view: ViewId) -> Result<Option<ViewPermission>> {
        let sql = "SELECT * FROM user_level_view_permissions
            WHERE company_id = $1 AND user_level_id = $2 AND view_id = $3";
        let values = [company.as_uuid().into(), level.as_uuid().into(), view.as_uuid().into()];
        self.query_one::<user_level_view_permissions::Model, _>(self.of(company, statement(sql, values))).await
    }
}

#[async_trait]
impl<T: Connected> FeaturePermissions for Repository<T> {
    async fn find_by_user_level(&self, company: CompanyId, level: UserLevelId) -> Result<Vec<FeaturePermission>> {
        let sql = "SELECT * FROM user_level_feature_permissions WHERE company_id = $1 AND user_level_id = $2
            ORDER BY feature_id, action";
        let values = [company.as_uuid().into(), level.as_uuid().into()];
        self.query::<user_level_feature_permissions::Model, _>(self.of(company, statement(sql, values))).await
    }

    async fn find_by_feature(&self, company: CompanyId, feature: FeatureId) -> Result<Vec<FeaturePermission>> {
        let sql = "SELECT * FROM user_level_feature_permissions WHERE company_id = $1 AND feature_id = $2
            ORDER BY user_level_id, action";
        let values = [company.as_uuid().into(), feature.as_uuid().into()];
        self.query::<user_level_feature_permissions::Model, _>(self.of(company, statement(sql, values))).await
    }

    async fn find(
        &self,
        company: CompanyId,
        level: UserLevelId,
        feature: FeatureId,
        action: &Action,
    ) -> Result<Option<FeaturePermission>> {
        let sql = "SELECT * FROM user_level_feature_permissions
            WHERE company_id = $1 AND user_level_id = $2 AND feature_id = $3 AND action = $4";
        let values =
            [company.as_uuid().into(), level.as_uuid().into(), feature.as_uuid().into(), action.as_str().into()];
        self.query_one::<user_level_feature_permissions::Model, _>(self.of(company, statement(sql, values))).await
    }
}

#[async_trait]
impl<T: Connected> Assignments for Repository<T> {
    async fn get_user_levels(&self, company: CompanyId, user: UserId) -> Result<Vec<UserLevel>> {
        let sql = "SELECT l.* FROM user_user_levels h JOIN user_levels l ON l.company_id = h.company_id AND l.id = h.user_level_id
            WHERE h.company_id = $1 AND h.user_id = $2 ORDER BY l.name, l.id";
        self.query::<user_levels::Model, _>(
            self.of(company, statement(sql, [company.as_uuid().into(), user.as_uuid().into()])),
        )
        .await
    }

    async fn get_users(&self, company: CompanyId, level: UserLevelId) -> Result<Vec<UserId>> {
        let sql = "SELECT user_id FROM user_user_levels WHERE company_id = $1 AND user_level_id = $2 ORDER BY user_id";
        let values = [company.as_uuid().into(), level.as_uuid().into()];
        let ids: Vec<Uuid> = self.column(self.of(company, statement(sql, values)), "user_id").await?;
        Ok(ids.into_iter().map(UserId::from_uuid).collect())
    }
}

#[async_trait]
impl<T: Connected> CompanyStates for Repository<T> {
    async fn read(&self, company: CompanyId) -> Result<Option<CompanyState>> {
        // A company without a version is one before its first change.
        if !is_company(company.as_uuid()) {
            return Ok(None);
        }
        let state = company_states::Entity::find_by_id(company.as_uuid()).filter(company_states::COLUMN.version.gt(0));
        let Some(row) = self.row(self.of(company, state.build(DbBackend::Postgres))).await? else { return Ok(None) };
        let row = company_states::Model::from_query_result(&row, "").map_err(from_db)?;
        Ok(Some(CompanyState { version: row.version, provisioned_at: row.provisioned_at.map(Timestamp::new) }))
    }

    async fn versions(&self, company: Option<CompanyId>) -> Result<Versions> {
        let sql = format!(
            "SELECT {EPOCH} AS epoch, catalog.version AS catalog, coalesce(company.version, 0) AS company
            FROM company_states AS catalog LEFT JOIN company_states AS company ON company.company_id = $1
            WHERE catalog.company_id = {CATALOG}"
        );
        let row = self.single(self.of(company, statement(sql, [company.map(|id| id.as_uuid()).into()]))).await?;
        Ok(Versions {
            epoch: epoch(&row, self.0.latest_epoch())?,
            catalog: column(&row, "catalog")?,
            company: column(&row, "company")?,
        })
    }

    async fn versions_of(&self, companies: &[CompanyId]) -> Result<CurrentVersions> {
        // One look-up a company, so that the cost is that of the question, whatever the planner thinks of the table.
        let sql = format!(
            "SELECT {EPOCH} AS epoch, version AS catalog,
                (SELECT version FROM company_states WHERE company_id = {CREDENTIALS}) AS credentials, ARRAY(
                SELECT coalesce((SELECT version FROM company_states WHERE company_id = asked.id), 0)
                FROM unnest($1::uuid[]) WITH ORDINALITY AS asked (id, place) ORDER BY place
            ) AS companies
            FROM company_states WHERE company_id = {CATALOG}"
        );
        let asked: Vec<Uuid> = companies.iter().map(|id| id.as_uuid()).filter(|id| is_company(*id)).collect();
        let row = self.single(self.of(None, statement(sql, [asked.clone().into()]))).await?;
        let mut current: BTreeMap<CompanyId, i64> = companies.iter().map(|id| (*id, 0)).collect();
        let asked = asked.into_iter().map(CompanyId::from_uuid);
        current.extend(asked.zip(column::<Vec<i64>>(&row, "companies")?));
        Ok(CurrentVersions {
            epoch: epoch(&row, self.0.latest_epoch())?,
            catalog: column(&row, "catalog")?,
            credentials: column(&row, "credentials")?,
            companies: current,
        })
    }
}
