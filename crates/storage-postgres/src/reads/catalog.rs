//! Reads of views, modules, features and their mappings.

use async_trait::async_trait;
use iam_domain::{Feature, FeatureId, Module, ModuleId, View, ViewId};
use iam_storage::{FeatureViews, Features, ModuleFeatures, ModuleViews, Modules, Result, Views};
use sea_orm::{DbBackend, EntityTrait, QueryOrder, QueryTrait};

use super::is_unstorable;
use crate::entities::{columns, features, modules, views};
use crate::operation::operation;
use crate::repository::{Asked, Executor, Repository};
use crate::statement::statement;
use crate::unreadable::readable_rows;

#[async_trait]
impl<T: Executor> Views for Repository<T> {
    async fn find_all(&self) -> Result<Vec<View>> {
        operation("views.find_all", async {
            let all = views::Entity::find().order_by_asc(views::COLUMN.url).order_by_asc(views::COLUMN.id);
            readable_rows::<views::Model, _>(
                "views",
                &self.rows(Asked::of_catalog(all.build(DbBackend::Postgres))).await?,
            )
        })
        .await
    }

    async fn find_by_id(&self, id: ViewId) -> Result<Option<View>> {
        operation(
            "views.find_by_id",
            self.query_one::<views::Model, _>(Asked::of_catalog(
                views::Entity::find_by_id(id.as_uuid()).build(DbBackend::Postgres),
            )),
        )
        .await
    }

    async fn find_by_url(&self, url: &str) -> Result<Option<View>> {
        operation("views.find_by_url", async {
            if is_unstorable(url) {
                return Ok(None);
            }
            self.query_one::<views::Model, _>(Asked::of_catalog(statement(
                format!("SELECT {} FROM views AS v WHERE url = $1", columns::<views::Entity>("v")),
                [url.into()],
            )))
            .await
        })
        .await
    }
}

#[async_trait]
impl<T: Executor> Modules for Repository<T> {
    async fn find_all(&self) -> Result<Vec<Module>> {
        operation("modules.find_all", async {
            let all = modules::Entity::find().order_by_asc(modules::COLUMN.name).order_by_asc(modules::COLUMN.id);
            readable_rows::<modules::Model, _>(
                "modules",
                &self.rows(Asked::of_catalog(all.build(DbBackend::Postgres))).await?,
            )
        })
        .await
    }

    async fn find_by_id(&self, id: ModuleId) -> Result<Option<Module>> {
        operation(
            "modules.find_by_id",
            self.query_one::<modules::Model, _>(Asked::of_catalog(
                modules::Entity::find_by_id(id.as_uuid()).build(DbBackend::Postgres),
            )),
        )
        .await
    }

    async fn find_by_code(&self, code: &str) -> Result<Option<Module>> {
        operation("modules.find_by_code", async {
            if is_unstorable(code) {
                return Ok(None);
            }
            self.query_one::<modules::Model, _>(Asked::of_catalog(statement(
                format!("SELECT {} FROM modules AS o WHERE code = $1", columns::<modules::Entity>("o")),
                [code.into()],
            )))
            .await
        })
        .await
    }
}

// Features without a key are sorted last, because PostgreSQL sorts NULL last.

#[async_trait]
impl<T: Executor> Features for Repository<T> {
    async fn find_all(&self) -> Result<Vec<Feature>> {
        operation("features.find_all", async {
            let all = features::Entity::find().order_by_asc(features::COLUMN.key).order_by_asc(features::COLUMN.id);
            readable_rows::<features::Model, _>(
                "features",
                &self.rows(Asked::of_catalog(all.build(DbBackend::Postgres))).await?,
            )
        })
        .await
    }

    async fn find_by_id(&self, id: FeatureId) -> Result<Option<Feature>> {
        operation(
            "features.find_by_id",
            self.query_one::<features::Model, _>(Asked::of_catalog(
                features::Entity::find_by_id(id.as_uuid()).build(DbBackend::Postgres),
            )),
        )
        .await
    }

