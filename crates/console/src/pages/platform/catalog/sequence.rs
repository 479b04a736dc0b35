//! The order of the entries of a menu that have the same parent.

use iam_application::{Etag, Failure};
use serde::Deserialize;
use uuid::Uuid;

/// Where an entry is moved to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    /// One place up.
    Up,
    /// One place down.
    Down,
    /// Before another entry, or to the end.
    Before,
}

/// Returns the entity tag of an order of siblings.
pub(super) fn order_tag(ids: &[Uuid]) -> Result<Etag, Failure> {
    Etag::of(&ids)
}

/// Returns the order after a move. Returns `None` if an entry does not exist any more.
pub(super) fn moved(ids: &[Uuid], entry: Uuid, to: Direction, before: Option<Uuid>) -> Option<Vec<Uuid>> {
    let from = ids.iter().position(|id| *id == entry)?;
    let mut order = ids.to_vec();
    order.remove(from);
    let place = match (to, before) {
        (Direction::Up, _) => from.saturating_sub(1),
        (Direction::Down, _) => (from + 1).min(order.len()),
        (Direction::Before, None) => order.len(),
        (Direction::Before, Some(before)) if before == entry => from,
        (Direction::Before, Some(before)) => order.iter().position(|id| *id == before)?,
    };
    order.insert(place, entry);
    Some(order)
}

/// Returns the sort keys of entries in a new order. The present keys are kept, as far as they are distinct.
pub(super) fn keys(present: &[i32]) -> Vec<i32> {
    let mut keys = present.to_vec();
    keys.sort_unstable();
    let is_distinct = keys.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
    if is_distinct { keys } else { (1..).map(|place| place * 10).take(present.len()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(numbers: &[u128]) -> Vec<Uuid> {
        numbers.iter().copied().map(Uuid::from_u128).collect()
    }

    #[test]
    fn an_entry_moves_up_down_and_before_another() {
        let (all, id) = (ids(&[1, 2, 3]), Uuid::from_u128);
        for (entry, to, before, expected) in [
            (2, Direction::Up, None, [2, 1, 3]),
            (1, Direction::Up, None, [1, 2, 3]),
            (2, Direction::Down, None, [1, 3, 2]),
            (3, Direction::Down, None, [1, 2, 3]),
            (3, Direction::Before, Some(1), [3, 1, 2]),
            (1, Direction::Before, Some(3), [2, 1, 3]),
            (1, Direction::Before, None, [2, 3, 1]),
            (2, Direction::Before, Some(2), [1, 2, 3]),
        ] {
            assert_eq!(moved(&all, id(entry), to, before.map(id)), Some(ids(&expected)), "{entry} {to:?} {before:?}");
        }
        assert_eq!(moved(&all, id(9), Direction::Up, None), None);
        assert_eq!(moved(&all, id(1), Direction::Before, Some(id(9))), None);
    }

    #[test]
    fn distinct_keys_are_kept() {
        assert_eq!(keys(&[5, -1, 7]), [-1, 5, 7]);
        assert_eq!(keys(&[0, 0, 1]), [10, 20, 30]);
        assert_eq!(keys(&[]), [0; 0]);
    }
}
