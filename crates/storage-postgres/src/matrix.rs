//! The SQL that reads the matrices of all levels of a company, and the conversion of its result.

use std::sync::Arc;

use iam_domain::{Action, Catalog, FeatureId, FeatureRule, Scope, UserLevel, ViewId, ViewState};
use iam_storage::{CompanyMatrix, FeatureCell, LevelMatrix, Result, ViewCell};
use sea_orm::QueryResult;
use serde::Deserialize;
use uuid::Uuid;

use crate::entities::{columns, user_levels};
use crate::statement::json_column;

/// Returns the SQL of the column `matrices` of a snapshot of a company ($3): its levels with their cells as JSON.
pub(crate) fn matrices() -> String {
    format!(
        ", (SELECT coalesce(json_agg(json_build_array(
            level,
            (SELECT coalesce(json_agg(json_build_array(view_id, state, modifiable) ORDER BY view_id), '[]')
             FROM user_level_view_permissions WHERE company_id = $3 AND user_level_id = level.id),
            (SELECT coalesce(json_agg(json_build_array(feature_id, action, value, scope, modifiable)
                ORDER BY feature_id, action), '[]')
             FROM user_level_feature_permissions WHERE company_id = $3 AND user_level_id = level.id)
        ) ORDER BY level.name, level.id), '[]')
        FROM (SELECT {} FROM user_levels AS own WHERE own.company_id = $3) AS level)::text AS matrices",
        columns::<user_levels::Entity>("own")
    )
}

#[derive(Deserialize)]
struct LevelRow(user_levels::Model, Vec<(Uuid, ViewState, bool)>, Vec<(Uuid, Action, bool, Scope, bool)>);

impl TryFrom<LevelRow> for LevelMatrix {
    type Error = iam_storage::StorageError;

    fn try_from(LevelRow(level, views, features): LevelRow) -> Result<Self> {
        let view = |(view, state, modifiable)| ViewCell { view: ViewId::from_uuid(view), state, modifiable };
        let feature = |(feature, action, value, scope, modifiable)| {
            let rule = FeatureRule { value, scope };
            FeatureCell { feature: FeatureId::from_uuid(feature), action, rule, modifiable }
        };
        Ok(Self {
            level: UserLevel::try_from(level)?,
            views: views.into_iter().map(view).collect(),
            features: features.into_iter().map(feature).collect(),
        })
    }
}

/// Returns the matrices in the column `matrices`.
pub(crate) fn company_matrix(row: &QueryResult, catalog: Arc<Catalog>) -> Result<CompanyMatrix> {
    let levels: Vec<LevelRow> = json_column(row, "matrices")?;
    let levels = levels.into_iter().map(LevelMatrix::try_from).collect::<Result<_>>()?;
    Ok(CompanyMatrix { catalog, levels })
}
