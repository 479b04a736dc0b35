//! One API key, and its revocation.

use actix_web::HttpResponse;
use actix_web::web::Path;
use iam_application::RevokeApiKey;
use iam_domain::{ApiKey, ApiKeyId, Timestamp};
use maud::{Markup, html};
use serde::Deserialize;

use super::state::{Companies, State, companies_of, key_path, role_text, valid_for};
use crate::authorized::ManageCredentials;
use crate::error::PageError;
use crate::layout::{Section, csrf_field, time};
use crate::page::{Page, see_other};
use crate::path::PATH;
use crate::platform::OnPlatform;
use crate::submitted::Submitted;

/// The form that revokes a key, which has no fields.
#[derive(Debug, Deserialize)]
pub(crate) struct Revocation {}

fn parse(path: &Path<String>) -> Result<ApiKeyId, PageError> {
    ApiKeyId::parse(path).map_err(|_| PageError::NotFound)
}

/// `GET /console/api-keys/{key}`
pub(crate) async fn show(page: OnPlatform<ManageCredentials>, path: Path<String>) -> Result<Page, PageError> {
    let key = page.application().api_key(parse(&path)?).await?;
    let companies = companies_of(&page, std::slice::from_ref(&key)).await?;
    let state = State::of(&key, page.now());
    page.page(&format!("API key {}", key.name), Section::ApiKeys, |csrf| {
        html! {
            header { h1 { bdi { (key.name) } } (state.chip()) }
            (facts(&key, &companies))
            @if state == State::Revoked {
                p.muted { "A revoked key can never be used again." }
            } @else {
                (revocation(&key, csrf))
            }
            p { a href={ (PATH) "/api-keys" } { "All API keys" } }
        }
    })
}

/// `POST /console/api-keys/{key}/revoke`
pub(crate) async fn revoke(
    sent: Submitted<OnPlatform<ManageCredentials>, Revocation>,
    path: Path<String>,
) -> Result<HttpResponse, PageError> {
    let (page, id) = (sent.page, parse(&path)?);
    page.execute(RevokeApiKey { id }).await?;
    Ok(see_other(&format!("{PATH}/api-keys?revoked=1")))
}

fn facts(key: &ApiKey, companies: &Companies) -> Markup {
    let moment = |at: Option<Timestamp>| html! { @match at { Some(at) => (time(at)), None => "never" } };
    html! {
        dl.facts {
            dt { "Prefix" } dd.mono { "iam_" (key.prefix) }
            dt { "Role" } dd { (role_text(key.role)) }
            dt { "Valid for" } dd { (valid_for(key, companies)) }
            dt { "Limit" }
            dd {
                @match key.requests_per_second {
                    Some(rate) => { (rate.per_second()) " cost units per second" },
                    None => "the limit of all API keys",
                }
            }
            dt { "Created" }
            dd {
                (time(key.created_at))
                @match key.created_by {
                    Some(user) => { " by " span.mono { (user) } },
                    None => " on the command line",
                }
            }
            dt { "Last used" } dd { (moment(key.last_used_at)) }
            dt { "Expires" } dd { (moment(key.expires_at)) }
            @if key.revoked_at.is_some() { dt { "Revoked" } dd { (moment(key.revoked_at)) } }
        }
    }
}

fn revocation(key: &ApiKey, csrf: &str) -> Markup {
    html! {
        form.panel.narrow method="post" action={ (key_path(key)) "/revoke" } {
            h2 { "Revoke" }
            (csrf_field(csrf))
            p {
                "Services that use the key " bdi { (key.name) } " (" span.mono { "iam_" (key.prefix) } ") are rejected within \
                 seconds. A revocation cannot be undone."
            }
            details {
                summary { "Revoke this key…" }
                p { "Make sure that no service needs this key any more." }
                button.danger type="submit" { "Revoke " bdi { (key.name) } }
            }
        }
    }
}
