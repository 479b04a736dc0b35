//! The filter of the audit log, which is part of the address of a page.

use std::collections::BTreeMap;

use iam_application::{AuditCursor, AuditFilter};
use iam_domain::{CompanyId, NamedUser, Timestamp, UserId, UserLevel, UserLevelId};
use iam_identity::UserNameError;
use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use uuid::Uuid;

use super::actions::{actions, capitalized};
use crate::pages::users::edit::utc;
use crate::path::{PATH, company_path};

/// The fields of the filter, as they were typed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Filter {
    /// The user or the API key that made the change.
    by: String,
    /// The user that the change is about, or the id of any other entity.
    about: String,
    /// The level that the change is about.
    level: String,
    action: String,
    from: String,
    to: String,
    cursor: String,
}

/// The reasons why fields are not valid, by the name of the field.
pub(crate) type Problems = BTreeMap<&'static str, String>;

/// Returns the path of the audit log of a company, or of the platform.
pub(crate) fn log_path(company: Option<CompanyId>) -> String {
    company.map_or_else(|| format!("{PATH}/audit"), |company| company_path(company, "audit"))
}

/// Returns the path of the changes to a level and its matrices.
pub(crate) fn about_level(company: CompanyId, level: UserLevelId) -> String {
    format!("{}?level={level}", log_path(Some(company)))
}

/// Returns the path of the changes to the levels and the profile of a user.
pub(crate) fn about_user(company: CompanyId, user: UserId) -> String {
    about(Some(company), user.as_uuid())
}

/// Returns the path of the changes to an entity.
pub(crate) fn about(company: Option<CompanyId>, entity: Uuid) -> String {
    format!("{}?about={entity}", log_path(company))
}

/// Returns the path of the changes that a user or an API key made.
pub(crate) fn by(company: Option<CompanyId>, actor: Uuid) -> String {
    format!("{}?by={actor}", log_path(company))
}

