//! The permissions that users gain when the deny rules of levels are removed.

use std::collections::{BTreeMap, BTreeSet};

use iam_domain::{Action, CompanySnapshot, Scope, Snapshot, UserId, UserLevelId, ViewState};

use crate::provisioned_levels::feature_label;

/// An action of a feature that a user gains.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GainedAction {
    /// The key of the feature, or its id if it has no key.
    pub feature: String,
    /// The action.
    pub action: Action,
    /// The scope with which the action is allowed.
    pub scope: Scope,
}

/// The views and actions that are denied before a change and allowed after it, in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gains {
    /// The URLs of the views.
    pub views: Vec<String>,
    /// The actions of features.
    pub actions: Vec<GainedAction>,
}

impl Gains {
    /// Returns `true` if nothing is gained.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.views.is_empty() && self.actions.is_empty()
    }

    fn new(before: &Snapshot, after: &Snapshot) -> Self {
        let catalog = &before.catalog;
        let is_gained = |view| !before.view(view).allowed && after.view(view).allowed;
        let views = catalog.views().filter(|view| is_gained(view.id)).map(|view| view.url.to_string());
        let gained = |feature, action: Action| {
            let decision = after.feature(feature, &action);
            let is_gained = decision.allowed && !before.feature(feature, &action).allowed;
            let scope = decision.scope.filter(|_| is_gained)?;
            Some(GainedAction { feature: feature_label(catalog, feature), action, scope })
        };
        let actions = catalog.features().flat_map(|feature| {
            before.actions(feature).into_iter().filter_map(move |action| gained(feature.id, action))
        });
        let mut gains = Self { views: views.collect(), actions: actions.collect() };
        gains.views.sort_unstable();
        gains.actions.sort_unstable();
        gains
    }
}

/// Returns the data of the company without the deny rules of these levels.
fn without_denies(company: &CompanySnapshot, levels: &BTreeSet<UserLevelId>) -> CompanySnapshot {
    let mut company = company.clone();
    for level in company.levels.values_mut().filter(|level| levels.contains(&level.level)) {
        level.views.retain(|_, state| *state != ViewState::Deny);
        for rules in level.features.values_mut() {
            rules.retain(|_, rule| rule.value);
        }
    }
    company
}

/// The users who hold exactly the same levels, and the permissions that each of them gains.
pub(crate) struct Group<'a> {
    /// The levels that the users hold.
    pub(crate) held: &'a BTreeSet<UserLevelId>,
    /// The users, in ascending order.
    pub(crate) users: Vec<UserId>,
    /// The gains of each user.
    pub(crate) gains: Gains,
}

/// Returns the permissions that users gain if the deny rules of `levels` are removed. The result contains every user
/// who holds at least one of `levels`.
pub(crate) fn gains_without_denies<'a>(
    company: &'a CompanySnapshot,
    levels: &BTreeSet<UserLevelId>,
) -> impl Iterator<Item = Group<'a>> {
    let after = without_denies(company, levels);
    let mut groups: BTreeMap<&BTreeSet<UserLevelId>, Vec<UserId>> = BTreeMap::new();
    for (user, held) in company.holders.iter().filter(|(_, held)| !held.is_disjoint(levels)) {
        groups.entry(held).or_default().push(*user);
    }
    groups.into_iter().map(move |(held, users)| {
        let gains_of = |user: &UserId| Gains::new(&company.of_user(*user), &after.of_user(*user));
        let gains = users.first().map(gains_of).unwrap_or_default();
        Group { held, users, gains }
    })
}
