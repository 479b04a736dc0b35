//! Numbers with their units.

/// Returns a number with its unit.
pub(crate) fn count(number: usize, unit: &str) -> String {
    if number == 1 { format!("1 {unit}") } else { format!("{number} {unit}s") }
}
