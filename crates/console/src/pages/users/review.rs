//! The review of a change to the levels of users: its effect, or the reason why it would be refused. A review changes
//! nothing; the change is made when it is confirmed.

use std::collections::BTreeSet;

use actix_web::http::StatusCode;
use actix_web::{Either, HttpResponse};
use iam_application::{DecisionContext, EditAssignments, EditedAssignments, Failure, PreviewPage, Requirement};
use iam_domain::{CompanyId, Period, UserId, UserLevel, Versions};
use iam_permissions_cache::{Access, Consistency};
use maud::{Markup, html};

use super::edit::{Form, Operation, Problems, level_control, period_controls, users};
use super::effect::{Effect, People};
use super::names::names_of;
use super::person::{person, user_path};
use crate::authorized::{AssignLevels, Authorized};
use crate::error::PageError;
use crate::layout::{Section, csrf_field};
use crate::page::{Page, see_other};
use crate::path::company_path;
use crate::quantity::count;
use crate::refusal::Refused;
use crate::submitted::Submitted;

/// Maximum number of users whose names and decisions are listed.
const LISTED_USERS: usize = 20;

/// What became of the form.
enum Outcome {
    /// Some fields are not valid.
    Invalid(Problems),
    /// The change would be refused, or was refused.
    Refused(Refused),
    /// The change would have this effect.
    Effect(Reviewed),
}

/// The effect of a change, before it is made.
struct Reviewed {
    found: PreviewPage,
    /// The versions of the company and of the catalog.
    versions: Versions,
    /// `true` if the assignment starts later, and this is its effect from then on.
    is_later: bool,
    /// The reason why the change was not made, although it was confirmed.
    not_made: Option<&'static str>,
}

/// `POST /console/companies/{company}/users/review`
pub(crate) async fn show(sent: Submitted<Authorized<AssignLevels>, Form>) -> Result<Page, PageError> {
    let Submitted { page, form, fields } = &sent;
    let levels = page.application().user_levels(page.company).await?;
    let users = users(fields);
    let outcome = match form.parse(page, &users, &levels) {
        Err(problems) => Outcome::Invalid(problems),
        Ok(change) => preview(page, change).await?,
    };
    render(page, form, &users, &levels, outcome).await
}

/// `POST /console/companies/{company}/users/change`
pub(crate) async fn change(
    sent: Submitted<Authorized<AssignLevels>, Form>,
) -> Result<Either<Page, HttpResponse>, PageError> {
    let Submitted { page, form, fields } = &sent;
    let levels = page.application().user_levels(page.company).await?;
    let users = users(fields);
    let outcome = match form.parse(page, &users, &levels) {
        Err(problems) => Outcome::Invalid(problems),
        Ok(change) => match form.reviewed_versions(&users) {
            None => again(page, change, "The form has changed since the review.").await?,
            Some(versions) => {
                let changed: Vec<_> = change.add.iter().chain(&change.remove).map(|pair| pair.user.id).collect();
                let further = u32::try_from(changed.len().saturating_sub(1)).unwrap_or(u32::MAX);
                page.application().budgets().charge(page.caller(), further);
                match page.execute_at(versions, change.clone()).await {
                    Ok(done) => return Ok(Either::Right(see_other(&after(page.company, &changed, &done.value)))),
                    Err(Failure::PreconditionFailed) => {
                        again(page, change, "The company has changed since the review.").await?
                    }
                    Err(failure) => Outcome::Refused(Refused::of(failure)?),
                }
            }
        },
    };
    Ok(Either::Left(render(page, form, &users, &levels, outcome).await?))
}

/// Returns the path of the page that the person sees after the change.
fn after(company: CompanyId, changed: &[UserId], done: &EditedAssignments) -> String {
    let path = match changed {
        [only] => user_path(company, *only),
        _ => company_path(company, "users"),
    };
    format!("{path}?changed={}", done.users_changed)
}

/// Reviews a change that was confirmed but not made.
async fn again(
    page: &Authorized<AssignLevels>,
    change: EditAssignments,
    reason: &'static str,
) -> Result<Outcome, PageError> {
    page.charge(1)?;
    Ok(match preview(page, change).await? {
        Outcome::Effect(reviewed) => Outcome::Effect(Reviewed { not_made: Some(reason), ..reviewed }),
        other => other,
    })
}

async fn preview(page: &Authorized<AssignLevels>, mut change: EditAssignments) -> Result<Outcome, PageError> {
    let may_list_users = page.meets(Requirement::ReadIam).await?;
    let listed = LISTED_USERS as u64;
    let now = page.now();
    let starts_later =
        |period: &Option<Period>| period.and_then(|period| period.starts_at).is_some_and(|start| start > now);
    let is_later = change.add.iter().any(|pair| starts_later(&pair.period));
    let mut preview = page.preview(change.clone(), listed, may_list_users).await?;
    if is_later && preview.outcome.is_ok() {
        page.charge(1)?;
        // No decision changes before the start, so the effect is computed as if the assignment started now.
        for pair in &mut change.add {
            pair.period = pair.period.map(|period| Period { starts_at: None, ..period });
        }
        preview = page.preview(change, listed, may_list_users).await?;
    }
    Ok(match preview.outcome {
        Ok(found) => Outcome::Effect(Reviewed { found, versions: preview.versions, is_later, not_made: None }),
        Err(failure) => Outcome::Refused(Refused::of(failure)?),
    })
}

