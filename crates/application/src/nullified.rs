//! The permissions that deny rules override as a result of a change, in the form in which they are returned to the
//! caller.

use iam_domain::escalation::Grant;
use iam_domain::{Action, Catalog, FeatureId, FeatureKey, ViewId, ViewUrl};

/// Maximum number of cells that are listed.
const LISTED_CELLS: usize = 10;

/// The permissions that users held before a change, and that a deny rule overrides after the change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nullified {
    /// The total number of these views and actions.
    pub count: usize,
    /// The first ten of these views and actions.
    pub cells: Vec<NullifiedCell>,
}

/// A view or an action for which a deny rule overrides an allow rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NullifiedCell {
    /// A view.
    View {
        /// The id of the view.
        id: ViewId,
        /// The URL of the view.
        url: Option<ViewUrl>,
    },
    /// An action of a feature.
    Action {
        /// The id of the feature.
        feature: FeatureId,
        /// The key of the feature, if it has one.
        key: Option<FeatureKey>,
        /// The action.
        action: Action,
    },
}

impl Nullified {
    /// Creates the list of these permissions, which deny rules override.
    pub(crate) fn new(catalog: &Catalog, hidden: &[Grant]) -> Self {
        let cell = |grant: &Grant| match grant {
            Grant::View(id) => NullifiedCell::View { id: *id, url: catalog.view(*id).map(|view| view.url.clone()) },
            Grant::Action { feature, action, .. } => NullifiedCell::Action {
                feature: *feature,
                key: catalog.feature(*feature).and_then(|feature| feature.key.clone()),
                action: action.clone(),
            },
        };
        Self { count: hidden.len(), cells: hidden.iter().take(LISTED_CELLS).map(cell).collect() }
    }
}
