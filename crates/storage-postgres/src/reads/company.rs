//! Reads of one company: its modules, levels, matrices, assignments and version.

use async_trait::async_trait;
use iam_domain::{
    Action, CompanyId, FeatureId, FeaturePermission, GrantedModule, LevelPermissions, ModuleId, Period, Scope,
    Timestamp, UserId, UserLevel, UserLevelId, Versions, ViewId, ViewPermission,
};
use iam_storage::{
    Assignments, CompanyModules, CompanyState, CompanyStates, FeaturePermissions, LevelAssignment, Membership, Result,
    UserLevels, ViewPermissions,
};
use sea_orm::prelude::DateTimeUtc;
use sea_orm::{DbBackend, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QueryResult, QueryTrait};
use uuid::Uuid;

use super::is_unstorable;
use crate::convert::companies::details;
use crate::entities::company_states::{CATALOG, is_company};
use crate::entities::{
    columns, company_states, company2modules, modules, user_level_feature_permissions, user_level_view_permissions,
    user_levels,
};
use crate::error::from_db;
use crate::feed::epoch::{current_epoch, epoch};
use crate::operation::operation;
use crate::periods::{ACTIVE, LASTING, UNEXPIRED, boundaries};
use crate::repository::{Executor, Repository};
use crate::statement::{column, convert, statement};

#[async_trait]
impl<T: Executor> CompanyModules for Repository<T> {
    async fn get_modules_by_company(&self, company: CompanyId) -> Result<Vec<GrantedModule>> {
        operation("company_modules.get_modules_by_company", async {
            let sql = format!(
                "SELECT {}, m.company_id, m.module_id, m.enabled AS m_enabled, m.created_at AS m_created_at,
                m.updated_at AS m_updated_at
            FROM company2modules m JOIN modules o ON o.id = m.module_id WHERE m.company_id = $1
            ORDER BY o.name, o.id",
                columns::<modules::Entity>("o")
            );
            let rows = self.rows(self.for_company(company, statement(sql, [company.as_uuid().into()]))).await?;
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
        })
        .await
    }

    async fn get_companies_by_module(&self, module: ModuleId) -> Result<Vec<CompanyId>> {
        operation("company_modules.get_companies_by_module", async {
            let sql = "SELECT company_id FROM company2modules WHERE module_id = $1 ORDER BY company_id";
            let ids: Vec<Uuid> =
                self.column(self.for_company(None, statement(sql, [module.as_uuid().into()])), "company_id").await?;
            Ok(ids.into_iter().map(CompanyId::from_uuid).collect())
        })
        .await
    }
}

#[async_trait]
impl<T: Executor> UserLevels for Repository<T> {
    async fn find_all(&self, company: CompanyId) -> Result<Vec<UserLevel>> {
        operation("user_levels.find_all", async {
            let levels = user_levels::Entity::find().filter(user_levels::COLUMN.company_id.eq(company.as_uuid()));
            let levels = levels.order_by_asc(user_levels::COLUMN.name).order_by_asc(user_levels::COLUMN.id);
            self.query::<user_levels::Model, _>(self.for_company(company, levels.build(DbBackend::Postgres))).await
        })
        .await
    }

    async fn find_by_id(&self, company: CompanyId, id: UserLevelId) -> Result<Option<UserLevel>> {
        operation("user_levels.find_by_id", async {
            let level = user_levels::Entity::find_by_id(id.as_uuid());
            let level = level.filter(user_levels::COLUMN.company_id.eq(company.as_uuid())).build(DbBackend::Postgres);
            self.query_one::<user_levels::Model, _>(self.for_company(company, level)).await
        })
        .await
    }

    async fn find_by_name(&self, company: CompanyId, name: &str) -> Result<Option<UserLevel>> {
        operation("user_levels.find_by_name", async {
            if is_unstorable(name) {
                return Ok(None);
            }
            let columns = columns::<user_levels::Entity>("l");
            let sql = format!("SELECT {columns} FROM user_levels AS l WHERE company_id = $1 AND name = $2");
            self.query_one::<user_levels::Model, _>(
                self.for_company(company, statement(sql, [company.as_uuid().into(), name.into()])),
            )
            .await
        })
        .await
    }

