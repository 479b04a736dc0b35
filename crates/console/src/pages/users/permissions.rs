//! The effective permissions of a user: each answer, its scope, and the levels that determine it.

use std::collections::BTreeMap;

use iam_domain::escalation::Cell;
use iam_domain::{CompanyId, Name, UserId, UserLevelId, folded};
use iam_permissions_cache::{Access, Check, FeatureRef, ViewRef};
use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::effect::cell_name;
use super::person::{matrix_path, user_path};
use crate::path::company_path;
use crate::quantity::count;

/// Number of permissions on a page.
const PAGE: usize = 200;

/// Which permissions are listed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Answer {
    /// All permissions.
    #[default]
    All,
    /// Only those that are allowed.
    Allowed,
    /// Only those that are denied.
    Denied,
}

impl Answer {
    const ALL: [(Self, &'static str, &'static str); 3] =
        [(Self::All, "all", "All"), (Self::Allowed, "allowed", "Allowed"), (Self::Denied, "denied", "Denied")];

    const fn includes(self, allowed: bool) -> bool {
        match self {
            Self::All => true,
            Self::Allowed => allowed,
            Self::Denied => !allowed,
        }
    }
}

/// The filter of the permissions, and the position in the list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Filter {
    q: String,
    show: Answer,
    from: usize,
}

/// The permissions of a user.
pub(crate) struct Permissions<'a> {
    pub(crate) company: CompanyId,
    pub(crate) user: UserId,
    pub(crate) access: &'a Access,
    /// The names of the levels that the user holds.
    pub(crate) levels: &'a BTreeMap<UserLevelId, Name>,
    pub(crate) filter: &'a Filter,
}

fn check_of(cell: &Cell) -> Check {
    match cell {
        Cell::View(id) => Check::View(ViewRef::Id(*id)),
        Cell::Action(id, action) => {
            Check::Feature { feature: FeatureRef::Id(*id), action: action.clone(), least_scope: None }
        }
    }
}

