//! The changes of an audit record as differences that people can read: fields, cells of matrices, and elements of sets.

use std::collections::BTreeSet;

use iam_application::Names;
use iam_domain::{AuditRecord, Timestamp};
use maud::{Markup, html};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::layout::time;

/// A value in a record, with names instead of ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shown {
    /// There is no value.
    None,
    /// A text.
    Text(String),
    /// A time.
    Time(Timestamp),
    /// A level, view, feature, module or other entity. Deleted entities have no name.
    Entity(Uuid, Option<String>),
    /// An action of a feature.
    Action(Uuid, Option<String>, String),
    /// The period of an assignment.
    Period { from: Option<Timestamp>, until: Option<Timestamp> },
    /// Several values.
    List(Vec<Shown>),
}

/// A difference between the data before and after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Difference {
    /// A field or a cell has another value.
    Changed { what: Shown, before: Shown, after: Shown },
    /// A set has a further element, in a period if it is limited.
    Added(Shown, Shown),
    /// A set has an element no more.
    Removed(Shown),
    /// The record states a value, without the value before.
    Stated(Shown, Shown),
}

/// The members of changes that are differences of sets, or are not meant for people.
const NOT_FIELDS: [&str; 7] = ["before", "after", "added", "removed", "periodsBefore", "periodsAfter", "counts"];

/// The fields of entities that a difference omits, because they state nothing about a change.
const OMITTED: [&str; 4] = ["id", "companyId", "createdAt", "updatedAt"];

/// Returns the differences that a record states.
pub(crate) fn differences(record: &AuditRecord, names: &Names) -> Vec<Difference> {
    let Some(Value::Object(changes)) = &record.changes else { return Vec::new() };
    let reader = Reader { names };
    let object = |name: &str| changes.get(name).and_then(Value::as_object);
    let mut found = reader.sets(changes);
    let (before, after) = (object("before"), object("after"));
    let fields: BTreeSet<_> = before.into_iter().chain(after).flat_map(Map::keys).collect();
    for field in fields.into_iter().filter(|field| !OMITTED.contains(&field.as_str())) {
        let value = |side: Option<&Map<String, Value>>| side.and_then(|side| side.get(field)).cloned();
        let (before, after) = (reader.value(field, value(before)), reader.value(field, value(after)));
        // A created or deleted entity has many fields without a value.
        if (&before, &after) != (&Shown::None, &Shown::None) {
            found.push(Difference::Changed { what: reader.field(field), before, after });
        }
    }
    for (field, value) in changes.iter().filter(|(field, _)| !NOT_FIELDS.contains(&field.as_str())) {
        found.push(Difference::Stated(reader.field(field), reader.value(field, Some(value.clone()))));
    }
    found
}

struct Reader<'a> {
    names: &'a Names,
}

