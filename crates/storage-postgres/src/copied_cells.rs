//! The SQL that reads the cells of all matrices of a company, one array for each column, and the conversion of its result.

use std::collections::BTreeMap;
use std::vec::IntoIter;

use iam_domain::{CompanyId, FeaturePermission, UserLevelId, ViewPermission};
use iam_storage::Result;
use sea_orm::prelude::DateTimeUtc;
use sea_orm::{QueryResult, TryGetable};
use uuid::Uuid;

use crate::entities::{user_level_feature_permissions, user_level_view_permissions};
use crate::statement::column;

/// The columns of `user_level_view_permissions`, each with the name of the array of its values.
const VIEW_COLUMNS: [(&str, &str); 7] = [
    ("id", "view_cell_ids"),
    ("user_level_id", "view_cell_levels"),
    ("view_id", "view_cell_views"),
    ("state::text", "view_cell_states"),
    ("modifiable", "view_cell_modifiable"),
    ("created_at", "view_cell_created"),
    ("updated_at", "view_cell_updated"),
];

/// The columns of `user_level_feature_permissions`, each with the name of the array of its values.
const FEATURE_COLUMNS: [(&str, &str); 9] = [
    ("id", "feature_cell_ids"),
    ("user_level_id", "feature_cell_levels"),
    ("feature_id", "feature_cell_features"),
    ("action::text", "feature_cell_actions"),
    ("value", "feature_cell_values"),
    ("scope::text", "feature_cell_scopes"),
    ("modifiable", "feature_cell_modifiable"),
    ("created_at", "feature_cell_created"),
    ("updated_at", "feature_cell_updated"),
];

/// Returns the SQL of the columns that [`cells_in`] reads from the tables of [`cell_tables`].
pub(crate) fn cell_columns() -> String {
    VIEW_COLUMNS.iter().chain(&FEATURE_COLUMNS).map(|(_, name)| format!(", {name}")).collect()
}

/// Returns the tables of a `FROM` clause that reads the cells of the company $3. JSON would cost several times as much.
pub(crate) fn cell_tables() -> String {
    let arrays = |columns: &[(&str, &str)]| {
        let arrays = columns.iter().map(|(column, name)| format!("coalesce(array_agg({column}), '{{}}') AS {name}"));
        arrays.collect::<Vec<_>>().join(", ")
    };
    format!(
        " CROSS JOIN (SELECT {} FROM user_level_view_permissions WHERE company_id = $3) AS view_cells
        CROSS JOIN (SELECT {} FROM user_level_feature_permissions WHERE company_id = $3) AS feature_cells",
        arrays(&VIEW_COLUMNS),
        arrays(&FEATURE_COLUMNS),
    )
}

/// The cells of the two matrices of a level.
#[derive(Default)]
pub(crate) struct Cells {
    /// The cells of the view matrix, ordered by view id.
    pub(crate) views: Vec<ViewPermission>,
    /// The cells of the feature matrix, ordered by feature id, then action.
    pub(crate) features: Vec<FeaturePermission>,
}

/// Returns the cells of each level in the columns of [`cell_columns`].
pub(crate) fn cells_in(row: &QueryResult, company: CompanyId) -> Result<BTreeMap<UserLevelId, Cells>> {
    let mut cells: BTreeMap<_, Cells> = BTreeMap::new();
    for cell in ViewCells::of(row, company)? {
        let cell = ViewPermission::try_from(cell)?;
        cells.entry(cell.user_level_id).or_default().views.push(cell);
    }
    for cell in FeatureCells::of(row, company)? {
        let cell = FeaturePermission::try_from(cell)?;
        cells.entry(cell.user_level_id).or_default().features.push(cell);
    }
    for Cells { views, features } in cells.values_mut() {
        views.sort_unstable_by_key(|cell| cell.view_id);
        features.sort_unstable_by(|a, b| (a.feature_id, &a.action).cmp(&(b.feature_id, &b.action)));
    }
    Ok(cells)
}

/// Returns the elements of an array.
fn elements<T>(row: &QueryResult, name: &str) -> Result<IntoIter<T>>
where
    Vec<T>: TryGetable,
{
    Ok(column::<Vec<T>>(row, name)?.into_iter())
}

/// The columns of the cells of view matrices.
struct ViewCells {
    company_id: Uuid,
    ids: IntoIter<Uuid>,
    levels: IntoIter<Uuid>,
    views: IntoIter<Uuid>,
    states: IntoIter<String>,
    modifiable: IntoIter<bool>,
    created: IntoIter<DateTimeUtc>,
    updated: IntoIter<DateTimeUtc>,
}

impl ViewCells {
    fn of(row: &QueryResult, company: CompanyId) -> Result<Self> {
        Ok(Self {
            company_id: company.as_uuid(),
            ids: elements(row, "view_cell_ids")?,
            levels: elements(row, "view_cell_levels")?,
            views: elements(row, "view_cell_views")?,
            states: elements(row, "view_cell_states")?,
            modifiable: elements(row, "view_cell_modifiable")?,
            created: elements(row, "view_cell_created")?,
            updated: elements(row, "view_cell_updated")?,
        })
    }
}

impl Iterator for ViewCells {
    type Item = user_level_view_permissions::Model;

    fn next(&mut self) -> Option<Self::Item> {
        Some(user_level_view_permissions::Model {
            id: self.ids.next()?,
            company_id: self.company_id,
            user_level_id: self.levels.next()?,
            view_id: self.views.next()?,
            state: self.states.next()?,
            modifiable: self.modifiable.next()?,
            created_at: self.created.next()?,
            updated_at: self.updated.next()?,
        })
    }
}

/// The columns of the cells of feature matrices.
struct FeatureCells {
    company_id: Uuid,
    ids: IntoIter<Uuid>,
    levels: IntoIter<Uuid>,
    features: IntoIter<Uuid>,
    actions: IntoIter<String>,
    values: IntoIter<bool>,
    scopes: IntoIter<String>,
    modifiable: IntoIter<bool>,
    created: IntoIter<DateTimeUtc>,
    updated: IntoIter<DateTimeUtc>,
}

impl FeatureCells {
    fn of(row: &QueryResult, company: CompanyId) -> Result<Self> {
        Ok(Self {
            company_id: company.as_uuid(),
            ids: elements(row, "feature_cell_ids")?,
            levels: elements(row, "feature_cell_levels")?,
            features: elements(row, "feature_cell_features")?,
            actions: elements(row, "feature_cell_actions")?,
            values: elements(row, "feature_cell_values")?,
            scopes: elements(row, "feature_cell_scopes")?,
            modifiable: elements(row, "feature_cell_modifiable")?,
            created: elements(row, "feature_cell_created")?,
            updated: elements(row, "feature_cell_updated")?,
        })
    }
}

impl Iterator for FeatureCells {
    type Item = user_level_feature_permissions::Model;

    fn next(&mut self) -> Option<Self::Item> {
        Some(user_level_feature_permissions::Model {
            id: self.ids.next()?,
            company_id: self.company_id,
            user_level_id: self.levels.next()?,
            feature_id: self.features.next()?,
            action: self.actions.next()?,
            value: self.values.next()?,
            scope: self.scopes.next()?,
            modifiable: self.modifiable.next()?,
            created_at: self.created.next()?,
            updated_at: self.updated.next()?,
        })
    }
}
