//! How pages show users and the levels that they hold.

use iam_domain::{AssignmentState, CompanyId, Name, Period, UserId, UserLevelId};
use maud::{Markup, html};

use crate::layout::time;
use crate::path::company_path;

/// Returns the path of the page of a user.
pub(crate) fn user_path(company: CompanyId, user: UserId) -> String {
    company_path(company, &format!("users/{user}"))
}

/// Returns the path of the matrix of a level.
pub(crate) fn matrix_path(company: CompanyId, level: UserLevelId) -> String {
    company_path(company, &format!("levels/{level}/matrix"))
}

/// Returns the display name of a user, or the id of a user without a name.
pub(crate) fn person(name: Option<&Name>, user: UserId) -> Markup {
    html! {
        @match name {
            Some(name) => bdi { (name) },
            None => span.mono { (user) },
        }
    }
}

/// Returns a chip with the name of an assigned level. An assignment that is not in effect is marked.
pub(crate) fn level_chip(name: &Name, period: Period, state: AssignmentState) -> Markup {
    html! {
        span.chip.warn[state != AssignmentState::Active] {
            bdi { (name) }
            @match (state, period) {
                (AssignmentState::Expired, _) => " · expired",
                (AssignmentState::Pending, Period { starts_at: Some(start), .. }) => { " · from " (time(start)) },
                (_, Period { expires_at: Some(end), .. }) => { " · until " (time(end)) },
                (_, _) => "",
            }
        }
    }
}
