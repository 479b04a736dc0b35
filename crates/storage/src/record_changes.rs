//! The changes in an audit record, as JSON.

use std::collections::BTreeMap;

use iam_domain::Ceilings;
use serde::Serialize;
use serde_json::{Value, json};

/// Returns an entity as JSON. The serialization of entities is not expected to fail. If it failed, the audit record
/// would contain the serialization error instead of the entity.
fn value(entity: &impl Serialize) -> Value {
    serde_json::to_value(entity).unwrap_or_else(|error| json!({ "unserializable": error.to_string() }))
}

pub(crate) fn created(after: &impl Serialize) -> Value {
    json!({ "after": value(after) })
}

pub(crate) fn deleted(before: &impl Serialize) -> Value {
    json!({ "before": value(before) })
}

/// Returns the fields whose values before and after the update differ, with both values. `updatedAt` is omitted,
/// because the audit record has a timestamp of its own.
pub(crate) fn updated(before: &impl Serialize, after: &impl Serialize) -> Value {
    let (Value::Object(mut before), Value::Object(mut after)) = (value(before), value(after)) else {
        return Value::Null;
    };
    before.remove("updatedAt");
    after.remove("updatedAt");
    let same: Vec<String> =
        before.iter().filter(|(key, old)| after.get(*key) == Some(old)).map(|(key, _)| key.clone()).collect();
    for key in same {
        before.remove(&key);
        after.remove(&key);
    }
    json!({ "before": before, "after": after })
}

/// Returns the ceilings that differ, before and after the change. A hidden view is listed by its id, and an action by
/// the id of its feature and its name.
pub(crate) fn ceiling_changes(before: &Ceilings, after: &Ceilings) -> Value {
    let (before, after) = (cells(before), cells(after));
    let differing = |cells: &BTreeMap<String, Value>, others: &BTreeMap<String, Value>| -> Value {
        cells
            .iter()
            .filter(|(cell, value)| others.get(*cell) != Some(value))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()
    };
    json!({ "before": differing(&before, &after), "after": differing(&after, &before) })
}

fn cells(ceilings: &Ceilings) -> BTreeMap<String, Value> {
    let views = ceilings.hidden_views.iter().map(|view| (view.to_string(), json!({ "hidden": true })));
    let actions = ceilings.actions.iter().flat_map(|(feature, actions)| {
        actions.iter().map(move |(action, max)| (format!("{feature}/{action}"), json!({ "maxScope": max })))
    });
    views.chain(actions).collect()
}
