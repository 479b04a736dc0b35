//! Why a user may or may not see a view or perform an action, and the smallest change that would allow it.

use actix_web::http::StatusCode;
use actix_web::web::Query;
use iam_application::{DecisionContext, FieldCode, FieldError, NamedSubject, Names, Requirement};
use iam_domain::{
    CompanyId, Explanation, GatingModule, LevelContribution, LevelRule, Reason, Step, UserId, UserLevelId,
};
use iam_permissions_cache::Consistency;
use maud::{Markup, html};
use serde::Deserialize;
use uuid::Uuid;

use super::fix::Fix;
use super::question::Question;
use crate::authorized::{Authorized, Member};
use crate::error::PageError;
use crate::layout::Section;
use crate::page::Page;
use crate::pages::users::person::{matrix_path, user_path};
use crate::path::company_path;

/// Maximum number of levels, and of steps, that are listed.
const LISTED: usize = 100;

/// The subject of the question, as it was typed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Subject {
    user: String,
}

/// An explanation, and what its parts are called.
struct Explained {
    company: CompanyId,
    /// The subject, if the signed-in person may see its page.
    page_of: Option<UserId>,
    /// Whether the signed-in person may see the matrices of levels.
    sees_levels: bool,
    explanation: Explanation,
    names: Names,
    fix: Fix,
}

/// `GET /console/companies/{company}/why`
pub(crate) async fn show(
    page: Authorized<Member>,
    question: Query<Question>,
    subject: Query<Subject>,
) -> Result<Page, PageError> {
    let (application, company) = (page.application(), page.company);
    let context = DecisionContext { caller: page.caller(), company, consistency: Consistency::Cached };
    let checks_others = page.meets(Requirement::CheckOthers).await?;
    let sees_levels = page.meets(Requirement::ReadIam).await?;
    let catalog = application.own_access(&context).await?.available_catalog();
    let (problem, explained) = match question.check() {
        Err(problem) => (Some(problem), None),
        Ok(None) => (None, None),
        Ok(Some(check)) => {
            let named = named(&page, subject.user.trim());
            let access = match &named {
                Some(Err(error)) if checks_others => Err(error.message.clone()),
                _ => Ok(application.access_of_subject(&context, &named).await?),
            };
            match access {
                Err(problem) => (Some(problem), None),
                Ok(access) => {
                    let explanation = access.explain(&check);
                    let names = application.names_in_explanations(company, &access, [&explanation]).await;
                    let page_of = access.subject().user_id().filter(|_| sees_levels);
                    let fix = Fix::of(&page, &check, &explanation, page_of).await?;
                    (None, Some(Explained { company, page_of, sees_levels, explanation, names, fix }))
                }
            }
        }
    };
    let status = if problem.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let page = page.page("Why?", Section::Why, |csrf| {
        html! {
            header { h1 { "Why?" } }
            form.panel.edit role="search" aria-label="Decision" action=(company_path(company, "why")) {
                @if checks_others {
                    div.field {
                        label for="user" { "User (id or issuer|subject; empty for yourself)" }
                        input #user name="user" value=(subject.user) autocomplete="off";
                    }
                }
                (question.controls(&catalog))
                div.buttons { button.primary type="submit" { "Explain" } }
            }
            @if let Some(problem) = &problem { div.notice.error role="alert" { p { bdi { (problem) } "." } } }
            @match &explained {
                Some(explained) => (explained.show(csrf)),
                None if problem.is_none() => div.empty {
                    p { "Choose a view, or a feature and an action, to see the answer and its reason." }
                },
                None => "",
            }
        }
    })?;
    Ok(page.with_status(status))
}

/// Returns the subject of the question. `None` if it is the signed-in person.
fn named(page: &Authorized<Member>, text: &str) -> NamedSubject {
    if text.is_empty() {
        return None;
    }
    let user = page.user_named(text).map(|user| user.id);
    Some(user.map_err(|error| FieldError::new("The user", FieldCode::User, error)))
}

impl Explained {
    fn show(&self, csrf: &str) -> Markup {
        let Explanation { decision, view, feature, gate, ceiling, levels, suggestion } = &self.explanation;
        html! {
            section.panel.answer aria-live="polite" {
                h2 {
                    @if decision.allowed { span.chip.allow { "Allowed" } } @else { span.chip.deny { "Denied" } }
                    @if let Some(scope) = decision.scope.filter(|_| decision.allowed) { " with scope " (scope) }
                }
                p { strong { (decision.reason.text()) "." } " " code { (decision.reason.code()) } }
                @if let Some(id) = view.map(|view| view.as_uuid()).or(feature.map(|feature| feature.as_uuid())) {
                    p { "The question is about " (self.name(id)) "." }
                }
                @if let Some(user) = self.page_of {
                    p { a href=(user_path(self.company, user)) { "The user's levels and permissions" } }
                }
            }
            // An explanation does not disclose the modules and the ceilings to a non-member.
            @if decision.reason != Reason::NoUserLevels { (self.gate(gate)) }
            @if let Some(ceiling) = ceiling {
                section {
                    h2 { "Ceiling" }
                    p {
                        @match ceiling.max_scope {
                            Some(scope) => { "The platform limits this in the company to the scope " (scope) "." },
                            None => "The platform does not permit this to any user of the company.",
                        }
                    }
                }
            }
            @if decision.reason != Reason::NoUserLevels { (self.levels(levels)) }
            (self.suggestion(suggestion, csrf))
        }
    }