impl Permissions<'_> {
    /// Returns the views by URL, then the actions of the features by key, as far as the filter includes them.
    fn cells(&self) -> Vec<Cell> {
        let (catalog, effective, text) = (self.access.catalog(), self.access.effective(), folded(self.filter.q.trim()));
        let mut cells = Vec::new();
        for (id, allowed) in effective.views {
            let texts = catalog.view(id).map(|view| (view.url.to_string(), view.name.to_string()));
            let (url, name) = texts.unwrap_or_else(|| (id.to_string(), String::new()));
            if self.filter.show.includes(allowed) && folded(&format!("{url} {name}")).contains(&text) {
                cells.push(((false, url), Cell::View(id)));
            }
        }
        for (id, actions) in effective.features {
            let feature = catalog.feature(id);
            let key = feature.and_then(|feature| feature.key.as_ref());
            let key = key.map_or_else(|| id.to_string(), ToString::to_string);
            let name = feature.map(|feature| feature.name.to_string()).unwrap_or_default();
            for (action, permission) in actions {
                let searched = folded(&format!("{key} {name} {}", action.as_str()));
                if self.filter.show.includes(permission.allowed) && searched.contains(&text) {
                    cells.push(((true, key.clone()), Cell::Action(id, action)));
                }
            }
        }
        cells.sort();
        cells.into_iter().map(|(_, cell)| cell).collect()
    }

    /// Returns the table of the permissions with its filter.
    pub(crate) fn show(&self) -> Markup {
        let cells = self.cells();
        let (from, total) = (self.filter.from.min(cells.len()), cells.len());
        let shown: Vec<_> = cells.iter().skip(from).take(PAGE).collect();
        html! {
            section #permissions {
                h2 { "Effective permissions" }
                form.toolbar role="search" aria-label="Permissions" action={ (user_path(self.company, self.user)) "#permissions" } {
                    div {
                        label for="permission-q" { "View, feature or action" }
                        input #permission-q type="search" name="q" value=(self.filter.q) maxlength="255" autocomplete="off";
                    }
                    div {
                        label for="permission-show" { "Answer" }
                        select #permission-show name="show" {
                            @for (answer, value, label) in Answer::ALL {
                                option value=(value) selected[answer == self.filter.show] { (label) }
                            }
                        }
                    }
                    button type="submit" { "Filter" }
                }
                @if shown.is_empty() {
                    div.empty { p { "No permission matches the filter." } }
                } @else {
                    (self.table(&shown))
                }
                p.muted { (count(total, "permission")) @if total > shown.len() { ", " (from + 1) " to " (from + shown.len()) } }
                (self.pager(from, total))
            }
        }
    }

    fn table(&self, cells: &[&Cell]) -> Markup {
        html! {
            div.scroll {
                table {
                    caption.visually-hidden { "Effective permissions" }
                    thead {
                        tr {
                            th scope="col" { "Permission" }
                            th scope="col" { "Answer" }
                            th scope="col" { "Scope" }
                            th scope="col" { "Because of" }
                            th scope="col" { span.visually-hidden { "Explanation" } }
                        }
                    }
                    tbody { @for cell in cells { (self.row(cell)) } }
                }
            }
        }
    }

    fn row(&self, cell: &Cell) -> Markup {
        let decision = self.access.check(&check_of(cell));
        html! {
            tr {
                th scope="row" { (cell_name(self.access.catalog(), cell)) }
                td {
                    @if decision.allowed { span.chip.allow { "Allowed" } } @else { span.chip.deny { "Denied" } }
                }
                td { @if let Some(scope) = decision.scope.filter(|_| decision.allowed) { (scope) } }
                td {
                    @if decision.decided_by.is_empty() {
                        (decision.reason.text())
                    } @else {
                        @for (index, level) in decision.decided_by.iter().enumerate() {
                            @if index > 0 { ", " }
                            a href=(matrix_path(self.company, *level)) {
                                @match self.levels.get(level) {
                                    Some(name) => bdi { (name) },
                                    None => span.mono { (level) },
                                }
                            }
                        }
                    }
                }
                td { a href=(self.why(cell)) aria-label={ "Why? " (self.label(cell)) } { "Why?" } }
            }
        }
    }

    fn label(&self, cell: &Cell) -> String {
        let catalog = self.access.catalog();
        match cell {
            Cell::View(id) => catalog.view(*id).map_or_else(|| id.to_string(), |view| view.name.to_string()),
            Cell::Action(id, action) => {
                let name = catalog.feature(*id).map_or_else(|| id.to_string(), |feature| feature.name.to_string());
                format!("{name} {}", action.as_str())
            }
        }
    }

    fn why(&self, cell: &Cell) -> String {
        let what = match cell {
            Cell::View(id) => format!("view={id}"),
            Cell::Action(id, action) => {
                format!("feature={id}&action={}", utf8_percent_encode(action.as_str(), NON_ALPHANUMERIC))
            }
        };
        format!("{}?user={}&{what}", company_path(self.company, "why"), self.user)
    }

    fn pager(&self, from: usize, total: usize) -> Markup {
        let path = |from: usize| {
            let shown = Answer::ALL.iter().find(|(answer, ..)| *answer == self.filter.show);
            let (q, show) =
                (utf8_percent_encode(&self.filter.q, NON_ALPHANUMERIC), shown.map_or("all", |(_, value, _)| value));
            format!("{}?q={q}&show={show}&from={from}#permissions", user_path(self.company, self.user))
        };
        html! {
            @if from > 0 || from + PAGE < total {
                nav.pager aria-label="Permissions" {
                    @if from > 0 { a.button href=(path(from.saturating_sub(PAGE))) { "Previous page" } }
                    @if from + PAGE < total { a.button href=(path(from + PAGE)) { "Next page" } }
                }
            }
        }
    }
}
