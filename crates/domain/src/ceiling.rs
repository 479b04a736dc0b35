//! Ceilings: the limits that the platform sets on the permissions of all users of one company.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{Action, FeatureId, Scope, ViewId};

/// The ceilings of a company. They apply to all users of the company, whatever their levels allow. They do not apply to
/// super admins or to public views.
///
/// A ceiling on a view or an action that the catalog does not contain has no effect. Deserialization rejects unknown
/// members: a release that does not know a kind of ceiling must not ignore it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Ceilings {
    /// The views that no user of the company may see.
    pub hidden_views: BTreeSet<ViewId>,
    /// The widest scope with which users of the company may perform an action. `None` if no user may perform it.
    pub actions: BTreeMap<FeatureId, BTreeMap<Action, Option<Scope>>>,
}

impl Ceilings {
    /// Returns `true` if the company has no ceilings.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hidden_views.is_empty() && self.actions.is_empty()
    }

    /// Returns `true` if no user of the company may see the view.
    #[must_use]
    pub fn hides(&self, view: ViewId) -> bool {
        self.hidden_views.contains(&view)
    }

    /// Returns the widest scope with which users of the company may perform the action: `any` if the action has no
    /// ceiling. Returns `None` if no user may perform the action.
    #[must_use]
    pub fn max_scope(&self, feature: FeatureId, action: &Action) -> Option<Scope> {
        self.actions.get(&feature).and_then(|actions| actions.get(action)).copied().unwrap_or(Some(Scope::Any))
    }

    /// Returns these ceilings together with those of `other`. If both have a ceiling on an action, the ceiling of `other`
    /// applies.
    #[must_use]
    pub fn with(mut self, other: Self) -> Self {
        self.hidden_views.extend(other.hidden_views);
        for (feature, actions) in other.actions {
            self.actions.entry(feature).or_default().extend(actions);
        }
        self
    }

    /// Returns `true` if these ceilings permit everything that `other` permits.
    #[must_use]
    pub fn permit_all_of(&self, other: &Self) -> bool {
        let mut actions = self.actions.iter().flat_map(|(feature, actions)| {
            actions.iter().map(move |(action, max)| *max >= other.max_scope(*feature, action))
        });
        self.hidden_views.is_subset(&other.hidden_views) && actions.all(|permits| permits)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn feature(number: u128) -> FeatureId {
        FeatureId::from_uuid(Uuid::from_u128(number))
    }

    fn action(name: &str) -> Action {
        Action::stored(name).unwrap()
    }

    fn ceilings(max: Option<Scope>) -> Ceilings {
        Ceilings { actions: [(feature(1), [(action("Read"), max)].into())].into(), ..Ceilings::default() }
    }

    #[test]
    fn an_action_without_a_ceiling_may_have_every_scope() {
        let ceilings = ceilings(None);
        assert_eq!(ceilings.max_scope(feature(1), &action("Read")), None);
        assert_eq!(ceilings.max_scope(feature(1), &action("Export")), Some(Scope::Any));
        assert_eq!(ceilings.max_scope(feature(2), &action("Read")), Some(Scope::Any));
    }

    #[test]
    fn ceilings_are_ordered_by_what_they_permit() {
        let ordered = [ceilings(None), ceilings(Some(Scope::Own)), ceilings(Some(Scope::Company)), Ceilings::default()];
        for (place, narrow) in ordered.iter().enumerate() {
            for (other_place, wide) in ordered.iter().enumerate() {
                assert_eq!(wide.permit_all_of(narrow), place <= other_place, "{narrow:?} {wide:?}");
            }
        }
        let hidden = Ceilings { hidden_views: [ViewId::from_uuid(Uuid::nil())].into(), ..Ceilings::default() };
        assert!(!hidden.permit_all_of(&Ceilings::default()) && Ceilings::default().permit_all_of(&hidden));
    }

    #[test]
    fn ceilings_are_stored_as_json() {
        let stored = json!({
            "hiddenViews": [Uuid::from_u128(7)],
            "actions": { (Uuid::from_u128(1).to_string()): { "Read": "own", "Export": null } },
        });
        let ceilings: Ceilings = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!(ceilings.max_scope(feature(1), &action("Read")), Some(Scope::Own));
        assert_eq!(ceilings.max_scope(feature(1), &action("Export")), None);
        assert!(ceilings.hides(ViewId::from_uuid(Uuid::from_u128(7))));
        assert_eq!(serde_json::to_value(&ceilings).unwrap(), stored);
        assert_eq!(serde_json::from_value::<Ceilings>(json!({})).unwrap(), Ceilings::default());
    }
}