impl Filter {
    /// Returns the filter that the fields describe, and the position in the list. `named` reads the names of users.
    ///
    /// # Errors
    ///
    /// Returns the reasons why fields are not valid.
    pub(crate) fn parse(
        &self,
        named: impl Fn(&str) -> Result<NamedUser, UserNameError>,
    ) -> Result<(AuditFilter, Option<AuditCursor>), Problems> {
        let mut problems = Problems::new();
        let mut user = |field: &'static str, text: &str| match text.trim() {
            "" => None,
            text => match named(text) {
                Ok(user) => Some(user.id.as_uuid()),
                Err(error) => {
                    problems.insert(field, format!("It {error}."));
                    None
                }
            },
        };
        let (by, about) = (user("by", &self.by), user("about", &self.about));
        let level = match self.level.as_str() {
            "" => None,
            id => match UserLevelId::parse(id) {
                Ok(level) => Some(level.as_uuid()),
                Err(_) => {
                    problems.insert("level", "Choose a level.".to_owned());
                    None
                }
            },
        };
        if about.is_some() && level.is_some() {
            problems.insert("level", "Choose a user or a level, not both.".to_owned());
        }
        let mut time = |field: &'static str, text: &str| match self::time(text) {
            Ok(time) => time,
            Err(problem) => {
                problems.insert(field, problem);
                None
            }
        };
        let (from, to) = (time("from", &self.from), time("to", &self.to));
        let action = Some(self.action.trim().to_owned()).filter(|action| !action.is_empty());
        if action.as_ref().is_some_and(|action| action.contains('\0')) {
            problems.insert("action", "It must not contain NUL characters.".to_owned());
        }
        let cursor = match self.cursor.as_str() {
            "" => None,
            text => match text.parse::<AuditCursor>() {
                Ok(cursor) => Some(cursor),
                Err(error) => {
                    problems.insert("cursor", format!("The position {error}."));
                    None
                }
            },
        };
        if !problems.is_empty() {
            return Err(problems);
        }
        let filter = AuditFilter { entity_type: None, entity_id: about.or(level), action, actor_id: by, from, to };
        Ok((filter, cursor))
    }

    /// Returns `true` if a field restricts the records.
    pub(crate) fn is_restricting(&self) -> bool {
        self.fields().iter().any(|(_, value)| !value.trim().is_empty())
    }

    /// Returns `true` if the filter selects the changes to a level.
    pub(crate) fn is_about_level(&self) -> bool {
        !self.level.is_empty()
    }

    /// Returns `true` if the page is not the first one.
    pub(crate) fn is_continued(&self) -> bool {
        !self.cursor.is_empty()
    }

    const fn fields(&self) -> [(&'static str, &String); 6] {
        [
            ("by", &self.by),
            ("about", &self.about),
            ("level", &self.level),
            ("action", &self.action),
            ("from", &self.from),
            ("to", &self.to),
        ]
    }

    /// Returns the query that contains the filter, without the position.
    pub(crate) fn query(&self) -> String {
        let fields = self.fields().into_iter().filter(|(_, value)| !value.trim().is_empty());
        let encoded = |value: &str| utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
        fields.map(|(name, value)| format!("{name}={}", encoded(value.trim()))).collect::<Vec<_>>().join("&")
    }

    /// Returns the path of the records after a position.
    pub(crate) fn next(&self, company: Option<CompanyId>, cursor: AuditCursor) -> String {
        let cursor = cursor.to_string();
        format!("{}?{}&cursor={}", log_path(company), self.query(), utf8_percent_encode(&cursor, NON_ALPHANUMERIC))
    }

    /// Returns the form of the filter. `levels` are the levels of the company, or none for the audit log of the platform.
    pub(crate) fn form(&self, company: Option<CompanyId>, levels: &[UserLevel], problems: &Problems) -> Markup {
        let path = log_path(company);
        html! {
            form.panel.edit role="search" aria-label="Changes" action=(path) {
                (text_control("by", "By (id or issuer|subject)", &self.by, problems))
                (text_control("about", "About (id or issuer|subject)", &self.about, problems))
                @if company.is_some() { (self.level_control(levels, problems)) }
                (self.action_control(company.is_some(), problems))
                (time_control("from", "From, in UTC", &self.from, problems))
                (time_control("to", "Before, in UTC", &self.to, problems))
                div.buttons {
                    button.primary type="submit" { "Filter" }
                    @if self.is_restricting() { a.button href=(path) { "Clear" } }
                }
            }
        }
    }

    fn level_control(&self, levels: &[UserLevel], problems: &Problems) -> Markup {
        let is_known = levels.iter().any(|level| level.id.to_string() == self.level);
        html! {
            div.field {
                label for="audit-level" { "About the level" }
                select #audit-level name="level" aria-invalid=[problems.get("level").map(|_| "true")]
                    aria-describedby=[problems.get("level").map(|_| "audit-level-error")] {
                    option value="" { "Any" }
                    @for level in levels {
                        option value=(level.id) selected[level.id.to_string() == self.level] { (level.name) }
                    }
                    @if !is_known && !self.level.is_empty() {
                        option value=(self.level) selected { "Deleted level " (self.level) }
                    }
                }
                (problem("level", problems))
            }
        }
    }

    fn action_control(&self, of_company: bool, problems: &Problems) -> Markup {
        let is_known = actions(of_company).any(|action| action.name == self.action);
        html! {
            div.field {
                label for="audit-action" { "What was done" }
                select #audit-action name="action" aria-invalid=[problems.get("action").map(|_| "true")]
                    aria-describedby=[problems.get("action").map(|_| "audit-action-error")] {
                    option value="" { "Anything" }
                    @for action in actions(of_company) {
                        option value=(action.name) selected[action.name == self.action] { (capitalized(action.did)) }
                    }
                    @if !is_known && !self.action.is_empty() { option value=(self.action) selected { (self.action) } }
                }
                (problem("action", problems))
            }
        }
    }
}

