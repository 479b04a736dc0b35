//! The form that creates a company.

use std::collections::BTreeSet;

use actix_web::http::StatusCode;
use actix_web::{Either, HttpResponse};
use iam_application::CreateCompany;
use iam_domain::{CompanyId, Module, ModuleId, Name, seed};
use maud::{Markup, html};
use serde::Deserialize;
use uuid::Uuid;

use super::control::{Control, Problems, check_box, optional, refusal, required, values};
use crate::authorized::SuperAdmin;
use crate::error::PageError;
use crate::layout::{Section, csrf_field};
use crate::page::{Page, see_other};
use crate::path::{PATH, company_path};
use crate::platform::OnPlatform;
use crate::refusal::Refused;
use crate::submitted::Submitted;

const NAME: Control = Control::line("name", "Name").required();
const ID: Control = Control::line("id", "Id").required().hint("The id of the company in your product: a UUID.");
const ADMIN: Control = Control::line("admin", "First administrator (optional)")
    .hint("The id of a user, or issuer|subject. This user gets the level Admin.");

/// The form, as it was typed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NewCompany {
    name: String,
    id: String,
    admin: String,
}

/// The form as the page shows it.
#[derive(Default)]
struct Creation {
    typed: NewCompany,
    modules: BTreeSet<String>,
    problems: Problems,
    refused: Option<Refused>,
}

/// `GET /console/companies/new`
pub(crate) async fn show(page: OnPlatform<SuperAdmin>) -> Result<Page, PageError> {
    let typed = NewCompany { id: Uuid::new_v4().to_string(), ..NewCompany::default() };
    render(&page, Creation { typed, ..Creation::default() }).await
}

/// `POST /console/companies`
pub(crate) async fn create(
    sent: Submitted<OnPlatform<SuperAdmin>, NewCompany>,
) -> Result<Either<Page, HttpResponse>, PageError> {
    let Submitted { page, form, fields } = sent;
    let modules = values(&fields, "module").map(str::to_owned).collect();
    let mut creation = Creation { typed: form, modules, ..Creation::default() };
    let mut status = StatusCode::UNPROCESSABLE_ENTITY;
    if let Some(change) = creation.parse(&page) {
        match page.execute(change).await {
            Ok(done) => return Ok(Either::Right(see_other(&company_path(done.value.id, "settings?done=created")))),
            Err(failure) => creation.refused = Some(refusal(failure)?),
        }
        status = StatusCode::CONFLICT;
    }
    Ok(Either::Left(render(&page, creation).await?.with_status(status)))
}

impl Creation {
    /// Parses the form. If a field is not valid, `self` contains the reason afterwards.
    fn parse(&mut self, page: &OnPlatform<SuperAdmin>) -> Option<CreateCompany> {
        let Self { typed, problems, .. } = self;
        let name = required(problems, "name", &typed.name, Name::parse);
        let company = required(problems, "id", &typed.id, |text| CompanyId::parse(&text));
        let admin = optional(problems, "admin", &typed.admin, |text| page.user_named(&text));
        let modules = self.modules.iter().filter_map(|id| ModuleId::parse(id).ok()).collect();
        self.problems.is_empty().then_some(CreateCompany { company: company?, name: name?, modules, admin })
    }
}

async fn render(page: &OnPlatform<SuperAdmin>, creation: Creation) -> Result<Page, PageError> {
    let modules = page.application().modules().await?;
    let Creation { typed, problems, refused, .. } = &creation;
    page.page("New company", Section::Companies, |csrf| {
        html! {
            header { h1 { "New company" } }
            @if let Some(refused) = refused { (refused.notice("The company was not created.")) }
            form.panel.narrow method="post" action={ (PATH) "/companies" } {
                (csrf_field(csrf))
                (NAME.show(&typed.name, problems))
                (ID.show(&typed.id, problems))
                (ADMIN.show(&typed.admin, problems))
                (module_boxes(&modules, &creation.modules))
                p.muted { "The company begins with the levels Admin, Member and Visitor." }
                div.buttons {
                    button.primary type="submit" { "Create company" }
                    a.button href={ (PATH) "/companies" } { "Cancel" }
                }
            }
        }
    })
}

/// Returns the check boxes of the modules. The module `core` is part of every new company.
fn module_boxes(modules: &[Module], checked: &BTreeSet<String>) -> Markup {
    html! {
        fieldset.boxes {
            legend { "Modules" }
            @for module in modules {
                @if module.code.as_str() == seed::CORE_MODULE {
                    label.check { input type="checkbox" checked disabled; span { bdi { (module.name) } " (always included)" } }
                } @else {
                    (check_box(
                        "module",
                        &module.id.to_string(),
                        checked.contains(&module.id.to_string()),
                        &html! { bdi { (module.name) } " " code { bdi { (module.code) } } },
                    ))
                }
            }
        }
    }
}
