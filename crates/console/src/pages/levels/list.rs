//! The list of levels, and the form that creates or copies a level.

use actix_web::http::StatusCode;
use actix_web::web::Query;
use actix_web::{Either, HttpResponse};
use iam_application::{CreateUserLevel, Requirement};
use iam_domain::{CompanyId, UserLevel, UserLevelId, folded};
use maud::{Markup, html};
use serde::Deserialize;

use super::form::{Fields, message_of, problem};
use crate::authorized::{Authorized, ManageLevels, Policy, ReadIam};
use crate::error::PageError;
use crate::layout::{Section, csrf_field};
use crate::page::{Page, see_other};
use crate::path::company_path;
use crate::submitted::Submitted;

/// The query of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Search {
    q: String,
    /// The level to copy: the form to create a level is open.
    copy: String,
    /// The name of the level that was just deleted.
    deleted: String,
}

/// The form that creates a level.
#[derive(Debug, Deserialize)]
pub(crate) struct NewLevel {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    copy_from: String,
}

/// The form as the page shows it.
#[derive(Default)]
struct Creation {
    fields: Fields,
    copy_from: Option<UserLevelId>,
    problem: Option<String>,
    is_open: bool,
}

/// `GET /console/companies/{company}/levels`
pub(crate) async fn show(page: Authorized<ReadIam>, search: Query<Search>) -> Result<Page, PageError> {
    let copy_from = UserLevelId::parse(&search.copy).ok();
    let creation = Creation { copy_from, is_open: copy_from.is_some(), ..Creation::default() };
    render(&page, &search, creation).await
}

/// `POST /console/companies/{company}/levels`
pub(crate) async fn create(
    sent: Submitted<Authorized<ManageLevels>, NewLevel>,
) -> Result<Either<Page, HttpResponse>, PageError> {
    let Submitted { page, form, .. } = sent;
    let mut fields = Fields::typed(&form.name, &form.description);
    let copy_from = UserLevelId::parse(&form.copy_from).ok();
    let (problem, status) = match fields.parse() {
        None => (None, StatusCode::UNPROCESSABLE_ENTITY),
        Some((name, description)) => {
            let change = CreateUserLevel { company: page.company, name, description, copy_from };
            match page.execute(change).await {
                Ok(done) => {
                    let path = format!("levels/{}", done.value.level.id);
                    return Ok(Either::Right(see_other(&company_path(page.company, &path))));
                }
                Err(failure) => (Some(message_of(failure)?), StatusCode::CONFLICT),
            }
        }
    };
    let creation = Creation { fields, copy_from, problem, is_open: true };
    let page = match page.meets(Requirement::ReadIam).await? {
        true => render(&page, &Search::default(), creation).await?,
        false => page.page("New level", Section::Levels, |csrf| creation.panel(page.company, &[], false, csrf))?,
    };
    Ok(Either::Left(page.with_status(status)))
}

async fn render<P: Policy>(page: &Authorized<P>, search: &Search, creation: Creation) -> Result<Page, PageError> {
    let (application, company) = (page.application(), page.company);
    let levels = application.user_levels(company).await?;
    let holders = application.count_holders(company).await?;
    let may_manage = page.meets(Requirement::ManageLevels).await?;
    let may_copy = may_manage && page.meets(Requirement::ManagePermissions).await?;
    let text = folded(search.q.trim());
    let matches = |level: &&UserLevel| {
        folded(level.name.as_str()).contains(&text) || folded(level.description.as_str()).contains(&text)
    };
    let mut found: Vec<_> = levels.iter().filter(matches).collect();
    // An exact match is first.
    found.sort_by_key(|level| folded(level.name.as_str()) != text);
    page.page("Levels", Section::Levels, |csrf| {
        html! {
            header { h1 { "Levels" } p.muted { (levels.len()) " levels" } }
            @if !search.deleted.is_empty() {
                div.notice role="status" { p { "The level " bdi { (search.deleted) } " was deleted." } }
            }
            @if may_manage { (creation.panel(company, if may_copy { &levels } else { &[] }, true, csrf)) }
            (filters(company, &levels, &search.q))
            @if levels.is_empty() {
                div.empty { p { "This company has no levels yet, so only super admins have permissions in it." } }
            } @else if found.is_empty() {
                div.empty {
                    p { "No level matches the text." }
                    p { a.button href=(company_path(company, "levels")) { "Show all levels" } }
                }
            } @else {
                div.scroll {
                    table {
                        caption.visually-hidden { "Levels" }
                        thead {
                            tr {
                                th scope="col" { "Level" }
                                th scope="col" { "Description" }
                                th.number scope="col" { "Holders" }
                                th scope="col" { "Actions" }
                            }
                        }
                        tbody {
                            @for level in found {
                                (row(company, level, holders.get(&level.id).copied().unwrap_or(0), may_copy))
                            }
                        }
                    }
                }
            }
        }
    })
}

fn filters(company: CompanyId, levels: &[UserLevel], text: &str) -> Markup {
    html! {
        div.split {
            form.toolbar role="search" aria-label="Levels" action=(company_path(company, "levels")) {
                div {
                    label for="q" { "Name or description" }
                    input #q type="search" name="q" value=(text) maxlength="255" autocomplete="off";
                }
                button type="submit" { "Search" }
            }
            @if levels.len() > 1 {
                form.toolbar action=(company_path(company, "levels/compare")) {
                    @for (name, label) in [("a", "Compare"), ("b", "with")] {
                        div {
                            label for=(name) { (label) }
                            select id=(name) name=(name) {
                                @for (index, level) in levels.iter().enumerate() {
                                    option value=(level.id) selected[name == "b" && index == 1] { (level.name) }
                                }
                            }
                        }
                    }
                    button type="submit" { "Compare" }
                }
            }
        }
    }
}

fn row(company: CompanyId, level: &UserLevel, holders: u64, may_copy: bool) -> Markup {
    let path = company_path(company, &format!("levels/{}", level.id));
    html! {
        tr {
            th scope="row" {
                a href=(path) { bdi { (level.name) } }
                @if level.is_default { " " span.chip { "default" } }
            }
            td.long title=(level.description) { bdi { (level.description) } }
            td.number { a href={ (path) "#holders" } { (holders) span.visually-hidden { " holders of " (level.name) } } }
            td.actions {
                a href={ (path) "/matrix" } { "Matrix" span.visually-hidden { " of " (level.name) } }
                @if may_copy {
                    " " a href={ (company_path(company, "levels")) "?copy=" (level.id) } {
                        "Copy" span.visually-hidden { " " (level.name) }
                    }
                }
            }
        }
    }
}

impl Creation {
    /// Returns the form. `levels` can be copied. `may_close` states whether the form is below a heading that opens it.
    fn panel(&self, company: CompanyId, levels: &[UserLevel], may_close: bool, csrf: &str) -> Markup {
        let form = html! {
            form method="post" action=(company_path(company, "levels")) {
                (csrf_field(csrf))
                (problem(self.problem.as_deref()))
                (self.fields.controls("new-"))
                @if !levels.is_empty() {
                    div.field {
                        label for="copy-from" { "Copy the cells of" }
                        select #copy-from name="copy_from" {
                            option value="" { "No level: start empty" }
                            @for level in levels {
                                option value=(level.id) selected[Some(level.id) == self.copy_from] { (level.name) }
                            }
                        }
                    }
                }
                button.primary type="submit" { "Create level" }
            }
        };
        html! {
            @if may_close {
                details.panel open[self.is_open] { summary { "New level" } (form) }
            } @else {
                section.panel { h1 { "New level" } (form) }
            }
        }
    }
}
