//! The overview of a company: its modules, how many levels and users it has, and its last changes.

use iam_application::{AuditFilter, ListMembers, MemberOrder, NamedRecord, PageRequest, Requirement, Total};
use iam_domain::CompanyId;
use maud::{Markup, html};

use crate::authorized::{Authorized, Member};
use crate::error::PageError;
use crate::layout::{Section, company_name, suspended, time};
use crate::page::Page;
use crate::pages::audit::actions::{capitalized, did};
use crate::pages::audit::filter::log_path;

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
                li.card { strong { (company.levels) } "levels" }
                @if let Some(users) = &users { li.card { strong { (users) } "users" } }
                li.card { strong { (company.modules.len()) } "modules" }
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
            @if let Some(changes) = &changes { (last_changes(company.id, changes)) }
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
async fn changes(page: &Authorized<Member>) -> Result<Option<Vec<NamedRecord>>, PageError> {
    if !page.meets(Requirement::ReadAudit).await? {
        return Ok(None);
    }
    let all = AuditFilter::default();
    let newest = page.application().audit_logs(Some(page.company), &all, None, CHANGES, false).await?;
    Ok(Some(newest.records))
}

fn last_changes(company: CompanyId, changes: &[NamedRecord]) -> Markup {
    html! {
        section {
            h2 { "Last changes" }
            @if changes.is_empty() {
                div.empty { p { "Nothing was changed yet." } }
            } @else {
                div.scroll {
                    table {
                        thead { tr { th scope="col" { "When" } th scope="col" { "Change" } th scope="col" { "What" } th scope="col" { "By" } } }
                        tbody {
                            @for NamedRecord { record, names } in changes {
                                @let name = |id: &uuid::Uuid| names.get(id).map(ToString::to_string);
                                tr {
                                    td { (time(record.timestamp)) }
                                    td title=(record.action) { (capitalized(&did(&record.action))) }
                                    td { bdi { (name(&record.entity_id).unwrap_or_else(|| record.entity_id.to_string())) } }
                                    td { bdi { (record.actor.id().and_then(|id| name(&id)).unwrap_or_else(|| record.actor.to_string())) } }
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
