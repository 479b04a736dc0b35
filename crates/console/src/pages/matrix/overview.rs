//! The matrix of all levels. Scripts make its cells editable; without scripts, each level is edited on a page of its own.

use std::fmt::Write;

use actix_web::web::Query;
use iam_domain::{CompanyId, UserLevel};
use maud::{Escaper, Markup, PreEscaped, html};

use super::draft::{Draft, cell_name};
use super::filter::Filter;
use super::grid::{Entry, Grid};
use super::rows::Row;
use super::rule::{Kind, Rule};
use super::toolbar::{filters, meaning, no_rows, pager, tabs};
use super::{Loaded, OnlyDraft};
use crate::assets;
use crate::authorized::{Authorized, ManagePermissions, Policy, ReadIam};
use crate::error::PageError;
use crate::layout::{Section, csrf_field};
use crate::page::Page;
use crate::path::company_path;
use crate::quantity::count;
use crate::submitted::Submitted;

/// Maximum number of rows on a page. Scripts load the next rows when the reader reaches the end.
const ROWS: usize = 200;

/// `GET /console/companies/{company}/matrix`
pub(crate) async fn show(page: Authorized<ReadIam>, filter: Query<Filter>) -> Result<Page, PageError> {
    render(&page, &filter, &Draft::default()).await
}

/// `POST /console/companies/{company}/matrix`: the same page with the draft in the form. Nothing is changed.
pub(crate) async fn with_draft(
    sent: Submitted<Authorized<ManagePermissions>, OnlyDraft>,
    filter: Query<Filter>,
) -> Result<Page, PageError> {
    render(&sent.page, &filter, &Draft::of(&sent.fields)?).await
}

async fn render<P: Policy>(page: &Authorized<P>, filter: &Filter, draft: &Draft) -> Result<Page, PageError> {
    let loaded = Loaded::of(page).await?;
    let grid = Grid::new(&loaded.matrix, &loaded.available, filter, |_| true);
    let all = grid.rows.len();
    let shown = grid.rows.get(filter.from().min(all)..).unwrap_or_default();
    let shown = shown.get(..ROWS.min(shown.len())).unwrap_or_default();
    let company = page.company;
    page.page("Matrix", Section::Matrix, |csrf| {
        html! {
            header {
                h1 { "Matrix" }
                p.muted { "What each level allows and denies. " (grid.levels.len()) " levels, " (all) " rows." }
            }
            (saved(filter))
            (tabs(company, filter))
            (filters(&loaded.matrix.catalog, company, filter, true))
            @if grid.levels.is_empty() {
                div.empty {
                    p { "This company has no levels yet." }
                    p { a.button href=(company_path(company, "levels")) { "Levels" } }
                }
            } @else if shown.is_empty() {
                (no_rows(company, filter))
            } @else {
                (legend(filter.kind(), loaded.may_edit))
                (table(&loaded, company, filter, &grid.levels, shown))
                (pager(company, filter, shown.len(), all, ROWS))
            }
            @if loaded.may_edit { (draft_form(company, filter, draft, csrf)) }
            script type="module" src=(assets::matrix()) {}
        }
    })
}

/// Returns the message after cells were saved.
pub(crate) fn saved(filter: &Filter) -> Markup {
    html! {
        @if let Some(saved) = filter.saved() {
            div.notice role="status" { p { (count(saved, "change")) @if saved == 1 { " was saved." } @else { " were saved." } } }
        }
    }
}

fn legend(kind: Kind, may_edit: bool) -> Markup {
    html! {
        (meaning(kind))
        @if may_edit {
            p.legend data-scripted hidden {
                "Select a cell with a click or with the arrow keys. " kbd { "Space" } " or a click changes it, "
                kbd { "Escape" } " restores it, " kbd { "Ctrl" } "+" kbd { "Z" } " undoes the last change."
            }
            noscript { p.legend { "To change a level, open it with the link below its name." } }
        }
    }
}

fn draft_form(company: CompanyId, filter: &Filter, draft: &Draft, csrf: &str) -> Markup {
    html! {
        form.draft #draft method="post" action=(filter.action(company, "review")) hidden[draft.is_empty()] {
            (csrf_field(csrf))
            div data-edits { (draft.fields()) }
            p #draft-count aria-live="polite" { (count(draft.len(), "change")) }
            button type="button" data-undo hidden { "Undo" }
            a.button href=(filter.page(company)) data-discard { "Discard" }
            button.primary type="submit" { "Review" }
        }
    }
}

/// Returns the table. It is written without `html!`, because it can have tens of thousands of cells: end tags that HTML
/// does not require are omitted, and the class of a cell is one letter.
fn table(
    loaded: &Loaded,
    company: CompanyId,
    filter: &Filter,
    levels: &[&UserLevel],
    rows: &[(Row, Vec<Entry>)],
) -> Markup {
    let kind = filter.kind();
    let mut body = String::with_capacity(rows.len() * (levels.len() * 16 + 160));
    for (row, entries) in rows {
        body.push_str(if row.closed.is_some() { "<tr class=\"closed\"" } else { "<tr" });
        if let Some(max) = row.ceiling() {
            body.extend([" data-max=", max]);
        }
        body.push_str(" data-cell=\"");
        // Writing to a string does not fail.
        let _ = write!(Escaper::new(&mut body), "{}", cell_name(&row.cell));
        body.push_str("\">");
        body.push_str(&html! { th scope="row" title=(row.title()) { (row.label()) (row.notes()) } }.into_string());
        for entry in entries {
            push_entry(&mut body, kind, *entry, row.capped(entry.rule));
        }
        body.push_str("</tr>");
    }
    html! {
        div.scroll.matrix tabindex="0" role="region" aria-label="Matrix" {
            table.matrix data-kind=(kind.name()) data-editable[loaded.may_edit] data-pinned[loaded.may_edit_pinned] {
                caption.visually-hidden { (kind.label()) " by level" }
                thead {
                    tr {
                        th scope="col" { @match kind { Kind::Views => "View", Kind::Features => "Action of a feature" } }
                        @for level in levels {
                            th scope="col" data-level=(level.id) title=(level.name) {
                                a href=(filter.for_kind(kind).for_level(level.id).page(company)) data-keep-draft
                                    { bdi { (level.name) } }
                            }
                        }
                    }
                }
                tbody { (PreEscaped(body)) }
            }
        }
    }
}

/// Adds a cell. `capped` is what the ceiling of the company leaves of the rule, if it limits the rule.
fn push_entry(body: &mut String, kind: Kind, Entry { rule, is_pinned }: Entry, capped: Option<&str>) {
    match (rule, is_pinned) {
        (Rule::Inherit, false) => body.push_str("<td>"),
        (rule, false) => {
            for part in ["<td class=", rule.code(), ">", rule.text(kind)] {
                body.push_str(part);
            }
        }
        (rule, true) => {
            let text = if rule == Rule::Inherit { rule.label(kind) } else { rule.text(kind) };
            for part in ["<td class=\"", rule.code(), " p\">", text, "<small>pinned</small>"] {
                body.push_str(part);
            }
        }
    }
    if let Some(capped) = capped {
        for part in ["<small data-ceiling>", capped, "</small>"] {
            body.push_str(part);
        }
    }
}
