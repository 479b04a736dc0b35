//! The settings of a company on one page, and the change of its name.

use actix_web::http::StatusCode;
use actix_web::web::Query;
use actix_web::{Either, HttpResponse};
use iam_application::{Company, CompanyQuotas, Etag, IfMatch, UpdateCompany};
use iam_domain::{Ceilings, CompanyStatus, Name, Quota};
use maud::{Markup, html};
use serde::Deserialize;

use super::super::control::{Control, Problems, refusal, required};
use super::modules::section as modules_section;
use crate::authorized::{Authorized, SuperAdmin};
use crate::error::PageError;
use crate::layout::{Section, csrf_field, suspended, time};
use crate::page::{Page, see_other};
use crate::path::{PATH, company_path};
use crate::refusal::Refused;
use crate::submitted::Submitted;

const NAME: Control = Control::line("name", "Name").required();

/// The change that the previous request has made.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Done {
    done: String,
}

impl Done {
    /// Returns what was done.
    fn text(&self) -> Option<&'static str> {
        Some(match self.done.as_str() {
            "created" => "The company was created.",
            "renamed" => "The name was saved.",
            "modules" => "The modules were saved.",
            "ceilings" => "The ceilings were saved.",
            "suspended" => "The company was suspended.",
            "active" => "The company is active again.",
            _ => return None,
        })
    }
}

/// The form that renames the company.
#[derive(Debug, Deserialize)]
pub(crate) struct NewName {
    name: String,
    /// The entity tag of the name and the status that the form was filled from.
    tag: String,
}

/// A form that was refused.
struct NotRenamed {
    typed: String,
    problems: Problems,
    refused: Option<Refused>,
}

/// `GET /console/companies/{company}/settings`
pub(crate) async fn show(page: Authorized<SuperAdmin>, done: Query<Done>) -> Result<Page, PageError> {
    render(&page, &done, None).await
}

/// `POST /console/companies/{company}/settings/name`
pub(crate) async fn rename(
    sent: Submitted<Authorized<SuperAdmin>, NewName>,
) -> Result<Either<Page, HttpResponse>, PageError> {
    let Submitted { page, form, .. } = sent;
    let mut problems = Problems::new();
    let (mut refused, mut status) = (None, StatusCode::UNPROCESSABLE_ENTITY);
    if let Some(name) = required(&mut problems, "name", &form.name, Name::parse) {
        let if_match = IfMatch::OneOf(vec![form.tag]);
        match page.execute(UpdateCompany { company: page.company, name: Some(name), status: None, if_match }).await {
            Ok(_) => return Ok(Either::Right(see_other(&company_path(page.company, "settings?done=renamed")))),
            Err(failure) => refused = Some(refusal(failure)?),
        }
        status = StatusCode::CONFLICT;
    }
    let not_renamed = NotRenamed { typed: form.name, problems, refused };
    Ok(Either::Left(render(&page, &Done::default(), Some(not_renamed)).await?.with_status(status)))
}

async fn render(
    page: &Authorized<SuperAdmin>,
    done: &Done,
    not_renamed: Option<NotRenamed>,
) -> Result<Page, PageError> {
    let (application, id) = (page.application(), page.company);
    let company = application.company(id).await?;
    let modules = application.modules().await?;
    let ceilings = application.company_ceilings(id).await?;
    let quotas = application.company_quotas(id).await?;
    let tag = Etag::of(&company.details)?;
    page.page("Settings", Section::Settings, |csrf| {
        html! {
            header { h1 { "Settings" } (suspended(&company.details)) }
            @if let Some(text) = done.text() { div.notice role="status" { p { (text) } } }
            (facts(&company))
            (name_form(&company, &tag, not_renamed.as_ref(), csrf))
            (modules_section(id, &modules, &company.modules, csrf))
            (ceilings_section(&company, &ceilings))
            (menu_section(&company))
            (quotas_section(&quotas))
            (status_section(&company))
        }
    })
}

fn facts(company: &Company) -> Markup {
    html! {
        dl.facts {
            dt { "Id" } dd.mono { (company.id) }
            dt { "Provisioned" }
            dd {
                @match company.provisioned_at {
                    Some(at) => (time(at)),
                    None => "Not yet: the company has no default levels",
                }
            }
        }
    }
}

