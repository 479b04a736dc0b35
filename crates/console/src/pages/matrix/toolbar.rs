//! The controls above a matrix: the choice of the matrix, and the filters of its rows.

use iam_domain::{Catalog, CompanyId};
use maud::{Markup, html};

use super::filter::{Filter, InModule};
use super::rule::Kind;

/// Returns the links to the view matrix and to the feature matrix.
pub(crate) fn tabs(company: CompanyId, filter: &Filter) -> Markup {
    html! {
        nav.tabs aria-label="Matrices" {
            @for kind in [Kind::Views, Kind::Features] {
                a href=(filter.for_kind(kind).page(company)) aria-current=[(kind == filter.kind()).then_some("page")]
                    data-keep-draft { (kind.label()) }
            }
        }
    }
}

/// Returns what the rules of a matrix mean.
pub(crate) fn meaning(kind: Kind) -> Markup {
    html! {
        p.legend {
            span.chip.allow { "Allow" } " grants. " span.chip.deny { "Deny" } " overrides every Allow. Empty: inherit; if no \
            level of the user allows it, it is denied. " span.chip { "pinned" } " cells are set by the platform."
        }
        @if kind == Kind::Features {
            p.legend {
                strong { "own" } ": the records of the user. " strong { "team" } ": also those of the user's teams. "
                strong { "company" } ": all records of the company. " strong { "any" } ": also records that the application \
                restricts further."
            }
        }
    }
}

/// Returns the filters of the rows. `compares` states whether the page shows several levels.
pub(crate) fn filters(catalog: &Catalog, company: CompanyId, filter: &Filter, compares: bool) -> Markup {
    let page = filter.page(company);
    let path = page.split_once('?').map_or(page.as_str(), |(path, _)| path);
    let mut modules: Vec<_> = catalog.modules().collect();
    modules.sort_by(|a, b| (a.name.as_str(), a.id).cmp(&(b.name.as_str(), b.id)));
    let selected = filter.module();
    let option = |value: InModule, name: Markup| {
        html! { option value=(value.value()) selected[value == selected] { (name) } }
    };
    html! {
        form.toolbar role="search" aria-label="Rows" action=(path) data-keep-draft {
            input type="hidden" name="tab" value=(filter.kind().name());
            div {
                label for="q" { "Text" }
                input #q type="search" name="q" value=(filter.text()) maxlength="255" autocomplete="off"
                    placeholder="Name, key or action";
            }
            div {
                label for="module" { "Module" }
                select #module name="module" {
                    (option(InModule::Any, html! { "All" }))
                    (option(InModule::None, html! { "None (always available)" }))
                    @for module in modules { (option(InModule::Module(module.id), html! { (module.name) })) }
                }
            }
            @if compares {
                label.check {
                    input type="checkbox" name="differs" value="1" checked[filter.is_differing()];
                    " Differs between levels"
                }
            }
            button type="submit" { "Filter" }
            @if !filter.is_empty() {
                a.button href={ (path) "?tab=" (filter.kind().name()) } data-keep-draft { "Clear" }
            }
        }
    }
}

/// Returns the message for a matrix without rows.
pub(crate) fn no_rows(company: CompanyId, filter: &Filter) -> Markup {
    let page = filter.page(company);
    let path = page.split_once('?').map_or(page.as_str(), |(path, _)| path);
    html! {
        div.empty {
            @if filter.is_empty() {
                p { "The catalog contains no " (filter.kind().name()) " yet." }
            } @else {
                p { "Nothing matches the filter." }
                p { a.button href={ (path) "?tab=" (filter.kind().name()) } data-keep-draft { "Show everything" } }
            }
        }
    }
}

/// Returns the links to the previous and to the next rows.
pub(crate) fn pager(company: CompanyId, filter: &Filter, shown: usize, all: usize, limit: usize) -> Markup {
    let (from, next) = (filter.from(), filter.from().saturating_add(shown));
    html! {
        @if shown < all {
            nav.pager aria-label="Rows" {
                @if from > 0 {
                    a.button href=(filter.starting(from.saturating_sub(limit)).page(company)) data-keep-draft
                        { "Previous rows" }
                }
                span.muted { "Rows " (from.saturating_add(1)) "–" (next) " of " (all) }
                @if next < all {
                    a.button href=(filter.starting(next).page(company)) data-keep-draft data-more { "Next rows" }
                }
            }
        }
    }
}
