//! One level: its name and description, its holders, and its deletion.

use actix_web::http::StatusCode;
use actix_web::web::Query;
use actix_web::{Either, HttpResponse};
use iam_application::{
    DeleteUserLevel, Direction, Etag, IfMatch, ListMembers, Member, MemberOrder, PageRequest, Requirement,
    UpdateUserLevel,
};
use iam_domain::{CompanyId, UserLevel, UserLevelId};
use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::form::{Fields, message_of, problem};
use crate::authorized::{Authorized, ManageLevels, Policy, ReadIam};
use crate::error::PageError;
use crate::layout::{Section, csrf_field, time};
use crate::page::{Page, see_other};
use crate::pages::audit::filter::about_level;
use crate::pages::matrix::editor::{LevelPath, level_of};
use crate::pages::users::person::{person, user_path};
use crate::pages::view_as::address as view_as;
use crate::path::company_path;
use crate::submitted::Submitted;

/// Number of holders on a page.
const HOLDERS: u64 = 25;

/// The position in the list of holders.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Position {
    cursor: Option<String>,
    /// Set after the level was saved.
    saved: String,
}

/// The form that changes a level.
#[derive(Debug, Deserialize)]
pub(crate) struct ChangedLevel {
    name: String,
    #[serde(default)]
    description: String,
    /// The entity tag of the level that the form was filled from.
    tag: String,
}

/// The form that deletes a level.
#[derive(Debug, Deserialize)]
pub(crate) struct Deletion {
    tag: String,
}

/// What the page shows instead of the stored data, after a form was refused.
#[derive(Default)]
struct Refused {
    fields: Option<Fields>,
    update: Option<String>,
    deletion: Option<String>,
}

/// `GET /console/companies/{company}/levels/{level}`
pub(crate) async fn show(
    page: Authorized<ReadIam>,
    path: LevelPath,
    position: Query<Position>,
) -> Result<Page, PageError> {
    render(&page, level_of(&path)?, position.into_inner(), Refused::default()).await
}

/// `POST /console/companies/{company}/levels/{level}`
pub(crate) async fn update(
    sent: Submitted<Authorized<ManageLevels>, ChangedLevel>,
    path: LevelPath,
) -> Result<Either<Page, HttpResponse>, PageError> {
    let Submitted { page, form, .. } = sent;
    let (id, mut fields) = (level_of(&path)?, Fields::typed(&form.name, &form.description));
    let (update, status) = match fields.parse() {
        None => (None, StatusCode::UNPROCESSABLE_ENTITY),
        Some((name, description)) => {
            let change = UpdateUserLevel {
                company: page.company,
                id,
                name: Some(name),
                description: Some(description),
                if_match: IfMatch::OneOf(vec![form.tag]),
            };
            match page.execute(change).await {
                Ok(_) => {
                    let path = format!("{}?saved=1", level_path(page.company, id, ""));
                    return Ok(Either::Right(see_other(&path)));
                }
                Err(failure) => (Some(message_of(failure)?), StatusCode::CONFLICT),
            }
        }
    };
    let refused = Refused { fields: Some(fields), update, deletion: None };
    Ok(Either::Left(render(&page, id, Position::default(), refused).await?.with_status(status)))
}

/// `POST /console/companies/{company}/levels/{level}/delete`
pub(crate) async fn delete(
    sent: Submitted<Authorized<ManageLevels>, Deletion>,
    path: LevelPath,
) -> Result<Either<Page, HttpResponse>, PageError> {
    let Submitted { page, form, .. } = sent;
    let (company, id) = (page.company, level_of(&path)?);
    let name = page.application().user_level(company, id).await?.name;
    let change = DeleteUserLevel { company, id, if_match: IfMatch::OneOf(vec![form.tag]) };
    match page.execute(change).await {
        Ok(_) => {
            let name = utf8_percent_encode(name.as_str(), NON_ALPHANUMERIC);
            let path = format!("{}?deleted={name}", company_path(company, "levels"));
            Ok(Either::Right(see_other(&path)))
        }
        Err(failure) => {
            let refused = Refused { deletion: Some(message_of(failure)?), ..Refused::default() };
            let page = render(&page, id, Position::default(), refused).await?;
            Ok(Either::Left(page.with_status(StatusCode::CONFLICT)))
        }
    }
}

fn level_path(company: CompanyId, level: UserLevelId, page: &str) -> String {
    company_path(company, &format!("levels/{level}{page}"))
}

/// The number of cells of a level.
struct Cells {
    all: usize,
    pinned: usize,
}

