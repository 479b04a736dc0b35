//! The review of a draft: what changes in each level, and the effect on users. A review changes nothing.

use std::collections::BTreeMap;

use actix_web::web::Query;
use actix_web::{Either, HttpResponse};
use iam_application::{Failure, PreviewPage, Requirement};
use iam_domain::{CellCounts, CompanyId, Name, UserId};
use maud::{Markup, html};

use super::conflict::{Outdated, conflict};
use super::differences::differences;
use super::draft::{Draft, Part};
use super::filter::Filter;
use super::parts::{Names, PartChange, Stored};
use super::{Loaded, OnlyDraft};
use crate::authorized::{Authorized, ManagePermissions};
use crate::error::PageError;
use crate::layout::{Section, csrf_field};
use crate::page::{Page, see_other};
use crate::quantity::count;
use crate::refusal::Refused;
use crate::submitted::Submitted;

/// Maximum number of parts that are previewed. Each preview reads the whole company.
const PREVIEWS: usize = 20;
/// Maximum number of cells whose effect is listed for each part.
const LISTED_CELLS: usize = 50;

/// The prefix of the names of the fields that contain the entity tags of the matrices.
const TAG: &str = "t.";

/// The response to a form: a page, or a redirect.
pub(crate) type Answer = Either<Page, HttpResponse>;

/// A part of the draft with its effect.
struct Reviewed {
    part: Part,
    tag: String,
    /// `None` if the draft has too many parts.
    outcome: Option<Result<PreviewPage, Refused>>,
}

/// Returns the name of the field that contains the entity tag of a matrix.
fn tag_name(part: &Part) -> String {
    format!("{TAG}{}.{}", part.level, part.kind.name())
}

/// Returns the entity tag of a matrix, which the review has put into the form.
pub(crate) fn tag_of<'a>(fields: &'a [(String, String)], part: &Part) -> Result<&'a str, PageError> {
    let name = tag_name(part);
    let tag = fields.iter().find(|(field, _)| *field == name).map(|(_, tag)| tag.as_str());
    tag.ok_or_else(|| PageError::Invalid("The form does not state what its changes are based on".to_owned()))
}

/// `POST /console/companies/{company}/matrix/review`
pub(crate) async fn show(
    sent: Submitted<Authorized<ManagePermissions>, OnlyDraft>,
    filter: Query<Filter>,
) -> Result<Answer, PageError> {
    let (page, draft) = (&sent.page, Draft::of(&sent.fields)?);
    if draft.is_empty() {
        return Ok(Either::Right(see_other(&filter.page(page.company))));
    }
    let names = Names::of(&Loaded::of(page).await?);
    let mut parts = draft.parts();
    parts.sort_by_key(|part| names.position(part.level));
    let mut current = Vec::with_capacity(parts.len());
    for part in parts {
        let stored = Stored::of(page, part.level, part.kind).await?;
        current.push((part, stored));
    }
    let is_outdated = |(part, stored): &(Part, Option<Stored>)| match stored {
        Some(stored) => part.edits.iter().any(|edit| stored.rule(&edit.cell) != edit.before),
        None => true,
    };
    if current.iter().any(is_outdated) {
        let outdated = Outdated { saved: &[], refused: &[], rest: current };
        return conflict(page, &filter, &names, outdated).await.map(Either::Left);
    }
    page.charge(current.len().min(PREVIEWS).saturating_sub(1))?;
    let may_list_users = page.meets(Requirement::ReadIam).await?;
    let mut reviewed = Vec::with_capacity(current.len());
    for (index, (part, stored)) in current.into_iter().enumerate() {
        let Some(stored) = stored else { continue };
        let outcome = match index < PREVIEWS {
            true => preview(page, &part, &stored, may_list_users).await?,
            false => None,
        };
        reviewed.push(Reviewed { tag: stored.tag, part, outcome });
    }
    let people = names_of_users(page, &reviewed).await?;
    let (company, title) = (page.company, "Review");
    let page = page.page(title, Section::Matrix, |csrf| {
        html! {
            header { h1 { "Review" } p.muted { (count(draft.len(), "change")) ". Nothing is saved yet." } }
            @for reviewed in &reviewed { (section(&names, &people, reviewed)) }
            (buttons(company, &filter, &draft, &reviewed, csrf))
        }
    })?;
    Ok(Either::Left(page))
}

