//! Determines whether a default level is unedited: its matrices still equal those that an earlier release provisioned.

use std::collections::BTreeMap;
use std::fmt;

use iam_domain::provisioning::{DefaultLevel, default_levels_with_denies};
use iam_domain::{Action, Catalog, FeatureId, TextError, ViewId};

use crate::stored_company::StoredLevel;

/// The first difference between a default level and the level that provisioning created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// The name of the level is no longer the name of a default level.
    Renamed,
    /// A cell of the view matrix was added, changed, pinned or removed. The string is the URL of the view.
    View(String),
    /// A cell of the feature matrix was added, changed, pinned or removed.
    Action {
        /// The key of the feature, or its id if it has no key.
        feature: String,
        /// The action of the feature.
        action: Action,
    },
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Renamed => f.write_str("its name was edited"),
            Self::View(url) => write!(f, "its cell for the view {url} was edited"),
            Self::Action { feature, action } => {
                write!(f, "its cell for the action {action} of the feature {feature} was edited")
            }
        }
    }
}

/// Returns the first difference between a default level and the level that an earlier release provisioned for the views
/// and features that existed at that time. Returns `None` if the level was never edited.
///
/// An unedited level has no cells for views and features that are newer than the level. It has no cells for deleted
/// views and features either, because their deletion cascades to the cells.
pub(crate) fn first_edit(level: &StoredLevel, catalog: &Catalog) -> Result<Option<Edit>, TextError> {
    let views = catalog.views().filter(|view| view.created_at <= level.created_at).cloned();
    let features = catalog.features().filter(|feature| feature.created_at <= level.created_at).cloned();
    let then = Catalog::new(views, features, [], [], []);
    let provisioned = default_levels_with_denies(&then)?;
    Ok(match provisioned.into_iter().find(|provisioned| provisioned.name == level.name) {
        None => Some(Edit::Renamed),
        Some(provisioned) => first_edited_view(level, &provisioned, catalog)
            .or_else(|| first_edited_action(level, &provisioned, catalog)),
    })
}

fn first_edited_view(level: &StoredLevel, provisioned: &DefaultLevel, catalog: &Catalog) -> Option<Edit> {
    let stored = level.views.iter().map(|cell| (cell.view, (cell.state, cell.modifiable))).collect();
    let provisioned = provisioned.views.iter().map(|(view, state)| (*view, (*state, true))).collect();
    let id: ViewId = first_difference(&stored, &provisioned)?;
    Some(Edit::View(catalog.view(id).map_or_else(|| id.to_string(), |view| view.url.to_string())))
}

fn first_edited_action(level: &StoredLevel, provisioned: &DefaultLevel, catalog: &Catalog) -> Option<Edit> {
    let stored = level.features.iter();
    let stored =
        stored.map(|cell| ((cell.feature, cell.action.clone()), (cell.value, cell.scope, cell.modifiable))).collect();
    let provisioned = provisioned.features.iter();
    let provisioned =
        provisioned.map(|(id, action, rule)| ((*id, action.clone()), (rule.value, rule.scope, true))).collect();
    let (id, action) = first_difference(&stored, &provisioned)?;
    Some(Edit::Action { feature: feature_label(catalog, id), action })
}

/// Returns the key of a feature, or its id if it has no key.
pub(crate) fn feature_label(catalog: &Catalog, id: FeatureId) -> String {
    let key = catalog.feature(id).and_then(|feature| feature.key.as_ref());
    key.map_or_else(|| id.to_string(), ToString::to_string)
}

/// Returns the lowest key that only one of the two maps contains, or for which the maps contain different values.
fn first_difference<K: Ord + Clone, V: PartialEq>(a: &BTreeMap<K, V>, b: &BTreeMap<K, V>) -> Option<K> {
    a.keys().chain(b.keys()).filter(|key| a.get(key) != b.get(key)).min().cloned()
}

#[cfg(test)]
mod tests {
    use iam_domain::{Name, Scope, Timestamp, UserLevelId, View, ViewState, seed};

