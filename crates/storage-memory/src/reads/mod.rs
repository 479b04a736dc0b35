//! All reads, written once: for the latest committed state, and for what a unit of work sees.

mod audit;
mod catalog;
mod company;
mod credentials;
pub(crate) mod menu;

use std::cmp::Ordering;

fn sorted<T>(items: impl Iterator<Item = T>, order: impl FnMut(&T, &T) -> Ordering) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort_unstable_by(order);
    items
}