    async fn count_pinned(&self, company: CompanyId, id: UserLevelId) -> Result<u64> {
        operation("user_levels.count_pinned", async {
            let sql = "SELECT
            (SELECT count(*) FROM user_level_view_permissions
                WHERE company_id = $1 AND user_level_id = $2 AND NOT modifiable)
            + (SELECT count(*) FROM user_level_feature_permissions
                WHERE company_id = $1 AND user_level_id = $2 AND NOT modifiable) AS pinned";
            let row = self
                .row(self.for_company(company, statement(sql, [company.as_uuid().into(), id.as_uuid().into()])))
                .await?;
            Ok(row.map(|row| column::<i64>(&row, "pinned")).transpose()?.unwrap_or_default().unsigned_abs())
        })
        .await
    }
}

#[async_trait]
impl<T: Executor> ViewPermissions for Repository<T> {
    async fn find_by_user_level(&self, company: CompanyId, level: UserLevelId) -> Result<Vec<ViewPermission>> {
        operation("view_permissions.find_by_user_level", async {
            let sql = format!(
                "SELECT {} FROM user_level_view_permissions AS cell WHERE company_id = $1 AND user_level_id = $2
            ORDER BY view_id",
                columns::<user_level_view_permissions::Entity>("cell")
            );
            let read = self.for_company(company, statement(sql, [company.as_uuid().into(), level.as_uuid().into()]));
            let cells: Vec<_> = self.query::<user_level_view_permissions::Model, _>(read).await?;
            if let Some(matrices) = self.0.read_matrices() {
                matrices.views.keep(company, level, &cells);
            }
            Ok(cells)
        })
        .await
    }

    async fn find_by_view(&self, company: CompanyId, view: ViewId) -> Result<Vec<ViewPermission>> {
        operation("view_permissions.find_by_view", async {
            let sql = format!(
                "SELECT {} FROM user_level_view_permissions AS cell WHERE company_id = $1 AND view_id = $2
            ORDER BY user_level_id",
                columns::<user_level_view_permissions::Entity>("cell")
            );
            let values = [company.as_uuid().into(), view.as_uuid().into()];
            self.query::<user_level_view_permissions::Model, _>(self.for_company(company, statement(sql, values))).await
        })
        .await
    }

    async fn find(&self, company: CompanyId, level: UserLevelId, view: ViewId) -> Result<Option<ViewPermission>> {
        operation("view_permissions.find", async {
            let sql = format!(
                "SELECT {} FROM user_level_view_permissions AS cell
            WHERE company_id = $1 AND user_level_id = $2 AND view_id = $3",
                columns::<user_level_view_permissions::Entity>("cell")
            );
            let values = [company.as_uuid().into(), level.as_uuid().into(), view.as_uuid().into()];
            self.query_one::<user_level_view_permissions::Model, _>(self.for_company(company, statement(sql, values)))
                .await
        })
        .await
    }
}

#[async_trait]
impl<T: Executor> FeaturePermissions for Repository<T> {
    async fn find_by_user_level(&self, company: CompanyId, level: UserLevelId) -> Result<Vec<FeaturePermission>> {
        operation("feature_permissions.find_by_user_level", async {
            let sql = format!(
                "SELECT {} FROM user_level_feature_permissions AS cell WHERE company_id = $1 AND user_level_id = $2
            ORDER BY feature_id, action",
                columns::<user_level_feature_permissions::Entity>("cell")
            );
            let read = self.for_company(company, statement(sql, [company.as_uuid().into(), level.as_uuid().into()]));
            let cells: Vec<_> = self.query::<user_level_feature_permissions::Model, _>(read).await?;
            if let Some(matrices) = self.0.read_matrices() {
                matrices.features.keep(company, level, &cells);
            }
            Ok(cells)
        })
        .await
    }

    async fn find_by_feature(&self, company: CompanyId, feature: FeatureId) -> Result<Vec<FeaturePermission>> {
        operation("feature_permissions.find_by_feature", async {
            let sql = format!(
                "SELECT {} FROM user_level_feature_permissions AS cell WHERE company_id = $1 AND feature_id = $2
            ORDER BY user_level_id, action",
                columns::<user_level_feature_permissions::Entity>("cell")
            );
            let values = [company.as_uuid().into(), feature.as_uuid().into()];
            self.query::<user_level_feature_permissions::Model, _>(self.for_company(company, statement(sql, values)))
                .await
        })
        .await
    }