async fn render(
    page: &Authorized<AssignLevels>,
    form: &Form,
    sent: &BTreeSet<&str>,
    levels: &[UserLevel],
    outcome: Outcome,
) -> Result<Page, PageError> {
    let context = DecisionContext { caller: page.caller(), company: page.company, consistency: Consistency::Cached };
    let access = page.application().own_access(&context).await?;
    let named: BTreeSet<_> = sent.iter().filter_map(|user| Some(page.user_named(user).ok()?.id)).collect();
    let affected = match &outcome {
        Outcome::Effect(Reviewed { found, .. }) => found.users.iter().map(|(user, _)| *user).collect(),
        Outcome::Invalid(_) | Outcome::Refused(_) => BTreeSet::new(),
    };
    let people = names_of(page, named.iter().copied().take(LISTED_USERS).chain(affected).collect()).await?;
    let status = match &outcome {
        Outcome::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Outcome::Refused(_) => StatusCode::CONFLICT,
        Outcome::Effect(Reviewed { not_made: Some(_), .. }) => StatusCode::CONFLICT,
        Outcome::Effect(_) => StatusCode::OK,
    };
    let company = page.company;
    let title = match form.operation {
        Operation::Add => "Add a level",
        Operation::Remove => "Remove a level",
    };
    let page = page.page(title, Section::Users, |csrf| {
        html! {
            header { h1 { (title) } p.muted { "Nothing is changed yet." } }
            p {
                (count(named.len(), "user")) ": "
                @for (index, user) in named.iter().take(LISTED_USERS).enumerate() {
                    @if index > 0 { ", " }
                    a href=(user_path(company, *user)) { (person(people.get(user), *user)) }
                }
                @if named.len() > LISTED_USERS { ", and " (named.len() - LISTED_USERS) " more" }
            }
            @if let Outcome::Refused(refused) = &outcome { (refused.notice("This change is refused.")) }
            @if let Outcome::Effect(Reviewed { not_made: Some(reason), .. }) = &outcome {
                div.notice.warn role="alert" { p { strong { (reason) } " Nothing was changed. This is the effect now." } }
            }
            (controls(company, form, sent, levels, &outcome, csrf))
            (effect(company, form, &outcome, &access, &people))
        }
    })?;
    Ok(page.with_status(status))
}

fn effect(company: CompanyId, form: &Form, outcome: &Outcome, access: &Access, people: &People) -> Markup {
    html! {
        @if let Outcome::Effect(Reviewed { found, is_later, .. }) = outcome {
            (Effect {
                company,
                operation: form.operation,
                found,
                catalog: access.catalog(),
                people,
                is_later: *is_later,
            }.show())
        }
    }
}

/// Returns the form with what was typed. It can be changed and reviewed again, or confirmed.
fn controls(
    company: CompanyId,
    form: &Form,
    sent: &BTreeSet<&str>,
    levels: &[UserLevel],
    outcome: &Outcome,
    csrf: &str,
) -> Markup {
    let none = Problems::new();
    let problems = match outcome {
        Outcome::Invalid(problems) => problems,
        Outcome::Refused(_) | Outcome::Effect(_) => &none,
    };
    html! {
        form.panel.edit method="post" action=(company_path(company, "users/review")) {
            (csrf_field(csrf))
            input type="hidden" name="do" value=(form.operation.value());
            @for user in sent { input type="hidden" name="user" value=(user); }
            @if let Some(problem) = problems.get("user") { div.notice.error role="alert" { p { bdi { (problem) } } } }
            (level_control(levels, &form.level, problems.get("level")))
            @if form.operation == Operation::Add { (period_controls(&form.starts, &form.ends, problems)) }
            div.buttons {
                @if let Outcome::Effect(Reviewed { versions, .. }) = outcome {
                    input type="hidden" name="reviewed" value=(form.reviewed_at(*versions, sent));
                    button.primary type="submit" formaction=(company_path(company, "users/change")) {
                        @match form.operation { Operation::Add => "Add the level", Operation::Remove => "Remove the level" }
                    }
                }
                button type="submit" { "Review again" }
                a.button href=(cancel(company, sent)) { "Cancel" }
            }
        }
    }
}

/// Returns the path of the page that the person came from.
fn cancel(company: CompanyId, sent: &BTreeSet<&str>) -> String {
    match sent.first().and_then(|user| UserId::parse(user).ok()) {
        Some(user) if sent.len() == 1 => user_path(company, user),
        _ => company_path(company, "users"),
    }
}
