//! The forms that create, change and delete an entry of the catalog.

use actix_web::http::StatusCode;
use actix_web::web::{Path, Query};
use actix_web::{Either, HttpResponse};
use iam_application::{Etag, Failure, IfMatch, RequestContext};
use iam_domain::CompanyId;
use maud::{Markup, html};
use serde::Deserialize;

use super::super::control::{Problems, refusal, values};
use super::super::once::{ONCE, new_id, once, once_field};
use super::conflict::differences;
use super::content::{Chosen, MEMBER, NotSet, UNGATE};
use super::frame::{Place, catalog_path, tab_path, tabs};
use super::kind::{Goes, Kind, SEEN};
use super::typed::Typed;
use crate::authorized::SuperAdmin;
use crate::error::PageError;
use crate::form::Fields;
use crate::layout::{Section, csrf_field};
use crate::page::{Page, see_other};
use crate::platform::OnPlatform;
use crate::refusal::Refused;
use crate::submitted::Submitted;

/// A form whose fields are read by name.
#[derive(Debug, Deserialize)]
pub(crate) struct AnyForm {}

type Sent = Submitted<OnPlatform<SuperAdmin>, AnyForm>;

/// What became of a form.
#[derive(Default)]
struct Outcome {
    typed: Option<Typed>,
    problems: Problems,
    refused: Option<Refused>,
    /// The entry has changed since the form was filled.
    is_outdated: bool,
    not_deleted: Option<Refused>,
    not_set: Option<NotSet>,
}

/// `GET /console/catalog/{kind}/new`
pub(crate) async fn new<K: Kind>(
    page: OnPlatform<SuperAdmin>,
    place: Query<Place>,
    query: Query<Fields>,
) -> Result<Page, PageError> {
    let (application, outcome) = (page.application(), Outcome::default());
    let owner = place.owner(application).await?;
    let choices = K::choices(application, owner).await?;
    let typed = K::blank(&Typed::sent(&query), &choices).with(ONCE, new_id());
    render_new::<K>(&page, owner, &choices, &Outcome { typed: Some(typed), ..outcome })
}

/// `POST /console/catalog/{kind}`
pub(crate) async fn create<K: Kind>(sent: Sent, place: Query<Place>) -> Result<Either<Page, HttpResponse>, PageError> {
    let (page, typed) = (sent.page, Typed::sent(&sent.fields));
    let owner = place.owner(page.application()).await?;
    let mut outcome = Outcome::default();
    let mut status = StatusCode::UNPROCESSABLE_ENTITY;
    if let Some(change) = K::creation(&typed, &mut outcome.problems, owner) {
        let context = once(page.context(), &catalog_path(K::SEGMENT, owner), &sent.fields)?;
        match page.execute_in(context, change).await {
            Ok(done) => return Ok(Either::Right(saved::<K>(owner, K::id(&done.value)))),
            Err(failure) => outcome.refused = Some(refusal(failure)?),
        }
        status = StatusCode::CONFLICT;
    }
    outcome.typed = Some(typed);
    let choices = K::choices(page.application(), owner).await?;
    Ok(Either::Left(render_new::<K>(&page, owner, &choices, &outcome)?.with_status(status)))
}

/// `GET /console/catalog/{kind}/{id}`
pub(crate) async fn show<K: Kind>(
    page: OnPlatform<SuperAdmin>,
    path: Path<String>,
    place: Query<Place>,
) -> Result<Page, PageError> {
    render::<K>(&page, id_of::<K>(&path)?, &place, Outcome::default()).await
}

