//! Generators of test data for property-based tests.
//!
//! A world contains all inputs to the decisions about one user. Worlds are small (four views, three features, three
//! modules, four levels), so that rules often interact. Rows of one level may conflict with each other, and rows may
//! refer to entities that the catalog does not have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use iam_domain::{
    Action, Catalog, Ceilings, CompanyStatus, Feature, FeatureId, FeatureKey, FeatureRule, LevelPermissions, Module,
    ModuleCode, ModuleId, Name, Priority, Scope, Snapshot, Timestamp, UserLevelId, View, ViewId, ViewState, ViewUrl,
};
use proptest::prelude::*;
use uuid::Uuid;

pub(crate) const VIEWS: usize = 4;
pub(crate) const FEATURES: usize = 3;
pub(crate) const MODULES: usize = 3;
pub(crate) const LEVELS: usize = 4;
pub(crate) const SCOPES: [Scope; 4] = [Scope::Own, Scope::Team, Scope::Company, Scope::Any];

pub(crate) fn uuid(kind: u64, number: usize) -> Uuid {
    Uuid::from_u64_pair(kind, u64::try_from(number).unwrap() + 1)
}

/// Returns the id of the view with this number. The catalog contains the views with numbers below `VIEWS`. Likewise, it
/// contains the features with numbers below `FEATURES`.
pub(crate) fn view(number: usize) -> ViewId {
    ViewId::from_uuid(uuid(1, number))
}

pub(crate) fn feature(number: usize) -> FeatureId {
    FeatureId::from_uuid(uuid(2, number))
}

pub(crate) fn module(number: usize) -> ModuleId {
    ModuleId::from_uuid(uuid(3, number))
}

pub(crate) fn level(number: usize) -> UserLevelId {
    UserLevelId::from_uuid(uuid(4, number))
}

pub(crate) fn action(number: usize) -> Action {
    Action::parse(["Read", "Update", "Sign"][number]).unwrap()
}

pub(crate) const ACTIONS: usize = 3;

/// The rows of a level. Each entry of `views` contains a view and its state. Each entry of `features` contains a
/// feature, an action, the value and the scope.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Level {
    pub(crate) number: usize,
    pub(crate) views: Vec<(usize, ViewState)>,
    pub(crate) features: Vec<(usize, usize, bool, Scope)>,
}

impl Level {
    pub(crate) fn permissions(&self) -> LevelPermissions {
        LevelPermissions::new(
            level(self.number),
            self.views.iter().map(|(number, state)| (view(*number), *state)),
            self.features.iter().map(|(number, name, value, scope)| {
                (feature(*number), action(*name), FeatureRule { value: *value, scope: *scope })
            }),
        )
    }
}

/// The ceilings on actions, by feature and action.
pub(crate) type ActionCeilings = BTreeMap<(usize, usize), Option<Scope>>;

/// All inputs to the decisions about one user, as plain rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct World {
    pub(crate) public_views: BTreeSet<usize>,
    pub(crate) disabled_features: BTreeSet<usize>,
    pub(crate) disabled_modules: BTreeSet<usize>,
    pub(crate) module_views: Vec<(usize, usize)>,
    pub(crate) module_features: Vec<(usize, usize)>,
    pub(crate) company_modules: BTreeSet<usize>,
    pub(crate) hidden_views: BTreeSet<usize>,
    pub(crate) ceilings: ActionCeilings,
    pub(crate) levels: Vec<Level>,
}

