//! Changes of sets: mappings of the catalog, a company's modules, a user's levels.

use async_trait::async_trait;
use iam_domain::{Assignment, CompanyId, EntityType, FeatureId, ModuleId, UserId, UserLevelId, ViewId};
use iam_storage::{
    AssignmentsMut, CompanyModulesMut, FeatureViewsMut, ModuleFeaturesMut, ModuleViewsMut, Result, SetPlan,
    StorageError, Target,
};
use uuid::Uuid;

use super::Unit;
use crate::error::During;
use crate::repository::{Repository, column, statement};

/// One end of a mapping.
struct End {
    table: &'static str,
    column: &'static str,
    entity: EntityType,
}

const FEATURE: End = End { table: "features", column: "feature_id", entity: EntityType::Feature };
const MODULE: End = End { table: "modules", column: "module_id", entity: EntityType::Module };
const VIEW: End = End { table: "views", column: "view_id", entity: EntityType::View };

/// A mapping of the catalog: which members an owner has.
struct Mapping {
    table: &'static str,
    owner: End,
    member: End,
}

const FEATURE_VIEWS: Mapping = Mapping { table: "feature2views", owner: FEATURE, member: VIEW };
const MODULE_VIEWS: Mapping = Mapping { table: "module2views", owner: MODULE, member: VIEW };
const MODULE_FEATURES: Mapping = Mapping { table: "module2features", owner: MODULE, member: FEATURE };

fn unknown(entity: EntityType, id: Uuid) -> StorageError {
    StorageError::Unknown { entity, ids: vec![id] }
}

fn typed<T>(plan: SetPlan<Uuid>, id: fn(Uuid) -> T) -> SetPlan<T> {
    SetPlan { added: plan.added.into_iter().map(id).collect(), removed: plan.removed.into_iter().map(id).collect() }
}

fn adding<T>(id: T) -> SetPlan<T> {
    SetPlan { added: vec![id], removed: Vec::new() }
}

fn removing<T>(id: T) -> SetPlan<T> {
    SetPlan { added: Vec::new(), removed: vec![id] }
}

fn bare<T: Copy>(ids: &[T], bare: fn(&T) -> Uuid) -> Vec<Uuid> {
    ids.iter().map(bare).collect()
}

/// Whether a statement changed as many rows as there were ids.
fn all(changed: u64, ids: &[Uuid]) -> bool {
    usize::try_from(changed).is_ok_and(|changed| changed == ids.len())
}

impl Repository<Unit> {
    /// Adds a pair unless it is there.
    async fn add_pair(&self, mapping: &Mapping, owner: Uuid, member: Uuid) -> Result<bool> {
        let Mapping { table, owner: left, member: right } = mapping;
        let sql = format!(
            "WITH owner AS (SELECT id FROM {} WHERE id = $1), member AS (SELECT id FROM {} WHERE id = $2),
            added AS (
                INSERT INTO {table} ({}, {}, created_at)
                SELECT owner.id, member.id, $3 FROM owner, member ON CONFLICT DO NOTHING RETURNING 1
            )
            SELECT EXISTS (SELECT FROM owner) AS owner, EXISTS (SELECT FROM member) AS member,
                EXISTS (SELECT FROM added) AS added",
            left.table, right.table, left.column, right.column
        );
        let row = self.single(statement(sql, [owner.into(), member.into(), self.at()])).await?;
        if !column::<bool>(&row, "owner")? {
            return Err(unknown(left.entity, owner));
        }
        if !column::<bool>(&row, "member")? {
            return Err(unknown(right.entity, member));
        }
        column(&row, "added")
    }

    /// Removes a pair.
    async fn remove_pair(&self, mapping: &Mapping, owner: Uuid, member: Uuid) -> Result<bool> {
        let Mapping { table, owner: left, member: right } = mapping;
        let sql = format!("DELETE FROM {table} WHERE {} = $1 AND {} = $2", left.column, right.column);
        Ok(self.execute(statement(sql, [owner.into(), member.into()])).await? > 0)
    }