    async fn find(
        &self,
        company: CompanyId,
        level: UserLevelId,
        feature: FeatureId,
        action: &Action,
    ) -> Result<Option<FeaturePermission>> {
        operation("feature_permissions.find", async {
            let sql = format!(
                "SELECT {} FROM user_level_feature_permissions AS cell
            WHERE company_id = $1 AND user_level_id = $2 AND feature_id = $3 AND action = $4",
                columns::<user_level_feature_permissions::Entity>("cell")
            );
            let values =
                [company.as_uuid().into(), level.as_uuid().into(), feature.as_uuid().into(), action.as_str().into()];
            self.query_one::<user_level_feature_permissions::Model, _>(
                self.for_company(company, statement(sql, values)),
            )
            .await
        })
        .await
    }
}

#[async_trait]
impl<T: Executor> Assignments for Repository<T> {
    async fn get_assigned(&self, company: CompanyId, user: UserId) -> Result<Vec<LevelAssignment>> {
        operation("assignments.get_assigned", async {
            let sql = format!(
                "SELECT {}, h.starts_at, h.expires_at, statement_timestamp() AS now FROM user_user_levels h
            JOIN user_levels l ON l.company_id = h.company_id AND l.id = h.user_level_id
            WHERE h.company_id = $1 AND h.user_id = $2 ORDER BY l.name, l.id",
                columns::<user_levels::Entity>("l")
            );
            let read = self.for_company(company, statement(sql, [company.as_uuid().into(), user.as_uuid().into()]));
            let time = |row: &QueryResult, name| Ok(column::<Option<DateTimeUtc>>(row, name)?.map(Timestamp::new));
            let assigned = |row: &QueryResult| {
                let period = Period { starts_at: time(row, "starts_at")?, expires_at: time(row, "expires_at")? };
                let state = period.state(Timestamp::new(column(row, "now")?));
                Ok(LevelAssignment { level: convert::<user_levels::Model, UserLevel>(row)?, period, state })
            };
            self.rows(read).await?.iter().map(assigned).collect()
        })
        .await
    }

    async fn get_user_levels(&self, company: CompanyId, user: UserId) -> Result<Vec<UserLevel>> {
        operation("assignments.get_user_levels", async {
            let sql = format!(
                "SELECT {} FROM user_user_levels h
            JOIN user_levels l ON l.company_id = h.company_id AND l.id = h.user_level_id
            WHERE h.company_id = $1 AND h.user_id = $2 AND {UNEXPIRED} ORDER BY l.name, l.id",
                columns::<user_levels::Entity>("l")
            );
            self.query::<user_levels::Model, _>(
                self.for_company(company, statement(sql, [company.as_uuid().into(), user.as_uuid().into()])),
            )
            .await
        })
        .await
    }

