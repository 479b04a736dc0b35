//! The reads: one statement each, in the orders that the storage contract states.

mod audit;
mod catalog;
mod company;
mod credentials;
mod menu;

/// Whether PostgreSQL cannot store a text, so that no stored text equals it.
fn is_unstorable(text: &str) -> bool {
    text.contains('\0')
}