async fn render<P: Policy>(
    page: &Authorized<P>,
    id: UserLevelId,
    position: Position,
    refused: Refused,
) -> Result<Page, PageError> {
    // A person who may change levels does not necessarily have the right to read them.
    if !page.meets(Requirement::ReadIam).await? {
        return Err(PageError::Forbidden(Requirement::ReadIam.denial_message().to_owned()));
    }
    let (application, company) = (page.application(), page.company);
    let level = application.user_level(company, id).await?;
    let views = application.view_permissions(company, id).await?;
    let features = application.feature_permissions(company, id).await?;
    let pinned =
        views.iter().filter(|cell| !cell.modifiable).count() + features.iter().filter(|cell| !cell.modifiable).count();
    let cells = Cells { all: views.len() + features.len(), pinned };
    let request = ListMembers {
        company,
        level: Some(id),
        search: None,
        order: MemberOrder::Id(Direction::Ascending),
        page: PageRequest { limit: HOLDERS, cursor: position.cursor, include_total: false },
    };
    let found = application.list_members(page.caller(), "console-holders", &request).await?;
    let holders = application.count_holders(company).await?.get(&id).copied().unwrap_or(0);
    let may_manage = page.meets(Requirement::ManageLevels).await?;
    let may_view_as = page.meets(Requirement::CheckOthers).await?;
    let may_read_audit = page.meets(Requirement::ReadAudit).await?;
    let tag = Etag::of(&level)?;
    let may_delete_pinned = page.caller().is_super_admin();
    page.page(&format!("Level {}", level.name), Section::Levels, |csrf| {
        html! {
            header {
                h1 { bdi { (level.name) } }
                @if level.is_default { span.chip { "default" } }
                div.actions {
                    a.button href=(level_path(company, id, "/matrix")) { "Matrix" }
                    a.button href={ (company_path(company, "levels")) "?copy=" (id) } { "Copy" }
                    @if may_view_as { a.button href=(view_as::of_levels(company, &[id])) { "View as" } }
                    @if may_read_audit { a.button href=(about_level(company, id)) { "History" } }
                }
            }
            @if position.saved == "1" { div.notice role="status" { p { "The level was saved." } } }
            @if may_manage {
                (edit_form(company, &level, &tag, &refused, csrf))
            } @else {
                section.panel { h2 { "Description" } p.lines { bdi { (level.description) } } }
            }
            p.muted { "Last changed " (time(level.updated_at)) "." }
            (holder_list(company, id, holders, &found.elements, found.next_cursor.as_deref()))
            @if may_manage {
                section.panel {
                    h2 { "Delete" }
                    (problem(refused.deletion.as_deref()))
                    (deletion(company, &level, &tag, holders, &cells, may_delete_pinned, csrf))
                }
            }
        }
    })
}

fn edit_form(company: CompanyId, level: &UserLevel, tag: &Etag, refused: &Refused, csrf: &str) -> Markup {
    let stored = Fields::typed(level.name.as_str(), level.description.as_str());
    let fields = refused.fields.as_ref().unwrap_or(&stored);
    html! {
        form.panel method="post" action=(level_path(company, level.id, "")) {
            h2 { "Name and description" }
            (csrf_field(csrf))
            (problem(refused.update.as_deref()))
            @if fields.name != stored.name && refused.update.is_some() {
                p.muted { "Stored name: " bdi { (stored.name) } }
            }
            input type="hidden" name="tag" value=(tag.as_str());
            (fields.controls("level-"))
            button.primary type="submit" { "Save" }
        }
    }
}

fn holder_list(company: CompanyId, id: UserLevelId, count: u64, holders: &[Member], next: Option<&str>) -> Markup {
    html! {
        section #holders {
            h2 { "Holders (" (count) ")" }
            @if holders.is_empty() {
                div.empty { p { "No user holds this level." } }
            } @else {
                div.scroll {
                    table {
                        caption.visually-hidden { "Users who hold the level" }
                        thead { tr { th scope="col" { "User" } th scope="col" { "Id" } } }
                        tbody {
                            @for member in holders {
                                tr {
                                    th scope="row" {
                                        a href=(user_path(company, member.user)) { (person(member.display_name.as_ref(), member.user)) }
                                    }
                                    td.mono { (member.user) }
                                }
                            }
                        }
                    }
                }
            }
            @if let Some(next) = next {
                nav.pager aria-label="Holders" {
                    a.button href={ (level_path(company, id, "")) "?cursor=" (utf8_percent_encode(next, NON_ALPHANUMERIC)) "#holders" }
                        { "Next page" }
                }
            }
        }
    }
}

/// Returns the form that deletes the level, or the reason why it cannot be deleted.
fn deletion(
    company: CompanyId,
    level: &UserLevel,
    tag: &Etag,
    holders: u64,
    cells: &Cells,
    may_delete_pinned: bool,
    csrf: &str,
) -> Markup {
    html! {
        @if holders > 0 {
            p {
                "This level cannot be deleted, because " (holders) @if holders == 1 { " user holds" } @else { " users hold" }
                " it. Remove it from its " a href="#holders" { "holders" } " first."
            }
        } @else if cells.pinned > 0 && !may_delete_pinned {
            p {
                "This level cannot be deleted, because the platform has pinned " (cells.pinned) " of its cells. Only super \
                 admins may delete it."
            }
        } @else {
            form method="post" action=(level_path(company, level.id, "/delete")) {
                (csrf_field(csrf))
                input type="hidden" name="tag" value=(tag.as_str());
                details {
                    summary { "Delete this level…" }
                    p { "The level " bdi { (level.name) } " and its " (cells.all) " cells are deleted. No user holds it." }
                    button.danger type="submit" { "Delete " bdi { (level.name) } }
                }
            }
        }
    }
}