impl Reader<'_> {
    /// Returns the elements that were added to a set or removed from it, and the elements whose periods changed.
    fn sets(&self, changes: &Map<String, Value>) -> Vec<Difference> {
        let ids = |name: &str| changes.get(name).and_then(Value::as_array).into_iter().flatten();
        let element = |value: &Value| self.value("", Some(value.clone()));
        let period = |side: &str, value: &Value| {
            let period = value.as_str().and_then(|id| changes.get(side)?.get(id)).cloned();
            self.value("", period)
        };
        let (added, removed) = (ids("added"), ids("removed"));
        let mut found: Vec<_> =
            added.map(|value| Difference::Added(element(value), period("periodsAfter", value))).collect();
        found.extend(removed.map(|value| Difference::Removed(element(value))));
        let is_listed = |id: &str| ids("added").chain(ids("removed")).any(|value| value.as_str() == Some(id));
        let periods = ["periodsBefore", "periodsAfter"].map(|side| changes.get(side).and_then(Value::as_object));
        let kept: BTreeSet<_> = periods.into_iter().flatten().flat_map(Map::keys).collect();
        for id in kept.into_iter().filter(|id| !is_listed(id)) {
            let [before, after] = periods.map(|side| match side.and_then(|side| side.get(id)) {
                Some(period) => self.value("", Some(period.clone())),
                None => Shown::Text("unlimited".to_owned()),
            });
            found.push(Difference::Changed { what: self.field(id), before, after });
        }
        found
    }

    /// Returns the name of a field. The field of a cell is the id of a view, or the id of a feature and an action.
    fn field(&self, field: &str) -> Shown {
        let (id, action) = field.split_once('/').map_or((field, None), |(id, action)| (id, Some(action)));
        match (Uuid::try_parse(id), action) {
            (Ok(id), None) => Shown::Entity(id, self.names.get(&id).cloned()),
            (Ok(id), Some(action)) => Shown::Action(id, self.names.get(&id).cloned(), action.to_owned()),
            (Err(_), _) => Shown::Text(label(field)),
        }
    }

    fn value(&self, field: &str, value: Option<Value>) -> Shown {
        match value {
            None | Some(Value::Null) => Shown::None,
            Some(Value::Bool(is)) => Shown::Text(if is { "yes" } else { "no" }.to_owned()),
            Some(Value::Number(number)) => Shown::Text(number.to_string()),
            Some(Value::String(text)) => self.text(field, text),
            Some(Value::Array(elements)) => {
                Shown::List(elements.into_iter().map(|element| self.value(field, Some(element))).collect())
            }
            Some(Value::Object(members)) => cell(&members).unwrap_or_else(|| self.members(members)),
        }
    }

    fn text(&self, field: &str, text: String) -> Shown {
        let is_time = field.ends_with("At") || field.ends_with("Before");
        match (Uuid::try_parse(&text), Timestamp::parse(&text).filter(|_| is_time)) {
            (Ok(id), _) => Shown::Entity(id, self.names.get(&id).cloned()),
            (Err(_), Some(time)) => Shown::Time(time),
            (Err(_), None) if text.is_empty() => Shown::None,
            (Err(_), None) => Shown::Text(text),
        }
    }

    /// Returns the members of an object, each with its name.
    fn members(&self, members: Map<String, Value>) -> Shown {
        let member = |(name, value): (String, Value)| {
            let (what, value) = (self.field(&name).text(), self.value(&name, Some(value)).text());
            Shown::Text(format!("{what}: {value}"))
        };
        Shown::List(members.into_iter().map(member).collect())
    }
}

/// Returns the text for a cell of a matrix, a ceiling, or a period.
fn cell(members: &Map<String, Value>) -> Option<Shown> {
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let is_pinned = members.get("modifiable") == Some(&Value::Bool(false));
    let rule = match (text("state"), members.get("value"), text("scope")) {
        (Some(state), None, _) => Some(state.to_owned()),
        (None, Some(Value::Bool(true)), Some(scope)) => Some(scope.to_owned()),
        (None, Some(Value::Bool(false)), _) => Some("deny".to_owned()),
        _ => None,
    };
    if let Some(rule) = rule {
        return Some(Shown::Text(if is_pinned { format!("{rule} (pinned)") } else { rule }));
    }
    if members.get("hidden") == Some(&Value::Bool(true)) {
        return Some(Shown::Text("hidden".to_owned()));
    }
    if let Some(max) = members.get("maxScope") {
        let max = max.as_str().map_or_else(|| "not permitted".to_owned(), |scope| format!("at most {scope}"));
        return Some(Shown::Text(max));
    }
    if members.contains_key("startsAt") || members.contains_key("expiresAt") {
        let at = |name: &str| text(name).and_then(Timestamp::parse);
        return Some(match (at("startsAt"), at("expiresAt")) {
            (None, None) => Shown::Text("unlimited".to_owned()),
            (from, until) => Shown::Period { from, until },
        });
    }
    None
}

