//! Tests that every operation of the storage traits is named and measured.

use std::collections::BTreeSet;

use crate::arrows::shipped_lines;

/// Returns the name of a trait in the names of operations: in snake case, and without the suffix `Mut`.
fn snake_case(name: &str) -> String {
    let name = name.strip_suffix("Mut").unwrap_or(name);
    let mut snake = String::new();
    for character in name.chars() {
        if character.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(character.to_lowercase());
    }
    snake
}

/// Returns the trait that a line begins to implement for a type of the adapter.
fn implemented(line: &str) -> Option<&str> {
    let (before, adapter) = line.strip_suffix(" {")?.split_once(" for ")?;
    let is_adapter = adapter.starts_with("Repository<") || adapter == "PostgresStorage";
    let name = before.rsplit(' ').next()?;
    (before.starts_with("impl") && is_adapter).then_some(name)
}

/// The methods of these traits, and a method that listens for wake-ups, are no operations.
const OTHER: [&str; 2] = ["executor", "change_feed.listen"];

#[test]
fn every_operation_of_the_storage_has_the_name_of_its_trait_and_method() {
    let (mut methods, mut measured) = (BTreeSet::new(), BTreeSet::new());
    let mut current = (String::new(), None);
    let mut is_continued = false;
    for (file, line) in shipped_lines().filter(|(file, _)| file.contains("storage-postgres/src/")) {
        if current.0 != file || line.starts_with("impl") {
            current = (file, implemented(&line).map(snake_case));
        }
        if let Some(of) = &current.1
            && let Some(method) = line.strip_prefix("async fn ")
        {
            let method = method.split(['(', '<']).next().unwrap();
            methods.insert(format!("{of}.{method}"));
        }
        // A long call continues in the next line.
        let call =
            if is_continued { line.strip_prefix('"') } else { line.split_once("operation(\"").map(|call| call.1) };
        is_continued = line.ends_with("operation(");
        if let Some(name) = call {
            measured.insert(name.split('"').next().unwrap().to_owned());
        }
    }
    methods.retain(|name| OTHER.iter().all(|other| !name.starts_with(other)));
    assert!(methods.len() > 100, "{methods:?}");
    assert_eq!(measured, methods);
}
