//! The comparison of two levels: the cells for which they have different rules.

use actix_web::web::Query;
use iam_domain::{CompanyId, UserLevelId};
use maud::{Markup, html};
use serde::Deserialize;

use crate::authorized::{Authorized, ReadIam};
use crate::error::PageError;
use crate::layout::Section;
use crate::page::Page;
use crate::pages::matrix::Loaded;
use crate::pages::matrix::filter::Filter;
use crate::pages::matrix::grid::{Entry, Grid, differ};
use crate::pages::matrix::rows::Row;
use crate::pages::matrix::rule::Kind;
use crate::path::company_path;

/// The levels to compare.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Two {
    a: String,
    b: String,
}

/// `GET /console/companies/{company}/levels/compare`
pub(crate) async fn show(page: Authorized<ReadIam>, two: Query<Two>) -> Result<Page, PageError> {
    let id = |text: &str| UserLevelId::parse(text).map_err(|_| PageError::NotFound);
    let (first, second) = (id(&two.a)?, id(&two.b)?);
    let loaded = Loaded::of(&page).await?;
    let name = |id| {
        let level = loaded.matrix.levels.iter().find(|level| level.level.id == id);
        level.map(|level| &level.level.name).ok_or(PageError::NotFound)
    };
    let (first_name, second_name) = (name(first)?, name(second)?);
    let grid = |kind| {
        let filter = Filter::default().for_kind(kind);
        Grid::new(&loaded.matrix, &loaded.available, &filter, |level| level.id == first || level.id == second)
    };
    let company = page.company;
    page.page("Compare levels", Section::Levels, |_| {
        html! {
            header {
                h1 { bdi { (first_name) } " and " bdi { (second_name) } }
                div.actions {
                    a.button href={ (company_path(company, "levels/compare")) "?a=" (second) "&b=" (first) } { "Swap" }
                    a.button href=(company_path(company, "levels")) { "All levels" }
                }
            }
            @for kind in [Kind::Views, Kind::Features] {
                section {
                    h2 { (kind.label()) }
                    (differences(company, kind, grid(kind), (first, second)))
                }
            }
        }
    })
}

fn differences(company: CompanyId, kind: Kind, grid: Grid<'_>, (first, second): (UserLevelId, UserLevelId)) -> Markup {
    let Grid { mut levels, rows } = grid;
    let all = rows.len();
    let mut rows: Vec<_> = rows.into_iter().filter(|(_, entries)| differ(entries)).collect();
    // The columns are in the order of the request.
    if levels.first().is_some_and(|level| level.id != first) {
        levels.reverse();
        rows.iter_mut().for_each(|(_, entries)| entries.reverse());
    }
    let matrix = |level| {
        let path = company_path(company, &format!("levels/{level}/matrix"));
        format!("{path}?tab={}", kind.name())
    };
    html! {
        @if rows.is_empty() {
            div.empty { p { "Both levels have the same rules for all " (all) " rows." } }
        } @else {
            p.muted { (rows.len()) " of " (all) " rows differ." }
            div.scroll {
                table {
                    caption.visually-hidden { (kind.label()) " with different rules" }
                    thead {
                        tr {
                            th scope="col" { @match kind { Kind::Views => "View", Kind::Features => "Action of a feature" } }
                            @for (level, id) in levels.iter().zip([first, second]) {
                                th scope="col" { a href=(matrix(id)) { bdi { (level.name) } } }
                            }
                        }
                    }
                    tbody { @for (row, entries) in &rows { (row_of(kind, row, entries)) } }
                }
            }
        }
    }
}

fn row_of(kind: Kind, row: &Row, entries: &[Entry]) -> Markup {
    html! {
        tr.closed[row.closed.is_some()] {
            th scope="row" title=(row.title()) { (row.label()) (row.notes()) }
            @for entry in entries {
                td {
                    span class=(entry.rule.chip()) { (entry.rule.label(kind)) }
                    @if entry.is_pinned { " " small.reason { "pinned" } }
                }
            }
        }
    }
}
