//! The form that creates an API key, and the page that shows the key. No other page shows it.

use actix_web::http::StatusCode;
use iam_application::{CreateApiKey, Failure};
use iam_domain::{ApiKey, ApiKeyDigest, ApiKeyPrefix, CompanyId, Name, RequestRate, ServiceRole};
use iam_identity::NewApiKey;
use maud::{Markup, html};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::super::control::{Control, Problems, optional, refusal, required};
use super::super::once::{new_id, once, once_field};
use super::state::{key_path, role_text};
use crate::authorized::ManageCredentials;
use crate::error::PageError;
use crate::layout::{Section, csrf_field};
use crate::page::Page;
use crate::pages::users::edit::utc;
use crate::path::PATH;
use crate::platform::OnPlatform;
use crate::refusal::Refused;
use crate::submitted::Submitted;

const NAME: Control = Control::line("name", "Name").required().hint("What uses the key, such as billing-worker.");
const COMPANY: Control = Control::line("company", "Company")
    .hint("The id of the only company that the key is valid for. Empty if it is valid for all companies.");
const RATE: Control = Control::line("rate", "Limit in cost units per second (optional)")
    .hint("Without it, the limit of all API keys applies.");
const EXPIRES: Control = Control::time("expires", "Expires, in UTC (optional)");

/// The value of the choice of one company.
const ONE: &str = "one";

/// The value of the choice of all companies.
const ALL: &str = "all";

const ROLES: [ServiceRole; 3] = [ServiceRole::Check, ServiceRole::Read, ServiceRole::Administer];

/// The form, as it was typed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NewKey {
    name: String,
    role: String,
    /// `one` if the key is valid for one company, and `all` if it is valid for all companies.
    valid_for: String,
    company: String,
    rate: String,
    expires: String,
    /// A random id of the form, so that sending the same form twice creates one key.
    once: String,
}

/// The form as the page shows it.
#[derive(Default)]
struct Creation {
    typed: NewKey,
    problems: Problems,
    refused: Option<Refused>,
}

/// `GET /console/api-keys/new`
pub(crate) async fn show(page: OnPlatform<ManageCredentials>) -> Result<Page, PageError> {
    let typed = NewKey { role: ServiceRole::Check.to_string(), once: new_id(), ..NewKey::default() };
    render(&page, &Creation { typed, ..Creation::default() })
}

/// `POST /console/api-keys`
pub(crate) async fn create(sent: Submitted<OnPlatform<ManageCredentials>, NewKey>) -> Result<Page, PageError> {
    let Submitted { page, form, fields } = sent;
    let mut creation = Creation { typed: form, ..Creation::default() };
    let NewApiKey { prefix, digest, secret } = NewApiKey::generate().map_err(|error| PageError::internal(&error))?;
    let Some(change) = creation.parse(&page, prefix, digest).await? else {
        return Ok(render(&page, &creation)?.with_status(StatusCode::UNPROCESSABLE_ENTITY));
    };
    match page.execute_in(once(page.context(), &format!("{PATH}/api-keys"), &fields)?, change).await {
        Ok(done) if done.is_repeated => already_created(&page, &done.value),
        Ok(done) => Ok(created(&page, &done.value, &secret)?.with_status(StatusCode::CREATED)),
        Err(failure) => {
            creation.refused = Some(refusal(failure)?);
            Ok(render(&page, &creation)?.with_status(StatusCode::CONFLICT))
        }
    }
}

impl Creation {
    /// Parses the form. If a field is not valid, `self` contains the reason afterwards.
    async fn parse(
        &mut self,
        page: &OnPlatform<ManageCredentials>,
        prefix: ApiKeyPrefix,
        digest: ApiKeyDigest,
    ) -> Result<Option<CreateApiKey>, PageError> {
        let Self { typed, problems, .. } = self;
        let name = required(problems, "name", &typed.name, Name::parse);
        let role = required(problems, "role", &typed.role, |text| text.parse::<ServiceRole>());
        let company = company(page, typed, problems).await?;
        let rate = optional(problems, "rate", &typed.rate, |text| {
            let rate = text.parse::<u32>().ok().and_then(|rate| RequestRate::new(rate).ok());
            rate.ok_or("must be a number between 1 and 1000000")
        });
        let expires_at = match utc(&typed.expires) {
            Ok(time) => time,
            Err(problem) => {
                problems.insert("expires", problem);
                None
            }
        };
        let is_valid = problems.is_empty();
        let change = |(name, role)| CreateApiKey { prefix, digest, name, role, company, rate, expires_at };
        Ok(name.zip(role).filter(|_| is_valid).map(change))
    }
}