/// `POST /console/catalog/{kind}/{id}`
pub(crate) async fn update<K: Kind>(
    sent: Sent,
    path: Path<String>,
    place: Query<Place>,
) -> Result<Either<Page, HttpResponse>, PageError> {
    let (page, typed, id) = (sent.page, Typed::sent(&sent.fields), id_of::<K>(&path)?);
    let owner = place.owner(page.application()).await?;
    let mut outcome = Outcome::default();
    let mut status = StatusCode::UNPROCESSABLE_ENTITY;
    let if_match = IfMatch::OneOf(vec![typed.get("tag").to_owned()]);
    if let Some(change) = K::update(&typed, &mut outcome.problems, owner, id, if_match) {
        match page.execute(change).await {
            Ok(_) => return Ok(Either::Right(saved::<K>(owner, id))),
            Err(failure) => {
                outcome.is_outdated = matches!(failure, Failure::PreconditionFailed);
                outcome.refused = Some(refusal(failure)?);
            }
        }
        status = StatusCode::CONFLICT;
    }
    outcome.typed = Some(typed);
    Ok(Either::Left(render::<K>(&page, id, &place, outcome).await?.with_status(status)))
}

/// `POST /console/catalog/{kind}/{id}/delete`
pub(crate) async fn delete<K: Kind>(
    sent: Sent,
    path: Path<String>,
    place: Query<Place>,
) -> Result<Either<Page, HttpResponse>, PageError> {
    let (page, typed, id) = (sent.page, Typed::sent(&sent.fields), id_of::<K>(&path)?);
    let owner = place.owner(page.application()).await?;
    let context = RequestContext { if_version: K::versions(&typed)?, ..page.context() };
    let if_match = IfMatch::OneOf(vec![typed.get("tag").to_owned()]);
    match page.execute_in(context, K::deletion(&typed, owner, id, if_match)).await {
        Ok(_) => {
            let path = tab_path(K::TAB, owner);
            let separator = if path.contains('?') { '&' } else { '?' };
            Ok(Either::Right(see_other(&format!("{path}{separator}deleted=1"))))
        }
        Err(failure) => {
            let outcome = Outcome { not_deleted: Some(refusal(failure)?), ..Outcome::default() };
            let page = render::<K>(&page, id, &place, outcome).await?;
            Ok(Either::Left(page.with_status(StatusCode::CONFLICT)))
        }
    }
}

/// `POST /console/catalog/{kind}/{id}/{part}`: sets which views or features belong to an entry.
pub(crate) async fn set_content<K: Kind>(
    sent: Sent,
    path: Path<(String, String)>,
    place: Query<Place>,
) -> Result<Either<Page, HttpResponse>, PageError> {
    let (page, typed, (id, part)) = (sent.page, Typed::sent(&sent.fields), path.into_inner());
    let id = K::parse_id(&id).ok_or(PageError::NotFound)?;
    let ids: Vec<_> = values(&sent.fields, MEMBER).map(str::to_owned).collect();
    let chosen = Chosen { part: &part, ids: &ids, ungate: typed.flag(UNGATE) };
    let if_match = IfMatch::OneOf(vec![typed.get("tag").to_owned()]);
    match K::set(&page, id, &chosen, if_match).await {
        Ok(()) => Ok(Either::Right(saved::<K>(None, id))),
        Err(failure @ Failure::NotFound(_)) => Err(failure.into()),
        Err(failure) => {
            let not_set = NotSet { part, chosen: ids, refused: refusal(failure)? };
            let outcome = Outcome { not_set: Some(not_set), ..Outcome::default() };
            let page = render::<K>(&page, id, &place, outcome).await?;
            Ok(Either::Left(page.with_status(StatusCode::CONFLICT)))
        }
    }
}

fn id_of<K: Kind>(path: &Path<String>) -> Result<K::Id, PageError> {
    K::parse_id(path).ok_or(PageError::NotFound)
}

/// Returns the path of an entry, or of a page of the entry.
fn path_of<K: Kind>(owner: Option<CompanyId>, id: K::Id, page: &str) -> String {
    catalog_path(&format!("{}/{}{page}", K::SEGMENT, K::id_text(id)), owner)
}

/// Returns the response after an entry was saved.
fn saved<K: Kind>(owner: Option<CompanyId>, id: K::Id) -> HttpResponse {
    let path = path_of::<K>(owner, id, "");
    let separator = if path.contains('?') { '&' } else { '?' };
    see_other(&format!("{path}{separator}saved=1"))
}

