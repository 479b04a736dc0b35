//! The parts of a draft as changes: each part is one change of an existing use case, which is atomic.

use std::collections::BTreeMap;

use iam_application::{
    ChangeFeaturePermissions, ChangeViewPermissions, Etag, Failure, IfMatch, NewFeaturePermission, NewViewPermission,
    PageRequest, Preview, PreviewRequest, RequestContext, RequestedCells,
};
use iam_domain::escalation::Cell;
use iam_domain::{CompanyId, FeatureRule, Name, Scope, UserLevelId, ViewState};
use maud::{Markup, html};

use super::Loaded;
use super::draft::{Edit, Part};
use super::grid::Entry;
use super::rows::{Row, all_rows};
use super::rule::{Kind, Rule};
use crate::authorized::{Authorized, ManagePermissions};
use crate::error::PageError;

/// Number of affected users that a review names for each part.
const NAMED_USERS: u64 = 5;

/// The names of the levels and cells of a company.
pub(crate) struct Names {
    levels: Vec<(UserLevelId, Name)>,
    rows: BTreeMap<Cell, Row>,
}

impl Names {
    pub(crate) fn of(loaded: &Loaded) -> Self {
        let levels = loaded.matrix.levels.iter().map(|level| (level.level.id, level.level.name.clone()));
        let rows = |kind| all_rows(&loaded.matrix.catalog, &loaded.available, kind);
        let rows = rows(Kind::Views).into_iter().chain(rows(Kind::Features));
        Self { levels: levels.collect(), rows: rows.map(|row| (row.cell.clone(), row)).collect() }
    }

    /// Returns the position of a level in the order of the matrix. Levels that do not exist are last.
    pub(crate) fn position(&self, level: UserLevelId) -> usize {
        self.levels.iter().position(|(id, _)| *id == level).unwrap_or(self.levels.len())
    }

    pub(crate) fn level(&self, level: UserLevelId) -> Markup {
        html! {
            @match self.levels.get(self.position(level)) {
                Some((_, name)) => bdi { (name) },
                None => { "Deleted level " span.mono { (level) } },
            }
        }
    }

    pub(crate) fn cell(&self, cell: &Cell) -> Markup {
        html! {
            @match self.rows.get(cell) {
                Some(row) => span title=(row.title()) { (row.label()) },
                None => "Deleted view or feature",
            }
        }
    }

    /// Returns the name of a matrix of a level.
    pub(crate) fn part(&self, part: &Part) -> Markup {
        html! { (self.level(part.level)) " · " (part.kind.label()) }
    }
}

/// The stored cells of one matrix of a level.
pub(crate) struct Stored {
    /// The entity tag of the cells.
    pub(crate) tag: String,
    cells: BTreeMap<Cell, Entry>,
}

