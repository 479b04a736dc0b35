//! The growth of the quantities that quotas limit, as the recorder of a unit of work measures it.

use std::collections::{BTreeMap, BTreeSet};

use iam_domain::{
    ApiKey, CompanyId, Feature, MenuItem, Module, Quota, SubMenuItem, UserId, UserLevel, UserLevelId, View,
};

/// An entity whose rows or texts quotas may count.
pub(crate) trait Counted {
    /// Returns the quantities to which the entity contributes, each with its contribution.
    fn quantities(&self) -> Vec<(Quota, i64)>;
}

fn bytes(texts: &[&str]) -> (Quota, i64) {
    (Quota::TextBytes, texts.iter().map(|text| signed(text.len())).sum())
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Counted for UserLevel {
    fn quantities(&self) -> Vec<(Quota, i64)> {
        vec![(Quota::Levels, 1), bytes(&[self.name.as_str(), self.description.as_str()])]
    }
}

impl Counted for MenuItem {
    fn quantities(&self) -> Vec<(Quota, i64)> {
        vec![(Quota::MenuItems, 1), bytes(&[self.label.as_str()])]
    }
}

impl Counted for SubMenuItem {
    fn quantities(&self) -> Vec<(Quota, i64)> {
        vec![(Quota::MenuItems, 1), bytes(&[self.label.as_str()])]
    }
}

macro_rules! not_counted {
    ($($entity:ident),+) => {$(
        impl Counted for $entity {
            fn quantities(&self) -> Vec<(Quota, i64)> {
                Vec::new()
            }
        }
    )+};
}

not_counted!(Feature, Module, View);

/// The levels of a user before and after a unit of work.
#[derive(Debug, Clone, PartialEq, Eq)]
struct HeldLevels {
    before: BTreeSet<UserLevelId>,
    after: BTreeSet<UserLevelId>,
}

/// The net growth of the quantities that quotas limit, in one unit of work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Growth {
    quantities: BTreeMap<Quota, i64>,
    held: BTreeMap<UserId, HeldLevels>,
    key_companies: BTreeMap<CompanyId, i64>,
}

impl Growth {
    /// Returns the quantities that have grown. The quotas of level sets, levels of a user, and API keys are not
    /// included: [`Self::users_with_more_levels`], [`Self::users_with_new_sets`] and
    /// [`Self::companies_with_more_keys`] return their growth.
    pub fn grown(&self) -> impl Iterator<Item = Quota> {
        self.quantities.iter().filter(|(_, amount)| **amount > 0).map(|(quota, _)| *quota)
    }

    /// Returns the users who hold more levels than before, each with the number of levels held now.
    pub fn users_with_more_levels(&self) -> impl Iterator<Item = (UserId, usize)> {
        let grown = self.held.iter().filter(|(_, held)| held.after.len() > held.before.len());
        grown.map(|(user, held)| (*user, held.after.len()))
    }

    /// Returns the users who hold a set of at least two levels that is not a subset of the levels held before.
    pub fn users_with_new_sets(&self) -> impl Iterator<Item = UserId> {
        let new = self.held.iter().filter(|(_, held)| held.after.len() > 1 && !held.after.is_subset(&held.before));
        new.map(|(user, _)| *user)
    }

    /// Returns the users whose levels differ from the levels held before, each with the levels held before, in
    /// ascending order.
    pub fn users_with_other_sets(&self) -> impl Iterator<Item = (UserId, Vec<UserLevelId>)> {
        let changed = self.held.iter().filter(|(_, held)| held.after != held.before);
        changed.map(|(user, held)| (*user, held.before.iter().copied().collect()))
    }

    /// Returns the companies that have more API keys than before.
    pub fn companies_with_more_keys(&self) -> impl Iterator<Item = CompanyId> {
        self.key_companies.iter().filter(|(_, amount)| **amount > 0).map(|(company, _)| *company)
    }

    pub(crate) fn created(&mut self, after: &impl Counted) {
        after.quantities().into_iter().for_each(|(quota, amount)| self.add(quota, amount));
    }

    pub(crate) fn updated(&mut self, before: &impl Counted, after: &impl Counted) {
        self.deleted(before);
        self.created(after);
    }

    pub(crate) fn deleted(&mut self, before: &impl Counted) {
        before.quantities().into_iter().for_each(|(quota, amount)| self.add(quota, -amount));
    }

    pub(crate) fn cells_replaced(&mut self, inserted: usize, removed: usize) {
        self.add(Quota::PermissionCells, signed(inserted) - signed(removed));
    }

    pub(crate) fn levels_replaced(
        &mut self,
        user: UserId,
        before: &BTreeSet<UserLevelId>,
        after: &BTreeSet<UserLevelId>,
    ) {
        let held = self.held.entry(user);
        held.and_modify(|held| held.after.clone_from(after))
            .or_insert_with(|| HeldLevels { before: before.clone(), after: after.clone() });
    }

    pub(crate) fn key_created(&mut self, key: &ApiKey) {
        self.keys(key, 1);
    }

    pub(crate) fn key_revoked(&mut self, key: &ApiKey) {
        self.keys(key, -1);
    }

    fn keys(&mut self, key: &ApiKey, amount: i64) {
        if let Some(company) = key.company_id {
            *self.key_companies.entry(company).or_default() += amount;
        }
    }

    fn add(&mut self, quota: Quota, amount: i64) {
        *self.quantities.entry(quota).or_default() += amount;
    }
}