/// Returns the company that the key is valid for. If the choice is not valid, `problems` contains the reason afterwards.
async fn company(
    page: &OnPlatform<ManageCredentials>,
    typed: &NewKey,
    problems: &mut Problems,
) -> Result<Option<CompanyId>, PageError> {
    match (typed.valid_for.as_str(), typed.company.trim().is_empty()) {
        (ALL, true) => {}
        (ALL, false) => drop(problems.insert("company", "It must be empty for a key of all companies.".to_owned())),
        (ONE, _) => {
            let Some(company) = required(problems, "company", &typed.company, |text| CompanyId::parse(&text)) else {
                return Ok(None);
            };
            match page.application().company_details(company).await {
                Ok(_) => return Ok(Some(company)),
                Err(Failure::NotFound(_)) => drop(problems.insert("company", "There is no such company.".to_owned())),
                Err(failure) => return Err(failure.into()),
            }
        }
        _ => drop(problems.insert("valid_for", "Choose what the key is valid for.".to_owned())),
    }
    Ok(None)
}

fn render(page: &OnPlatform<ManageCredentials>, creation: &Creation) -> Result<Page, PageError> {
    let Creation { typed, problems, refused } = creation;
    page.page("New API key", Section::ApiKeys, |csrf| {
        html! {
            header { h1 { "New API key" } }
            @if let Some(refused) = refused { (refused.notice("The API key was not created.")) }
            form.panel.narrow method="post" action={ (PATH) "/api-keys" } {
                (csrf_field(csrf))
                (once_field(&typed.once))
                (NAME.show(&typed.name, problems))
                (role_control(&typed.role, problems))
                (validity_control(&typed.valid_for, problems))
                (COMPANY.show(&typed.company, problems))
                (RATE.show(&typed.rate, problems))
                (EXPIRES.show(&typed.expires, problems))
                div.buttons {
                    button.primary type="submit" { "Create API key" }
                    a.button href={ (PATH) "/api-keys" } { "Cancel" }
                }
            }
        }
    })
}

fn validity_control(selected: &str, problems: &Problems) -> Markup {
    html! {
        fieldset.boxes {
            legend { "Valid for" }
            @for (value, label) in [(ONE, "One company"), (ALL, "All companies and the platform")] {
                label.check {
                    input type="radio" name="valid_for" value=(value) checked[value == selected] required;
                    span { (label) }
                }
            }
            @if let Some(problem) = problems.get("valid_for") { p.error { (problem) } }
        }
    }
}

fn role_control(selected: &str, problems: &Problems) -> Markup {
    html! {
        fieldset.boxes {
            legend { "Role" }
            @for role in ROLES {
                label.check {
                    input type="radio" name="role" value=(role) checked[role.as_str() == selected] required;
                    span { (role_text(role)) }
                }
            }
            @if let Some(problem) = problems.get("role") { p.error { (problem) } }
        }
    }
}

/// Returns the page with the key. The key is nowhere else: neither in an address nor in the storage.
fn created(page: &OnPlatform<ManageCredentials>, key: &ApiKey, secret: &SecretString) -> Result<Page, PageError> {
    page.page("API key created", Section::ApiKeys, |_| {
        html! {
            header { h1 { "API key created" } }
            div.notice.warn role="status" {
                p { strong { "Copy the key now." } " It is shown only on this page, and never again." }
            }
            section.panel.narrow {
                h2 { bdi { (key.name) } }
                p { code.secret #key { (secret.expose_secret()) } }
                p { button type="button" data-copy="key" hidden { "Copy" } }
                p.muted { "Services send it in the header " code { "Authorization: Bearer iam_…" } "." }
            }
            div.buttons {
                a.button href=(key_path(key)) { "The API key" }
                a.button href={ (PATH) "/api-keys" } { "All API keys" }
            }
        }
    })
}

/// Returns the page for a form that was sent before. The key is not shown again.
fn already_created(page: &OnPlatform<ManageCredentials>, key: &ApiKey) -> Result<Page, PageError> {
    page.page("API key already created", Section::ApiKeys, |_| {
        html! {
            header { h1 { "API key already created" } }
            div.notice role="status" {
                p {
                    "This form was sent before, and created the API key " bdi { (key.name) } ". No second key was created. The \
                     key is not shown again: if you do not have it, revoke it and create another one."
                }
            }
            div.buttons {
                a.button href=(key_path(key)) { "The API key" }
                a.button href={ (PATH) "/api-keys/new" } { "New API key" }
            }
        }
    })
}
