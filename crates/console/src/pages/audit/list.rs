//! The timeline of an audit log, newest first, grouped by day.

use actix_web::http::StatusCode;
use actix_web::web::Query;
use iam_domain::CompanyId;
use maud::{Markup, html};

use super::filter::{Filter, Problems, log_path};
use super::log::{Existing, Log, Part};
use super::record::Records;
use crate::authorized::{Authorized, ReadAudit, SignedIn};
use crate::error::PageError;
use crate::layout::Section;
use crate::page::Page;

/// Number of records on a page. A page of large records has fewer.
const PAGE: u64 = 50;

/// What a page shows.
struct Found {
    company: Option<CompanyId>,
    sees_pages: bool,
    existing: Existing,
    part: Result<Part, Problems>,
}

/// `GET /console/companies/{company}/audit`
pub(crate) async fn of_company(page: Authorized<ReadAudit>, filter: Query<Filter>) -> Result<Page, PageError> {
    let found = find(&Log::of_company(&page).await?, &filter, &page.signed_in).await?;
    let answer = page.page("Audit", Section::Audit, |_| content("Audit", &filter, &found))?;
    Ok(answer.with_status(found.status()))
}

/// `GET /console/audit`: the changes that belong to no company.
pub(crate) async fn of_platform(person: SignedIn, filter: Query<Filter>) -> Result<Page, PageError> {
    let found = find(&Log::of_platform(&person).await?, &filter, &person).await?;
    let title = "Audit of the platform";
    let answer = person.page(title, Section::PlatformAudit, |_| content(title, &filter, &found))?;
    Ok(answer.with_status(found.status()))
}

async fn find(log: &Log<'_>, filter: &Filter, person: &SignedIn) -> Result<Found, PageError> {
    let part = match filter.parse(|text| person.user_named(text)) {
        Ok((filter, cursor)) => Ok(log.part(&filter, cursor, PAGE).await?),
        Err(problems) => Err(problems),
    };
    Ok(Found { company: log.company, sees_pages: log.sees_pages, existing: log.existing().await?, part })
}

impl Found {
    const fn status(&self) -> StatusCode {
        if self.part.is_ok() { StatusCode::OK } else { StatusCode::BAD_REQUEST }
    }
}

fn content(title: &str, filter: &Filter, found: &Found) -> Markup {
    let Found { company, sees_pages, existing, part } = found;
    let none = Problems::new();
    let problems = part.as_ref().err().unwrap_or(&none);
    html! {
        header {
            h1 { (title) }
            p.muted {
                @if company.is_some() { "Who changed what in this company, newest first." }
                @else { "Changes to the catalog, to the common menu, to API keys and to sign-ins, newest first." }
            }
            @if part.is_ok() {
                div.actions { a.button href={ (log_path(*company)) ".csv?" (filter.query()) } download { "Export as CSV" } }
            }
        }
        (filter.form(*company, &existing.levels, problems))
        @if filter.is_about_level() {
            p.muted { "Assignments of a level are recorded for the users, and are not part of the history of the level." }
        }
        @match part {
            Err(problems) => div.notice.error role="alert" {
                p { "The filter is not valid." @if let Some(problem) = problems.get("cursor") { " " (problem) } }
            },
            Ok(part) if part.records.is_empty() => (empty(*company, filter)),
            Ok(part) => {
                (timeline(&Records { company: *company, sees_pages: *sees_pages, people: &part.people, existing }, part))
                (pager(*company, filter, part))
            },
        }
    }
}

fn empty(company: Option<CompanyId>, filter: &Filter) -> Markup {
    html! {
        div.empty {
            @if filter.is_restricting() || filter.is_continued() {
                p { "No change matches the filter." }
                p { a.button href=(log_path(company)) { "Show all changes" } }
            } @else {
                p { "Nothing was changed yet." }
            }
        }
    }
}

fn timeline(records: &Records<'_>, part: &Part) -> Markup {
    let day = |at: iam_domain::Timestamp| at.to_string().get(..10).unwrap_or_default().to_owned();
    html! {
        @for of_day in part.records.chunk_by(|a, b| day(a.record.timestamp) == day(b.record.timestamp)) {
            section.day {
                @if let Some(first) = of_day.first() {
                    @let day = day(first.record.timestamp);
                    h2 { (day) small.muted { " UTC" } }
                }
                ol.timeline { @for named in of_day { (records.show(named)) } }
            }
        }
    }
}

fn pager(company: Option<CompanyId>, filter: &Filter, part: &Part) -> Markup {
    html! {
        @if filter.is_continued() || part.next.is_some() {
            nav.pager aria-label="Pages" {
                @if filter.is_continued() { a.button href={ (log_path(company)) "?" (filter.query()) } { "Newest changes" } }
                @if let Some(next) = part.next { a.button href=(filter.next(company, next)) { "Older changes" } }
            }
        }
    }
}
