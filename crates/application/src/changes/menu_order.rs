//! Changes to the order of a menu, which require super admin rights. Each of them changes all entries with the same parent
//! in one unit of work, so that an order is never half changed.

use std::collections::BTreeSet;

use async_trait::async_trait;
use iam_domain::{Caller, CompanyId, MenuItemId, SubMenuItemId};
use iam_storage::{Target, UnitOfWork};

use crate::{Change, Failure, Requirement};

/// Sets the order of the menu items of an owner.
#[derive(Debug, Clone)]
pub struct OrderMenuItems {
    /// The company that owns the items. `None` if the items are common to all companies.
    pub owner: Option<CompanyId>,
    /// The order that the caller has read. If the stored order is another one, nothing is changed.
    pub seen: Vec<MenuItemId>,
    /// The same items in their new order.
    pub order: Vec<MenuItemId>,
}

#[async_trait]
impl Change for OrderMenuItems {
    type Answer = ();

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    fn target(&self) -> Target {
        Target::of_menu(self.owner)
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        let mut items = tx.menu_items().find_all(self.owner).await?;
        items.retain(|item| item.company_id == self.owner);
        check(&items.iter().map(|item| item.id).collect::<Vec<_>>(), &self.seen, &self.order)?;
        let keys = keys(items.iter().map(|item| item.sort_order));
        for mut item in items {
            if let Some(key) = key_of(&item.id, &self.order, &keys)
                && key != item.sort_order
            {
                item.sort_order = key;
                item.updated_at = tx.now();
                tx.menu_items_mut().update(&item).await?;
            }
        }
        Ok(())
    }
}

/// Sets the order of the sub-items of a menu item.
#[derive(Debug, Clone)]
pub struct OrderSubMenuItems {
    /// The company that owns the menu item. `None` if the item is common to all companies.
    pub owner: Option<CompanyId>,
    /// The menu item.
    pub menu_item_id: MenuItemId,
    /// The order that the caller has read. If the stored order is another one, nothing is changed.
    pub seen: Vec<SubMenuItemId>,
    /// The same sub-items in their new order.
    pub order: Vec<SubMenuItemId>,
}

#[async_trait]
impl Change for OrderSubMenuItems {
    type Answer = ();

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    fn target(&self) -> Target {
        Target::of_menu(self.owner)
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        let items = tx.sub_menu_items().find_by_menu_id(self.owner, self.menu_item_id).await?;
        check(&items.iter().map(|item| item.id).collect::<Vec<_>>(), &self.seen, &self.order)?;
        let keys = keys(items.iter().map(|item| item.sort_order));
        for mut item in items {
            if let Some(key) = key_of(&item.id, &self.order, &keys)
                && key != item.sort_order
            {
                item.sort_order = key;
                item.updated_at = tx.now();
                tx.sub_menu_items_mut().update(self.owner, &item).await?;
            }
        }
        Ok(())
    }
}

/// Checks that the stored order is the one that the caller has read, and that the new order contains the same entries.
fn check<T: Ord>(stored: &[T], seen: &[T], order: &[T]) -> Result<(), Failure> {
    if stored != seen {
        return Err(Failure::PreconditionFailed);
    }
    let is_permutation = order.len() == seen.len() && BTreeSet::from_iter(order) == BTreeSet::from_iter(seen);
    if is_permutation { Ok(()) } else { Err(Failure::invalid("order", "must contain each entry once")) }
}

/// Returns the sort keys of an order, smallest first. The present keys are kept if they are distinct.
fn keys(present: impl Iterator<Item = i32>) -> Vec<i32> {
    let mut keys: Vec<_> = present.collect();
    keys.sort_unstable();
    let is_distinct = keys.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
    if is_distinct { keys } else { (1..).map(|place| place * 10).take(keys.len()).collect() }
}

fn key_of<T: PartialEq>(entry: &T, order: &[T], keys: &[i32]) -> Option<i32> {
    keys.get(order.iter().position(|other| other == entry)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_keys_are_kept() {
        assert_eq!(keys([5, -1, 7].into_iter()), [-1, 5, 7]);
        assert_eq!(keys([0, 0, 1].into_iter()), [10, 20, 30]);
        assert_eq!(keys(std::iter::empty()), [0; 0]);
    }

    #[test]
    fn an_order_contains_each_stored_entry_once() {
        assert!(check(&[1, 2], &[1, 2], &[2, 1]).is_ok());
        assert!(matches!(check(&[1, 2], &[2, 1], &[1, 2]), Err(Failure::PreconditionFailed)));
        for order in [vec![1], vec![1, 1], vec![1, 3], vec![1, 2, 2]] {
            assert!(matches!(check(&[1, 2], &[1, 2], &order), Err(Failure::Invalid(_))), "{order:?}");
        }
    }
}
