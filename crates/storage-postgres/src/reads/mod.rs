//! The read operations. Each executes one statement, and returns results in the order that the storage contract
//! specifies.

mod audit;
mod by_name;
mod catalog;
pub(crate) mod ceilings;
mod company;
mod credentials;
mod directory;
mod expiry;
mod members;
mod menu;
mod profiles;
mod quotas;
mod selection;

/// Returns `true` if PostgreSQL cannot store a string because it contains NUL. Such a string is not equal to any stored
/// string.
fn is_unstorable(text: &str) -> bool {
    text.contains('\0')
}
