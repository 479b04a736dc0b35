//! The list of companies: those of the signed-in person, or all companies for super admins, who can also create companies.

use actix_web::web::Query;
use iam_application::{CompanyOrder, ListCompanies, PageRequest, Requirement};
use iam_domain::{CompanyDetails, CompanyId, CompanyStatus};
use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::authorized::SignedIn;
use crate::error::PageError;
use crate::layout::{Section, company_name, suspended};
use crate::page::Page;
use crate::path::{PATH, company_path};

/// Number of companies on a page of the list.
const PAGE: u64 = 50;
/// Number of companies in the menu of the header.
const OPTIONS: u64 = 8;

/// Number of memberships that are read at once to search them.
const SEARCHED: u64 = 100;
/// Maximum number of such reads for one page of results.
const MAX_PAGES: usize = 10;

/// The search text and the position in the list.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Search {
    #[serde(default)]
    q: String,
    /// The status of the companies. Only super admins filter by it.
    #[serde(default)]
    status: String,
    cursor: Option<String>,
    /// Set after a company was erased.
    #[serde(default)]
    erased: String,
}

/// The companies on a page, and the cursor of the next page.
type Found = (Vec<(CompanyId, CompanyDetails)>, Option<String>);

async fn find(person: &SignedIn, search: &Search, limit: u64) -> Result<Found, PageError> {
    let (caller, text) = (person.caller(), search.q.trim());
    let page = PageRequest { limit, cursor: search.cursor.clone(), include_total: false };
    if caller.is_super_admin() {
        person.authorize_on_platform(Requirement::SuperAdmin).await?;
        let status = search.status.as_str();
        let search = Some(text).filter(|text| !text.is_empty()).map(str::to_owned);
        let request = ListCompanies { status: status.parse().ok(), search, order: CompanyOrder::Name, page };
        let found = person.application().list_companies(caller, &request).await?;
        let companies = found.elements.into_iter().map(|company| (company.id, company.details)).collect();
        return Ok((companies, found.next_cursor));
    }
    let mut companies = Vec::new();
    // The memberships of a user cannot be searched in the storage, but few users have more than one page of them.
    let limit = if text.is_empty() { limit } else { SEARCHED };
    let mut page = PageRequest { limit, ..page };
    for _ in 0..MAX_PAGES {
        let found = person.application().memberships(caller, person.identity.user(), &page).await?;
        let found_companies = found.elements.into_iter().map(|of| (of.company, of.details));
        companies.extend(found_companies.filter(|(id, details)| is_named(*id, details, text)));
        page.cursor = found.next_cursor;
        if text.is_empty() || page.cursor.is_none() {
            break;
        }
    }
    Ok((companies, page.cursor))
}

/// Returns `true` if the id of a company begins with the text, or its name contains it.
fn is_named(id: CompanyId, details: &CompanyDetails, text: &str) -> bool {
    let wanted = text.to_lowercase();
    let is_in_name = details.name.as_ref().is_some_and(|name| name.as_str().to_lowercase().contains(&wanted));
    is_in_name || id.to_string().starts_with(&wanted)
}

/// `GET /console/companies`
pub(crate) async fn list(person: SignedIn, search: Query<Search>) -> Result<Page, PageError> {
    let (companies, next) = find(&person, &search, PAGE).await?;
    let is_super_admin = person.caller().is_super_admin();
    person.page("Companies", Section::Companies, |_| {
        html! {
            header {
                h1 { "Companies" }
                @if is_super_admin {
                    div.actions { a.button.primary href={ (PATH) "/companies/new" } { "New company" } }
                }
            }
            @if search.erased == "1" {
                div.notice role="status" { p { "The company was erased." } }
            }
            form.toolbar role="search" aria-label="List of companies" {
                div {
                    label for="q" { "Name or id" }
                    input #q type="search" name="q" value=(search.q) maxlength="255" data-search;
                }
                @if is_super_admin { (status_control(&search.status)) }
                button type="submit" { "Search" }
            }
            @if companies.is_empty() {
                div.empty { p { (none_found(is_super_admin, &search)) } }
            } @else {
                div.scroll {
                    table {
                        thead { tr { th scope="col" { "Company" } th scope="col" { "Id" } th scope="col" { "Status" } } }
                        tbody {
                            @for (id, details) in &companies {
                                tr {
                                    td { a href=(company_path(*id, "")) { (company_name(*id, details)) } }
                                    td.mono { (id) }
                                    td { (suspended(details)) }
                                }
                            }
                        }
                    }
                }
            }
            (pager(&search, next.as_deref()))
        }
    })
}

/// Returns the text of an empty list.
fn none_found(is_super_admin: bool, search: &Search) -> &'static str {
    match search.q.trim().is_empty() && search.status.is_empty() {
        true if is_super_admin => "There are no companies yet.",
        true => "You are not a member of a company.",
        false => "No company was found.",
    }
}

fn status_control(selected: &str) -> Markup {
    html! {
        div {
            label for="status" { "Status" }
            select #status name="status" {
                option value="" { "Any" }
                @for (status, label) in [(CompanyStatus::Active, "Active"), (CompanyStatus::Suspended, "Suspended")] {
                    option value=(status) selected[status.as_str() == selected] { (label) }
                }
            }
        }
    }
}

fn pager(search: &Search, next: Option<&str>) -> Markup {
    let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let (q, status) = (encoded(&search.q), encoded(&search.status));
    html! {
        @if let Some(next) = next {
            nav.pager aria-label="Pages" {
                a.button href={ (PATH) "/companies?q=" (q) "&status=" (status) "&cursor=" (encoded(next)) } { "Next page" }
            }
        }
    }
}

/// `GET /console/companies/options`: the companies in the menu of the header, without the frame.
pub(crate) async fn options(person: SignedIn, search: Query<Search>) -> Result<Page, PageError> {
    let (mut companies, next) = find(&person, &search, OPTIONS).await?;
    let shown = usize::try_from(OPTIONS).unwrap_or(usize::MAX);
    let has_more = next.is_some() || companies.len() > shown;
    companies.truncate(shown);
    Ok(Page::fragment(html! {
        @if companies.is_empty() { p.muted { "No company was found." } }
        ul {
            @for (id, details) in &companies {
                li { a href=(company_path(*id, "")) { (company_name(*id, details)) } " " (suspended(details)) }
            }
        }
        @if has_more { p.muted { "There are more. Type a longer text." } }
    }))
}