    /// Makes these the members of the owner.
    async fn replace_pairs(&self, mapping: &Mapping, owner: Uuid, members: Vec<Uuid>) -> Result<SetPlan<Uuid>> {
        let Mapping { table, owner: left, member: right } = mapping;
        let sql = format!(
            "SELECT m.{1} AS id FROM {2} AS o LEFT JOIN {table} AS m ON m.{0} = o.id WHERE o.id = $1",
            left.column, right.column, left.table
        );
        let there: Vec<Option<Uuid>> = self.column(statement(sql, [owner.into()]), "id").await?;
        if there.is_empty() {
            return Err(unknown(left.entity, owner));
        }
        let plan = SetPlan::new(there.into_iter().flatten(), members);
        if !plan.removed.is_empty() {
            let sql = format!("DELETE FROM {table} WHERE {} = $1 AND {} = ANY($2)", left.column, right.column);
            self.execute(statement(sql, [owner.into(), plan.removed.clone().into()])).await?;
        }
        if !plan.added.is_empty() {
            let sql = format!(
                "INSERT INTO {table} ({}, {}, created_at) SELECT $1, id, $3 FROM {} WHERE id = ANY($2)",
                left.column, right.column, right.table
            );
            let added = self.execute(statement(sql, [owner.into(), plan.added.clone().into(), self.at()])).await?;
            if !all(added, &plan.added) {
                return Err(self.unknown_in(right, &plan.added).await);
            }
        }
        Ok(plan)
    }

    /// Names those of the ids that the catalog does not have.
    async fn unknown_in(&self, end: &End, ids: &[Uuid]) -> StorageError {
        let sql = format!("SELECT id FROM {} WHERE id = ANY($1)", end.table);
        self.unknown(end.entity, ids, statement(sql, [ids.to_vec().into()])).await
    }

    /// The levels that a user holds.
    async fn held(&self, company: CompanyId, user: UserId) -> Result<Vec<UserLevelId>> {
        let sql = "SELECT user_level_id AS id FROM user_user_levels WHERE company_id = $1 AND user_id = $2
            ORDER BY user_level_id";
        let values = [company.as_uuid().into(), user.as_uuid().into()];
        let ids: Vec<Uuid> = self.column(statement(sql, values), "id").await?;
        Ok(ids.into_iter().map(UserLevelId::from_uuid).collect())
    }

    /// Gives a user levels that he does not hold.
    async fn give(
        &self,
        company: CompanyId,
        user: UserId,
        levels: &[UserLevelId],
        assigned_by: Option<UserId>,
        at: sea_orm::Value,
    ) -> Result<()> {
        let ids = bare(levels, UserLevelId::as_uuid);
        let sql = "INSERT INTO user_user_levels (user_id, user_level_id, company_id, assigned_by, created_at)
            SELECT $2, level.id, level.company_id, $4, $5 FROM unnest($3::uuid[]) AS given (id), LATERAL (
                SELECT id, company_id FROM user_levels WHERE company_id = $1 AND id = given.id OFFSET 0
            ) AS level";
        let values = [
            company.as_uuid().into(),
            user.as_uuid().into(),
            ids.clone().into(),
            assigned_by.map(|id| id.as_uuid()).into(),
            at,
        ];
        if all(self.execute(statement(sql, values)).await?, &ids) {
            return Ok(());
        }
        let sql = "SELECT id FROM user_levels WHERE company_id = $1 AND id = ANY($2)";
        let known = statement(sql, [company.as_uuid().into(), ids.clone().into()]);
        Err(self.unknown(EntityType::UserLevel, &ids, known).await)
    }
}

#[async_trait]
impl FeatureViewsMut for Repository<Unit> {
    async fn add(&mut self, feature: FeatureId, view: ViewId) -> Result<bool> {
        self.touch(Target::Catalog)?;
        let added = self.add_pair(&FEATURE_VIEWS, feature.as_uuid(), view.as_uuid()).await?;
        if added {
            self.0.recorder.feature_views_updated(feature, &adding(view));
        }
        self.done(added)
    }

    async fn remove(&mut self, feature: FeatureId, view: ViewId) -> Result<bool> {
        self.touch(Target::Catalog)?;
        let removed = self.remove_pair(&FEATURE_VIEWS, feature.as_uuid(), view.as_uuid()).await?;
        if removed {
            self.0.recorder.feature_views_updated(feature, &removing(view));
        }
        self.done(removed)
    }

    async fn replace_for_feature(&mut self, feature: FeatureId, views: &[ViewId]) -> Result<()> {
        self.touch(Target::Catalog)?;
        let plan = self.replace_pairs(&FEATURE_VIEWS, feature.as_uuid(), bare(views, ViewId::as_uuid)).await?;
        self.0.recorder.feature_views_updated(feature, &typed(plan, ViewId::from_uuid));
        self.done(())
    }
}