    async fn get_memberships(&self, user: UserId, after: Option<CompanyId>, limit: u64) -> Result<Vec<Membership>> {
        operation("assignments.get_memberships", async {
            let sql = format!(
                "WITH page AS (
                SELECT DISTINCT company_id FROM user_user_levels
                WHERE user_id = $1 AND ($2::uuid IS NULL OR company_id > $2) AND {ACTIVE}
                ORDER BY company_id LIMIT $3
            )
            SELECT {}, c.name::text AS company_name, coalesce(c.status, 'active')::text AS company_status
            FROM page JOIN user_user_levels h USING (company_id)
            JOIN user_levels l ON l.company_id = h.company_id AND l.id = h.user_level_id
            LEFT JOIN company_states c ON c.company_id = h.company_id
            WHERE h.user_id = $1 AND {ACTIVE} ORDER BY l.company_id, l.name, l.id",
                columns::<user_levels::Entity>("l")
            );
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let values = [user.as_uuid().into(), after.map(|after| after.as_uuid()).into(), limit.into()];
            let mut memberships: Vec<Membership> = Vec::new();
            for row in self.rows(self.for_company(None, statement(sql, values))).await? {
                let level = convert::<user_levels::Model, UserLevel>(&row)?;
                match memberships.last_mut().filter(|last| last.company == level.company_id) {
                    Some(membership) => membership.levels.push(level),
                    None => memberships.push(Membership {
                        company: level.company_id,
                        details: details(column(&row, "company_name")?, &column::<String>(&row, "company_status")?)?,
                        levels: vec![level],
                    }),
                }
            }
            Ok(memberships)
        })
        .await
    }

    async fn get_users(&self, company: CompanyId, level: UserLevelId) -> Result<Vec<UserId>> {
        operation("assignments.get_users", async {
            let sql =
                "SELECT user_id FROM user_user_levels WHERE company_id = $1 AND user_level_id = $2 ORDER BY user_id";
            let values = [company.as_uuid().into(), level.as_uuid().into()];
            let ids: Vec<Uuid> = self.column(self.for_company(company, statement(sql, values)), "user_id").await?;
            Ok(ids.into_iter().map(UserId::from_uuid).collect())
        })
        .await
    }

    async fn find_holder(
        &self,
        company: CompanyId,
        actions: &[(&str, Action)],
        assumed: Option<&LevelPermissions>,
    ) -> Result<Option<UserId>> {
        operation("assignments.find_holder", async {
            // The query iterates over the levels that allow the first action, and over the users who hold these levels.
            // It ends when it finds a user who has all actions. `OFFSET 0` (an optimization fence) prevents a join
            // order that would read all holders of all levels. The rules of the assumed level ($4) are parameters.
            let sql = format!(
                "WITH asked AS MATERIALIZED (
                SELECT place, feature.id AS feature_id, action
                FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS asked (key, action, place)
                LEFT JOIN features AS feature ON feature.key = asked.key
            ),
            cell AS MATERIALIZED (
                SELECT asked.place, said.user_level_id, said.value, said.scope IN ('company', 'any') AS is_wide
                FROM asked, LATERAL (
                    SELECT user_level_id, value, scope FROM user_level_feature_permissions
                    WHERE company_id = $1 AND feature_id = asked.feature_id AND action = asked.action OFFSET 0
                ) AS said
                WHERE said.user_level_id IS DISTINCT FROM $4::uuid
                UNION ALL
                SELECT asked.place, $4::uuid, assumed.value, assumed.is_wide
                FROM asked JOIN unnest($5::uuid[], $6::text[], $7::bool[], $8::bool[])
                    AS assumed (feature_id, action, value, is_wide) USING (feature_id, action)
            )
            SELECT held.user_id FROM cell AS first, LATERAL (
                SELECT user_id FROM user_user_levels
                WHERE user_level_id = first.user_level_id AND company_id = $1 AND {LASTING} ORDER BY user_id OFFSET 0
            ) AS held, LATERAL (
                SELECT array_agg(user_level_id) AS levels,
                    array_agg(user_level_id) FILTER (WHERE {LASTING}) AS lasting FROM user_user_levels
                WHERE company_id = $1 AND user_id = held.user_id AND {UNEXPIRED} OFFSET 0
            ) AS all_held
            WHERE first.place = 1 AND first.value AND first.is_wide
                AND NOT EXISTS (SELECT FROM cell WHERE NOT value AND user_level_id = ANY(all_held.levels) OFFSET 0)
                AND NOT EXISTS (SELECT FROM asked WHERE NOT EXISTS (
                    SELECT FROM cell WHERE cell.place = asked.place AND value AND is_wide
                        AND user_level_id = ANY(all_held.lasting) OFFSET 0
                ) OFFSET 0)
            LIMIT 1"
            );
            let (keys, actions): (Vec<_>, Vec<_>) =
                actions.iter().map(|(key, action)| ((*key).to_owned(), action.to_string())).unzip();
            let rules = assumed.into_iter().flat_map(|level| &level.features);
            let rules =
                rules.flat_map(|(feature, rules)| rules.iter().map(|(action, rule)| (feature.as_uuid(), action, rule)));
            let mut features = Vec::new();
            let (mut of_features, mut allows, mut wide) = (Vec::new(), Vec::new(), Vec::new());
            for (feature, action, rule) in rules {
                features.push(feature);
                of_features.push(action.to_string());
                allows.push(rule.value);
                wide.push(rule.scope >= Scope::Company);
            }
            let values = [
                company.as_uuid().into(),
                keys.into(),
                actions.into(),
                assumed.map(|assumed| assumed.level.as_uuid()).into(),
                features.into(),
                of_features.into(),
                allows.into(),
                wide.into(),
            ];
            let row = self.row(self.for_company(company, statement(sql, values))).await?;
            Ok(row.map(|row| column(&row, "user_id")).transpose()?.map(UserId::from_uuid))
        })
        .await
    }

    async fn is_holder(&self, company: CompanyId, user: UserId, actions: &[(&str, Action)]) -> Result<bool> {
        operation("assignments.is_holder", async {
            // The query joins each action with the user's levels, and these levels with their cells. `OFFSET 0` (an
            // optimization fence) fixes this join order, regardless of the planner's statistics.
            let sql = format!(
                "SELECT NOT EXISTS (
                SELECT FROM unnest($3::text[], $4::text[]) AS asked (key, action)
                WHERE NOT coalesce((
                    SELECT bool_and(said.value) AND bool_or(held.is_lasting AND said.scope IN ('company', 'any'))
                    FROM features AS feature, LATERAL (
                        SELECT user_level_id, {LASTING} AS is_lasting FROM user_user_levels
                        WHERE company_id = $1 AND user_id = $2 AND {UNEXPIRED} OFFSET 0
                    ) AS held, LATERAL (
                        SELECT value, scope FROM user_level_feature_permissions
                        WHERE company_id = $1 AND user_level_id = held.user_level_id AND feature_id = feature.id
                            AND action = asked.action OFFSET 0
                    ) AS said
                    WHERE feature.key = asked.key
                ), false)
            ) AS is_holder"
            );
            let (keys, actions): (Vec<_>, Vec<_>) =
                actions.iter().map(|(key, action)| ((*key).to_owned(), action.to_string())).unzip();
            let values = [company.as_uuid().into(), user.as_uuid().into(), keys.into(), actions.into()];
            column(&self.single(self.for_company(company, statement(sql, values))).await?, "is_holder")
        })
        .await
    }

    async fn list_users(
        &self,
        company: CompanyId,
        level: UserLevelId,
        after: Option<UserId>,
        limit: u64,
    ) -> Result<Vec<UserId>> {
        operation("assignments.list_users", async {
            // No user has the nil UUID, so all user ids sort after it.
            let sql =
                "SELECT user_id FROM user_user_levels WHERE company_id = $1 AND user_level_id = $2 AND user_id > $3
            ORDER BY user_id LIMIT $4";
            let after = after.map_or_else(Uuid::nil, |user| user.as_uuid());
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let values = [company.as_uuid().into(), level.as_uuid().into(), after.into(), limit.into()];
            let ids: Vec<Uuid> = self.column(self.for_company(company, statement(sql, values)), "user_id").await?;
            Ok(ids.into_iter().map(UserId::from_uuid).collect())
        })
        .await
    }
}