fn render_new<K: Kind>(
    page: &OnPlatform<SuperAdmin>,
    owner: Option<CompanyId>,
    choices: &K::Choices,
    outcome: &Outcome,
) -> Result<Page, PageError> {
    let blank = Typed::default();
    let typed = outcome.typed.as_ref().unwrap_or(&blank);
    let title = format!("New {}", K::NAME);
    page.page(&title, Section::Catalog, |csrf| {
        html! {
            (tabs(K::TAB))
            header { h1 { (title) } }
            @if let Some(refused) = &outcome.refused { (refused.notice("It was not created.")) }
            form.panel.narrow method="post" action=(catalog_path(K::SEGMENT, owner)) {
                (csrf_field(csrf))
                (once_field(typed.get(ONCE)))
                (K::controls(typed, &outcome.problems, choices))
                div.buttons {
                    button.primary type="submit" { "Create " (K::NAME) }
                    a.button href=(tab_path(K::TAB, owner)) { "Cancel" }
                }
            }
        }
    })
}

async fn render<K: Kind>(
    page: &OnPlatform<SuperAdmin>,
    id: K::Id,
    place: &Place,
    outcome: Outcome,
) -> Result<Page, PageError> {
    let application = page.application();
    let owner = place.owner(application).await?;
    let entity = K::read(application, owner, id).await?;
    let choices = K::choices(application, owner).await?;
    let tag = Etag::of(&entity)?;
    let mut contents = K::contents(application, &entity).await?;
    if let Some(not_set) = outcome.not_set
        && let Some(form) = contents.iter_mut().find(|form| form.is_for(&not_set.part))
    {
        form.refuse(not_set);
    }
    let goes = K::goes(application, owner, &entity).await?;
    let stored = K::stored(&entity);
    let typed = outcome.typed.as_ref().unwrap_or(&stored);
    page.page(K::name(&entity), Section::Catalog, |csrf| {
        html! {
            (tabs(K::TAB))
            header { h1 { bdi { (K::name(&entity)) } } span.chip { (K::NAME) } }
            @if place.saved == "1" { div.notice role="status" { p { "It was saved." } } }
            @if let Some(refused) = &outcome.refused { (refused.notice("It was not saved.")) }
            @if outcome.is_outdated { (differences::<K>(&stored, typed, &choices)) }
            form.panel.narrow method="post" action=(path_of::<K>(owner, id, "")) {
                (csrf_field(csrf))
                input type="hidden" name="tag" value=(tag.as_str());
                (K::controls(typed, &outcome.problems, &choices))
                div.buttons {
                    button.primary type="submit" { "Save" }
                    a.button href=(tab_path(K::TAB, owner)) { "Cancel" }
                }
            }
            @for form in &contents { (form.show(csrf)) }
            (deletion::<K>(owner, &entity, &tag, &goes, outcome.not_deleted.as_ref(), csrf))
        }
    })
}

fn deletion<K: Kind>(
    owner: Option<CompanyId>,
    entity: &K::Entity,
    tag: &Etag,
    goes: &Goes,
    refused: Option<&Refused>,
    csrf: &str,
) -> Markup {
    html! {
        form.panel.narrow method="post" action=(path_of::<K>(owner, K::id(entity), "/delete")) {
            h2 { "Delete" }
            (csrf_field(csrf))
            input type="hidden" name="tag" value=(tag.as_str());
            input type="hidden" name=(SEEN) value=(goes.seen);
            @if let Some(refused) = refused { (refused.notice("It was not deleted.")) }
            details open[refused.is_some()] {
                summary { "Delete this " (K::NAME) "…" }
                p { bdi { (K::name(entity)) } " will be deleted. " (K::DELETED) }
                @if !goes.names.is_empty() {
                    p { "It contains (" (goes.names.len()) "):" }
                    ul { @for name in &goes.names { li { bdi { (name) } } } }
                }
                (K::deletion_controls())
                button.danger type="submit" { "Delete " bdi { (K::name(entity)) } }
            }
        }
    }
}
