//! The differences that a part of a draft makes.

use maud::{Markup, html};

use super::draft::Part;
use super::parts::Names;

/// Returns the cells of a part with their rules before and after the change.
pub(crate) fn differences(names: &Names, part: &Part) -> Markup {
    html! {
        div.scroll {
            table {
                caption.visually-hidden { "Changed cells" }
                thead { tr { th scope="col" { "Cell" } th scope="col" { "Before" } th scope="col" { "After" } } }
                tbody {
                    @for edit in &part.edits {
                        tr {
                            th scope="row" { (names.cell(&edit.cell)) }
                            td { span class=(edit.before.chip()) { (edit.before.label(part.kind)) } }
                            td { span class=(edit.after.chip()) { (edit.after.label(part.kind)) } }
                        }
                    }
                }
            }
        }
    }
}
