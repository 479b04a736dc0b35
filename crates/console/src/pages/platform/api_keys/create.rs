//! The form that creates an API key, and the page that shows the key. No other page shows it.

use std::sync::Arc;

use actix_web::http::StatusCode;
use iam_application::{CreateApiKey, IdempotentRequest, RequestContext, request_digest};
use iam_domain::{ApiKey, ApiKeyDigest, ApiKeyPrefix, CompanyId, IdempotencyKey, Name, RequestRate, ServiceRole};
use iam_identity::NewApiKey;
use maud::{Markup, html};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use uuid::Uuid;

use super::super::control::{Control, Problems, optional, refusal, required};
use super::state::{key_path, role_text};
use crate::authorized::ManageCredentials;
use crate::error::PageError;
use crate::layout::{Section, csrf_field};
use crate::page::Page;
use crate::pages::users::edit::utc;
use crate::path::PATH;
use crate::platform::{OnPlatform, SubmittedOnPlatform};
use crate::refusal::Refused;

const NAME: Control = Control::line("name", "Name").required().hint("What uses the key, such as billing-worker.");
const COMPANY: Control = Control::line("company", "Company (optional)")
    .hint("The id of the only company that the key is valid for. Without it, the key is valid for all companies.");
const RATE: Control = Control::line("rate", "Limit in cost units per second (optional)")
    .hint("Without it, the limit of all API keys applies.");
const EXPIRES: Control = Control::time("expires", "Expires, in UTC (optional)");

const ROLES: [ServiceRole; 3] = [ServiceRole::Check, ServiceRole::Read, ServiceRole::Administer];

/// The form, as it was typed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NewKey {
    name: String,
    role: String,
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
    let once = Uuid::new_v4().to_string();
    let typed = NewKey { role: ServiceRole::Check.to_string(), once, ..NewKey::default() };
    render(&page, &Creation { typed, ..Creation::default() })
}

/// `POST /console/api-keys`
pub(crate) async fn create(sent: SubmittedOnPlatform<ManageCredentials, NewKey>) -> Result<Page, PageError> {
    let SubmittedOnPlatform { page, form, .. } = sent;
    let mut creation = Creation { typed: form, ..Creation::default() };
    let NewApiKey { prefix, digest, secret } = NewApiKey::generate().map_err(|error| PageError::internal(&error))?;
    let Some(change) = creation.parse(prefix, digest) else {
        return Ok(render(&page, &creation)?.with_status(StatusCode::UNPROCESSABLE_ENTITY));
    };
    match page.execute_in(creation.typed.context(page.context())?, change).await {
        Ok(done) if done.is_repeated => already_created(&page, &done.value),
        Ok(done) => Ok(created(&page, &done.value, &secret)?.with_status(StatusCode::CREATED)),
        Err(failure) => {
            creation.refused = Some(refusal(failure)?);
            Ok(render(&page, &creation)?.with_status(StatusCode::CONFLICT))
        }
    }
}

impl NewKey {
    /// Marks the change as a repetition of every request with the same form.
    fn context(&self, context: RequestContext) -> Result<RequestContext, PageError> {
        let Self { name, role, company, rate, expires, once } = self;
        let digest =
            request_digest(None, [name, role, company, rate, expires, once].map(String::as_str).join("\0").as_bytes());
        let key: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let key = IdempotencyKey::parse(&format!("console-{key}")).map_err(|error| PageError::internal(&error))?;
        let (method, path) = ("POST".to_owned(), format!("{PATH}/api-keys"));
        let request = IdempotentRequest { actor: context.caller.actor(), key, method, path, digest };
        Ok(RequestContext { idempotency: Some(Arc::new(request)), ..context })
    }
}

impl Creation {
    /// Parses the form. If a field is not valid, `self` contains the reason afterwards.
    fn parse(&mut self, prefix: ApiKeyPrefix, digest: ApiKeyDigest) -> Option<CreateApiKey> {
        let Self { typed, problems, .. } = self;
        let name = required(problems, "name", &typed.name, Name::parse);
        let role = required(problems, "role", &typed.role, |text| text.parse::<ServiceRole>());
        let company = optional(problems, "company", &typed.company, |text| CompanyId::parse(&text));
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
        let (name, role) = (name?, role?);
        self.problems.is_empty().then_some(CreateApiKey { prefix, digest, name, role, company, rate, expires_at })
    }
}

fn render(page: &OnPlatform<ManageCredentials>, creation: &Creation) -> Result<Page, PageError> {
    let Creation { typed, problems, refused } = creation;
    page.page("New API key", Section::ApiKeys, |csrf| {
        html! {
            header { h1 { "New API key" } }
            @if let Some(refused) = refused { (refused.notice("The API key was not created.")) }
            form.panel.narrow method="post" action={ (PATH) "/api-keys" } {
                (csrf_field(csrf))
                input type="hidden" name="once" value=(typed.once);
                (NAME.show(&typed.name, problems))
                (role_control(&typed.role, problems))
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