#[async_trait]
impl ModuleViewsMut for Repository<Unit> {
    async fn add(&mut self, module: ModuleId, view: ViewId) -> Result<bool> {
        self.touch(Target::Catalog)?;
        let added = self.add_pair(&MODULE_VIEWS, module.as_uuid(), view.as_uuid()).await?;
        if added {
            self.0.recorder.module_views_updated(module, &adding(view));
        }
        self.done(added)
    }

    async fn remove(&mut self, module: ModuleId, view: ViewId) -> Result<bool> {
        self.touch(Target::Catalog)?;
        let removed = self.remove_pair(&MODULE_VIEWS, module.as_uuid(), view.as_uuid()).await?;
        if removed {
            self.0.recorder.module_views_updated(module, &removing(view));
        }
        self.done(removed)
    }

    async fn replace_for_module(&mut self, module: ModuleId, views: &[ViewId]) -> Result<()> {
        self.touch(Target::Catalog)?;
        let plan = self.replace_pairs(&MODULE_VIEWS, module.as_uuid(), bare(views, ViewId::as_uuid)).await?;
        self.0.recorder.module_views_updated(module, &typed(plan, ViewId::from_uuid));
        self.done(())
    }
}

#[async_trait]
impl ModuleFeaturesMut for Repository<Unit> {
    async fn add(&mut self, module: ModuleId, feature: FeatureId) -> Result<bool> {
        self.touch(Target::Catalog)?;
        let added = self.add_pair(&MODULE_FEATURES, module.as_uuid(), feature.as_uuid()).await?;
        if added {
            self.0.recorder.module_features_updated(module, &adding(feature));
        }
        self.done(added)
    }

    async fn remove(&mut self, module: ModuleId, feature: FeatureId) -> Result<bool> {
        self.touch(Target::Catalog)?;
        let removed = self.remove_pair(&MODULE_FEATURES, module.as_uuid(), feature.as_uuid()).await?;
        if removed {
            self.0.recorder.module_features_updated(module, &removing(feature));
        }
        self.done(removed)
    }

    async fn replace_for_module(&mut self, module: ModuleId, features: &[FeatureId]) -> Result<()> {
        self.touch(Target::Catalog)?;
        let plan = self.replace_pairs(&MODULE_FEATURES, module.as_uuid(), bare(features, FeatureId::as_uuid)).await?;
        self.0.recorder.module_features_updated(module, &typed(plan, FeatureId::from_uuid));
        self.done(())
    }
}

#[async_trait]
impl CompanyModulesMut for Repository<Unit> {
    async fn add(&mut self, company: CompanyId, module: ModuleId) -> Result<bool> {
        self.touch(Target::Company(company))?;
        let sql = "WITH module AS (SELECT id FROM modules WHERE id = $2),
            added AS (
                INSERT INTO company2modules (company_id, module_id, enabled, created_at, updated_at)
                SELECT $1, id, true, $3, $3 FROM module ON CONFLICT DO NOTHING RETURNING 1
            )
            SELECT EXISTS (SELECT FROM module) AS known, EXISTS (SELECT FROM added) AS added";
        let values = [company.as_uuid().into(), module.as_uuid().into(), self.at()];
        let row = self.single(statement(sql, values)).await?;
        if !column::<bool>(&row, "known")? {
            return Err(unknown(EntityType::Module, module.as_uuid()));
        }
        let added = column(&row, "added")?;
        if added {
            self.0.recorder.company_modules_updated(company, &adding(module));
        }
        self.done(added)
    }

    async fn remove(&mut self, company: CompanyId, module: ModuleId) -> Result<bool> {
        self.touch(Target::Company(company))?;
        let sql = "DELETE FROM company2modules WHERE company_id = $1 AND module_id = $2";
        let values = [company.as_uuid().into(), module.as_uuid().into()];
        let removed = self.execute(statement(sql, values)).await? > 0;
        if removed {
            self.0.recorder.company_modules_updated(company, &removing(module));
        }
        self.done(removed)
    }

