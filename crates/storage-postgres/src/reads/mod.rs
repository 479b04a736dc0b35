//! The reads: one statement each, in the orders that the storage contract states.

mod audit;
mod catalog;
mod company;
mod credentials;
mod menu;

/// Text that PostgreSQL cannot store, so no stored text equals it.
fn is_unstorable(text: &str) -> bool {
    text.contains('\0')
}
