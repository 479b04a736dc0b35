//! The page on which a suspended company is erased. The person types the name of the company to confirm the erasure.

use actix_web::http::StatusCode;
use actix_web::{Either, HttpResponse};
use iam_application::{Company, Etag, IfMatch, ListMembers, MemberOrder, PageRequest, Total};
use iam_domain::{CompanyDetails, CompanyId, CompanyStatus};
use maud::{Markup, html};
use serde::Deserialize;

use super::super::control::{Control, Problems, refusal};
use crate::authorized::{Authorized, SuperAdmin};
use crate::error::PageError;
use crate::layout::{Section, company_name, csrf_field, suspended};
use crate::page::{Page, see_other};
use crate::path::{PATH, company_path};
use crate::quantity::count;
use crate::refusal::Refused;
use crate::submitted::Submitted;

const CONFIRMATION: Control =
    Control::line("confirmation", "Name or id of the company, to confirm").required().hint("As it is written above.");

/// The form that confirms the erasure.
#[derive(Debug, Deserialize)]
pub(crate) struct Erasure {
    #[serde(default)]
    confirmation: String,
    /// The entity tag of the name and the status that the person saw.
    tag: String,
}

/// What became of the form.
#[derive(Default)]
struct Outcome {
    typed: String,
    problems: Problems,
    refused: Option<Refused>,
}

/// `GET /console/companies/{company}/settings/erase`
pub(crate) async fn show(page: Authorized<SuperAdmin>) -> Result<Page, PageError> {
    render(&page, Outcome::default()).await
}

/// `POST /console/companies/{company}/settings/erase`
pub(crate) async fn erase(
    sent: Submitted<Authorized<SuperAdmin>, Erasure>,
) -> Result<Either<Page, HttpResponse>, PageError> {
    let Submitted { page, form, .. } = sent;
    let mut outcome = Outcome { typed: form.confirmation, ..Outcome::default() };
    let mut status = StatusCode::UNPROCESSABLE_ENTITY;
    if is_confirmation(&outcome.typed, page.company, &page.details) {
        let if_match = IfMatch::OneOf(vec![form.tag]);
        match page.application().erase_company(page.context(), page.company, if_match).await {
            Ok(_) => return Ok(Either::Right(see_other(&format!("{PATH}/companies?erased=1")))),
            Err(failure) => outcome.refused = Some(refusal(failure)?),
        }
        status = StatusCode::CONFLICT;
    } else {
        outcome.problems.insert(
            "confirmation",
            "It is neither the name nor the id of this company. Nothing was erased.".to_owned(),
        );
    }
    Ok(Either::Left(render(&page, outcome).await?.with_status(status)))
}

/// Returns `true` if the text confirms the erasure: it is the name of the company as a page shows it, with white space
/// collapsed, or its id. A name may contain characters that cannot be typed, so the id always works.
fn is_confirmation(typed: &str, id: CompanyId, details: &CompanyDetails) -> bool {
    let collapsed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let typed = collapsed(typed);
    typed == id.to_string() || details.name.as_ref().is_some_and(|name| collapsed(name.as_str()) == typed)
}

async fn render(page: &Authorized<SuperAdmin>, outcome: Outcome) -> Result<Page, PageError> {
    let company = page.application().company(page.company).await?;
    let request = ListMembers {
        company: page.company,
        level: None,
        search: None,
        order: MemberOrder::Name,
        page: PageRequest { limit: 1, cursor: None, include_total: true },
    };
    let users = page.application().list_members(page.caller(), "console erasure", &request).await?.total;
    let tag = Etag::of(&company.details)?;
    page.page("Erase the company", Section::Settings, |csrf| {
        html! {
            header { h1 { "Erase the company" } (suspended(&company.details)) }
            @if let Some(refused) = &outcome.refused { (refused.notice("The company was not erased.")) }
            @if company.details.status == CompanyStatus::Suspended {
                form.panel.narrow method="post" action=(company_path(company.id, "settings/erase")) {
                    (csrf_field(csrf))
                    input type="hidden" name="tag" value=(tag.as_str());
                    (consequences(&company, users))
                    (CONFIRMATION.show(&outcome.typed, &outcome.problems))
                    div.buttons {
                        button.danger type="submit" { "Erase " (company_name(company.id, &company.details)) }
                        a.button href=(company_path(company.id, "settings")) { "Cancel" }
                    }
                }
            } @else {
                div.notice.warn {
                    p { "The company is active. Only a suspended company can be erased." }
                    p { a.button href=(company_path(company.id, "settings/status")) { "Suspend the company first…" } }
                }
            }
        }
    })
}

/// Returns what the erasure deletes, and what remains.
fn consequences(company: &Company, users: Option<Total>) -> Markup {
    html! {
        p { "The company " strong { (company_name(company.id, &company.details)) } " (id " code { (company.id) } ") will be erased. " strong { "This cannot be undone." } }
        h2 { "What is deleted" }
        ul {
            li { (count(company.levels, "level")) " with all matrices" }
            li {
                "The assignments, profiles and navigation trails of "
                @match users {
                    Some(Total::Exactly(users)) => (count(users, "user")),
                    Some(Total::MoreThan(users)) => { "more than " (count(users, "user")) },
                    None => "all users",
                }
            }
            li { (count(company.api_keys, "API key")) ", revoked first" }
            li { (company.menu_items) @if company.menu_items == 1 { " entry" } @else { " entries" } " of the menu of the company" }
            li { "The modules, ceilings and quotas of the company" }
            li { "The audit log of the company" }
        }
        h2 { "What remains" }
        ul {
            li { "The audit log of the platform, which records the erasure and the numbers of deleted rows" }
            li { "The id of the company, which can never be used again" }
        }
    }
}