#[async_trait]
impl<T: Executor> CompanyStates for Repository<T> {
    async fn read(&self, company: CompanyId) -> Result<Option<CompanyState>> {
        operation("company_states.read", async {
            // No company has one of the reserved ids, and a company has no version before its first change.
            if !is_company(company.as_uuid()) {
                return Ok(None);
            }
            let state =
                company_states::Entity::find_by_id(company.as_uuid()).filter(company_states::COLUMN.version.gt(0));
            let state = self.for_company(company, state.build(DbBackend::Postgres));
            self.query_one::<company_states::Model, _>(state).await
        })
        .await
    }

    async fn versions(&self, company: Option<CompanyId>) -> Result<Versions> {
        operation("company_states.versions", async {
            let sql = format!(
                "SELECT {} AS epoch, catalog.version AS catalog, coalesce(company.version, 0) AS company, {}
            FROM company_states AS catalog LEFT JOIN company_states AS company ON company.company_id = $1
            WHERE catalog.company_id = {CATALOG}",
                current_epoch(self.0.feed()),
                boundaries("$1")
            );
            let row =
                self.single(self.for_company(company, statement(sql, [company.map(|id| id.as_uuid()).into()]))).await?;
            let (catalog, company) = (column(&row, "catalog")?, column(&row, "company")?);
            Ok(Versions { epoch: epoch(&row)?, catalog, company, boundary: column(&row, "boundary")? })
        })
        .await
    }
}