    async fn replace_for_company(&mut self, company: CompanyId, modules: &[ModuleId]) -> Result<()> {
        self.touch(Target::Company(company))?;
        let owner = company.as_uuid();
        let sql = "SELECT module_id AS id FROM company2modules WHERE company_id = $1";
        let there: Vec<Uuid> = self.column(statement(sql, [owner.into()]), "id").await?;
        let plan = SetPlan::new(there, bare(modules, ModuleId::as_uuid));
        if !plan.removed.is_empty() {
            let sql = "DELETE FROM company2modules WHERE company_id = $1 AND module_id = ANY($2)";
            self.execute(statement(sql, [owner.into(), plan.removed.clone().into()])).await?;
        }
        if !plan.added.is_empty() {
            let sql = "INSERT INTO company2modules (company_id, module_id, enabled, created_at, updated_at)
                SELECT $1, id, true, $3, $3 FROM modules WHERE id = ANY($2)";
            let added = self.execute(statement(sql, [owner.into(), plan.added.clone().into(), self.at()])).await?;
            if !all(added, &plan.added) {
                return Err(self.unknown_in(&MODULE, &plan.added).await);
            }
        }
        self.0.recorder.company_modules_updated(company, &typed(plan, ModuleId::from_uuid));
        self.done(())
    }

    async fn set_enabled(&mut self, company: CompanyId, module: ModuleId, enabled: bool) -> Result<()> {
        self.touch(Target::Company(company))?;
        let sql = "WITH old AS (SELECT enabled FROM company2modules WHERE company_id = $1 AND module_id = $2),
            switched AS (
                UPDATE company2modules SET enabled = $3, updated_at = $4
                WHERE company_id = $1 AND module_id = $2 AND enabled <> $3
            )
            SELECT enabled FROM old";
        let values = [company.as_uuid().into(), module.as_uuid().into(), enabled.into(), self.at()];
        let row = self.row_during(statement(sql, values), During::Write(&[])).await?.ok_or(StorageError::NotFound)?;
        self.0.recorder.company_module_switched(company, module, column(&row, "enabled")?, enabled);
        self.done(())
    }
}

#[async_trait]
impl AssignmentsMut for Repository<Unit> {
    async fn add(&mut self, assignment: &Assignment) -> Result<bool> {
        let Assignment { user_id, user_level_id, company_id, assigned_by, created_at } = *assignment;
        self.touch(Target::Company(company_id))?;
        let there = self.held(company_id, user_id).await?;
        if there.contains(&user_level_id) {
            return self.done(false);
        }
        self.give(company_id, user_id, &[user_level_id], assigned_by, created_at.as_datetime().into()).await?;
        self.0.recorder.assignments_updated(user_id, &there, &adding(user_level_id));
        self.done(true)
    }

    async fn remove(&mut self, company: CompanyId, user: UserId, level: UserLevelId) -> Result<bool> {
        self.touch(Target::Company(company))?;
        let there = self.held(company, user).await?;
        if !there.contains(&level) {
            return self.done(false);
        }
        self.take(company, user, vec![level.as_uuid()]).await?;
        self.0.recorder.assignments_updated(user, &there, &removing(level));
        self.done(true)
    }

    async fn replace_for_user(
        &mut self,
        company: CompanyId,
        user: UserId,
        levels: &[UserLevelId],
        assigned_by: Option<UserId>,
    ) -> Result<()> {
        self.touch(Target::Company(company))?;
        let there = self.held(company, user).await?;
        let plan = SetPlan::new(there.iter().copied(), levels.iter().copied());
        if !plan.removed.is_empty() {
            self.take(company, user, bare(&plan.removed, UserLevelId::as_uuid)).await?;
        }
        if !plan.added.is_empty() {
            self.give(company, user, &plan.added, assigned_by, self.at()).await?;
        }
        self.0.recorder.assignments_updated(user, &there, &plan);
        self.done(())
    }
}

impl Repository<Unit> {
    /// Takes levels from a user.
    async fn take(&self, company: CompanyId, user: UserId, levels: Vec<Uuid>) -> Result<()> {
        let sql = "DELETE FROM user_user_levels AS held USING unnest($3::uuid[]) AS taken (id)
            WHERE held.company_id = $1 AND held.user_id = $2 AND held.user_level_id = taken.id";
        let values = [company.as_uuid().into(), user.as_uuid().into(), levels.into()];
        self.execute(statement(sql, values)).await.map(drop)
    }
}
