//! The page on which a company is suspended or resumed.

use actix_web::http::StatusCode;
use actix_web::{Either, HttpResponse};
use iam_application::{Etag, IfMatch, UpdateCompany};
use iam_domain::CompanyStatus;
use maud::{Markup, html};
use serde::Deserialize;

use super::super::control::refusal;
use crate::authorized::{Authorized, SuperAdmin};
use crate::error::PageError;
use crate::layout::{Section, company_name, csrf_field, suspended};
use crate::page::{Page, see_other};
use crate::path::company_path;
use crate::quantity::count;
use crate::refusal::Refused;
use crate::submitted::Submitted;

/// The form that confirms the change.
#[derive(Debug, Deserialize)]
pub(crate) struct NewStatus {
    status: CompanyStatus,
    /// The entity tag of the name and the status that the person saw.
    tag: String,
}

/// `GET /console/companies/{company}/settings/status`
pub(crate) async fn show(page: Authorized<SuperAdmin>) -> Result<Page, PageError> {
    render(&page, None).await
}

/// `POST /console/companies/{company}/settings/status`
pub(crate) async fn change(
    sent: Submitted<Authorized<SuperAdmin>, NewStatus>,
) -> Result<Either<Page, HttpResponse>, PageError> {
    let Submitted { page, form, .. } = sent;
    let (status, if_match) = (Some(form.status), IfMatch::OneOf(vec![form.tag]));
    match page.execute(UpdateCompany { company: page.company, name: None, status, if_match }).await {
        Ok(_) => {
            let path = format!("settings?done={}", form.status);
            Ok(Either::Right(see_other(&company_path(page.company, &path))))
        }
        Err(failure) => {
            let page = render(&page, Some(refusal(failure)?)).await?;
            Ok(Either::Left(page.with_status(StatusCode::CONFLICT)))
        }
    }
}

async fn render(page: &Authorized<SuperAdmin>, refused: Option<Refused>) -> Result<Page, PageError> {
    let company = page.application().company(page.company).await?;
    let tag = Etag::of(&company.details)?;
    let to = match company.details.status {
        CompanyStatus::Active => CompanyStatus::Suspended,
        CompanyStatus::Suspended => CompanyStatus::Active,
    };
    let change = UpdateCompany { company: page.company, name: None, status: Some(to), if_match: IfMatch::Absent };
    let affected = page.preview(change, 0, false).await?.outcome.map_err(PageError::from)?.impact.users.len();
    let title = match to {
        CompanyStatus::Suspended => "Suspend the company",
        CompanyStatus::Active => "Resume the company",
    };
    page.page(title, Section::Settings, |csrf| {
        html! {
            header { h1 { (title) } (suspended(&company.details)) }
            @if let Some(refused) = &refused { (refused.notice("The status was not changed.")) }
            form.panel.narrow method="post" action=(company_path(company.id, "settings/status")) {
                (csrf_field(csrf))
                input type="hidden" name="tag" value=(tag.as_str());
                input type="hidden" name="status" value=(to);
                (consequences(to, affected))
                div.buttons {
                    @match to {
                        CompanyStatus::Suspended => {
                            button.danger type="submit" { "Suspend " (company_name(company.id, &company.details)) }
                        },
                        CompanyStatus::Active => {
                            button.primary type="submit" { "Resume " (company_name(company.id, &company.details)) }
                        },
                    }
                    a.button href=(company_path(company.id, "settings")) { "Cancel" }
                }
            }
        }
    })
}

/// Returns what the change to this status does to `affected` users.
fn consequences(to: CompanyStatus, affected: usize) -> Markup {
    html! {
        @match to {
            CompanyStatus::Suspended => ul {
                li { "Every decision about the users of the company is a denial: " strong { (count(affected, "user")) " affected" } "." }
                li { "Only super admins, and services with a platform key, can administer the company." }
                li { "Nothing is deleted. The company can be resumed at any time." }
            },
            CompanyStatus::Active => ul {
                li { "The levels of the users decide again: " strong { (count(affected, "user")) " affected" } "." }
                li { "Services with an API key of the company can use it again." }
            },
        }
    }
}
