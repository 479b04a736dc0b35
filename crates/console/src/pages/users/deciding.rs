//! What a table of permissions decides its cells with: the resolved permissions of a user, or a snapshot.

use iam_domain::escalation::Cell;
use iam_domain::{Catalog, Decision, Snapshot};
use iam_permissions_cache::{Access, Check, FeatureRef, ViewRef};

/// Decides what a user may see and do.
pub(crate) trait Deciding {
    /// Returns the catalog.
    fn catalog(&self) -> &Catalog;
    /// Returns the views and the listed actions of features, each with `true` if it is allowed.
    fn answers(&self) -> Vec<(Cell, bool)>;
    /// Returns the decision for a cell.
    fn decision(&self, cell: &Cell) -> Decision;
}

impl Deciding for Access {
    fn catalog(&self) -> &Catalog {
        self.catalog()
    }

    fn answers(&self) -> Vec<(Cell, bool)> {
        let effective = self.effective();
        let views = effective.views.into_iter().map(|(id, allowed)| (Cell::View(id), allowed));
        let features = effective.features.into_iter().flat_map(|(id, actions)| {
            actions.into_iter().map(move |(action, permission)| (Cell::Action(id, action), permission.allowed))
        });
        views.chain(features).collect()
    }

    fn decision(&self, cell: &Cell) -> Decision {
        self.check(&match cell {
            Cell::View(id) => Check::View(ViewRef::Id(*id)),
            Cell::Action(id, action) => {
                Check::Feature { feature: FeatureRef::Id(*id), action: action.clone(), least_scope: None }
            }
        })
    }
}

impl Deciding for Snapshot {
    fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    fn answers(&self) -> Vec<(Cell, bool)> {
        let views = self.catalog.views().map(|view| Cell::View(view.id));
        let features = self
            .catalog
            .features()
            .flat_map(|feature| self.actions(feature).into_iter().map(|action| Cell::Action(feature.id, action)));
        views.chain(features).map(|cell| (cell.clone(), self.decision(&cell).allowed)).collect()
    }

    fn decision(&self, cell: &Cell) -> Decision {
        match cell {
            Cell::View(id) => self.view(*id),
            Cell::Action(id, action) => self.feature(*id, action),
        }
    }
}