/// Parses a time with a zone, or the local time of a form, which is in UTC.
fn time(text: &str) -> Result<Option<Timestamp>, String> {
    match Timestamp::parse(text.trim()) {
        Some(time) => Ok(Some(time)),
        None => utc(text),
    }
}

fn problem(name: &str, problems: &Problems) -> Markup {
    html! { @if let Some(problem) = problems.get(name) { p.error id={ "audit-" (name) "-error" } { bdi { (problem) } } } }
}

fn text_control(name: &str, label: &str, value: &str, problems: &Problems) -> Markup {
    html! {
        div.field {
            label for={ "audit-" (name) } { (label) }
            input id={ "audit-" (name) } name=(name) value=(value) autocomplete="off" dir="auto"
                aria-invalid=[problems.get(name).map(|_| "true")]
                aria-describedby=[problems.get(name).map(|_| format!("audit-{name}-error"))];
            (problem(name, problems))
        }
    }
}

fn time_control(name: &str, label: &str, value: &str, problems: &Problems) -> Markup {
    // The control for times can contain only local times.
    let time = time(value).ok().flatten().and_then(|time| time.to_string().get(..19).map(str::to_owned));
    let kind = if time.is_none() && !value.is_empty() { "text" } else { "datetime-local" };
    html! {
        div.field {
            label for={ "audit-" (name) } { (label) }
            input id={ "audit-" (name) } type=(kind) step="1" name=(name) value=(time.as_deref().unwrap_or(value))
                aria-invalid=[problems.get(name).map(|_| "true")]
                aria-describedby=[problems.get(name).map(|_| format!("audit-{name}-error"))];
            (problem(name, problems))
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::web::Query;

    use super::*;

    const USER: &str = "c0ffee00-0000-4000-8000-000000000001";
    const LEVEL: &str = "c0ffee00-0000-4000-8000-000000000002";

    fn parsed(query: &str) -> Result<(AuditFilter, Option<AuditCursor>), Problems> {
        let filter = Query::<Filter>::from_query(query).unwrap().into_inner();
        filter.parse(|text| UserId::parse(text).map(NamedUser::native).map_err(|_| UserNameError::Form))
    }

    #[test]
    fn the_fields_select_records() {
        let query =
            format!("by={USER}&level={LEVEL}&action=user_level.created&from=2026-11-22T12:00&to=2026-11-23T00:00:00Z");
        let (filter, cursor) = parsed(&query).unwrap();
        assert_eq!(filter.actor_id, Some(Uuid::try_parse(USER).unwrap()));
        assert_eq!(filter.entity_id, Some(Uuid::try_parse(LEVEL).unwrap()));
        assert_eq!(filter.action.as_deref(), Some("user_level.created"));
        assert_eq!(filter.from, Timestamp::parse("2026-11-22T12:00:00Z"));
        assert_eq!(filter.to, Timestamp::parse("2026-11-23T00:00:00Z"));
        assert_eq!(cursor, None);
    }

    #[test]
    fn fields_that_are_not_valid_are_named() {
        let problems = parsed("by=x&about=y&level=z&action=%00&from=a&to=b&cursor=c").unwrap_err();
        assert_eq!(
            problems.keys().copied().collect::<Vec<_>>(),
            ["about", "action", "by", "cursor", "from", "level", "to"]
        );
        let both = parsed(&format!("about={USER}&level={LEVEL}")).unwrap_err();
        assert_eq!(both.keys().copied().collect::<Vec<_>>(), ["level"]);
    }

    #[test]
    fn the_query_keeps_the_filter_and_not_the_position() {
        let query = format!("by=&about=a%7Cb&level={LEVEL}&cursor=1");
        let filter = Query::<Filter>::from_query(&query).unwrap().into_inner();
        assert_eq!(filter.query(), format!("about=a%7Cb&level={}", LEVEL.replace('-', "%2D")));
        assert!(filter.is_restricting() && filter.is_continued() && filter.is_about_level());
    }
}
