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

impl Direction {
    /// Returns the direction as it is part of forms and addresses.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Before => "before",
        }
    }
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
}
