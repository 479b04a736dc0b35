//! The list of API keys.

use actix_web::web::Query;
use iam_domain::{ApiKey, Timestamp, folded};
use maud::{Markup, html};
use serde::Deserialize;

use super::super::pager::Part;
use super::state::{Companies, State, companies_of, key_path, valid_for};
use crate::authorized::ManageCredentials;
use crate::error::PageError;
use crate::layout::{Section, time};
use crate::page::Page;
use crate::path::PATH;
use crate::platform::OnPlatform;

/// The search text, the filter and the number of the page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Search {
    q: String,
    state: String,
    page: usize,
    /// Set after a key was revoked.
    revoked: String,
}

/// `GET /console/api-keys`
pub(crate) async fn show(page: OnPlatform<ManageCredentials>, search: Query<Search>) -> Result<Page, PageError> {
    let (all, now) = (page.application().api_keys().await?, page.now());
    let text = folded(search.q.trim());
    let matches = |key: &ApiKey| {
        let contains = folded(key.name.as_str()).contains(&text) || folded(key.prefix.as_str()).contains(&text);
        contains && (search.state.is_empty() || State::of(key, now).value() == search.state)
    };
    let found: Vec<_> = all.iter().filter(|key| matches(key)).cloned().collect();
    let part = Part::of(&found, search.page);
    let companies = companies_of(&page, part.rows).await?;
    page.page("API keys", Section::ApiKeys, |_| {
        html! {
            header {
                h1 { "API keys" }
                div.actions { a.button.primary href={ (PATH) "/api-keys/new" } { "New API key" } }
            }
            @if search.revoked == "1" {
                div.notice role="status" { p { "The API key was revoked." } }
            }
            (filters(&search))
            @if all.is_empty() {
                div.empty { p { "There are no API keys yet. Services authenticate with API keys." } }
            } @else if found.is_empty() {
                div.empty {
                    p { "No API key matches." }
                    p { a.button href={ (PATH) "/api-keys" } { "Show all API keys" } }
                }
            } @else {
                (table(part.rows, &companies, now))
                (part.links(&format!("{PATH}/api-keys"), &[("q", &search.q), ("state", &search.state)]))
            }
        }
    })
}

fn filters(search: &Search) -> Markup {
    html! {
        form.toolbar role="search" aria-label="API keys" action={ (PATH) "/api-keys" } {
            div {
                label for="q" { "Name or prefix" }
                input #q type="search" name="q" value=(search.q) maxlength="255" autocomplete="off" data-search;
            }
            div {
                label for="state" { "State" }
                select #state name="state" {
                    option value="" { "Any" }
                    @for (state, label) in
                        [(State::Active, "Active"), (State::Expired, "Expired"), (State::Revoked, "Revoked")] {
                        option value=(state.value()) selected[state.value() == search.state] { (label) }
                    }
                }
            }
            button type="submit" { "Search" }
        }
    }
}

fn table(keys: &[ApiKey], companies: &Companies, now: Timestamp) -> Markup {
    html! {
        div.scroll {
            table {
                caption.visually-hidden { "API keys" }
                thead {
                    tr {
                        th scope="col" { "Name" }
                        th scope="col" { "Prefix" }
                        th scope="col" { "Role" }
                        th scope="col" { "Valid for" }
                        th scope="col" { "State" }
                        th scope="col" { "Created" }
                        th scope="col" { "Last used" }
                        th scope="col" { "Expires" }
                    }
                }
                tbody {
                    @for key in keys {
                        tr {
                            th scope="row" { a href=(key_path(key)) { bdi { (key.name) } } }
                            td.mono { "iam_" (key.prefix) }
                            td { (key.role) }
                            td { (valid_for(key, companies)) }
                            td { (State::of(key, now).chip()) }
                            td { (time(key.created_at)) }
                            td { @match key.last_used_at { Some(at) => (time(at)), None => span.muted { "never" } } }
                            td { @match key.expires_at { Some(at) => (time(at)), None => span.muted { "never" } } }
                        }
                    }
                }
            }
        }
    }
}
