//! Tests that the documentation lists what the code provides.

use std::collections::BTreeSet;

use crate::arrows::{root, shipped_lines};

/// Returns the names of metrics in the source: the string literals that begin with `iam_`, in files that record metrics.
pub fn metrics() -> BTreeSet<String> {
    let lines: Vec<_> = shipped_lines().collect();
    let records = |line: &str| ["counter!(", "gauge!(", "histogram!("].iter().any(|name| line.contains(name));
    let files: BTreeSet<_> = lines.iter().filter(|(_, line)| records(line)).map(|(file, _)| file).collect();
    let literals =
        lines.iter().filter(|(file, _)| files.contains(file)).flat_map(|(_, line)| line.split('"').skip(1).step_by(2));
    let is_name = |text: &&str| text.starts_with("iam_") && text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    literals.filter(is_name).map(str::to_owned).collect()
}

#[test]
fn every_metric_is_documented() {
    let read = |file: &str| std::fs::read_to_string(root().join("docs").join(file)).expect("the page must be readable");
    let pages = ["deployment.md", "persistence.md"].map(read).concat();
    let metrics = metrics();
    assert!(metrics.len() > 25, "{metrics:?}");
    let is_listed = |name: &str| pages.contains(&format!("`{name}`")) || pages.contains(&format!("`{name}{{"));
    let missing: Vec<_> = metrics.iter().filter(|name| !is_listed(name)).collect();
    assert_eq!(missing, Vec::<&String>::new());
}
