//! Changes to views, modules and features.

use async_trait::async_trait;
use iam_domain::{Action, Feature, FeatureId, Module, ModuleId, View, ViewId};
use iam_storage::{FeaturesMut, ModulesMut, Result, Target, ViewsMut};

use super::Unit;
use crate::entities::{columns, features, modules, views};
use crate::error::Operation;
use crate::operation::operation;
use crate::repository::Repository;
use crate::statement::statement;

#[async_trait]
impl ViewsMut for Repository<Unit> {
    async fn create(&mut self, view: &View) -> Result<()> {
        operation("views.create", async {
            self.change(Target::Catalog, async |unit| {
                unit.insert(views::Model::from(view), &[]).await?;
                unit.0.recorder.view_created(view);
                Ok(())
            })
            .await
        })
        .await
    }

    async fn update(&mut self, view: &View) -> Result<View> {
        operation("views.update", async {
            self.change(Target::Catalog, async |unit| {
                let row = views::Model::from(view);
                let sql = format!(
                    "UPDATE views AS v SET name = $2, url = $3, category = $4, description = $5, icon = $6,
                    requires_auth = $7, updated_at = $8
                FROM views AS old WHERE v.id = $1 AND old.id = v.id RETURNING {}",
                    columns::<views::Entity>("old")
                );
                let values = [
                    row.id.into(),
                    row.name.into(),
                    row.url.into(),
                    row.category.into(),
                    row.description.into(),
                    row.icon.into(),
                    row.requires_auth.into(),
                    row.updated_at.into(),
                ];
                let before: View =
                    unit.changed::<views::Model, _>(statement(sql, values), Operation::Write(&[])).await?;
                unit.0.recorder.view_updated(&before, &View { created_at: before.created_at, ..view.clone() });
                Ok(before)
            })
            .await
        })
        .await
    }

    async fn delete(&mut self, id: ViewId) -> Result<View> {
        operation("views.delete", async {
            self.change(Target::Catalog, async |unit| {
                let delete = statement(
                    format!("DELETE FROM views AS gone WHERE id = $1 RETURNING {}", columns::<views::Entity>("gone")),
                    [id.as_uuid().into()],
                );
                let before = unit.changed::<views::Model, _>(delete, Operation::Delete).await?;
                unit.0.recorder.view_deleted(&before);
                Ok(before)
            })
            .await
        })
        .await
    }
}

#[async_trait]
impl ModulesMut for Repository<Unit> {
    async fn create(&mut self, module: &Module) -> Result<()> {
        operation("modules.create", async {
            self.change(Target::Catalog, async |unit| {
                unit.insert(modules::Model::from(module), &[]).await?;
                unit.0.recorder.module_created(module);
                Ok(())
            })
            .await
        })
        .await
    }

    async fn update(&mut self, module: &Module) -> Result<Module> {
        operation("modules.update", async {
            self.change(Target::Catalog, async |unit| {
                let row = modules::Model::from(module);
                let sql = format!(
                    "UPDATE modules AS m SET code = $2, name = $3, description = $4, icon = $5, enabled = $6,
                    priority = $7, updated_at = $8
                FROM modules AS old WHERE m.id = $1 AND old.id = m.id RETURNING {}",
                    columns::<modules::Entity>("old")
                );
                let values = [
                    row.id.into(),
                    row.code.into(),
                    row.name.into(),
                    row.description.into(),
                    row.icon.into(),
                    row.enabled.into(),
                    row.priority.into(),
                    row.updated_at.into(),
                ];
                let before: Module =
                    unit.changed::<modules::Model, _>(statement(sql, values), Operation::Write(&[])).await?;
                unit.0.recorder.module_updated(&before, &Module { created_at: before.created_at, ..module.clone() });
                Ok(before)
            })
            .await
        })
        .await
    }

    async fn delete(&mut self, id: ModuleId) -> Result<Module> {
        operation("modules.delete", async {
            self.change(Target::Catalog, async |unit| {
                let delete = statement(
                    format!(
                        "DELETE FROM modules AS gone WHERE id = $1 RETURNING {}",
                        columns::<modules::Entity>("gone")
                    ),
                    [id.as_uuid().into()],
                );
                let before = unit.changed::<modules::Model, _>(delete, Operation::Delete).await?;
                unit.0.recorder.module_deleted(&before);
                Ok(before)
            })
            .await
        })
        .await
    }
}

#[async_trait]
impl FeaturesMut for Repository<Unit> {
    async fn create(&mut self, feature: &Feature) -> Result<()> {
        operation("features.create", async {
            self.change(Target::Catalog, async |unit| {
                unit.insert(features::Model::from(feature), &[]).await?;
                unit.0.recorder.feature_created(feature);
                Ok(())
            })
            .await
        })
        .await
    }

    async fn update(&mut self, feature: &Feature) -> Result<Feature> {
        operation("features.update", async {
            self.change(Target::Catalog, async |unit| {
                let row = features::Model::from(feature);
                let known: Vec<String> = Action::STANDARD
                    .into_iter()
                    .map(str::to_owned)
                    .chain(feature.actions.iter().flatten().map(ToString::to_string))
                    .collect();
                let sql = format!(
                    "WITH gone AS (
                    DELETE FROM user_level_feature_permissions WHERE feature_id = $1 AND action <> ALL($10::text[])
                )
                UPDATE features AS f SET key = $2, name = $3, description = $4, resource_type = $5, actions = $6,
                    category = $7, enabled = $8, updated_at = $9
                FROM features AS old WHERE f.id = $1 AND old.id = f.id RETURNING {}",
                    columns::<features::Entity>("old")
                );
                let values = [
                    row.id.into(),
                    row.key.into(),
                    row.name.into(),
                    row.description.into(),
                    row.resource_type.into(),
                    row.actions.into(),
                    row.category.into(),
                    row.enabled.into(),
                    row.updated_at.into(),
                    known.into(),
                ];
                let before: Feature =
                    unit.changed::<features::Model, _>(statement(sql, values), Operation::Write(&[])).await?;
                unit.0.recorder.feature_updated(&before, &Feature { created_at: before.created_at, ..feature.clone() });
                Ok(before)
            })
            .await
        })
        .await
    }

    async fn delete(&mut self, id: FeatureId) -> Result<Feature> {
        operation("features.delete", async {
            self.change(Target::Catalog, async |unit| {
                let delete = statement(
                    format!(
                        "DELETE FROM features AS gone WHERE id = $1 RETURNING {}",
                        columns::<features::Entity>("gone")
                    ),
                    [id.as_uuid().into()],
                );
                let before = unit.changed::<features::Model, _>(delete, Operation::Delete).await?;
                unit.0.recorder.feature_deleted(&before);
                Ok(before)
            })
            .await
        })
        .await
    }
}
