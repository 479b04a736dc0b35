//! The matrices of all levels of a company.

use std::sync::Arc;

use iam_domain::{Action, Catalog, FeatureId, FeatureRule, UserLevel, ViewId, ViewState};

/// The rule of a level for a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewCell {
    /// The view.
    pub view: ViewId,
    /// The rule.
    pub state: ViewState,
    /// If `false`, the cell is pinned.
    pub modifiable: bool,
}

/// The rule of a level for an action of a feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureCell {
    /// The feature.
    pub feature: FeatureId,
    /// The action.
    pub action: Action,
    /// The rule.
    pub rule: FeatureRule,
    /// If `false`, the cell is pinned.
    pub modifiable: bool,
}

/// A level with its two matrices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelMatrix {
    /// The level.
    pub level: UserLevel,
    /// The cells of the view matrix, ordered by view id.
    pub views: Vec<ViewCell>,
    /// The cells of the feature matrix, ordered by feature id, then action.
    pub features: Vec<FeatureCell>,
}

/// The matrices of all levels of a company, and the catalog to which their cells refer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompanyMatrix {
    /// The catalog.
    pub catalog: Arc<Catalog>,
    /// The levels, ordered by name.
    pub levels: Vec<LevelMatrix>,
}
