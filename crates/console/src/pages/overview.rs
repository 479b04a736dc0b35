//! The overview of a company: its modules, how many levels and users it has, and its last changes.

use iam_application::{AuditFilter, ListMembers, MemberOrder, NamedRecord, PageRequest, Requirement, Total};
use iam_domain::CompanyId;
use maud::{Markup, html};

use crate::authorized::{Authorized, Member};
use crate::error::PageError;
use crate::layout::{Section, company_name, suspended, time};
use crate::page::Page;
use crate::pages::audit::filter::log_path;
use crate::pages::audit::log::Log;
use crate::pages::audit::record::Records;

/// Number of changes on the page.
const CHANGES: u64 = 10;

/// `GET /console/companies/{company}`
pub(crate) async fn show(page: Authorized<Member>) -> Result<Page, PageError> {
    let company = page.application().company(page.company).await?;
    let users = users(&page).await?;
    let changes = changes(&page).await?;
    page.page("Overview", Section::Overview, |_| {
        html! {
            header { h1 { (company_name(company.id, &company.details)) } (suspended(&company.details)) }
            p.muted { "Company " span.mono { (company.id) } }
            ul.cards {
                li.card { strong { (company.levels) } (if company.levels == 1 { "level" } else { "levels" }) }
                @if let Some(users) = &users { li.card { strong { (users) } (if users == "1" { "user" } else { "users" }) } }
                li.card { strong { (company.modules.len()) } (if company.modules.len() == 1 { "module" } else { "modules" }) }
            }
            section {
                h2 { "Modules" }
                @if company.modules.is_empty() {
                    div.empty {
                        p { "This company has no modules. Views and features that belong to modules are denied to all users." }
                    }
                } @else {
                    ul.chips { @for granted in &company.modules { li.chip { bdi { (granted.module.name.as_str()) } } } }
                }
            }
            @if let Some(changes) = &changes { (changes) }
        }
    })
}

/// Returns the number of users. Returns `None` if the person may not see them.
async fn users(page: &Authorized<Member>) -> Result<Option<String>, PageError> {
    if !page.meets(Requirement::ReadIam).await? {
        return Ok(None);
    }
    let request = ListMembers {
        company: page.company,
        level: None,
        search: None,
        order: MemberOrder::Name,
        page: PageRequest { limit: 1, cursor: None, include_total: true },
    };
    let found = page.application().list_members(page.caller(), "console overview", &request).await?;
    Ok(found.total.map(|total| match total {
        Total::Exactly(count) => count.to_string(),
        Total::MoreThan(count) => format!("more than {count}"),
    }))
}

/// Returns the last changes. Returns `None` if the person may not see them.
async fn changes(page: &Authorized<Member>) -> Result<Option<Markup>, PageError> {
    let Some(log) = Log::of_member(page).await? else { return Ok(None) };
    let part = log.part(&AuditFilter::default(), None, CHANGES).await?;
    let existing = log.existing().await?;
    let records =
        Records { company: log.company, sees_pages: log.sees_pages, people: &part.people, existing: &existing };
    Ok(Some(last_changes(page.company, &records, &part.records)))
}

fn last_changes(company: CompanyId, records: &Records<'_>, changes: &[NamedRecord]) -> Markup {
    html! {
        section {
            h2 { "Last changes" }
            @if changes.is_empty() {
                div.empty { p { "Nothing was changed yet." } }
            } @else {
                div.scroll {
                    table {
                        caption.visually-hidden { "Last changes" }
                        thead { tr { th scope="col" { "When" } th scope="col" { "Change" } } }
                        tbody {
                            @for named in changes {
                                tr {
                                    td { (time(named.record.timestamp)) }
                                    td title=(named.record.action) { (records.sentence(named)) }
                                }
                            }
                        }
                    }
                }
                p { a href=(log_path(Some(company))) { "All changes" } }
            }
        }
    }
}