impl World {
    /// Creates a world with these levels. No module gates a view or feature, no view is public, nothing is disabled, and
    /// the company has no ceilings.
    pub(crate) fn plain(levels: Vec<Level>) -> Self {
        Self {
            public_views: BTreeSet::new(),
            disabled_features: BTreeSet::new(),
            disabled_modules: BTreeSet::new(),
            module_views: Vec::new(),
            module_features: Vec::new(),
            company_modules: BTreeSet::new(),
            hidden_views: BTreeSet::new(),
            ceilings: BTreeMap::new(),
            levels,
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let at = Timestamp::from_millis(0).unwrap();
        let views = (0..VIEWS).map(|number| View {
            id: view(number),
            name: Name::parse(format!("View {number}")).unwrap(),
            url: ViewUrl::parse(format!("/{number}")).unwrap(),
            category: None,
            description: None,
            icon: None,
            requires_auth: !self.public_views.contains(&number),
            created_at: at,
            updated_at: at,
        });
        let features = (0..FEATURES).map(|number| Feature {
            id: feature(number),
            // One feature is a feature of the service itself.
            key: (number == 1).then(|| FeatureKey::parse("iam.assign_permissions").unwrap()),
            name: Name::parse(format!("Feature {number}")).unwrap(),
            description: None,
            resource_type: None,
            // Only one feature has a custom action.
            actions: (number == 2).then(|| vec![action(2)]),
            category: None,
            enabled: !self.disabled_features.contains(&number),
            created_at: at,
            updated_at: at,
        });
        let modules = (0..MODULES).map(|number| Module {
            id: module(number),
            code: ModuleCode::parse(format!("module-{number}")).unwrap(),
            name: Name::parse(format!("Module {number}")).unwrap(),
            description: None,
            icon: None,
            enabled: !self.disabled_modules.contains(&number),
            priority: Priority::Standard,
            created_at: at,
            updated_at: at,
        });
        Snapshot {
            catalog: Arc::new(Catalog::new(
                views,
                features,
                modules,
                self.module_views.iter().map(|(gate, number)| (module(*gate), view(*number))),
                self.module_features.iter().map(|(gate, number)| (module(*gate), feature(*number))),
            )),
            status: CompanyStatus::Active,
            modules: self.company_modules.iter().map(|number| module(*number)).collect(),
            ceilings: Arc::new(self.ceilings()),
            levels: self.levels.iter().map(Level::permissions).collect(),
        }
    }

    fn ceilings(&self) -> Ceilings {
        let mut actions: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for ((number, name), max) in &self.ceilings {
            actions.entry(feature(*number)).or_default().insert(action(*name), *max);
        }
        Ceilings { hidden_views: self.hidden_views.iter().map(|number| view(*number)).collect(), actions }
    }
}

pub(crate) fn some_of(count: usize) -> impl Strategy<Value = BTreeSet<usize>> {
    prop::collection::btree_set(0..count, 0..=count)
}

/// Generates the hidden views and the ceilings of a company. They may refer to entities that the catalog does not have.
fn ceilings() -> impl Strategy<Value = (BTreeSet<usize>, ActionCeilings)> {
    let max = prop::option::weighted(0.7, scope());
    (some_of(VIEWS + 1), prop::collection::btree_map((0..=FEATURES, 0..ACTIONS), max, 0..3))
        .prop_map(|(hidden, ceilings)| (hidden.into_iter().take(1).collect(), ceilings))
}

pub(crate) fn state() -> impl Strategy<Value = ViewState> {
    prop::sample::select(vec![ViewState::Allow, ViewState::Allow, ViewState::Deny, ViewState::Inherit])
}

pub(crate) fn scope() -> impl Strategy<Value = Scope> {
    prop::sample::select(SCOPES.to_vec())
}

/// Generates the rows of one level. Only one action in five is denied, because a single deny already determines the
/// decision.
pub(crate) fn rows(number: usize) -> impl Strategy<Value = Level> {
    (
        prop::collection::vec((0..=VIEWS, state()), 0..6),
        prop::collection::vec((0..=FEATURES, 0..ACTIONS, prop::bool::weighted(0.8), scope()), 0..8),
    )
        .prop_map(move |(views, features)| Level { number, views, features })
}

pub(crate) fn world() -> impl Strategy<Value = World> {
    // The ids of the levels are not in ascending order.
    let levels = [rows(2), rows(0), rows(3), rows(1)];
    (
        some_of(VIEWS),
        some_of(FEATURES),
        some_of(MODULES),
        prop::collection::vec((0..MODULES, 0..VIEWS), 0..4),
        prop::collection::vec((0..MODULES, 0..FEATURES), 0..4),
        (some_of(MODULES), ceilings()),
        (levels, 0..=LEVELS).prop_map(|(levels, count)| levels.into_iter().take(count).collect()),
    )
        .prop_map(
            |(public_views, disabled_features, disabled, module_views, module_features, of_company, levels)| {
                let (company_modules, (hidden_views, ceilings)) = of_company;
                World {
                    public_views: public_views.into_iter().take(1).collect(),
                    disabled_features: disabled_features.into_iter().take(1).collect(),
                    disabled_modules: disabled.into_iter().take(1).collect(),
                    module_views,
                    module_features,
                    company_modules,
                    hidden_views,
                    ceilings,
                    levels,
                }
            },
        )
}

pub(crate) fn config() -> ProptestConfig {
    ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() }
}
