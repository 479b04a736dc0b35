//! Changes to sets: the mappings of the catalog, the modules of a company, and the levels of a user.

use std::collections::BTreeSet;

use async_trait::async_trait;
use iam_domain::{Assignment, CompanyId, EntityType, FeatureId, ModuleId, UserId, UserLevel, UserLevelId, ViewId};
use iam_storage::{
    AssignedLevel, AssignmentsMut, CompanyModulesMut, EditedLevels, FeatureViewsMut, LevelsEdit, ModuleFeaturesMut,
    ModuleViewsMut, ReplacedLevels, Result, SetDiff, StorageError, Target,
};
use uuid::Uuid;

use super::Unit;
use crate::entities::{columns, user_levels};
use crate::error::Operation;
use crate::repository::Repository;
use crate::statement::{column, convert, statement};

/// One side of a mapping: the table and type of its entities, and its column in the mapping table.
struct Side {
    table: &'static str,
    column: &'static str,
    entity: EntityType,
}

const FEATURE: Side = Side { table: "features", column: "feature_id", entity: EntityType::Feature };
const MODULE: Side = Side { table: "modules", column: "module_id", entity: EntityType::Module };
const VIEW: Side = Side { table: "views", column: "view_id", entity: EntityType::View };

/// A mapping table of the catalog, which assigns rows of the right side to rows of the left side.
struct Mapping {
    table: &'static str,
    left: Side,
    right: Side,
}

const FEATURE_VIEWS: Mapping = Mapping { table: "feature2views", left: FEATURE, right: VIEW };
const MODULE_VIEWS: Mapping = Mapping { table: "module2views", left: MODULE, right: VIEW };
const MODULE_FEATURES: Mapping = Mapping { table: "module2features", left: MODULE, right: FEATURE };

fn unknown(entity: EntityType, id: Uuid) -> StorageError {
    StorageError::Unknown { entity, ids: vec![id] }
}

fn typed<T>(diff: SetDiff<Uuid>, id: fn(Uuid) -> T) -> SetDiff<T> {
    SetDiff { added: diff.added.into_iter().map(id).collect(), removed: diff.removed.into_iter().map(id).collect() }
}

fn adding<T>(id: T) -> SetDiff<T> {
    SetDiff { added: vec![id], removed: Vec::new() }
}

fn removing<T>(id: T) -> SetDiff<T> {
    SetDiff { added: Vec::new(), removed: vec![id] }
}

fn uuids<T: Copy>(ids: &[T], uuid: fn(&T) -> Uuid) -> Vec<Uuid> {
    ids.iter().map(uuid).collect()
}

/// Returns `true` if the number of changed rows equals the number of ids.
fn is_number_of(changed: u64, ids: &[Uuid]) -> bool {
    usize::try_from(changed).is_ok_and(|changed| changed == ids.len())
}

impl Repository<Unit> {
    /// Adds a pair to a mapping if it does not exist yet. Returns `true` if the pair was added.
    async fn add_pair(&self, mapping: &Mapping, left_id: Uuid, right_id: Uuid) -> Result<bool> {
        let Mapping { table, left, right } = mapping;
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
        let row = self.single(statement(sql, [left_id.into(), right_id.into(), self.at()])).await?;
        if !column::<bool>(&row, "owner")? {
            return Err(unknown(left.entity, left_id));
        }
        if !column::<bool>(&row, "member")? {
            return Err(unknown(right.entity, right_id));
        }
        column(&row, "added")
    }

    /// Removes a pair from a mapping. Returns `true` if the pair existed.
    async fn remove_pair(&self, mapping: &Mapping, left_id: Uuid, right_id: Uuid) -> Result<bool> {
        let Mapping { table, left, right } = mapping;
        let sql = format!("DELETE FROM {table} WHERE {} = $1 AND {} = $2", left.column, right.column);
        Ok(self.execute(statement(sql, [left_id.into(), right_id.into()])).await? > 0)
    }

    /// Maps the left row `left_id` to exactly the right rows `right_ids`, and removes its other pairs. Returns the ids
    /// of the right rows that were added, and of those that were removed.
    async fn replace_pairs(&self, mapping: &Mapping, left_id: Uuid, right_ids: Vec<Uuid>) -> Result<SetDiff<Uuid>> {
        let Mapping { table, left, right } = mapping;
        let sql = format!(
            "SELECT m.{1} AS id FROM {2} AS o LEFT JOIN {table} AS m ON m.{0} = o.id WHERE o.id = $1",
            left.column, right.column, left.table
        );
        let current: Vec<Option<Uuid>> = self.column(statement(sql, [left_id.into()]), "id").await?;
        if current.is_empty() {
            return Err(unknown(left.entity, left_id));
        }
        let diff = SetDiff::new(current.into_iter().flatten(), right_ids);
        if !diff.removed.is_empty() {
            let sql = format!("DELETE FROM {table} WHERE {} = $1 AND {} = ANY($2)", left.column, right.column);
            self.execute(statement(sql, [left_id.into(), diff.removed.clone().into()])).await?;
        }
        if !diff.added.is_empty() {
            let sql = format!(
                "INSERT INTO {table} ({}, {}, created_at) SELECT $1, id, $3 FROM {} WHERE id = ANY($2)",
                left.column, right.column, right.table
            );
            let added = self.execute(statement(sql, [left_id.into(), diff.added.clone().into(), self.at()])).await?;
            if !is_number_of(added, &diff.added) {
                return Err(self.unknown_in(right, &diff.added).await);
            }
        }
        Ok(diff)
    }