fn name_form(company: &Company, tag: &Etag, not_renamed: Option<&NotRenamed>, csrf: &str) -> Markup {
    let (none, stored) = (Problems::new(), company.details.name.as_ref().map_or("", Name::as_str));
    let (typed, problems) = match not_renamed {
        Some(NotRenamed { typed, problems, .. }) => (typed.as_str(), problems),
        None => (stored, &none),
    };
    html! {
        form.panel.narrow method="post" action=(company_path(company.id, "settings/name")) {
            h2 { "Name" }
            (csrf_field(csrf))
            @if let Some(refused) = not_renamed.and_then(|form| form.refused.as_ref()) {
                (refused.notice("The name was not saved."))
                p.muted { "Stored name: " bdi { (stored) } }
            }
            input type="hidden" name="tag" value=(tag.as_str());
            (NAME.show(typed, problems))
            button type="submit" { "Save the name" }
        }
    }
}

fn ceilings_section(company: &Company, ceilings: &Ceilings) -> Markup {
    let (views, actions) = (ceilings.hidden_views.len(), ceilings.actions.values().map(|of| of.len()).sum::<usize>());
    html! {
        section.panel {
            h2 { "Ceilings" }
            p {
                "A ceiling limits what all users of the company may see and do, whatever their levels allow. "
                @if ceilings.is_empty() {
                    "This company has no ceilings."
                } @else {
                    strong { "Hidden views: " (views) ". Limited actions: " (actions) "." }
                }
            }
            p { a.button href=(company_path(company.id, "settings/ceilings")) { "Show and change the ceilings" } }
        }
    }
}

fn menu_section(company: &Company) -> Markup {
    html! {
        section.panel {
            h2 { "Menu" }
            p { "Besides the common menu, the company has " (company.menu_items) " menu items and sub-items of its own." }
            p { a.button href={ (PATH) "/catalog/menu?company=" (company.id) } { "Show and change the menu of the company" } }
        }
    }
}

/// Returns the name of a quota.
const fn quota_label(quota: Quota) -> &'static str {
    match quota {
        Quota::Levels => "Levels",
        Quota::LevelSets => "Distinct sets of two or more levels",
        Quota::MenuItems => "Menu items and sub-items",
        Quota::PermissionCells => "Cells of all matrices",
        Quota::ApiKeys => "API keys",
        Quota::TextBytes => "Bytes of names and descriptions",
        Quota::LevelsPerUser => "Levels of one user",
    }
}

fn quotas_section(quotas: &CompanyQuotas) -> Markup {
    html! {
        section.panel {
            h2 { "Quotas" }
            div.scroll role="region" aria-label="Quotas" tabindex="0" {
                table {
                    caption.visually-hidden { "Quotas" }
                    thead {
                        tr {
                            th scope="col" { "Quota" }
                            th.number scope="col" { "In use" }
                            th.number scope="col" { "Limit" }
                            th scope="col" { "Set for" }
                        }
                    }
                    tbody {
                        @for quota in Quota::ALL {
                            @let used = quotas.used.get(quota).copied().unwrap_or_default();
                            tr {
                                th scope="row" { (quota_label(*quota)) }
                                td.number { (used) }
                                td.number {
                                    @match quotas.limits.limit(*quota) {
                                        Some(limit) => {
                                            @if used >= limit { span.chip.warn { "reached" } " " }
                                            (limit)
                                        },
                                        None => "unlimited",
                                    }
                                }
                                td {
                                    @if quotas.overrides.0.contains_key(quota) { "this company" } @else { "all companies" }
                                }
                            }
                        }
                    }
                }
            }
            p.muted { "The API sets the quotas of a company." }
        }
    }
}

fn status_section(company: &Company) -> Markup {
    let path = |page| company_path(company.id, page);
    html! {
        section.panel {
            h2 { "Status" }
            @if company.details.status == CompanyStatus::Active {
                p { "The company is active. A company must be suspended before it can be erased." }
                p { a.button.danger href=(path("settings/status")) { "Suspend…" } }
            } @else {
                p { "The company is suspended: every decision about its users is a denial." }
                div.buttons {
                    a.button href=(path("settings/status")) { "Resume…" }
                    a.button.danger href=(path("settings/erase")) { "Erase…" }
                }
            }
        }
    }
}
