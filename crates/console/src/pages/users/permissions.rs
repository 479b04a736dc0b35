//! The effective permissions of a user: each answer, its scope, and the levels that determine it.

use std::collections::BTreeMap;

use iam_domain::escalation::Cell;
use iam_domain::{CompanyId, Name, UserId, UserLevelId, folded};
use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::deciding::Deciding;
use super::effect::cell_name;
use super::person::matrix_path;
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

/// The address of the page that contains the table.
pub(crate) struct Address {
    pub(crate) path: String,
    /// The parameters that select what the page shows, besides the filter of the table.
    pub(crate) parameters: Vec<(&'static str, String)>,
}

/// The permissions of a user.
pub(crate) struct Permissions<'a> {
    pub(crate) company: CompanyId,
    /// The user. `None` if the permissions are those of levels that no user needs to hold.
    pub(crate) user: Option<UserId>,
    pub(crate) deciding: &'a dyn Deciding,
    /// The names of the levels that the user holds.
    pub(crate) levels: &'a BTreeMap<UserLevelId, Name>,
    pub(crate) filter: &'a Filter,
    pub(crate) address: Address,
}

impl Permissions<'_> {
    /// Returns the views by URL, then the actions of the features by key, as far as the filter includes them.
    fn cells(&self) -> Vec<Cell> {
        let (catalog, text) = (self.deciding.catalog(), folded(self.filter.q.trim()));
        let mut cells = Vec::new();
        for (cell, _) in self.deciding.answers().into_iter().filter(|(_, allowed)| self.filter.show.includes(*allowed))
        {
            let (key, searched) = match &cell {
                Cell::View(id) => {
                    let texts = catalog.view(*id).map(|view| (view.url.to_string(), view.name.to_string()));
                    let (url, name) = texts.unwrap_or_else(|| (id.to_string(), String::new()));
                    ((false, url.clone()), format!("{url} {name}"))
                }
                Cell::Action(id, action) => {
                    let feature = catalog.feature(*id);
                    let key = feature.and_then(|feature| feature.key.as_ref());
                    let key = key.map_or_else(|| id.to_string(), ToString::to_string);
                    let name = feature.map(|feature| feature.name.to_string()).unwrap_or_default();
                    ((true, key.clone()), format!("{key} {name} {}", action.as_str()))
                }
            };
            if folded(&searched).contains(&text) {
                cells.push((key, cell));
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
                form.toolbar role="search" aria-label="Permissions" action={ (self.address.path) "#permissions" } {
                    @for (name, value) in &self.address.parameters { input type="hidden" name=(name) value=(value); }
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
                            @if self.user.is_some() { th scope="col" { span.visually-hidden { "Explanation" } } }
                        }
                    }
                    tbody { @for cell in cells { (self.row(cell)) } }
                }
            }
        }
    }

    fn row(&self, cell: &Cell) -> Markup {
        let decision = self.deciding.decision(cell);
        html! {
            tr {
                th scope="row" { (cell_name(self.deciding.catalog(), cell)) }
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
                @if let Some(user) = self.user {
                    td { a href=(why_path(self.company, user, cell)) aria-label={ "Why? " (self.label(cell)) } { "Why?" } }
                }
            }
        }
    }

    fn label(&self, cell: &Cell) -> String {
        let catalog = self.deciding.catalog();
        match cell {
            Cell::View(id) => catalog.view(*id).map_or_else(|| id.to_string(), |view| view.name.to_string()),
            Cell::Action(id, action) => {
                let name = catalog.feature(*id).map_or_else(|| id.to_string(), |feature| feature.name.to_string());
                format!("{name} {}", action.as_str())
            }
        }
    }

    fn pager(&self, from: usize, total: usize) -> Markup {
        let path = |from: usize| {
            let shown = Answer::ALL.iter().find(|(answer, ..)| *answer == self.filter.show);
            let (q, show) =
                (utf8_percent_encode(&self.filter.q, NON_ALPHANUMERIC), shown.map_or("all", |(_, value, _)| value));
            let encoded = |value: &str| utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
            let parameters = self.address.parameters.iter().map(|(name, value)| format!("{name}={}&", encoded(value)));
            format!("{}?{}q={q}&show={show}&from={from}#permissions", self.address.path, parameters.collect::<String>())
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

/// Returns the path of the explanation of a decision about a user.
pub(crate) fn why_path(company: CompanyId, user: UserId, cell: &Cell) -> String {
    let what = match cell {
        Cell::View(id) => format!("view={id}"),
        Cell::Action(id, action) => {
            format!("feature={id}&action={}", utf8_percent_encode(action.as_str(), NON_ALPHANUMERIC))
        }
    };
    format!("{}?user={user}&{what}", company_path(company, "why"))
}