    /// Returns the error `Unknown` with those of `ids` that do not exist in the catalog.
    async fn unknown_in(&self, side: &Side, ids: &[Uuid]) -> StorageError {
        let sql = format!("SELECT id FROM {} WHERE id = ANY($1)", side.table);
        self.unknown(side.entity, ids, statement(sql, [ids.to_vec().into()])).await
    }

    /// Assigns the levels `given` to a user, and removes the levels `taken` from the user. If `taken` is `None`, all
    /// levels except `given` are removed. Returns the levels that the user held before, and the levels `given`.
    async fn reassign(
        &self,
        (company, user): (CompanyId, UserId),
        given: &[UserLevelId],
        taken: Option<&[UserLevelId]>,
        (assigned_by, at): (Option<Uuid>, sea_orm::Value),
    ) -> Result<ReplacedLevels> {
        // All CTEs of the statement read the same snapshot. So `held` contains the levels that the user held before the
        // statement modified them. `OFFSET 0` (an optimization fence) makes the plan look up each level and its
        // matrices by key. Without it, the plan may read all levels or matrices of the company.
        let (level, wanted) = (columns::<user_levels::Entity>("level"), columns::<user_levels::Entity>("wanted"));
        let sql = format!(
            "WITH held AS MATERIALIZED (
                SELECT user_level_id AS id FROM user_user_levels WHERE company_id = $1 AND user_id = $2
            ),
            wanted AS MATERIALIZED (
                SELECT {level} FROM unnest($3::uuid[]) AS sent (id), LATERAL (
                    SELECT {level} FROM user_levels AS level WHERE company_id = $1 AND id = sent.id OFFSET 0
                ) AS level
            ),
            taken AS (
                DELETE FROM user_user_levels WHERE company_id = $1 AND user_id = $2
                    AND user_level_id <> ALL($3) AND ($4::uuid[] IS NULL OR user_level_id = ANY($4))
            ),
            given AS (
                INSERT INTO user_user_levels (user_id, user_level_id, company_id, assigned_by, created_at)
                SELECT $2, id, company_id, $5, $6 FROM wanted ON CONFLICT DO NOTHING
            )
            SELECT before.held, {wanted}, EXISTS (
                SELECT FROM user_level_view_permissions AS cell
                WHERE cell.company_id = $1 AND cell.user_level_id = wanted.id AND cell.state = 'deny' OFFSET 0
            ) OR EXISTS (
                SELECT FROM user_level_feature_permissions AS cell
                WHERE cell.company_id = $1 AND cell.user_level_id = wanted.id AND NOT cell.value OFFSET 0
            ) AS has_denies
            FROM (SELECT ARRAY(SELECT id FROM held) AS held) AS before LEFT JOIN wanted ON true"
        );
        let sent: BTreeSet<Uuid> = given.iter().map(UserLevelId::as_uuid).collect();
        let values = [
            company.as_uuid().into(),
            user.as_uuid().into(),
            sent.iter().copied().collect::<Vec<_>>().into(),
            taken.map(|taken| uuids(taken, UserLevelId::as_uuid)).into(),
            assigned_by.into(),
            at,
        ];
        let (mut before, mut after): (Vec<Uuid>, Vec<AssignedLevel>) = (Vec::new(), Vec::new());
        for row in &self.rows(statement(sql, values)).await? {
            before = column(row, "held")?;
            if column::<Option<Uuid>>(row, "id")?.is_some() {
                let level = convert::<user_levels::Model, UserLevel>(row)?;
                after.push(AssignedLevel { level, has_denies: column(row, "has_denies")? });
            }
        }
        before.sort_unstable();
        after.sort_unstable_by(|a, b| (&a.level.name, a.level.id).cmp(&(&b.level.name, b.level.id)));
        let known: BTreeSet<Uuid> = after.iter().map(|given| given.level.id.as_uuid()).collect();
        if known == sent {
            return Ok(ReplacedLevels { before: before.into_iter().map(UserLevelId::from_uuid).collect(), after });
        }
        let ids = sent.difference(&known).copied().collect();
        Err(StorageError::Unknown { entity: EntityType::UserLevel, ids })
    }
}