/// Returns the effect of a part, or the reason why it would be refused.
async fn preview(
    page: &Authorized<ManagePermissions>,
    part: &Part,
    stored: &Stored,
    may_list_users: bool,
) -> Result<Option<Result<PreviewPage, Refused>>, PageError> {
    let change = PartChange::new(page.company, part, stored, &stored.tag);
    match change.preview(page, may_list_users).await?.outcome {
        Ok(found) => Ok(Some(Ok(found))),
        // Another person has saved the level at this moment: the next attempt shows it.
        Err(Failure::PreconditionFailed) => Err(Failure::PreconditionFailed.into()),
        Err(failure) => Refused::of(failure).map(|refused| Some(Err(refused))),
    }
}

/// Returns the display names of the users whom the review names.
async fn names_of_users(
    page: &Authorized<ManagePermissions>,
    reviewed: &[Reviewed],
) -> Result<BTreeMap<UserId, Name>, PageError> {
    let outcomes = reviewed.iter().filter_map(|reviewed| reviewed.outcome.as_ref()?.as_ref().ok());
    let users = outcomes.flat_map(|outcome| outcome.users.iter().map(|(user, _)| *user)).collect();
    Ok(page.application().display_names(page.company, &users).await?)
}

fn section(names: &Names, people: &BTreeMap<UserId, Name>, Reviewed { part, outcome, .. }: &Reviewed) -> Markup {
    html! {
        section.panel {
            h2 { (names.part(part)) }
            (differences(names, part))
            @match outcome {
                None => p.muted { "The draft changes many levels. The effect of this part is not computed." },
                Some(Ok(found)) => (effect(names, people, found)),
                Some(Err(refused)) => div.notice.error {
                    p { strong { "This part would be refused." } }
                    (refused.text())
                },
            }
        }
    }
}

fn effect(names: &Names, people: &BTreeMap<UserId, Name>, found: &PreviewPage) -> Markup {
    let (users, cells) = (found.impact.users.len(), &found.impact.cells);
    html! {
        @if users == 0 {
            p { strong { "No user gains or loses a permission." } }
        } @else {
            p { strong { (count(users, "user")) " affected." } }
            ul.effect {
                @for (cell, CellCounts { gaining, losing }) in cells.iter().take(LISTED_CELLS) {
                    li {
                        (names.cell(cell)) ": "
                        @if *gaining > 0 { span.chip.allow { "+ " (count(*gaining, "user")) " gain" @if *gaining == 1 { "s" } } " " }
                        @if *losing > 0 { span.chip.deny { "− " (count(*losing, "user")) " lose" @if *losing == 1 { "s" } } }
                    }
                }
                @if cells.len() > LISTED_CELLS { li { "and " (cells.len() - LISTED_CELLS) " more" } }
            }
            @if !found.users.is_empty() {
                p {
                    "Among them: "
                    @for (index, (user, _)) in found.users.iter().enumerate() {
                        @if index > 0 { ", " }
                        @match people.get(user) {
                            Some(name) => bdi title=(user) { (name) },
                            None => span.mono { (user) },
                        }
                    }
                    @if users > found.users.len() { " and " (users - found.users.len()) " more" }
                    "."
                }
            }
        }
    }
}

fn buttons(company: CompanyId, filter: &Filter, draft: &Draft, reviewed: &[Reviewed], csrf: &str) -> Markup {
    let refused = reviewed.iter().filter(|part| matches!(part.outcome, Some(Err(_)))).count();
    html! {
        @if reviewed.len() > 1 {
            p.muted {
                "Each matrix of a level is saved by itself, in this order. The effects above are computed for each of them \
                 alone."
            }
        }
        form method="post" action=(filter.action(company, "save")) {
            (csrf_field(csrf))
            (draft.fields())
            @for Reviewed { part, tag, .. } in reviewed { input type="hidden" name=(tag_name(part)) value=(tag); }
            div.draft {
                button type="submit" formaction=(filter.page(company)) { "Back to editing" }
                a.button href=(filter.page(company)) { "Discard" }
                @if refused < reviewed.len() || reviewed.len() > 1 {
                    button.primary type="submit" { @if refused > 0 { "Save what is not refused" } @else { "Save" } }
                }
            }
        }
    }
}
