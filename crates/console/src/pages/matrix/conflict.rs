//! The page for a draft that is based on outdated data, or of which a part was not saved. It keeps the draft.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use iam_application::{AuditFilter, NamedRecord};
use iam_domain::{Actor, EntityType, UserLevelId};
use maud::{Markup, html};

use super::differences::differences;
use super::draft::{Draft, Edit, Part};
use super::filter::Filter;
use super::parts::{Names, Stored};
use crate::authorized::{Authorized, ManagePermissions};
use crate::error::PageError;
use crate::layout::{Section, csrf_field, time};
use crate::page::Page;
use crate::quantity::count;
use crate::refusal::Refused;

/// Number of the latest changes of a level that the page shows.
const CHANGES: u64 = 3;

/// A draft of which at least one part is not saved.
pub(crate) struct Outdated<'a> {
    /// The parts that were saved.
    pub(crate) saved: &'a [Part],
    /// The parts that were refused, with the reasons.
    pub(crate) refused: &'a [(Part, Refused)],
    /// The parts that are based on outdated data or were not tried, with the matrices as they are now. `None` if the level
    /// was deleted.
    pub(crate) rest: Vec<(Part, Option<Stored>)>,
}

impl Outdated<'_> {
    /// Returns the draft without the saved parts.
    fn kept(&self) -> Draft {
        self.refused.iter().map(|(part, _)| part).chain(self.rest.iter().map(|(part, _)| part)).collect()
    }

    /// Returns the draft as if it had been made on the current data. Edits that have no effect any more are omitted.
    fn rebased(&self) -> Draft {
        let rest = self.rest.iter().filter_map(|(part, stored)| {
            let stored = stored.as_ref()?;
            let edits = part.edits.iter().map(|edit| Edit { before: stored.rule(&edit.cell), ..edit.clone() });
            let edits = edits.filter(|edit| edit.before != edit.after).collect();
            Some(Part { edits, ..part.clone() })
        });
        let parts: Vec<_> = self.refused.iter().map(|(part, _)| part.clone()).chain(rest).collect();
        parts.iter().collect()
    }
}

/// Returns the page.
pub(crate) async fn conflict(
    page: &Authorized<ManagePermissions>,
    filter: &Filter,
    names: &Names,
    outdated: Outdated<'_>,
) -> Result<Page, PageError> {
    let mut changes = BTreeMap::new();
    for (part, _) in &outdated.rest {
        changes.insert(part.level, latest_changes(page, part.level).await?);
    }
    let is_deleted = outdated.rest.iter().any(|(part, stored)| stored.is_none() && Some(part.level) == filter.level());
    let filter = if is_deleted { &filter.for_all_levels() } else { filter };
    let (company, rebased) = (page.company, outdated.rebased());
    let has_conflict = !outdated.rest.is_empty();
    let has_change = outdated.rest.iter().any(|(_, stored)| stored.is_some());
    let title = match (has_change, has_conflict) {
        (true, _) => "Others have changed this",
        (false, true) => "A level was deleted",
        (false, false) => "Not everything was saved",
    };
    let page = page.page(title, Section::Matrix, |csrf| {
        html! {
            header { h1 { (title) } }
            @if !outdated.saved.is_empty() {
                div.notice {
                    p { "Saved:" }
                    ul { @for part in outdated.saved { li { (names.part(part)) ", " (count(part.edits.len(), "change")) } } }
                }
            }
            @for (part, refused) in outdated.refused {
                section.panel {
                    h2 { (names.part(part)) }
                    div.notice.error { p { strong { "This part was refused, and nothing of it was saved." } } (refused.text()) }
                    (differences(names, part))
                }
            }
            @if has_change {
                div.notice.warn role="alert" {
                    p { "Another person has changed these levels since you opened them. Your draft of them is kept, and nothing \
                         of it was saved. Compare, then apply your changes on top of theirs, and review the result." }
                }
            }
            @for (part, stored) in &outdated.rest {
                section.panel {
                    h2 { (names.part(part)) }
                    (comparison(names, part, stored.as_ref()))
                    (latest(changes.get(&part.level).map_or(&[], Vec::as_slice)))
                }
            }
            form method="post" action=(filter.page(company)) {
                (csrf_field(csrf))
                @if has_conflict { (rebased.fields()) } @else { (outdated.kept().fields()) }
                div.draft {
                    a.button href=(filter.page(company)) { "Discard" }
                    @if has_conflict && !rebased.is_empty() {
                        button type="submit" { "Back to editing" }
                        button.primary type="submit" formaction=(filter.action(company, "review")) { "Apply my changes on top" }
                    } @else if !has_conflict {
                        button.primary type="submit" { "Back to editing" }
                    }
                }
            }
        }
    })?;
    Ok(page.with_status(StatusCode::CONFLICT))
}

/// Returns the latest changes of the matrices of a level. A person who may change matrices may also read the audit log.
async fn latest_changes(
    page: &Authorized<ManagePermissions>,
    level: UserLevelId,
) -> Result<Vec<NamedRecord>, PageError> {
    let filter = AuditFilter {
        entity_type: Some(EntityType::Permission),
        entity_id: Some(level.as_uuid()),
        ..AuditFilter::default()
    };
    let found = page.application().audit_logs(Some(page.company), &filter, None, CHANGES, false).await?;
    Ok(found.records)
}

fn comparison(names: &Names, part: &Part, stored: Option<&Stored>) -> Markup {
    let Some(stored) = stored else {
        return html! { p { "The level was deleted, so your changes to it are dropped." } };
    };
    html! {
        div.scroll {
            table {
                caption.visually-hidden { "Your changes and the current rules" }
                thead {
                    tr {
                        th scope="col" { "Cell" }
                        th scope="col" { "You saw" }
                        th scope="col" { "Now" }
                        th scope="col" { "Your change" }
                    }
                }
                tbody {
                    @for edit in &part.edits {
                        @let now = stored.rule(&edit.cell);
                        tr {
                            th scope="row" { (names.cell(&edit.cell)) }
                            td { span class=(edit.before.chip()) { (edit.before.label(part.kind)) } }
                            td {
                                span class=(now.chip()) { (now.label(part.kind)) }
                                @if now == edit.after { small.reason { "Already as you want it" } }
                                @else if now != edit.before { small.reason { "Changed by another person" } }
                            }
                            td { span class=(edit.after.chip()) { (edit.after.label(part.kind)) } }
                        }
                    }
                }
            }
        }
    }
}

fn latest(records: &[NamedRecord]) -> Markup {
    html! {
        @if !records.is_empty() {
            p.muted { "Latest changes of this level:" }
            ul.muted {
                @for NamedRecord { record, names } in records {
                    li {
                        (time(record.timestamp)) ", "
                        @match record.actor {
                            Actor::User(user) => {
                                @match names.get(&user.as_uuid()) {
                                    Some(name) => bdi { (name) },
                                    None => span.mono { (user) },
                                }
                            },
                            Actor::ApiKey(_) => "a service",
                            Actor::CommandLine => "an operator",
                            Actor::System => "the system",
                        }
                    }
                }
            }
        }
    }
}
