//! The effect of a change to the levels of users: the decisions that they gain and lose.

use std::collections::BTreeMap;

use iam_application::PreviewPage;
use iam_domain::escalation::Cell;
use iam_domain::{Catalog, CellChange, CompanyId, Name, Scope, UserId};
use maud::{Markup, html};

use super::edit::Operation;
use super::person::{person, user_path};
use crate::quantity::count;

/// Maximum number of decisions that are listed for each user.
const LISTED_CELLS: usize = 100;

/// The display names of users.
pub(crate) type People = BTreeMap<UserId, Name>;

/// The effect of a change, and what its parts are called.
pub(crate) struct Effect<'a> {
    pub(crate) company: CompanyId,
    pub(crate) operation: Operation,
    pub(crate) found: &'a PreviewPage,
    pub(crate) catalog: &'a Catalog,
    pub(crate) people: &'a People,
    /// Whether the assignments start later, so that the effect is the effect from this time on.
    pub(crate) is_later: bool,
}

/// Returns the name of a view, or of an action of a feature.
pub(crate) fn cell_name(catalog: &Catalog, cell: &Cell) -> Markup {
    html! {
        @match cell {
            Cell::View(id) => @match catalog.view(*id) {
                Some(view) => { bdi { (view.name) } " " code { bdi { (view.url) } } },
                None => { "View " span.mono { (id) } },
            },
            Cell::Action(id, action) => {
                @match catalog.feature(*id) {
                    Some(feature) => {
                        bdi { (feature.name) } " · " bdi { (action.as_str()) }
                        @if let Some(key) = &feature.key { " " code { bdi { (key) } } }
                    },
                    None => { "Feature " span.mono { (id) } " · " bdi { (action.as_str()) } },
                }
            },
        }
    }
}

/// Returns the answer of a decision with its scope. Views have no scope.
fn answer(cell: &Cell, scope: Option<Scope>) -> Markup {
    html! {
        @match (cell, scope) {
            (_, None) => span.chip.deny { "Denied" },
            (Cell::View(_), Some(_)) => span.chip.allow { "Allowed" },
            (Cell::Action(..), Some(scope)) => span.chip.allow { "Allowed: " (scope) },
        }
    }
}

impl Effect<'_> {
    /// Returns the decisions that differ after the change, for each affected user.
    pub(crate) fn show(&self) -> Markup {
        let impact = &self.found.impact;
        let (users, lost) = (impact.users.len(), impact.cells.values().filter(|counts| counts.losing > 0).count());
        html! {
            section {
                h2 { "Effect" }
                @if self.is_later { p { "The assignment starts later. This is its effect from then on." } }
                @if users == 0 {
                    p { strong { "No user gains or loses a permission." } }
                } @else {
                    p { strong { (count(users, "user")) " affected." } }
                }
                @if lost > 0 && self.operation == Operation::Add {
                    div.notice.warn role="alert" {
                        p {
                            strong { "Denies of this level take away " (count(lost, "permission")) "." }
                            " A deny overrides the allows of all other levels."
                        }
                    }
                }
                @for (user, changes) in &self.found.users { (self.of_user(*user, changes)) }
                @if users > self.found.users.len() {
                    p.muted { "and " (count(users - self.found.users.len(), "user")) " more" }
                }
            }
        }
    }

    fn of_user(&self, user: UserId, changes: &[CellChange]) -> Markup {
        let lost = changes.iter().filter(|change| !change.is_gain()).count();
        let gained = changes.len() - lost;
        let sorted =
            changes.iter().filter(|change| !change.is_gain()).chain(changes.iter().filter(|change| change.is_gain()));
        html! {
            div.scroll {
                table.effect {
                    caption {
                        a href=(user_path(self.company, user)) { (person(self.people.get(&user), user)) }
                        " gains " (gained) " and loses " (lost)
                    }
                    thead {
                        tr { th scope="col" { "Permission" } th scope="col" { "Change" } th scope="col" { "Before" } th scope="col" { "After" } }
                    }
                    tbody {
                        @for change in sorted.take(LISTED_CELLS) {
                            tr {
                                th scope="row" { (cell_name(self.catalog, &change.cell)) }
                                td { (kind(change)) }
                                td { (answer(&change.cell, change.before)) }
                                td { (answer(&change.cell, change.after)) }
                            }
                        }
                    }
                }
            }
            @if changes.len() > LISTED_CELLS { p.muted { "and " (changes.len() - LISTED_CELLS) " more" } }
        }
    }
}

/// Returns what a change does to a permission.
fn kind(change: &CellChange) -> &'static str {
    match (change.before, change.after) {
        (None, _) => "+ gained",
        (_, None) => "− lost",
        _ if change.is_gain() => "+ wider scope",
        _ => "− narrower scope",
    }
}
