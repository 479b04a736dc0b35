//! The permissions that a change nullifies, as response data.

use iam_application::{Nullified, NullifiedCell};
use iam_domain::{Action, FeatureId, FeatureKey, ViewId, ViewUrl};
use serde::Serialize;
use utoipa::ToSchema;

/// The permissions that users had before the change, and that a deny overrides after it.
///
/// A deny overrides every allow. These users still hold a level that allows the view or action, but another level
/// denies it now. Module gates and `enabled` flags are ignored.
#[derive(Serialize, ToSchema)]
#[schema(as = Nullified)]
pub(crate) struct NullifiedData {
    /// The number of views and actions.
    count: usize,
    /// The first ten views and actions.
    cells: Vec<NullifiedCellData>,
}

/// A view or an action for which a deny overrides an allow.
#[derive(Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "camelCase")]
#[schema(as = NullifiedCell)]
enum NullifiedCellData {
    /// A view.
    #[serde(rename_all = "camelCase")]
    View {
        /// The id of the view.
        view_id: ViewId,
        /// The URL of the view.
        #[schema(required = true)]
        url: Option<ViewUrl>,
    },
    /// An action on a feature.
    #[serde(rename_all = "camelCase")]
    Action {
        /// The id of the feature.
        feature_id: FeatureId,
        /// The key of the feature. `null` if it has none.
        #[schema(required = true)]
        key: Option<FeatureKey>,
        /// The action.
        #[schema(value_type = String)]
        action: Action,
    },
}

impl From<Nullified> for NullifiedData {
    fn from(nullified: Nullified) -> Self {
        let cell = |cell| match cell {
            NullifiedCell::View { id, url } => NullifiedCellData::View { view_id: id, url },
            NullifiedCell::Action { feature, key, action } => {
                NullifiedCellData::Action { feature_id: feature, key, action }
            }
        };
        Self { count: nullified.count, cells: nullified.cells.into_iter().map(cell).collect() }
    }
}
