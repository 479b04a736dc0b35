//! The table of storage operations: its JSON, which the admin port serves and `iam top` reads, and its text.

use std::fmt::Write;
use std::time::Duration;

use clap::ValueEnum;
use iam_composition::RecentOperations;
use serde::{Deserialize, Serialize};

/// The figures of one operation in the window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    operation: String,
    calls: u64,
    errors: u64,
    rows: u64,
    mean_ms: f64,
    p99_ms: f64,
    total_ms: f64,
}

/// The table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Table {
    /// The period that the figures cover.
    window_seconds: u64,
    operations: Vec<Row>,
}

/// A column by which the rows are sorted. The largest value is first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Column {
    /// The duration of all calls together.
    Total,
    /// The number of calls.
    Calls,
    /// The number of failed calls.
    Errors,
    /// The mean duration.
    Mean,
    /// The quantile 0.99 of the durations.
    P99,
    /// The number of rows that statements returned or changed.
    Rows,
}

fn millis(duration: Duration) -> f64 {
    // Three digits after the decimal point.
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

impl From<RecentOperations> for Table {
    fn from(recent: RecentOperations) -> Self {
        let row = |figures: iam_composition::OperationFigures| {
            let calls = u32::try_from(figures.calls).unwrap_or(u32::MAX);
            Row {
                operation: figures.operation.to_owned(),
                calls: figures.calls,
                errors: figures.errors,
                rows: figures.rows,
                mean_ms: millis(figures.total.checked_div(calls).unwrap_or_default()),
                p99_ms: millis(figures.p99),
                total_ms: millis(figures.total),
            }
        };
        let operations = recent.operations.into_iter().map(row).collect();
        Self { window_seconds: recent.window.as_secs(), operations }
    }
}

impl Table {
    /// Sorts the rows by a column, and keeps the first `limit` rows.
    pub(super) fn first_by(mut self, column: Column, limit: usize) -> Self {
        let key = |row: &Row| match column {
            Column::Total => row.total_ms,
            Column::Calls => row.calls as f64,
            Column::Errors => row.errors as f64,
            Column::Mean => row.mean_ms,
            Column::P99 => row.p99_ms,
            Column::Rows => row.rows as f64,
        };
        self.operations.sort_by(|one, other| key(other).total_cmp(&key(one)).then(one.operation.cmp(&other.operation)));
        self.operations.truncate(limit);
        // Another process may listen on the address. Its text must not control the terminal.
        self.operations.iter_mut().for_each(|row| row.operation.retain(|character| !character.is_control()));
        self
    }

    /// Returns the table as text.
    pub(super) fn text(&self) -> String {
        let longest = self.operations.iter().map(|row| row.operation.len()).max().unwrap_or(0).max("operation".len());
        let mut text = format!("storage operations of the last {} s\n\n", self.window_seconds);
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "{:longest$} {:>9} {:>7} {:>10} {:>10} {:>10} {:>12}",
            "operation", "calls", "errors", "rows", "mean ms", "p99 ms", "total ms"
        );
        for Row { operation, calls, errors, rows, mean_ms, p99_ms, total_ms } in &self.operations {
            let _ = write!(
                text,
                "\n{operation:longest$} {calls:>9} {errors:>7} {rows:>10} {mean_ms:>10.2} {p99_ms:>10.2} {total_ms:>12.0}"
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use iam_composition::OperationFigures;

    use super::*;

    fn table() -> Table {
        let figures = |operation, calls, total, p99, rows| OperationFigures {
            operation,
            calls,
            errors: 0,
            rows,
            total: Duration::from_millis(total),
            p99: Duration::from_millis(p99),
        };
        let operations = vec![figures("a.b", 10, 20, 9, 70), figures("c.d", 3, 60, 30, 4), figures("none", 0, 0, 0, 5)];
        RecentOperations { window: Duration::from_secs(301), operations }.into()
    }

    #[test]
    fn the_rows_are_sorted_by_a_column_and_limited() {
        let names = |column, limit| -> Vec<String> {
            table().first_by(column, limit).operations.into_iter().map(|row| row.operation).collect()
        };
        assert_eq!(names(Column::Total, 9), ["c.d", "a.b", "none"]);
        assert_eq!(names(Column::Calls, 9), ["a.b", "c.d", "none"]);
        assert_eq!(names(Column::Rows, 2), ["a.b", "none"]);
        assert_eq!(names(Column::Errors, 9), ["a.b", "c.d", "none"], "equal rows are sorted by name");
    }

    #[test]
    fn the_text_has_a_line_for_each_operation() {
        let text = table().first_by(Column::Mean, 1).text();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert_eq!(lines[0], "storage operations of the last 301 s");
        let cells: Vec<_> = lines[3].split_whitespace().collect();
        assert_eq!(cells, ["c.d", "3", "0", "4", "20.00", "30.00", "60"]);
    }

    #[test]
    fn the_text_contains_no_control_characters_of_names() {
        let json = r#"{"windowSeconds":1,"operations":[{"operation":"a\u001b[2J\n","calls":1,"errors":0,"rows":0,
            "meanMs":1,"p99Ms":1,"totalMs":1}]}"#;
        let table: Table = serde_json::from_str(json).unwrap();
        assert!(table.first_by(Column::Total, 9).text().contains("\na[2J "));
    }

    #[test]
    fn the_json_can_be_read_again() {
        let json = serde_json::to_string(&table()).unwrap();
        assert!(json.starts_with(r#"{"windowSeconds":301,"operations":[{"operation":"a.b","calls":10,"#), "{json}");
        assert_eq!(serde_json::from_str::<Table>(&json).unwrap(), table());
    }
}
