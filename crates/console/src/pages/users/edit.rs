//! The form that assigns a level to users, or removes it from them.

use std::collections::{BTreeMap, BTreeSet};

use iam_application::{EditAssignments, LevelOfUser};
use iam_domain::{Period, Timestamp, UserLevel, UserLevelId, Versions};
use maud::{Markup, html};
use serde::Deserialize;

use crate::authorized::{AssignLevels, Authorized};
use crate::form::Fields;

/// Maximum number of users whose levels one form changes.
const MOST_USERS: usize = 200;

/// What the form does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Operation {
    /// Assigns the level.
    Add,
    /// Removes the level.
    Remove,
}

impl Operation {
    /// Returns the value of the button.
    pub(crate) const fn value(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Remove => "remove",
        }
    }
}

/// The fields of the form, as they were typed.
#[derive(Debug, Deserialize)]
pub(crate) struct Form {
    #[serde(rename = "do")]
    pub(crate) operation: Operation,
    #[serde(default)]
    pub(crate) level: String,
    #[serde(default)]
    pub(crate) starts: String,
    #[serde(default)]
    pub(crate) ends: String,
    /// What was reviewed, if the form was sent from a review.
    #[serde(default)]
    reviewed: String,
}

/// The reasons why fields are not valid, by the name of the field.
pub(crate) type Problems = BTreeMap<&'static str, String>;

/// Returns the users that the form names, as they were sent.
pub(crate) fn users(fields: &Fields) -> BTreeSet<&str> {
    fields.iter().filter(|(name, _)| name == "user").map(|(_, value)| value.as_str()).collect()
}

/// Parses a local time of a form, which states no zone and is in UTC.
pub(crate) fn utc(text: &str) -> Result<Option<Timestamp>, String> {
    let text = text.trim();
    // Browsers omit the seconds if they are zero.
    let seconds = if text.matches(':').count() == 1 { ":00" } else { "" };
    match Timestamp::parse(&format!("{text}{seconds}Z")) {
        _ if text.is_empty() => Ok(None),
        Some(time) => Ok(Some(time)),
        None => Err("It must be a date and a time, such as 2026-12-31T17:00.".to_owned()),
    }
}

impl Form {
    /// Returns the text by which the form is recognized after its review: everything that it changes, and the versions of
    /// the company and of the catalog.
    pub(crate) fn reviewed_at(&self, versions: Versions, users: &BTreeSet<&str>) -> String {
        let Self { operation, level, starts, ends, .. } = self;
        let users: Vec<_> = users.iter().copied().collect();
        format!("{versions} {} {level} {starts} {ends} {}", operation.value(), users.join(" "))
    }

    /// Returns the versions of the review. Returns `None` if the form was not reviewed, or differs from what was reviewed.
    pub(crate) fn reviewed_versions(&self, users: &BTreeSet<&str>) -> Option<Versions> {
        let versions = Versions::parse(self.reviewed.split(' ').next()?)?;
        (self.reviewed == self.reviewed_at(versions, users)).then_some(versions)
    }

    /// Returns the change that the form describes.
    ///
    /// # Errors
    ///
    /// Returns the reasons why the fields are not valid.
    pub(crate) fn parse(
        &self,
        page: &Authorized<AssignLevels>,
        users: &BTreeSet<&str>,
        levels: &[UserLevel],
    ) -> Result<EditAssignments, Problems> {
        let mut problems = Problems::new();
        let level = UserLevelId::parse(&self.level).ok();
        let level = level.filter(|level| levels.iter().any(|known| known.id == *level));
        if level.is_none() {
            problems.insert("level", "Choose a level.".to_owned());
        }
        let mut named = Vec::with_capacity(users.len());
        for user in users {
            match page.user_named(user) {
                Ok(user) => named.push(user),
                Err(error) => drop(problems.insert("user", format!("{user} {error}."))),
            }
        }
        if users.is_empty() {
            problems.insert("user", "Select at least one user.".to_owned());
        } else if users.len() > MOST_USERS {
            problems.insert("user", format!("Select at most {MOST_USERS} users."));
        }
        let mut time = |field, text: &str| match utc(text) {
            Ok(time) => time,
            Err(problem) => {
                problems.insert(field, problem);
                None
            }
        };
        let period = match self.operation {
            Operation::Add => {
                Some(Period { starts_at: time("starts", &self.starts), expires_at: time("ends", &self.ends) })
            }
            Operation::Remove => None,
        };
        let Some(level) = level.filter(|_| problems.is_empty()) else { return Err(problems) };
        let pairs: Vec<_> = named.into_iter().map(|user| LevelOfUser { user, level, period }).collect();
        let (add, remove) = match self.operation {
            Operation::Add => (pairs, Vec::new()),
            Operation::Remove => (Vec::new(), pairs),
        };
        Ok(EditAssignments { company: page.company, add, remove, force: false })
    }
}

/// Returns the control that selects a level.
pub(crate) fn level_control(levels: &[UserLevel], selected: &str, problem: Option<&String>) -> Markup {
    html! {
        div.field {
            label for="edit-level" { "Level" }
            select #edit-level name="level" required aria-invalid=[problem.map(|_| "true")]
                aria-describedby=[problem.map(|_| "edit-level-error")] {
                option value="" { "Choose a level" }
                @for level in levels {
                    option value=(level.id) selected[level.id.to_string() == selected] { (level.name) }
                }
            }
            @if let Some(problem) = problem { p.error #edit-level-error { (problem) } }
        }
    }
}

/// Returns the controls for the start and the end of an assignment.
pub(crate) fn period_controls(starts: &str, ends: &str, problems: &Problems) -> Markup {
    html! {
        (time_control("starts", "Start in UTC (optional)", starts, problems.get("starts")))
        (time_control("ends", "End in UTC (optional)", ends, problems.get("ends")))
    }
}

fn time_control(name: &str, label: &str, value: &str, problem: Option<&String>) -> Markup {
    html! {
        div.field {
            label for={ "edit-" (name) } { (label) }
            input id={ "edit-" (name) } type="datetime-local" name=(name) value=(value)
                aria-invalid=[problem.map(|_| "true")]
                aria-describedby=[problem.map(|_| format!("edit-{name}-error"))];
            @if let Some(problem) = problem { p.error id={ "edit-" (name) "-error" } { (problem) } }
        }
    }
}
