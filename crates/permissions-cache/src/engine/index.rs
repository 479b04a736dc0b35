//! The index of the catalog assigns a column to each view and to each action of each feature. A compiled set can
//! therefore store its decisions in an array with one byte per column.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use foldhash::fast::RandomState;
use iam_domain::{Action, Catalog, Feature, FeatureId, View, ViewId};
use iam_storage::StateId;

use crate::{FeatureRef, ViewRef};

/// A column of a catalog index. It is the position of a view or of a feature's action in the arrays of compiled sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Column(u32);

impl Column {
    pub(crate) const fn get(self) -> usize {
        self.0 as usize
    }
}

/// The columns of a feature's actions: first the standard actions, then the feature's custom actions.
#[derive(Debug)]
pub(crate) struct FeatureColumns {
    pub(crate) id: FeatureId,
    first: u32,
    own: Box<[Action]>,
}

impl FeatureColumns {
    /// Returns the column of an action. `None` if it is neither a standard action nor a custom action of the feature.
    pub(crate) fn column(&self, action: &str) -> Option<Column> {
        let offset = match action {
            "Create" => 0,
            "Read" => 1,
            "Update" => 2,
            "Delete" => 3,
            "Export" => 4,
            "Approve" => 5,
            "Publish" => 6,
            _ => Action::STANDARD.len() + self.own.iter().position(|own| own.as_str() == action)?,
        };
        Some(Column(self.first + u32::try_from(offset).ok()?))
    }

    /// Returns the actions of the feature with their columns.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (&str, Column)> {
        Action::STANDARD.into_iter().chain(self.own.iter().map(Action::as_str)).zip((self.first..).map(Column))
    }
}

/// The index of the catalog at one version.
#[derive(Debug)]
pub(crate) struct CatalogIndex {
    pub(crate) state: StateId,
    pub(crate) catalog: Arc<Catalog>,
    views: HashMap<ViewId, Column, RandomState>,
    urls: HashMap<Box<str>, Column, RandomState>,
    features: Box<[FeatureColumns]>,
    numbers: HashMap<FeatureId, u32, RandomState>,
    keys: HashMap<Box<str>, u32, RandomState>,
    columns: usize,
}

impl CatalogIndex {
    pub(crate) fn new(state: StateId, catalog: Arc<Catalog>) -> Self {
        let views = first_of((0..).map(Column).zip(catalog.views()).map(|(column, view)| (view.id, column)));
        let urls =
            first_of((0..).map(Column).zip(catalog.views()).map(|(column, view)| (view.url.as_str().into(), column)));
        let mut next = u32::try_from(views.len()).unwrap_or(u32::MAX);
        let features: Box<[_]> = catalog
            .features()
            .map(|feature| {
                let own: Box<[_]> = own_actions(feature).cloned().collect();
                let columns = FeatureColumns { id: feature.id, first: next, own };
                next = next.saturating_add(u32::try_from(columns.columns().count()).unwrap_or(u32::MAX));
                columns
            })
            .collect();
        let numbers = first_of((0..).zip(&features).map(|(number, feature)| (feature.id, number)));
        let keyed = (0..).zip(catalog.features()).filter_map(|(number, feature)| Some((feature.key.as_ref()?, number)));
        let keys = first_of(keyed.map(|(key, number)| (key.as_str().into(), number)));
        Self { state, catalog, views, urls, features, numbers, keys, columns: next as usize }
    }

    /// Returns the number of columns. The columns of views come first.
    pub(crate) const fn columns(&self) -> usize {
        self.columns
    }

    /// Returns the views in the order of their columns.
    pub(crate) fn views(&self) -> impl Iterator<Item = (Column, &View)> {
        (0..).map(Column).zip(self.catalog.views())
    }

    /// Returns the features with their columns.
    pub(crate) fn features(&self) -> impl Iterator<Item = (&FeatureColumns, &Feature)> {
        // Both iterators are in ascending order of id.
        self.features.iter().zip(self.catalog.features())
    }

    pub(crate) fn view(&self, view: &ViewRef) -> Option<Column> {
        match view {
            ViewRef::Id(id) => self.view_by_id(*id),
            ViewRef::Url(url) => self.urls.get(url.as_str()).copied(),
        }
    }

    pub(crate) fn view_by_id(&self, id: ViewId) -> Option<Column> {
        self.views.get(&id).copied()
    }

    /// Returns the id of the view with this column.
    pub(crate) fn view_in(&self, column: Column) -> Option<ViewId> {
        self.catalog.views().nth(column.get()).map(|view| view.id)
    }

    pub(crate) fn feature(&self, feature: &FeatureRef) -> Option<&FeatureColumns> {
        match feature {
            FeatureRef::Id(id) => self.feature_by_id(*id),
            FeatureRef::Key(key) => self.feature_by_key(key),
        }
    }

    pub(crate) fn feature_by_id(&self, id: FeatureId) -> Option<&FeatureColumns> {
        self.numbered(*self.numbers.get(&id)?)
    }

    pub(crate) fn feature_by_key(&self, key: &str) -> Option<&FeatureColumns> {
        self.numbered(*self.keys.get(key)?)
    }

    fn numbered(&self, number: u32) -> Option<&FeatureColumns> {
        self.features.get(number as usize)
    }
}

/// Returns the custom actions of a feature without duplicates.
fn own_actions(feature: &Feature) -> impl Iterator<Item = &Action> {
    let listed = feature.actions.as_deref().unwrap_or_default();
    listed
        .iter()
        .enumerate()
        .filter(|(n, action)| !action.is_standard() && !listed.iter().take(*n).any(|a| a == *action))
        .map(|(_, action)| action)
}

/// Creates a map. If several pairs have equal keys, the map contains the first of them, which a linear search would
/// also find.
fn first_of<K: Eq + Hash, V>(pairs: impl Iterator<Item = (K, V)>) -> HashMap<K, V, RandomState> {
    let mut map = HashMap::default();
    for (key, value) in pairs {
        map.entry(key).or_insert(value);
    }
    map
}