#[async_trait]
impl FeatureViewsMut for Repository<Unit> {
    async fn add(&mut self, feature: FeatureId, view: ViewId) -> Result<bool> {
        self.change(Target::Catalog, async |unit| {
            let added = unit.add_pair(&FEATURE_VIEWS, feature.as_uuid(), view.as_uuid()).await?;
            if added {
                unit.0.recorder.feature_views_updated(feature, &adding(view));
            }
            Ok(added)
        })
        .await
    }

    async fn remove(&mut self, feature: FeatureId, view: ViewId) -> Result<bool> {
        self.change(Target::Catalog, async |unit| {
            let removed = unit.remove_pair(&FEATURE_VIEWS, feature.as_uuid(), view.as_uuid()).await?;
            if removed {
                unit.0.recorder.feature_views_updated(feature, &removing(view));
            }
            Ok(removed)
        })
        .await
    }

    async fn replace_for_feature(&mut self, feature: FeatureId, views: &[ViewId]) -> Result<()> {
        self.change(Target::Catalog, async |unit| {
            let diff = unit.replace_pairs(&FEATURE_VIEWS, feature.as_uuid(), uuids(views, ViewId::as_uuid)).await?;
            unit.0.recorder.feature_views_updated(feature, &typed(diff, ViewId::from_uuid));
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl ModuleViewsMut for Repository<Unit> {
    async fn add(&mut self, module: ModuleId, view: ViewId) -> Result<bool> {
        self.change(Target::Catalog, async |unit| {
            let added = unit.add_pair(&MODULE_VIEWS, module.as_uuid(), view.as_uuid()).await?;
            if added {
                unit.0.recorder.module_views_updated(module, &adding(view));
            }
            Ok(added)
        })
        .await
    }

    async fn remove(&mut self, module: ModuleId, view: ViewId) -> Result<bool> {
        self.change(Target::Catalog, async |unit| {
            let removed = unit.remove_pair(&MODULE_VIEWS, module.as_uuid(), view.as_uuid()).await?;
            if removed {
                unit.0.recorder.module_views_updated(module, &removing(view));
            }
            Ok(removed)
        })
        .await
    }

    async fn replace_for_module(&mut self, module: ModuleId, views: &[ViewId]) -> Result<()> {
        self.change(Target::Catalog, async |unit| {
            let diff = unit.replace_pairs(&MODULE_VIEWS, module.as_uuid(), uuids(views, ViewId::as_uuid)).await?;
            unit.0.recorder.module_views_updated(module, &typed(diff, ViewId::from_uuid));
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl ModuleFeaturesMut for Repository<Unit> {
    async fn add(&mut self, module: ModuleId, feature: FeatureId) -> Result<bool> {
        self.change(Target::Catalog, async |unit| {
            let added = unit.add_pair(&MODULE_FEATURES, module.as_uuid(), feature.as_uuid()).await?;
            if added {
                unit.0.recorder.module_features_updated(module, &adding(feature));
            }
            Ok(added)
        })
        .await
    }

    async fn remove(&mut self, module: ModuleId, feature: FeatureId) -> Result<bool> {
        self.change(Target::Catalog, async |unit| {
            let removed = unit.remove_pair(&MODULE_FEATURES, module.as_uuid(), feature.as_uuid()).await?;
            if removed {
                unit.0.recorder.module_features_updated(module, &removing(feature));
            }
            Ok(removed)
        })
        .await
    }

    async fn replace_for_module(&mut self, module: ModuleId, features: &[FeatureId]) -> Result<()> {
        self.change(Target::Catalog, async |unit| {
            let diff =
                unit.replace_pairs(&MODULE_FEATURES, module.as_uuid(), uuids(features, FeatureId::as_uuid)).await?;
            unit.0.recorder.module_features_updated(module, &typed(diff, FeatureId::from_uuid));
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl CompanyModulesMut for Repository<Unit> {
    async fn add(&mut self, company: CompanyId, module: ModuleId) -> Result<bool> {
        self.change(Target::Company(company), async |unit| {
            let sql = "WITH module AS (SELECT id FROM modules WHERE id = $2),
                added AS (
                    INSERT INTO company2modules (company_id, module_id, enabled, created_at, updated_at)
                    SELECT $1, id, true, $3, $3 FROM module ON CONFLICT DO NOTHING RETURNING 1
                )
                SELECT EXISTS (SELECT FROM module) AS known, EXISTS (SELECT FROM added) AS added";
            let values = [company.as_uuid().into(), module.as_uuid().into(), unit.at()];
            let row = unit.single(statement(sql, values)).await?;
            if !column::<bool>(&row, "known")? {
                return Err(unknown(EntityType::Module, module.as_uuid()));
            }
            let added = column(&row, "added")?;
            if added {
                unit.0.recorder.company_modules_updated(company, &adding(module));
            }
            Ok(added)
        })
        .await
    }

    async fn remove(&mut self, company: CompanyId, module: ModuleId) -> Result<bool> {
        self.change(Target::Company(company), async |unit| {
            let sql = "DELETE FROM company2modules WHERE company_id = $1 AND module_id = $2";
            let values = [company.as_uuid().into(), module.as_uuid().into()];
            let removed = unit.execute(statement(sql, values)).await? > 0;
            if removed {
                unit.0.recorder.company_modules_updated(company, &removing(module));
            }
            Ok(removed)
        })
        .await
    }

    async fn replace_for_company(&mut self, company: CompanyId, modules: &[ModuleId]) -> Result<()> {
        self.change(Target::Company(company), async |unit| {
            let owner = company.as_uuid();
            let sql = "SELECT module_id AS id FROM company2modules WHERE company_id = $1";
            let current: Vec<Uuid> = unit.column(statement(sql, [owner.into()]), "id").await?;
            let diff = SetDiff::new(current, uuids(modules, ModuleId::as_uuid));
            if !diff.removed.is_empty() {
                let sql = "DELETE FROM company2modules WHERE company_id = $1 AND module_id = ANY($2)";
                unit.execute(statement(sql, [owner.into(), diff.removed.clone().into()])).await?;
            }
            if !diff.added.is_empty() {
                let sql = "INSERT INTO company2modules (company_id, module_id, enabled, created_at, updated_at)
                    SELECT $1, id, true, $3, $3 FROM modules WHERE id = ANY($2)";
                let added = unit.execute(statement(sql, [owner.into(), diff.added.clone().into(), unit.at()])).await?;
                if !is_number_of(added, &diff.added) {
                    return Err(unit.unknown_in(&MODULE, &diff.added).await);
                }
            }
            unit.0.recorder.company_modules_updated(company, &typed(diff, ModuleId::from_uuid));
            Ok(())
        })
        .await
    }

    async fn set_enabled(&mut self, company: CompanyId, module: ModuleId, enabled: bool) -> Result<()> {
        self.change(Target::Company(company), async |unit| {
            let sql = "WITH old AS (SELECT enabled FROM company2modules WHERE company_id = $1 AND module_id = $2),
                switched AS (
                    UPDATE company2modules SET enabled = $3, updated_at = $4
                    WHERE company_id = $1 AND module_id = $2 AND enabled <> $3
                )
                SELECT enabled FROM old";
            let values = [company.as_uuid().into(), module.as_uuid().into(), enabled.into(), unit.at()];
            let row = unit
                .operation_row(statement(sql, values), Operation::Write(&[]))
                .await?
                .ok_or(StorageError::NotFound)?;
            unit.0.recorder.company_module_switched(company, module, column(&row, "enabled")?, enabled);
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl AssignmentsMut for Repository<Unit> {
    async fn add(&mut self, assignment: &Assignment) -> Result<bool> {
        let Assignment { user_id, user_level_id, company_id, assigned_by, created_at } = *assignment;
        self.change(Target::Company(company_id), async |unit| {
            let by = (assigned_by, created_at.as_datetime().into());
            let held = unit.reassign((company_id, user_id), &[user_level_id], Some(&[]), by).await?.before;
            let is_new = !held.contains(&user_level_id);
            if is_new {
                unit.0.recorder.assignments_updated(user_id, &held, &adding(user_level_id));
            }
            Ok(is_new)
        })
        .await
    }

    async fn remove(&mut self, company: CompanyId, user: UserId, level: UserLevelId) -> Result<bool> {
        self.change(Target::Company(company), async |unit| {
            let held = unit.reassign((company, user), &[], Some(&[level]), (None, unit.at())).await?.before;
            let was_held = held.contains(&level);
            if was_held {
                unit.0.recorder.assignments_updated(user, &held, &removing(level));
            }
            Ok(was_held)
        })
        .await
    }

    async fn replace_for_user(
        &mut self,
        company: CompanyId,
        user: UserId,
        levels: &[UserLevelId],
        assigned_by: Option<Uuid>,
    ) -> Result<ReplacedLevels> {
        self.change(Target::Company(company), async |unit| {
            let replaced = unit.reassign((company, user), levels, None, (assigned_by, unit.at())).await?;
            let diff = SetDiff::new(replaced.before.iter().copied(), levels.iter().copied());
            unit.0.recorder.assignments_updated(user, &replaced.before, &diff);
            Ok(replaced)
        })
        .await
    }

    async fn edit(
        &mut self,
        company: CompanyId,
        edits: &[LevelsEdit],
        assigned_by: Option<Uuid>,
    ) -> Result<EditedLevels> {
        self.change(Target::Company(company), async |unit| unit.edit_levels(company, edits, assigned_by).await).await
    }
}