    /// Returns the name of an entity, or its id if the name is unknown.
    fn name(&self, id: Uuid) -> Markup {
        html! {
            @match self.names.get(&id) {
                Some(name) => bdi { (name) },
                None => span.mono { (id) },
            }
        }
    }

    fn level(&self, level: UserLevelId) -> Markup {
        html! {
            @if self.sees_levels {
                a href=(matrix_path(self.company, level)) { (self.name(level.as_uuid())) }
            } @else {
                (self.name(level.as_uuid()))
            }
        }
    }

    fn gate(&self, gate: &[GatingModule]) -> Markup {
        let yes = |is| html! { @if is { span.chip.allow { "Yes" } } @else { span.chip.deny { "No" } } };
        html! {
            section {
                h2 { "Modules" }
                @if gate.is_empty() {
                    p.muted { "No module is required." }
                } @else {
                    p { "At least one of these modules must be enabled and granted to the company." }
                    div.scroll {
                        table {
                            caption.visually-hidden { "Modules" }
                            thead {
                                tr { th scope="col" { "Module" } th scope="col" { "Enabled" } th scope="col" { "Granted to the company" } }
                            }
                            tbody {
                                @for module in gate {
                                    tr {
                                        th scope="row" { (self.name(module.module_id.as_uuid())) }
                                        td { (yes(module.enabled)) }
                                        td { (yes(module.granted)) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    fn levels(&self, levels: &[LevelContribution]) -> Markup {
        let decided_by = &self.explanation.decision.decided_by;
        let decides = |level: &LevelContribution| decided_by.contains(&level.user_level_id);
        let mut levels: Vec<_> = levels.iter().collect();
        levels.sort_by_key(|level| !decides(level));
        html! {
            section {
                h2 { "Levels" }
                @if levels.is_empty() {
                    p.muted { "No level takes part in this decision." }
                } @else {
                    div.scroll {
                        table {
                            caption.visually-hidden { "What each level says" }
                            thead {
                                tr { th scope="col" { "Level" } th scope="col" { "Says" } th scope="col" { "Decides" } }
                            }
                            tbody {
                                @for level in levels.iter().take(LISTED) {
                                    tr {
                                        th scope="row" { (self.level(level.user_level_id)) }
                                        td { (rule(level.says)) }
                                        td { @if decides(level) { strong { "Yes" } } @else { "No" } }
                                    }
                                }
                            }
                        }
                    }
                    @if levels.len() > LISTED { p.muted { "and " (levels.len() - LISTED) " more" } }
                }
            }
        }
    }

    fn suggestion(&self, steps: &[Step], csrf: &str) -> Markup {
        html! {
            @if !self.explanation.decision.allowed {
                section {
                    h2 { "The smallest change that would allow it" }
                    @if self.explanation.decision.reason == Reason::NoUserLevels {
                        p { "Assign a level that allows it: the user holds no level in this company." }
                    } @else if steps.is_empty() {
                        p.muted { "No change of levels, modules or ceilings would allow it." }
                    } @else {
                        ol { @for step in steps.iter().take(LISTED) { li { (self.step(*step)) } } }
                        @if steps.len() > LISTED { p.muted { "and " (steps.len() - LISTED) " more" } }
                    }
                    (self.fix.show(self.company, csrf))
                }
            }
        }
    }

    fn step(&self, step: Step) -> Markup {
        html! {
            @match step {
                Step::ActivateCompany => "End the suspension of the company.",
                Step::EnableFeature(id) => { "Enable the feature " (self.name(id.as_uuid())) " for all companies." },
                Step::EnableModule(id) => { "Enable the module " (self.name(id.as_uuid())) " for all companies." },
                Step::GrantModule(id) => { "Grant the module " (self.name(id.as_uuid())) " to the company." },
                Step::ShowView(id) => { "Remove the ceiling that hides the view " (self.name(id.as_uuid())) "." },
                Step::RaiseCeiling(id) => { "Raise the ceiling of the company for the feature " (self.name(id.as_uuid())) "." },
                Step::AssignLevel => {
                    "Assign a level that allows it"
                    @if let Some(user) = self.page_of { " (" a href=(user_path(self.company, user)) { "the user's levels" } ")" }
                    "."
                },
                Step::Undeny(level) => { "Remove the deny from the level " (self.level(level)) "." },
                Step::Allow(level) => { "Change the level " (self.level(level)) " so that it allows it." },
            }
        }
    }
}

fn rule(says: LevelRule) -> Markup {
    html! {
        @match says {
            LevelRule::Nothing => span.chip { "Nothing" },
            LevelRule::Inherit => span.chip { "Inherit" },
            LevelRule::Allow { scope: None } => span.chip.allow { "Allow" },
            LevelRule::Allow { scope: Some(scope) } => span.chip.allow { "Allow: " (scope) },
            LevelRule::Deny => span.chip.deny { "Deny" },
        }
    }
}