/// Returns the words of a field name: `sortOrder` is `Sort order`.
fn label(field: &str) -> String {
    let mut words = String::with_capacity(field.len() + 4);
    for (index, letter) in field.chars().enumerate() {
        match letter {
            letter if index == 0 => words.extend(letter.to_uppercase()),
            letter if letter.is_ascii_uppercase() => words.extend([' ', letter.to_ascii_lowercase()]),
            letter => words.push(letter),
        }
    }
    words
}

impl Shown {
    /// Returns the value as text.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::None => "none".to_owned(),
            Self::Text(text) => text.clone(),
            Self::Time(time) => time.to_string(),
            Self::Entity(id, name) => name.clone().unwrap_or_else(|| id.to_string()),
            Self::Action(id, name, action) => {
                format!("{} · {action}", name.clone().unwrap_or_else(|| id.to_string()))
            }
            Self::Period { from, until } => {
                let part = |word: &str, at: &Option<Timestamp>| at.map(|at| format!("{word} {at}"));
                [part("from", from), part("until", until)].into_iter().flatten().collect::<Vec<_>>().join(" ")
            }
            Self::List(values) => {
                let values: Vec<_> = values.iter().map(Self::text).collect();
                if values.is_empty() { "none".to_owned() } else { values.join(", ") }
            }
        }
    }

    /// Returns the value for a page. The title of a name is the id.
    pub(crate) fn markup(&self) -> Markup {
        let entity = |id: &Uuid, name: &Option<String>| {
            html! {
                @match name {
                    Some(name) => bdi title=(id) { (name) },
                    None => { span.muted { "deleted: " } span.mono { (id) } },
                }
            }
        };
        html! {
            @match self {
                Self::None => span.muted { "none" },
                Self::Text(text) => bdi { (text) },
                Self::Time(at) => (time(*at)),
                Self::Period { from, until } => {
                    @if let Some(from) = from { "from " (time(*from)) }
                    @if from.is_some() && until.is_some() { " " }
                    @if let Some(until) = until { "until " (time(*until)) }
                },
                Self::Entity(id, name) => (entity(id, name)),
                Self::Action(id, name, action) => { (entity(id, name)) " · " bdi { (action) } },
                Self::List(values) if values.is_empty() => span.muted { "none" },
                Self::List(values) => @for (index, value) in values.iter().enumerate() {
                    @if index > 0 { ", " }
                    (value.markup())
                },
            }
        }
    }
}