impl Stored {
    /// Reads a matrix. Returns `None` if the level does not exist.
    pub(crate) async fn of(
        page: &Authorized<ManagePermissions>,
        level: UserLevelId,
        kind: Kind,
    ) -> Result<Option<Self>, PageError> {
        let (application, company) = (page.application(), page.company);
        let read = match kind {
            Kind::Views => application.view_permissions(company, level).await.and_then(|cells| {
                let entry = |rule: ViewState, modifiable: bool| Entry { rule: rule.into(), is_pinned: !modifiable };
                let tag = Etag::of(&cells)?;
                let cells = cells.iter().map(|cell| (Cell::View(cell.view_id), entry(cell.state, cell.modifiable)));
                Ok(Self { tag: tag.as_str().to_owned(), cells: cells.collect() })
            }),
            Kind::Features => application.feature_permissions(company, level).await.and_then(|cells| {
                let tag = Etag::of(&cells)?;
                let cells = cells.into_iter().map(|cell| {
                    let rule = FeatureRule { value: cell.value, scope: cell.scope };
                    let entry = Entry { rule: rule.into(), is_pinned: !cell.modifiable };
                    (Cell::Action(cell.feature_id, cell.action), entry)
                });
                Ok(Self { tag: tag.as_str().to_owned(), cells: cells.collect() })
            }),
        };
        match read {
            Ok(stored) => Ok(Some(stored)),
            Err(Failure::NotFound(_)) => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Returns the stored rule of a cell.
    pub(crate) fn rule(&self, cell: &Cell) -> Rule {
        self.cells.get(cell).map_or(Rule::Inherit, |entry| entry.rule)
    }

    fn is_pinned(&self, cell: &Cell) -> bool {
        self.cells.get(cell).is_some_and(|entry| entry.is_pinned)
    }
}

/// The change that a part of a draft stands for.
pub(crate) enum PartChange {
    Views(ChangeViewPermissions),
    Features(ChangeFeaturePermissions),
}

impl PartChange {
    /// Returns the change of a matrix, if its cells still have the entity tag.
    pub(crate) fn new(company: CompanyId, part: &Part, stored: &Stored, tag: &str) -> Self {
        let (level, if_match) = (part.level, IfMatch::OneOf(vec![tag.to_owned()]));
        match part.kind {
            Kind::Views => {
                Self::Views(ChangeViewPermissions { company, level, permissions: views(part, stored), if_match })
            }
            Kind::Features => {
                let permissions = features(&part.edits);
                Self::Features(ChangeFeaturePermissions { company, level, permissions, force: false, if_match })
            }
        }
    }

    /// Previews the change.
    pub(crate) async fn preview(
        self,
        page: &Authorized<ManagePermissions>,
        may_list_users: bool,
    ) -> Result<Preview, Failure> {
        let (application, company) = (page.application(), page.company);
        let context = RequestContext::from(page.caller());
        let users = PageRequest { limit: NAMED_USERS, cursor: None, include_total: false };
        let parameters = String::new();
        match self {
            Self::Views(change) => {
                let request = PreviewRequest { change, company, parameters, page: users, may_list_users };
                application.preview(context, request).await
            }
            Self::Features(change) => {
                let request = PreviewRequest { change, company, parameters, page: users, may_list_users };
                application.preview(context, request).await
            }
        }
    }

    /// Makes the change.
    pub(crate) async fn execute(self, page: &Authorized<ManagePermissions>) -> Result<(), Failure> {
        match self {
            Self::Views(change) => page.execute(change).await.map(drop),
            Self::Features(change) => page.execute(change).await.map(drop),
        }
    }
}

fn views(part: &Part, stored: &Stored) -> RequestedCells<NewViewPermission, iam_domain::ViewId> {
    let (mut set, mut unset) = (Vec::new(), Vec::new());
    for Edit { cell, after, .. } in &part.edits {
        let Cell::View(view_id) = *cell else { continue };
        let state = match after {
            Rule::Allow(_) => ViewState::Allow,
            Rule::Deny => ViewState::Deny,
            // A pinned cell that is removed could be set by others.
            Rule::Inherit if stored.is_pinned(cell) => ViewState::Inherit,
            Rule::Inherit => {
                unset.push(view_id);
                continue;
            }
        };
        set.push(NewViewPermission { view_id, state, modifiable: None });
    }
    RequestedCells::Some { set, unset }
}

fn features(edits: &[Edit]) -> RequestedCells<NewFeaturePermission, (iam_domain::FeatureId, iam_domain::Action)> {
    let (mut set, mut unset) = (Vec::new(), Vec::new());
    for Edit { cell, after, .. } in edits {
        let Cell::Action(feature_id, action) = cell.clone() else { continue };
        let (value, scope) = match after {
            Rule::Allow(scope) => (true, *scope),
            Rule::Deny => (false, Scope::Any),
            Rule::Inherit => {
                unset.push((feature_id, action));
                continue;
            }
        };
        set.push(NewFeaturePermission { feature_id, action, value, scope, modifiable: None });
    }
    RequestedCells::Some { set, unset }
}
