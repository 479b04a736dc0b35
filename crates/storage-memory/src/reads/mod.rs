//! The read operations, on the latest committed state or on the state of a unit of work.

mod audit;
mod catalog;
mod ceilings;
mod company;
mod credentials;
mod directory;
mod expiry;
pub(crate) mod members;
pub(crate) mod menu;
mod profiles;
mod quotas;

use std::cmp::Ordering;

/// Collects the items and sorts them by `order`.
pub(crate) fn sorted<T>(items: impl Iterator<Item = T>, order: impl FnMut(&T, &T) -> Ordering) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort_unstable_by(order);
    items
}
