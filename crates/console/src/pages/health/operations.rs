//! The storage operations that take the most time.

use iam_application::{OperationFigures, RecentOperations};
use maud::{Markup, html};

use super::charts::duration;
use crate::quantity::count;

/// Number of operations on the page.
const LISTED: usize = 12;

/// Returns the table of the operations with the slowest calls.
pub(super) fn operations(mut recent: RecentOperations, is_in_memory: bool) -> Markup {
    recent.operations.sort_by(|a, b| b.p99.cmp(&a.p99).then_with(|| a.operation.cmp(b.operation)));
    let slowest = recent.operations.first().map_or(0.0, |first| first.p99.as_secs_f64());
    let others = recent.operations.len().saturating_sub(LISTED);
    html! {
        section {
            h2 { "Slowest storage operations" }
            @if recent.operations.is_empty() {
                div.empty {
                    p {
                        @if is_in_memory { "The data is in memory, so there are no storage operations to measure." }
                        @else { "No storage operation was called in the last minutes." }
                    }
                }
            } @else {
                div.scroll {
                    table {
                        caption.visually-hidden { "Storage operations by the quantile 0.99 of their duration" }
                        thead {
                            tr {
                                th scope="col" { "Operation" }
                                th scope="col" { "p99" }
                                th.number scope="col" { "Mean" }
                                th.number scope="col" { "Calls" }
                                th.number scope="col" { "Errors" }
                                th.number scope="col" { "Rows" }
                            }
                        }
                        tbody { @for figures in recent.operations.iter().take(LISTED) { (row(figures, slowest)) } }
                    }
                }
                p.muted.small {
                    "The last " (duration(recent.window.as_secs_f64()))
                    @if others > 0 { ", without " (count(others, "faster operation")) }
                    ". " code { "iam top" } " lists all operations."
                }
            }
        }
    }
}

fn row(figures: &OperationFigures, slowest: f64) -> Markup {
    let calls = u32::try_from(figures.calls).unwrap_or(u32::MAX);
    let mean = figures.total.checked_div(calls).unwrap_or_default().as_secs_f64();
    let p99 = figures.p99.as_secs_f64();
    let share = if slowest > 0.0 { p99 / slowest * 100.0 } else { 0.0 };
    html! {
        tr {
            th scope="row" { span.mono { (figures.operation) } }
            td {
                svg.bar-of viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" {
                    rect width=(format!("{share:.1}")) height="10" {}
                }
                " " (duration(p99))
            }
            td.number { (duration(mean)) }
            td.number { (figures.calls) }
            td.number { @if figures.errors > 0 { span.chip.deny { (figures.errors) } } @else { "0" } }
            td.number { (figures.rows) }
        }
    }
}
