//! The parts of a large difference: the changes of one audit record, split into several records of bounded size.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Maximum size of the changes of one record in bytes of JSON, if the changes can be split.
const MAX_BYTES: usize = 64 * 1024;

/// The members of the changes that list elements: the cells of a matrix, or the ids of a set. Each part contains some
/// of the elements. All other members are contained in every part.
const LISTS: [&str; 6] = ["before", "after", "added", "removed", "periodsBefore", "periodsAfter"];

/// The values of one element, for each list that contains the element. An element of an array has no value.
type Element = BTreeMap<&'static str, Option<Value>>;

/// Splits the changes of a matrix or a set into parts of bounded size, in ascending order of their elements. All values
/// of one element are in one part. If the changes are small, the only part is equal to the changes.
pub(crate) fn split(changes: Value) -> Vec<Value> {
    split_into(changes, MAX_BYTES)
}

fn split_into(changes: Value, max: usize) -> Vec<Value> {
    if changes.to_string().len() <= max {
        return vec![changes];
    }
    let Value::Object(mut rest) = changes else { return vec![changes] };
    let mut elements: BTreeMap<String, Element> = BTreeMap::new();
    for list in LISTS {
        match rest.get_mut(list).map(Value::take) {
            None => {}
            Some(Value::Object(members)) => {
                for (key, value) in members {
                    elements.entry(key).or_default().insert(list, Some(value));
                }
                rest.insert(list.to_owned(), Value::Object(Map::new()));
            }
            Some(Value::Array(ids)) => {
                for id in ids {
                    let key = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
                    elements.entry(key).or_default().insert(list, None);
                }
                rest.insert(list.to_owned(), Value::Array(Vec::new()));
            }
            Some(other) => {
                rest.insert(list.to_owned(), other);
            }
        }
    }
    let empty = Value::Object(rest);
    let base = empty.to_string().len();
    let (mut parts, mut part, mut bytes) = (Vec::new(), empty.clone(), base);
    for (key, element) in elements {
        let size = size(&key, &element);
        if bytes + size > max && bytes > base {
            parts.push(std::mem::replace(&mut part, empty.clone()));
            bytes = base;
        }
        bytes += size;
        add(&mut part, &key, element);
    }
    parts.push(part);
    parts
}

/// Returns the number of bytes of JSON that an element adds to a part: its key with quotes and separators, and its
/// value, in each list.
fn size(key: &str, element: &Element) -> usize {
    let key = Value::from(key).to_string().len() + 2;
    element.values().map(|value| key + value.as_ref().map_or(0, |value| value.to_string().len())).sum()
}

/// Adds an element to the lists of a part.
fn add(part: &mut Value, key: &str, element: Element) {
    for (list, value) in element {
        match (part.get_mut(list), value) {
            (Some(Value::Object(members)), Some(value)) => {
                members.insert(key.to_owned(), value);
            }
            (Some(Value::Array(ids)), _) => ids.push(Value::from(key)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn small_changes_are_one_part() {
        let changes = json!({ "counts": { "allow": 1 }, "before": {}, "after": { "a": 1 } });
        assert_eq!(split(changes.clone()), [changes]);
    }

    #[test]
    fn the_values_of_a_cell_are_in_one_part_and_other_members_in_every_part() {
        let changes = json!({
            "counts": { "allow": 9 },
            "before": { "a": { "state": "deny" }, "b": { "state": "deny" } },
            "after": { "a": { "state": "allow" }, "c": { "state": "allow" } },
        });
        let counts = json!({ "allow": 9 });
        let expected = [
            json!({ "counts": counts, "before": { "a": { "state": "deny" } }, "after": { "a": { "state": "allow" } } }),
            json!({ "counts": counts, "before": { "b": { "state": "deny" } }, "after": { "c": { "state": "allow" } } }),
        ];
        assert_eq!(split_into(changes, 105), expected);
    }

    #[test]
    fn the_ids_of_a_set_are_divided_among_the_parts() {
        let changes = json!({ "before": ["a", "b"], "after": ["b", "c"], "added": ["c"], "removed": ["a"] });
        let expected = [
            json!({ "before": ["a"], "after": [], "added": [], "removed": ["a"] }),
            json!({ "before": ["b"], "after": ["b"], "added": [], "removed": [] }),
            json!({ "before": [], "after": ["c"], "added": ["c"], "removed": [] }),
        ];
        assert_eq!(split_into(changes, 1), expected);
    }

    #[test]
    fn a_part_is_not_larger_than_the_bound() {
        let cells: Map<String, Value> =
            (0..1_000).map(|n| (format!("\"{n:04}"), json!({ "state": "allow" }))).collect();
        let changes = json!({ "before": cells, "after": cells, "added": ["ä"], "removed": [] });
        let parts = split_into(changes, 3_000);
        assert!(parts.iter().all(|part| part.to_string().len() <= 3_000));
        assert!(parts.iter().rev().skip(1).all(|part| part.to_string().len() > 2_800), "parts are filled");
    }
}
