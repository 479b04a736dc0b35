//! The matrix of one level: a form with one control for each cell, which works without scripts.

use actix_web::web::{Path, Query};
use iam_domain::UserLevelId;
use maud::{Markup, PreEscaped, html};

use super::draft::{Draft, field_name};
use super::filter::Filter;
use super::grid::{Entry, Grid};
use super::overview::saved;
use super::rows::Row;
use super::rule::Kind;
use super::toolbar::{filters, meaning, no_rows, pager, tabs};
use super::{Loaded, OnlyDraft};
use crate::assets;
use crate::authorized::{Authorized, ManagePermissions, Policy, ReadIam};
use crate::error::PageError;
use crate::layout::{Section, csrf_field};
use crate::page::Page;
use crate::pages::audit::filter::about_level;
use crate::path::company_path;
use crate::quantity::count;
use crate::submitted::Submitted;

/// Maximum number of rows on a page.
const ROWS: usize = 400;

/// The company and the level in the path of a page.
pub(crate) type LevelPath = Path<(String, String)>;

/// Returns the level in the path of a page.
pub(crate) fn level_of(path: &LevelPath) -> Result<UserLevelId, PageError> {
    UserLevelId::parse(&path.1).map_err(|_| PageError::NotFound)
}

/// `GET /console/companies/{company}/levels/{level}/matrix`
pub(crate) async fn show(page: Authorized<ReadIam>, path: LevelPath, filter: Query<Filter>) -> Result<Page, PageError> {
    render(&page, level_of(&path)?, &filter, Draft::default()).await
}

/// `POST /console/companies/{company}/levels/{level}/matrix`: the same page with the draft in the form. Nothing is changed.
pub(crate) async fn with_draft(
    sent: Submitted<Authorized<ManagePermissions>, OnlyDraft>,
    path: LevelPath,
    filter: Query<Filter>,
) -> Result<Page, PageError> {
    render(&sent.page, level_of(&path)?, &filter, Draft::of(&sent.fields)?).await
}

async fn render<P: Policy>(
    page: &Authorized<P>,
    level: UserLevelId,
    filter: &Filter,
    draft: Draft,
) -> Result<Page, PageError> {
    let loaded = Loaded::of(page).await?;
    let filter = filter.for_level(level);
    let grid = Grid::new(&loaded.matrix, &loaded.available, &filter, |other| other.id == level);
    let name = grid.levels.first().map(|level| &level.name).ok_or(PageError::NotFound)?;
    let all = grid.rows.len();
    let shown = grid.rows.get(filter.from().min(all)..).unwrap_or_default();
    let shown = shown.get(..ROWS.min(shown.len())).unwrap_or_default();
    // The edits of cells without a control on this page are hidden fields.
    let mut rest = draft.clone();
    for (row, entries) in shown {
        if entries.iter().any(|entry| is_editable(&loaded, *entry)) {
            rest.remove(level, &row.cell);
        }
    }
    let company = page.company;
    let title = format!("Matrix of {name}");
    page.page(&title, Section::Matrix, |csrf| {
        html! {
            header {
                h1 { "Matrix of " bdi { (name) } }
                div.actions {
                    a.button href=(company_path(company, &format!("levels/{level}"))) data-keep-draft { "Level" }
                    a.button href={ (company_path(company, "matrix")) "?tab=" (filter.kind().name()) } data-keep-draft
                        { "All levels" }
                    @if loaded.may_read_audit { a.button href=(about_level(company, level)) { "History" } }
                }
            }
            (saved(&filter))
            (tabs(company, &filter))
            (filters(&loaded.matrix.catalog, company, &filter, false))
            @if shown.is_empty() { (no_rows(company, &filter)) } @else { (meaning(filter.kind())) }
            @if loaded.may_edit {
                form.level-matrix #draft method="post" action=(filter.action(company, "review")) {
                    (csrf_field(csrf))
                    div data-edits { (rest.fields()) }
                    @if !shown.is_empty() { (table(&loaded, level, filter.kind(), &draft, shown)) }
                    @if !shown.is_empty() || !rest.is_empty() {
                        div.draft {
                            p #draft-count aria-live="polite" {
                                @if !draft.is_empty() { (count(draft.len(), "change")) } @else { "Nothing is saved before the review." }
                            }
                            a.button href=(filter.page(company)) data-discard { "Discard" }
                            button.primary type="submit" { "Review" }
                        }
                    }
                }
            } @else if !shown.is_empty() {
                (table(&loaded, level, filter.kind(), &draft, shown))
            }
            (pager(company, &filter, shown.len(), all, ROWS))
            script type="module" src=(assets::matrix()) {}
        }
    })
}

/// Returns `true` if the person may change a cell.
const fn is_editable(loaded: &Loaded, entry: Entry) -> bool {
    loaded.may_edit && (!entry.is_pinned || loaded.may_edit_pinned)
}

fn table(loaded: &Loaded, level: UserLevelId, kind: Kind, draft: &Draft, rows: &[(Row, Vec<Entry>)]) -> Markup {
    html! {
        div.scroll {
            table.level-matrix {
                caption.visually-hidden { (kind.label()) " and their rules" }
                thead {
                    tr {
                        th scope="col" { @match kind { Kind::Views => "View", Kind::Features => "Action of a feature" } }
                        th scope="col" { "Rule" }
                    }
                }
                tbody {
                    @for (index, (row, entries)) in rows.iter().enumerate() {
                        @for entry in entries {
                            tr.closed[row.closed.is_some()] {
                                th scope="row" id={ "r" (index) } title=(row.title()) { (row.label()) (row.notes()) }
                                td {
                                    @if is_editable(loaded, *entry) {
                                        (select(level, index, row, *entry, draft))
                                    } @else {
                                        span class=(entry.rule.chip()) { (entry.rule.label(kind)) }
                                        @if entry.is_pinned {
                                            small.reason { "Pinned by the platform: only super admins may change it" }
                                        }
                                    }
                                    @if let Some(capped) = row.capped(entry.rule) { small.reason { "Saved rule: " (capped) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Returns the control for a cell. Its name contains the rule that the person has seen first, also if the draft was made
/// before this page was read.
fn select(level: UserLevelId, index: usize, row: &Row, entry: Entry, draft: &Draft) -> Markup {
    let kind = Kind::of(&row.cell);
    let (before, selected) = draft.edit(level, &row.cell).unwrap_or((entry.rule, entry.rule));
    let mut options = String::new();
    for rule in kind.rules() {
        let attribute = if *rule == selected { " selected" } else { "" };
        for part in ["<option value=", rule.code(), attribute, ">", rule.label(kind)] {
            options.push_str(part);
        }
    }
    html! {
        select name=(field_name(level, &row.cell, before)) aria-labelledby={ "r" (index) } { (PreEscaped(options)) }
        @if entry.is_pinned { small.reason { "Pinned: others may not change it" } }
        @if selected != entry.rule { small.reason { "Saved: " (entry.rule.label(kind)) } }
        @if before != entry.rule { small.reason { "Another person has changed it since: was " (before.label(kind)) } }
    }
}
