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
use crate::authorized::{Authorized, ReadAudit};
use crate::error::PageError;
use crate::pages::users::edit::utc;
use crate::pages::users::identify::{Identified, NotIdentified, identifiers, identify};
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

/// The users that the fields `by` and `about` name.
#[derive(Debug, Default)]
pub(crate) struct Named {
    by: Option<Result<Identified, NotIdentified>>,
    about: Option<Result<Identified, NotIdentified>>,
}

impl Named {
    /// Returns the text for a field: one that people can read, or the text that was typed.
    fn text<'a>(found: Option<&'a Result<Identified, NotIdentified>>, typed: &'a str) -> &'a str {
        found.and_then(|found| found.as_ref().ok()).map_or(typed, |identified| identified.text.as_str())
    }
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
    /// Reads the users that the filter of the audit log of a company names.
    pub(crate) async fn named_in(&self, page: &Authorized<ReadAudit>) -> Result<Named, PageError> {
        let mut named = Named::default();
        for (found, text) in [(&mut named.by, &self.by), (&mut named.about, &self.about)] {
            if !text.trim().is_empty() {
                *found = Some(identify(page, text).await?);
            }
        }
        Ok(named)
    }

    /// Returns the users that the filter names by an id, or by an issuer and a subject.
    pub(crate) fn named_by_id(&self, named: impl Fn(&str) -> Result<NamedUser, UserNameError>) -> Named {
        let find = |text: &str| match text.trim() {
            "" => None,
            text => Some(match named(text) {
                Ok(user) => Ok(Identified { user: user.id, name: None, text: text.to_owned() }),
                Err(error) => Err(NotIdentified::Problem(format!("It {error}"))),
            }),
        };
        Named { by: find(&self.by), about: find(&self.about) }
    }

    /// Returns the filter that the fields describe, and the position in the list. `named` are the users that the filter names.
    ///
    /// # Errors
    ///
    /// Returns the reasons why fields are not valid.
    pub(crate) fn parse(&self, named: &Named) -> Result<(AuditFilter, Option<AuditCursor>), Problems> {
        let mut problems = Problems::new();
        let mut user = |field: &'static str, found: Option<&Result<Identified, NotIdentified>>| match found? {
            Ok(identified) => Some(identified.user.as_uuid()),
            Err(problem) => {
                problems.insert(field, format!("{}.", problem.message()));
                None
            }
        };
        let (by, about) = (user("by", named.by.as_ref()), user("about", named.about.as_ref()));
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
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            problems.insert("to", "It must be after the time from which changes are selected.".to_owned());
        }
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

    /// Returns the form of the filter. `levels` are the levels of the company, if the person may see
    /// them.
    pub(crate) fn form(
        &self,
        company: Option<CompanyId>,
        levels: Option<&[UserLevel]>,
        named: &Named,
        problems: &Problems,
    ) -> Markup {
        let path = log_path(company);
        let identifiers = identifiers(levels.is_some());
        let (by, about) = (Named::text(named.by.as_ref(), &self.by), Named::text(named.about.as_ref(), &self.about));
        html! {
            form.panel.edit role="search" aria-label="Changes" action=(path) {
                (text_control("by", &format!("By ({identifiers})"), by, problems))
                (text_control("about", &format!("About ({identifiers})"), about, problems))
                @match (levels, company) {
                    (Some(levels), _) => (self.level_control(levels, problems)),
                    (None, Some(_)) => (text_control("level", "About the level (id)", &self.level, problems)),
                    (None, None) => "",
                }
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

    /// Returns the users from which the person can choose, if a field matches several.
    pub(crate) fn choices(&self, company: CompanyId, named: &Named) -> Markup {
        let path = |by: &str, about: &str| {
            let (by, about) = (by.to_owned(), about.to_owned());
            let [level, action, from, to] = [&self.level, &self.action, &self.from, &self.to].map(Clone::clone);
            let chosen = Self { by, about, level, action, from, to, cursor: String::new() };
            format!("{}?{}", log_path(Some(company)), chosen.query())
        };
        html! {
            @if let Some(Err(several @ NotIdentified::Several(_))) = &named.by {
                (several.show(|user| path(&user.to_string(), &self.about)))
            }
            @if let Some(Err(several @ NotIdentified::Several(_))) = &named.about {
                (several.show(|user| path(&self.by, &user.to_string())))
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

/// The fields with their labels.
const LABELS: [(&str, &str); 7] = [
    ("by", "By"),
    ("about", "About"),
    ("level", "About the level"),
    ("action", "What was done"),
    ("from", "From"),
    ("to", "Before"),
    ("cursor", "Position"),
];

/// Returns the fields that are not valid, each with what is expected.
pub(crate) fn problem_list(problems: &Problems) -> Markup {
    html! {
        div.notice.error role="alert" {
            p { "The filter is not valid." }
            ul {
                @for (field, label) in LABELS {
                    @if let Some(problem) = problems.get(field) { li { strong { (label) } ": " bdi { (problem) } } }
                }
            }
        }
    }
}

/// Parses a time with a zone, the local time of a form, which is in UTC, or the beginning of a date.
fn time(text: &str) -> Result<Option<Timestamp>, String> {
    let text = text.trim();
    let at = || Timestamp::parse(text).or_else(|| Timestamp::parse(&format!("{text}T00:00:00Z")));
    utc(text)
        .or_else(|_| at().map(Some).ok_or(()))
        .map_err(|()| "It must be a date, or a date and a time, such as 2026-12-31 or 2026-12-31T17:00.".to_owned())
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
        let named =
            filter.named_by_id(|text| UserId::parse(text).map(NamedUser::native).map_err(|_| UserNameError::Form));
        filter.parse(&named)
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
    fn a_date_is_the_beginning_of_the_day() {
        let (filter, _) = parsed("from=2027-01-01&to=2027-01-02").unwrap();
        assert_eq!(filter.from, Timestamp::parse("2027-01-01T00:00:00Z"));
        assert_eq!(filter.to, Timestamp::parse("2027-01-02T00:00:00Z"));
        for query in ["from=2027-01-02&to=2027-01-01", "from=2027-01-01&to=2027-01-01"] {
            assert_eq!(parsed(query).unwrap_err().keys().copied().collect::<Vec<_>>(), ["to"], "{query}");
        }
    }

    #[test]
    fn the_query_keeps_the_filter_and_not_the_position() {
        let query = format!("by=&about=a%7Cb&level={LEVEL}&cursor=1");
        let filter = Query::<Filter>::from_query(&query).unwrap().into_inner();
        assert_eq!(filter.query(), format!("about=a%7Cb&level={}", LEVEL.replace('-', "%2D")));
        assert!(filter.is_restricting() && filter.is_continued() && filter.is_about_level());
    }
}