impl Difference {
    /// Returns the difference as text.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Changed { what, before, after } => format!("{}: {} → {}", what.text(), before.text(), after.text()),
            Self::Added(what, Shown::None) => format!("+ {}", what.text()),
            Self::Added(what, period) => format!("+ {} ({})", what.text(), period.text()),
            Self::Removed(what) => format!("− {}", what.text()),
            Self::Stated(what, value) => format!("{}: {}", what.text(), value.text()),
        }
    }

    /// Returns the difference as a row of a table with the columns "what", "before" and "after".
    pub(crate) fn row(&self) -> Markup {
        html! {
            tr {
                @match self {
                    Self::Changed { what, before, after } => {
                        th scope="row" { (what.markup()) }
                        td { (before.markup()) }
                        td { (after.markup()) }
                    }
                    Self::Added(what, period) => {
                        th scope="row" { (what.markup()) }
                        td { span.muted { "none" } }
                        td { span.chip.allow { "+ added" } @if *period != Shown::None { " " (period.markup()) } }
                    }
                    Self::Removed(what) => {
                        th scope="row" { (what.markup()) }
                        td { "held" }
                        td { span.chip.deny { "− removed" } }
                    }
                    Self::Stated(what, value) => {
                        th scope="row" { (what.markup()) }
                        td colspan="2" { (value.markup()) }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use iam_domain::{Actor, AuditRecordId, EntityType};
    use serde_json::json;

    use super::*;

    const FEATURE: Uuid = Uuid::from_u128(1);
    const VIEW: Uuid = Uuid::from_u128(2);
    const LEVEL: Uuid = Uuid::from_u128(3);
    const GONE: Uuid = Uuid::from_u128(4);

    fn texts(changes: Value) -> Vec<String> {
        let names = [(FEATURE, "Risks"), (VIEW, "Home"), (LEVEL, "Auditors")];
        let names = names.map(|(id, name)| (id, name.to_owned())).into();
        let record = AuditRecord {
            id: AuditRecordId::from_uuid(FEATURE),
            company_id: None,
            actor: Actor::System,
            action: "test".to_owned(),
            entity_type: EntityType::Permission,
            entity_id: LEVEL,
            changes: Some(changes),
            metadata: None,
            timestamp: Timestamp::from_millis(0).unwrap(),
        };
        differences(&record, &names).iter().map(Difference::text).collect()
    }

    #[test]
    fn cells_of_a_matrix_have_names_and_rules() {
        let approve = format!("{FEATURE}/Approve");
        let changes = json!({
            "counts": { "allow": 1 },
            "before": { (VIEW.to_string()): { "state": "deny", "modifiable": false } },
            "after": { (approve): { "value": true, "scope": "company", "modifiable": true } },
        });
        assert_eq!(texts(changes), ["Risks · Approve: none → company", "Home: deny (pinned) → none"]);
    }

    #[test]
    fn a_deleted_entity_is_shown_by_its_id() {
        let changes =
            json!({ "before": { (GONE.to_string()): { "state": "allow", "modifiable": true } }, "after": {} });
        assert_eq!(texts(changes), [format!("{GONE}: allow → none")]);
    }

    #[test]
    fn elements_of_sets_are_added_and_removed_once() {
        let changes = json!({
            "before": [VIEW], "after": [LEVEL, FEATURE], "added": [LEVEL, FEATURE], "removed": [VIEW],
            "periodsBefore": {}, "periodsAfter": { (LEVEL.to_string()): { "startsAt": null, "expiresAt": "2026-12-08T07:00:00.000Z" } },
        });
        assert_eq!(texts(changes), ["+ Auditors (until 2026-12-08T07:00:00.000Z)", "+ Risks", "− Home"]);
    }

    #[test]
    fn a_changed_period_of_a_kept_element_is_a_difference() {
        let period = json!({ "startsAt": "2026-12-08T07:00:00.000Z", "expiresAt": null });
        let changes = json!({
            "before": [LEVEL], "after": [LEVEL], "added": [], "removed": [],
            "periodsBefore": { (LEVEL.to_string()): period }, "periodsAfter": {},
        });
        assert_eq!(texts(changes), ["Auditors: from 2026-12-08T07:00:00.000Z → unlimited"]);
    }

    #[test]
    fn fields_without_a_value_and_technical_fields_are_omitted() {
        let changes = json!({ "after": {
            "id": LEVEL, "companyId": LEVEL, "name": "Auditors", "description": "", "isDefault": false, "sortOrder": 3,
            "createdAt": "2026-12-08T07:00:00.000Z", "viewId": VIEW, "requiredPermissions": ["a", "b"],
        } });
        assert_eq!(
            texts(changes),
            [
                "Is default: none → no",
                "Name: none → Auditors",
                "Required permissions: none → a, b",
                "Sort order: none → 3",
                "View id: none → Home",
            ]
        );
    }

    #[test]
    fn ceilings_numbers_and_facts_have_texts() {
        let (read, export) = (format!("{FEATURE}/Read"), format!("{FEATURE}/Export"));
        let ceilings = json!({
            "before": { (VIEW.to_string()): { "hidden": true } },
            "after": { (read): { "maxScope": "own" }, (export): { "maxScope": null } },
        });
        assert_eq!(
            texts(ceilings),
            ["Risks · Export: none → not permitted", "Risks · Read: none → at most own", "Home: hidden → none"]
        );
        let facts = json!({ "rows": { "levels": 3 }, "moduleId": FEATURE, "profile": true });
        assert_eq!(texts(facts), ["Module id: Risks", "Profile: yes", "Rows: Levels: 3"]);
    }
}
