//! The reads: one statement each, with results sorted as the storage contract specifies.

mod audit;
mod catalog;
mod company;
mod credentials;
mod menu;

/// Returns whether PostgreSQL cannot store a string, because it contains NUL. No stored string equals such a string.
fn is_unstorable(text: &str) -> bool {
    text.contains('\0')
}
