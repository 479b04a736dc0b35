//! The page: the choice of the subject, the banner, the menu and the permissions.

use actix_web::http::StatusCode;
use actix_web::web;
use iam_application::{LevelsView, Requirement};
use iam_domain::{CompanyId, UserLevel};
use maud::{Markup, html};

use super::address::{self, Query};
use super::menu::Menu;
use super::subject::Subject;
use crate::authorized::{Authorized, CheckOthers};
use crate::error::PageError;
use crate::form::Fields;
use crate::layout::{Section, company_name};
use crate::page::Page;
use crate::pages::users::permissions::{Address, Filter, Permissions};
use crate::pages::users::person::{person, user_path};
use crate::path::company_path;

/// `GET /console/companies/{company}/view-as`
pub(crate) async fn show(
    page: Authorized<CheckOthers>,
    fields: web::Query<Fields>,
    filter: web::Query<Filter>,
) -> Result<Page, PageError> {
    let (application, company, query) = (page.application(), page.company, Query::of(&fields));
    let sees_levels = page.meets(Requirement::ReadIam).await?;
    let levels = if sees_levels { application.user_levels(company).await? } else { Vec::new() };
    let found = match Subject::of(&page, &query, &levels).await? {
        Err(problem) => Err(problem),
        Ok(None) => Ok(None),
        Ok(Some(subject)) => {
            let view = application.levels_view(company, &subject.level_ids()).await?;
            Ok(Some((subject, view)))
        }
    };
    let status = if found.is_err() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let answer = page.page("View as", Section::ViewAs, |_| {
        html! {
            header { h1 { "View as" } }
            @if let Ok(Some((subject, _))) = &found { (banner(&page, subject, sees_levels)) }
            (choice(company, &query, found.as_ref().ok().and_then(Option::as_ref).map(|(subject, _)| subject), &levels))
            @match &found {
                Err(problem) => div.notice.error role="alert" { p { bdi { (problem) } "." } },
                Ok(None) => div.empty { p { "Choose a user or levels, to see the menu and the permissions." } },
                Ok(Some((subject, view))) => (content(company, &query, &filter, subject, view, sees_levels)),
            }
        }
    })?;
    Ok(answer.with_status(status))
}

fn banner(page: &Authorized<CheckOthers>, subject: &Subject, sees_pages: bool) -> Markup {
    html! {
        div.notice.warn role="status" {
            p {
                "You see the menu and the permissions in " (company_name(page.company, &page.details)) " as they look to "
                @match &subject.user {
                    Some((user, name)) => strong { (person(name.as_ref(), *user)) },
                    None => strong { "a user who holds these levels" },
                }
                @if subject.levels.is_empty() {
                    " (no level is in effect)"
                } @else {
                    " (" @if subject.levels.len() == 1 { "level: " } @else { "levels: " }
                    @for (index, name) in subject.levels.values().enumerate() {
                        @if index > 0 { ", " }
                        bdi { (name) }
                    }
                    ")"
                }
                ". Nothing can be changed here."
            }
            p {
                @match &subject.user {
                    Some((user, _)) if sees_pages => a href=(user_path(page.company, *user)) { "Back to the user" },
                    None => a href=(company_path(page.company, "levels")) { "Back to the levels" },
                    Some(_) => a href=(company_path(page.company, "")) { "Back to the company" },
                }
            }
        }
    }
}

fn choice(company: CompanyId, query: &Query, subject: Option<&Subject>, levels: &[UserLevel]) -> Markup {
    let is_chosen = |level: &UserLevel| subject.is_some_and(|subject| subject.levels.contains_key(&level.id));
    html! {
        form.panel.edit role="search" aria-label="User" action=(address::path(company)) {
            div.field {
                label for="view-as-user" { "User (id or issuer|subject)" }
                input #view-as-user name="user" value=(query.user) autocomplete="off" dir="auto";
            }
            div.buttons { button.primary type="submit" { "View as this user" } }
        }
        @if !levels.is_empty() {
            details.panel open[subject.is_none()] {
                summary { "View as a holder of levels" }
                form role="search" aria-label="Levels" action=(address::path(company)) {
                    fieldset.choices {
                        legend { "Levels" }
                        @for level in levels {
                            label.check {
                                input type="checkbox" name="levels" value=(level.id) checked[is_chosen(level)];
                                bdi { (level.name) }
                            }
                        }
                    }
                    div.buttons { button type="submit" { "View as a holder of these levels" } }
                }
            }
        }
    }
}

fn content(
    company: CompanyId,
    query: &Query,
    filter: &Filter,
    subject: &Subject,
    view: &LevelsView,
    sees_levels: bool,
) -> Markup {
    let snapshot = &view.snapshot;
    html! {
        @if subject.levels.is_empty() {
            div.empty { p { "No level is in effect, so the user sees nothing in this company." } }
        } @else {
            (Menu { company, catalog: &snapshot.catalog, subject, sees_levels }.show(&view.menu()))
            (Permissions {
                company,
                user: subject.user.as_ref().map(|(user, _)| *user),
                deciding: snapshot,
                levels: &subject.levels,
                filter,
                address: Address { path: address::path(company), parameters: query.parameters() },
            }.show())
        }
    }
}
