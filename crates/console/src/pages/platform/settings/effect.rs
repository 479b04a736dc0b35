//! The effect of a change to a company on its users, as a review shows it.

use iam_application::PreviewPage;
use iam_domain::escalation::Cell;
use iam_domain::{Action, Catalog, CellChange, CellCounts, CompanyId};
use maud::{Markup, html};

use crate::pages::users::effect::{People, cell_name};
use crate::pages::users::person::{person, user_path};
use crate::quantity::count;

/// Maximum number of permissions that are listed.
const LISTED_CELLS: usize = 100;

/// Maximum number of users that a review names.
pub(super) const LISTED_USERS: u64 = 20;

/// Returns the key by which the cells of a review are sorted, like the rows of the matrix: views by URL, and then features by
/// key, with their standard actions first.
pub(super) fn row_of(catalog: &Catalog, cell: &Cell) -> impl Ord + use<> {
    match cell {
        Cell::View(id) => {
            let url = catalog.view(*id).map(|view| view.url.to_string());
            (false, false, url, String::new(), 0, String::new())
        }
        Cell::Action(id, action) => {
            let key = catalog.feature(*id).and_then(|feature| feature.key.as_ref()).map(ToString::to_string);
            let place = Action::standard().position(|standard| standard == *action).unwrap_or(usize::MAX);
            (true, key.is_none(), key, id.to_string(), place, action.to_string())
        }
    }
}

/// The effect of a change to a company, and what its parts are called.
pub(super) struct Effect<'a> {
    pub(super) company: CompanyId,
    pub(super) found: &'a PreviewPage,
    pub(super) catalog: &'a Catalog,
    pub(super) people: &'a People,
}

impl Effect<'_> {
    /// Returns the permissions and the users that the change affects. The losses are first.
    pub(super) fn show(&self) -> Markup {
        let impact = &self.found.impact;
        let mut cells: Vec<_> = impact.cells.iter().collect();
        cells.sort_by_cached_key(|(cell, counts)| (counts.losing == 0, row_of(self.catalog, cell)));
        html! {
            section {
                h2 { "Effect on users" }
                @if impact.users.is_empty() {
                    p { strong { "No user gains or loses a permission." } }
                } @else {
                    p { strong { (count(impact.users.len(), "user")) " affected." } }
                    (self.permissions(&cells))
                    (self.users())
                }
            }
        }
    }

    fn permissions(&self, cells: &[(&Cell, &CellCounts)]) -> Markup {
        html! {
            div.scroll role="region" aria-label="Permissions" tabindex="0" {
                table.effect {
                    caption { "Permissions" }
                    thead {
                        tr {
                            th scope="col" { "Permission" }
                            th.number scope="col" { "Users who lose it or a part of its scope" }
                            th.number scope="col" { "Users who gain it or a wider scope" }
                        }
                    }
                    tbody {
                        @for (cell, counts) in cells.iter().take(LISTED_CELLS) {
                            tr {
                                th scope="row" { (cell_name(self.catalog, cell)) }
                                td.number { @if counts.losing > 0 { "− " (counts.losing) } @else { "0" } }
                                td.number { @if counts.gaining > 0 { "+ " (counts.gaining) } @else { "0" } }
                            }
                        }
                    }
                }
            }
            @if cells.len() > LISTED_CELLS { p.muted { "and " (cells.len() - LISTED_CELLS) " more" } }
        }
    }

    fn users(&self) -> Markup {
        let (listed, all) = (self.found.users.len(), self.found.impact.users.len());
        let lost = |changes: &[CellChange]| changes.iter().filter(|change| !change.is_gain()).count();
        html! {
            details {
                summary { "Affected users" }
                ul {
                    @for (user, changes) in &self.found.users {
                        @let lost = lost(changes);
                        li {
                            a href=(user_path(self.company, *user)) { (person(self.people.get(user), *user)) }
                            " loses " (lost) " and gains " (changes.len() - lost)
                        }
                    }
                    @if all > listed { li.muted { "and " (count(all - listed, "user")) " more" } }
                }
            }
        }
    }
}