    use super::*;
    use crate::stored_company::{FeatureCell, ViewCell};

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis).unwrap()
    }

    /// Returns the seed catalog, in which all rows have this creation time.
    fn catalog(created_at: Timestamp) -> Catalog {
        let seeded = seed::catalog(created_at).unwrap();
        Catalog::new(seeded.views, seeded.features, [], [], [])
    }

    /// Returns a level as an earlier release provisioned it: created at 1,000 ms, for a catalog that was created at 0
    /// ms.
    fn level(name: &str) -> StoredLevel {
        let levels = default_levels_with_denies(&catalog(at(0))).unwrap();
        let level = levels.into_iter().find(|level| level.name.as_str() == name).unwrap();
        let view = |(view, state)| ViewCell { view, state, modifiable: true };
        let feature = |(feature, action, rule): (_, _, iam_domain::FeatureRule)| FeatureCell {
            feature,
            action,
            value: rule.value,
            scope: rule.scope,
            modifiable: true,
        };
        StoredLevel {
            id: UserLevelId::generate(at(1000)),
            name: level.name,
            is_default: true,
            created_at: at(1000),
            views: level.views.into_iter().map(view).collect(),
            features: level.features.into_iter().map(feature).collect(),
        }
    }

    fn edit_of(level: &StoredLevel) -> Option<Edit> {
        first_edit(level, &catalog(at(0))).unwrap()
    }

    #[test]
    fn a_provisioned_level_is_unedited() {
        for name in ["Admin", "Member", "Visitor"] {
            assert_eq!(edit_of(&level(name)), None, "{name}");
        }
    }

    #[test]
    fn every_edit_is_found() {
        let url = |level: &StoredLevel| Edit::View(catalog(at(0)).view(level.views[0].view).unwrap().url.to_string());
        let mut pinned = level("Visitor");
        pinned.views[0].modifiable = false;
        assert_eq!(edit_of(&pinned), Some(url(&pinned)));
        let mut inheriting = level("Visitor");
        inheriting.views[0].state = ViewState::Inherit;
        assert_eq!(edit_of(&inheriting), Some(url(&inheriting)));
        let mut missing = level("Visitor");
        let expected = url(&missing);
        missing.views.remove(0);
        assert_eq!(edit_of(&missing), Some(expected));
        let edits: [fn(&mut StoredLevel); 5] = [
            |level| level.features[0].modifiable = false,
            |level| level.features[0].scope = Scope::Team,
            |level| level.features[0].value = !level.features[0].value,
            |level| drop(level.features.remove(0)),
            |level| level.features[0].action = Action::parse("Print").unwrap(),
        ];
        for edit in edits {
            let mut edited = level("Visitor");
            edit(&mut edited);
            assert!(matches!(edit_of(&edited), Some(Edit::Action { .. })), "{:?}", edited.features[0]);
        }
        let renamed = StoredLevel { name: Name::parse("Guest").unwrap(), ..level("Visitor") };
        assert_eq!(edit_of(&renamed), Some(Edit::Renamed));
        let exchanged = StoredLevel { name: Name::parse("Member").unwrap(), ..level("Visitor") };
        assert!(edit_of(&exchanged).is_some());
    }

    #[test]
    fn a_level_without_cells_for_newer_views_and_features_is_unedited() {
        let level = level("Visitor");
        let newer = |view: &View| View { id: ViewId::generate(at(0)), created_at: at(2000), ..view.clone() };
        let old = catalog(at(0));
        let views: Vec<_> = old.views().cloned().chain(old.views().map(newer)).collect();
        let grown = Catalog::new(views, old.features().cloned(), [], [], []);
        assert_eq!(first_edit(&level, &grown).unwrap(), None);
        // A cell for a newer view was added manually.
        let added = grown.views().find(|view| view.created_at == at(2000)).unwrap();
        let mut edited = level;
        edited.views.push(ViewCell { view: added.id, state: ViewState::Deny, modifiable: true });
        assert_eq!(first_edit(&edited, &grown).unwrap(), Some(Edit::View(added.url.to_string())));
    }
}
