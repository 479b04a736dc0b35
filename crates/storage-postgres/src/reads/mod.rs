//! The reads: one statement each, with results sorted as the storage contract specifies.

mod audit;
mod catalog;
mod company;
mod credentials;
mod menu;

/// Returns `true` if PostgreSQL cannot store a string because it contains NUL. Such a string equals no stored string.
fn is_unstorable(text: &str) -> bool {
    text.contains('\0')
}
