//! The users whom a check allows.

use actix_web::http::StatusCode;
use actix_web::web::Query;
use iam_application::{AllowedMember, AllowedPage, DecisionContext, Failure, PageRequest, WhoCan};
use iam_domain::CompanyId;
use iam_permissions_cache::Consistency;
use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::question::Question;
use crate::authorized::{Authorized, FindAllowed};
use crate::error::PageError;
use crate::layout::Section;
use crate::page::Page;
use crate::pages::users::list::number_of_users;
use crate::pages::users::person::{person, user_path};
use crate::path::company_path;

/// Number of users on a page.
const PAGE: u64 = 50;

/// The position in the list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Position {
    cursor: Option<String>,
}

/// Returns the message for a failure that concerns the question. Other failures have a page of their own.
pub(crate) fn message_of(failure: Failure) -> Result<String, PageError> {
    match failure {
        Failure::NotFound(what) => Ok(format!("{what} not found")),
        Failure::Invalid(errors) => Ok(errors.into_iter().map(|error| error.message).collect::<Vec<_>>().join("; ")),
        Failure::Outdated => Ok("The permissions have changed since the first page was read. Ask again".to_owned()),
        other => Err(other.into()),
    }
}

/// `GET /console/companies/{company}/who-can`
pub(crate) async fn show(
    page: Authorized<FindAllowed>,
    question: Query<Question>,
    position: Query<Position>,
) -> Result<Page, PageError> {
    let (application, caller, company) = (page.application(), page.caller(), page.company);
    let context = DecisionContext { caller, company, consistency: Consistency::Cached };
    let access = application.own_access(&context).await?;
    let catalog = access.available_catalog();
    let asked = question.asked(access.catalog(), &catalog);
    let found = match &asked {
        Err(problem) => Err(problem.clone()),
        Ok(None) => Ok(None),
        Ok(Some(asked)) => {
            let check = asked.check();
            let slice = PageRequest { limit: PAGE, cursor: position.cursor.clone(), include_total: true };
            match application.who_can(caller, &WhoCan { company, check, page: slice }, page.now()).await {
                Ok(found) => Ok(Some(found)),
                Err(failure) => Err(message_of(failure)?),
            }
        }
    };
    let asked = asked.ok().flatten();
    let question = asked.as_ref().map_or(&*question, |asked| &asked.question);
    let status = if found.is_err() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let page = page.page("Who can?", Section::WhoCan, |_| {
        html! {
            header { h1 { "Who can?" } }
            form.panel.edit role="search" aria-label="Permission" action=(company_path(company, "who-can")) {
                (question.controls(&catalog))
                div.buttons { button.primary type="submit" { "Find" } }
            }
            @match &found {
                Err(problem) => div.notice.error role="alert" { p { bdi { (problem) } "." } },
                Ok(None) => div.empty { p { "Choose a view, or a feature and an action, to see the users whom it is allowed to." } },
                Ok(Some(found)) => {
                    @if let Some(asked) = &asked { h2 { "Who may " (asked.words(access.catalog())) } }
                    (answer(company, question, found))
                },
            }
        }
    })?;
    Ok(page.with_status(status))
}

fn answer(company: CompanyId, question: &Question, found: &AllowedPage) -> Markup {
    let (path, query) = (company_path(company, "who-can"), question.query());
    html! {
        section {
            div.toolbar {
                h3 { @if let Some(total) = found.total { (number_of_users(total)) } @else { "Users" } }
                a.button href={ (path) ".csv?" (query) } download { "Export as CSV" }
            }
            p.muted {
                "Super admins may do everything, and are listed only if their levels allow it, too."
                @if !found.administering_keys.is_empty() {
                    " API keys that may administer the company: " (found.administering_keys.len()) "."
                }
            }
            @if found.members.is_empty() && found.next_cursor.is_none() {
                div.empty { p { "No user is allowed to." } }
            } @else {
                (table(company, &query, &found.members))
            }
            @if let Some(next) = &found.next_cursor {
                nav.pager aria-label="Pages" {
                    a.button href={ (path) "?" (query) "&cursor=" (utf8_percent_encode(next, NON_ALPHANUMERIC)) }
                        { "Next page" }
                }
            }
        }
    }
}

fn table(company: CompanyId, query: &str, members: &[AllowedMember]) -> Markup {
    html! {
        div.scroll {
            table {
                caption.visually-hidden { "Users whom the check allows" }
                thead {
                    tr {
                        th scope="col" { "User" }
                        th scope="col" { "Id" }
                        th scope="col" { "Scope" }
                        th scope="col" { "Because of" }
                        th scope="col" { span.visually-hidden { "Explanation" } }
                    }
                }
                tbody {
                    @for AllowedMember { member, decision } in members {
                        @let name = member.display_name.as_ref();
                        tr {
                            th scope="row" { a href=(user_path(company, member.user)) { (person(name, member.user)) } }
                            td.mono { (member.user) }
                            td { @if let Some(scope) = decision.scope { (scope) } }
                            td {
                                @if decision.decided_by.is_empty() { (decision.reason.text()) }
                                div.chips {
                                    @for held in member.levels.iter().filter(|held| decision.decided_by.contains(&held.id)) {
                                        span.chip { bdi { (held.name) } }
                                    }
                                }
                            }
                            td {
                                a href={ (company_path(company, "why")) "?user=" (member.user) "&" (query) }
                                    aria-label={ "Why? " (name.map_or_else(|| member.user.to_string(), ToString::to_string)) }
                                    { "Why?" }
                            }
                        }
                    }
                }
            }
        }
    }
}
