//! Changes to sets: the mappings of the catalog, and the modules of a company.

use async_trait::async_trait;
use iam_domain::{CompanyId, EntityType, FeatureId, ModuleId, ViewId};
use iam_storage::{
    CompanyModulesMut, FeatureViewsMut, ModuleFeaturesMut, ModuleViewsMut, Result, SetDiff, StorageError, Target,
};
use uuid::Uuid;

use super::Unit;
use crate::error::Operation;
use crate::operation::operation;
use crate::repository::Repository;
use crate::statement::{column, statement};

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
}

#[async_trait]
impl FeatureViewsMut for Repository<Unit> {
    async fn add(&mut self, feature: FeatureId, view: ViewId) -> Result<bool> {
        operation("feature_views.add", async {
            self.change(Target::Catalog, async |unit| {
                let added = unit.add_pair(&FEATURE_VIEWS, feature.as_uuid(), view.as_uuid()).await?;
                if added {
                    unit.0.recorder.feature_views_updated(feature, &adding(view));
                }
                Ok(added)
            })
            .await
        })
        .await
    }

    async fn remove(&mut self, feature: FeatureId, view: ViewId) -> Result<bool> {
        operation("feature_views.remove", async {
            self.change(Target::Catalog, async |unit| {
                let removed = unit.remove_pair(&FEATURE_VIEWS, feature.as_uuid(), view.as_uuid()).await?;
                if removed {
                    unit.0.recorder.feature_views_updated(feature, &removing(view));
                }
                Ok(removed)
            })
            .await
        })
        .await
    }

    async fn replace_for_feature(&mut self, feature: FeatureId, views: &[ViewId]) -> Result<()> {
        operation("feature_views.replace_for_feature", async {
            self.change(Target::Catalog, async |unit| {
                let diff = unit.replace_pairs(&FEATURE_VIEWS, feature.as_uuid(), uuids(views, ViewId::as_uuid)).await?;
                unit.0.recorder.feature_views_updated(feature, &typed(diff, ViewId::from_uuid));
                Ok(())
            })
            .await
        })
        .await
    }
}

#[async_trait]
impl ModuleViewsMut for Repository<Unit> {
    async fn add(&mut self, module: ModuleId, view: ViewId) -> Result<bool> {
        operation("module_views.add", async {
            self.change(Target::Catalog, async |unit| {
                let added = unit.add_pair(&MODULE_VIEWS, module.as_uuid(), view.as_uuid()).await?;
                if added {
                    unit.0.recorder.module_views_updated(module, &adding(view));
                }
                Ok(added)
            })
            .await
        })
        .await
    }

    async fn remove(&mut self, module: ModuleId, view: ViewId) -> Result<bool> {
        operation("module_views.remove", async {
            self.change(Target::Catalog, async |unit| {
                let removed = unit.remove_pair(&MODULE_VIEWS, module.as_uuid(), view.as_uuid()).await?;
                if removed {
                    unit.0.recorder.module_views_updated(module, &removing(view));
                }
                Ok(removed)
            })
            .await
        })
        .await
    }

    async fn replace_for_module(&mut self, module: ModuleId, views: &[ViewId]) -> Result<()> {
        operation("module_views.replace_for_module", async {
            self.change(Target::Catalog, async |unit| {
                let diff = unit.replace_pairs(&MODULE_VIEWS, module.as_uuid(), uuids(views, ViewId::as_uuid)).await?;
                unit.0.recorder.module_views_updated(module, &typed(diff, ViewId::from_uuid));
                Ok(())
            })
            .await
        })
        .await
    }
}

#[async_trait]
impl ModuleFeaturesMut for Repository<Unit> {
    async fn add(&mut self, module: ModuleId, feature: FeatureId) -> Result<bool> {
        operation("module_features.add", async {
            self.change(Target::Catalog, async |unit| {
                let added = unit.add_pair(&MODULE_FEATURES, module.as_uuid(), feature.as_uuid()).await?;
                if added {
                    unit.0.recorder.module_features_updated(module, &adding(feature));
                }
                Ok(added)
            })
            .await
        })
        .await
    }

    async fn remove(&mut self, module: ModuleId, feature: FeatureId) -> Result<bool> {
        operation("module_features.remove", async {
            self.change(Target::Catalog, async |unit| {
                let removed = unit.remove_pair(&MODULE_FEATURES, module.as_uuid(), feature.as_uuid()).await?;
                if removed {
                    unit.0.recorder.module_features_updated(module, &removing(feature));
                }
                Ok(removed)
            })
            .await
        })
        .await
    }

    async fn replace_for_module(&mut self, module: ModuleId, features: &[FeatureId]) -> Result<()> {
        operation("module_features.replace_for_module", async {
            self.change(Target::Catalog, async |unit| {
                let diff =
                    unit.replace_pairs(&MODULE_FEATURES, module.as_uuid(), uuids(features, FeatureId::as_uuid)).await?;
                unit.0.recorder.module_features_updated(module, &typed(diff, FeatureId::from_uuid));
                Ok(())
            })
            .await
        })
        .await
    }
}

#[async_trait]
impl CompanyModulesMut for Repository<Unit> {
    async fn add(&mut self, company: CompanyId, module: ModuleId) -> Result<bool> {
        operation("company_modules.add", async {
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
        })
        .await
    }

    async fn remove(&mut self, company: CompanyId, module: ModuleId) -> Result<bool> {
        operation("company_modules.remove", async {
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
        })
        .await
    }

    async fn replace_for_company(&mut self, company: CompanyId, modules: &[ModuleId]) -> Result<()> {
        operation("company_modules.replace_for_company", async {
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
                    let added =
                        unit.execute(statement(sql, [owner.into(), diff.added.clone().into(), unit.at()])).await?;
                    if !is_number_of(added, &diff.added) {
                        return Err(unit.unknown_in(&MODULE, &diff.added).await);
                    }
                }
                unit.0.recorder.company_modules_updated(company, &typed(diff, ModuleId::from_uuid));
                Ok(())
            })
            .await
        })
        .await
    }

    async fn set_enabled(&mut self, company: CompanyId, module: ModuleId, enabled: bool) -> Result<()> {
        operation("company_modules.set_enabled", async {
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
        })
        .await
    }
}
