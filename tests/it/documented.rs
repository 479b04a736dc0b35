//! Tests that the documentation lists what the code provides.

use std::collections::BTreeSet;

use crate::arrows::{root, shipped_lines};

/// A metric that docs/observability.md lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedMetric {
    pub name: String,
    pub kind: String,
    pub unit: String,
    pub labels: BTreeSet<String>,
    pub is_of_postgres: bool,
}

/// Returns the metrics that docs/observability.md lists.
pub fn listed_metrics() -> Vec<ListedMetric> {
    let page = std::fs::read_to_string(root().join("docs/observability.md")).expect("the page must be readable");
    let mut is_of_postgres = false;
    let mut listed = Vec::new();
    for line in page.lines() {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        match cells[..] {
            [header, "type", "unit", "labels", "meaning"] => is_of_postgres = header == "metric (PostgreSQL only)",
            [name, kind, unit, labels, meaning] if name.starts_with("`iam_") || name.starts_with("`process_") => {
                assert_ne!(meaning, "", "{name}");
                let labels = labels.split(", ").filter(|label| !label.is_empty());
                listed.push(ListedMetric {
                    name: name.trim_matches('`').to_owned(),
                    kind: kind.to_owned(),
                    unit: unit.to_owned(),
                    labels: labels.map(|label| label.trim_matches('`').to_owned()).collect(),
                    is_of_postgres,
                });
            }
            _ => {}
        }
    }
    listed
}

/// Returns the names of metrics in the source: the string literals that begin with `iam_` or `process_`, in files that
/// record metrics or write them in the Prometheus text format.
pub fn metrics() -> BTreeSet<String> {
    let lines: Vec<_> = shipped_lines().collect();
    let records = |line: &str| ["counter!(", "gauge!(", "histogram!(", "# TYPE"].iter().any(|name| line.contains(name));
    let files: BTreeSet<_> = lines.iter().filter(|(_, line)| records(line)).map(|(file, _)| file).collect();
    let literals =
        lines.iter().filter(|(file, _)| files.contains(file)).flat_map(|(_, line)| line.split('"').skip(1).step_by(2));
    let is_name = |text: &&str| {
        ["iam_", "process_"].iter().any(|start| text.starts_with(start))
            && text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    };
    literals.filter(is_name).map(str::to_owned).collect()
}

#[test]
fn every_metric_is_documented() {
    let metrics = metrics();
    assert!(metrics.len() > 25, "{metrics:?}");
    let listed: BTreeSet<_> = listed_metrics().into_iter().map(|metric| metric.name).collect();
    assert_eq!(metrics, listed);
}