    async fn find_by_key(&self, key: &str) -> Result<Option<Feature>> {
        operation("features.find_by_key", async {
            if is_unstorable(key) {
                return Ok(None);
            }
            self.query_one::<features::Model, _>(Asked::of_catalog(statement(
                format!("SELECT {} FROM features AS f WHERE key = $1", columns::<features::Entity>("f")),
                [key.into()],
            )))
            .await
        })
        .await
    }
}

#[async_trait]
impl<T: Executor> FeatureViews for Repository<T> {
    async fn get_views_by_feature(&self, feature: FeatureId) -> Result<Vec<View>> {
        operation("feature_views.get_views_by_feature", async {
            let sql = format!(
                "SELECT {} FROM feature2views m JOIN views v ON v.id = m.view_id WHERE m.feature_id = $1
            ORDER BY v.url, v.id",
                columns::<views::Entity>("v")
            );
            self.query::<views::Model, _>(Asked::of_catalog(statement(sql, [feature.as_uuid().into()]))).await
        })
        .await
    }

    async fn get_features_by_view(&self, view: ViewId) -> Result<Vec<Feature>> {
        operation("feature_views.get_features_by_view", async {
            let sql = format!(
                "SELECT {} FROM feature2views m JOIN features f ON f.id = m.feature_id WHERE m.view_id = $1
            ORDER BY f.key, f.id",
                columns::<features::Entity>("f")
            );
            self.query::<features::Model, _>(Asked::of_catalog(statement(sql, [view.as_uuid().into()]))).await
        })
        .await
    }
}

#[async_trait]
impl<T: Executor> ModuleViews for Repository<T> {
    async fn get_views_by_module(&self, module: ModuleId) -> Result<Vec<View>> {
        operation("module_views.get_views_by_module", async {
            let sql = format!(
                "SELECT {} FROM module2views m JOIN views v ON v.id = m.view_id WHERE m.module_id = $1
            ORDER BY v.url, v.id",
                columns::<views::Entity>("v")
            );
            self.query::<views::Model, _>(Asked::of_catalog(statement(sql, [module.as_uuid().into()]))).await
        })
        .await
    }

    async fn get_modules_by_view(&self, view: ViewId) -> Result<Vec<Module>> {
        operation("module_views.get_modules_by_view", async {
            let sql = format!(
                "SELECT {} FROM module2views m JOIN modules o ON o.id = m.module_id WHERE m.view_id = $1
            ORDER BY o.name, o.id",
                columns::<modules::Entity>("o")
            );
            self.query::<modules::Model, _>(Asked::of_catalog(statement(sql, [view.as_uuid().into()]))).await
        })
        .await
    }
}

#[async_trait]
impl<T: Executor> ModuleFeatures for Repository<T> {
    async fn get_features_by_module(&self, module: ModuleId) -> Result<Vec<Feature>> {
        operation("module_features.get_features_by_module", async {
            let sql = format!(
                "SELECT {} FROM module2features m JOIN features f ON f.id = m.feature_id WHERE m.module_id = $1
            ORDER BY f.key, f.id",
                columns::<features::Entity>("f")
            );
            self.query::<features::Model, _>(Asked::of_catalog(statement(sql, [module.as_uuid().into()]))).await
        })
        .await
    }

    async fn get_modules_by_feature(&self, feature: FeatureId) -> Result<Vec<Module>> {
        operation("module_features.get_modules_by_feature", async {
            let sql = format!(
                "SELECT {} FROM module2features m JOIN modules o ON o.id = m.module_id WHERE m.feature_id = $1
            ORDER BY o.name, o.id",
                columns::<modules::Entity>("o")
            );
            self.query::<modules::Model, _>(Asked::of_catalog(statement(sql, [feature.as_uuid().into()]))).await
        })
        .await
    }
}
