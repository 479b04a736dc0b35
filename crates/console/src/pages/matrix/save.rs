//! Saves a reviewed draft. Each part is saved by itself, and only if its matrix has not changed since the review.

use actix_web::Either;
use actix_web::web::Query;
use iam_application::Failure;

use super::conflict::{Outdated, conflict};
use super::draft::Draft;
use super::filter::Filter;
use super::parts::{Names, PartChange, Stored};
use super::review::{Answer, tag_of};
use super::{Loaded, OnlyDraft};
use crate::authorized::{Authorized, ManagePermissions};
use crate::error::PageError;
use crate::page::see_other;
use crate::refusal::Refused;
use crate::submitted::Submitted;

/// `POST /console/companies/{company}/matrix/save`
pub(crate) async fn save(
    sent: Submitted<Authorized<ManagePermissions>, OnlyDraft>,
    filter: Query<Filter>,
) -> Result<Answer, PageError> {
    let (page, draft) = (&sent.page, Draft::of(&sent.fields)?);
    let names = Names::of(&Loaded::of(page).await?);
    let mut parts = draft.parts();
    parts.sort_by_key(|part| names.position(part.level));
    // No part is saved if the form is incomplete.
    let parts: Vec<_> =
        parts.into_iter().map(|part| Ok((tag_of(&sent.fields, &part)?, part))).collect::<Result<_, PageError>>()?;
    page.charge(parts.len().saturating_sub(1))?;
    let (mut saved, mut refused, mut rest) = (Vec::new(), Vec::new(), Vec::new());
    for (tag, part) in parts {
        let Some(stored) = Stored::of(page, part.level, part.kind).await? else {
            rest.push((part, None));
            continue;
        };
        match PartChange::new(page.company, &part, &stored, tag).execute(page).await {
            Ok(()) => saved.push(part),
            Err(Failure::PreconditionFailed) => {
                let stored = Stored::of(page, part.level, part.kind).await?;
                rest.push((part, stored));
            }
            Err(failure) => match Refused::of(failure) {
                Ok(reason) => refused.push((part, reason)),
                Err(error) if saved.is_empty() => return Err(error),
                // The page must state which parts were saved before the failure.
                Err(error) => refused.push((part, Refused::failed(&error))),
            },
        }
    }
    if refused.is_empty() && rest.is_empty() {
        let path = format!("{}&saved={}", filter.page(page.company), draft.len());
        return Ok(Either::Right(see_other(&path)));
    }
    let outdated = Outdated { saved: &saved, refused: &refused, rest };
    conflict(page, &filter, &names, outdated).await.map(Either::Left)
}
