//! Numbers with their units.

use std::fmt::Display;

/// Returns a number with its unit.
pub(crate) fn count(number: impl Display, unit: &str) -> String {
    let number = number.to_string();
    if number == "1" { format!("1 {unit}") } else { format!("{number} {unit}s") }
}
