//! The authoritative implementation of permission resolution, as pure functions over one snapshot.
//!
//! All inputs to a decision come from a single consistent [`Snapshot`]. Separate reads could cause read skew: the
//! user's levels could be read before a change, and the permissions of these levels after it. Such a decision could
//! allow access that was denied both before and after the change.
//!
//! A deny overrides every allow, and the default is deny.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::{
    Action, Ceilings, CompanyStatus, Feature, FeatureId, Module, ModuleId, Scope, UserLevelId, View, ViewId, ViewState,
};

/// The reason for a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The view is public: it requires no authentication.
    PublicView,
    /// At least one level allows access, and no level denies it.
    ExplicitAllow,
    /// The subject is the caller, who is a super admin.
    SuperAdmin,
    /// At least one level denies access.
    ExplicitDeny,
    /// The view belongs to modules, but none of these modules is both granted to the company and enabled.
    ViewModuleMissing,
    /// The feature belongs to modules, but none of these modules is both granted to the company and enabled.
    FeatureModuleMissing,
    /// The feature is disabled for all companies.
    FeatureDisabled,
    /// The company is suspended.
    CompanySuspended,
    /// A ceiling of the company hides the view, or permits the action to no user or only with a narrower scope than
    /// required.
    CompanyCeiling,
    /// The user holds no level in this company.
    NoUserLevels,
    /// No level allows or denies access.
    NoExplicitAllow,
    /// The action is allowed, but only with a narrower scope than required.
    ScopeTooNarrow,
    /// The view does not exist.
    UnknownView,
    /// The feature does not exist.
    UnknownFeature,
    /// The feature exists, but has no such action.
    UnknownAction,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 15] = [
        Self::PublicView,
        Self::ExplicitAllow,
        Self::SuperAdmin,
        Self::ExplicitDeny,
        Self::ViewModuleMissing,
        Self::FeatureModuleMissing,
        Self::FeatureDisabled,
        Self::CompanySuspended,
        Self::CompanyCeiling,
        Self::NoUserLevels,
        Self::NoExplicitAllow,
        Self::ScopeTooNarrow,
        Self::UnknownView,
        Self::UnknownFeature,
        Self::UnknownAction,
    ];

    /// Returns `true` if a decision with this reason allows access.
    #[must_use]
    pub const fn allows(self) -> bool {
        matches!(self, Self::PublicView | Self::ExplicitAllow | Self::SuperAdmin)
    }

    /// Returns the machine-readable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::PublicView => "public_view",
            Self::ExplicitAllow => "explicit_allow",
            Self::SuperAdmin => "super_admin",
            Self::ExplicitDeny => "explicit_deny",
            Self::ViewModuleMissing => "view_module_missing",
            Self::FeatureModuleMissing => "feature_module_missing",
            Self::FeatureDisabled => "feature_disabled",
            Self::CompanySuspended => "company_suspended",
            Self::CompanyCeiling => "company_ceiling",
            Self::NoUserLevels => "no_user_levels",
            Self::NoExplicitAllow => "no_explicit_allow",
            Self::ScopeTooNarrow => "scope_too_narrow",
            Self::UnknownView => "unknown_view",
            Self::UnknownFeature => "unknown_feature",
            Self::UnknownAction => "unknown_action",
        }
    }

    /// Returns the human-readable message.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::PublicView => "View does not require authentication",
            Self::ExplicitAllow => "Explicitly allowed by one or more user levels",
            Self::SuperAdmin => "super admin",
            Self::ExplicitDeny => "Explicitly denied by one or more user levels",
            Self::ViewModuleMissing => "Company does not have access to the module containing this view",
            Self::FeatureModuleMissing => "Company does not have access to the module containing this feature",
            Self::FeatureDisabled => "Feature is disabled",
            Self::CompanySuspended => "Company is suspended",
            Self::CompanyCeiling => "Not permitted in this company (ceiling set by the platform)",
            Self::NoUserLevels => "User has no assigned user levels",
            Self::NoExplicitAllow => "No explicit allow permission (inherit or no permission)",
            Self::ScopeTooNarrow => "Allowed, but with a narrower scope than required",
            Self::UnknownView => "View not found",
            Self::UnknownFeature => "Feature not found",
            Self::UnknownAction => "The feature has no such action",
        }
    }
}

/// An access decision for a view or for an action of a feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// `true` if access is allowed.
    pub allowed: bool,
    /// The scope with which the levels allow the action, or `own` if they do not allow it. `None` for a view, which has
    /// no scope.
    pub scope: Option<Scope>,
    /// The reason for the decision.
    pub reason: Reason,
    /// The levels that determined the decision, in ascending order of id.
    pub decided_by: Vec<UserLevelId>,
}

impl Decision {
    /// Creates a decision for a view, with an empty list of deciding levels.
    #[must_use]
    pub const fn of_view(allowed: bool, reason: Reason) -> Self {
        Self { allowed, scope: None, reason, decided_by: Vec::new() }
    }

    /// Creates a decision that denies an action, with an empty list of deciding levels.
    #[must_use]
    pub const fn denied_action(reason: Reason) -> Self {
        Self { allowed: false, scope: Some(Scope::Own), reason, decided_by: Vec::new() }
    }

    /// Returns the decision for a request that requires at least the scope `least`. If the scope of this decision is
    /// narrower, the returned decision denies access.
    #[must_use]
    pub fn reaching(self, least: Scope) -> Self {
        match self.scope {
            Some(scope) if self.allowed && scope < least => {
                Self { allowed: false, reason: Reason::ScopeTooNarrow, ..self }
            }
            _ => self,
        }
    }
}

/// A level's rule for an action of a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeatureRule {
    /// `true` allows the action, `false` denies it.
    pub value: bool,
    /// The scope with which the action is allowed.
    pub scope: Scope,
}

/// All permissions of one level: its view matrix and its feature matrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelPermissions {
    /// The id of the level.
    pub level: UserLevelId,
    /// The level's rules for views.
    pub views: BTreeMap<ViewId, ViewState>,
    /// The level's rules for actions of features.
    pub features: BTreeMap<FeatureId, BTreeMap<Action, FeatureRule>>,
}

impl LevelPermissions {
    /// Creates the permissions of a level from its rows. The storage has at most one row per cell. If a cell has
    /// several rows, the strictest row applies (fail closed).
    pub fn new(
        level: UserLevelId,
        views: impl IntoIterator<Item = (ViewId, ViewState)>,
        features: impl IntoIterator<Item = (FeatureId, Action, FeatureRule)>,
    ) -> Self {
        let mut collected = Self { level, views: BTreeMap::new(), features: BTreeMap::new() };
        for (view, state) in views {
            let cell = collected.views.entry(view).or_insert(state);
            *cell = stricter(*cell, state);
        }
        for (feature, action, rule) in features {
            let cell = collected.features.entry(feature).or_default().entry(action).or_insert(rule);
            *cell = FeatureRule { value: cell.value && rule.value, scope: cell.scope.min(rule.scope) };
        }
        collected
    }

    /// Returns the level's rule for an action of a feature.
    pub(crate) fn rule(&self, feature: FeatureId, action: &Action) -> Option<FeatureRule> {
        self.features.get(&feature)?.get(action).copied()
    }
}

fn stricter(a: ViewState, b: ViewState) -> ViewState {
    match (a, b) {
        (ViewState::Deny, _) | (_, ViewState::Deny) => ViewState::Deny,
        (ViewState::Inherit, _) | (_, ViewState::Inherit) => ViewState::Inherit,
        (ViewState::Allow, ViewState::Allow) => ViewState::Allow,
    }
}

/// The catalog, indexed for resolution.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    views: BTreeMap<ViewId, View>,
    features: BTreeMap<FeatureId, Feature>,
    modules: BTreeMap<ModuleId, Module>,
    view_modules: BTreeMap<ViewId, BTreeSet<ModuleId>>,
    feature_modules: BTreeMap<FeatureId, BTreeSet<ModuleId>>,
}

impl Catalog {
    /// Creates a catalog from rows.
    pub fn new(
        views: impl IntoIterator<Item = View>,
        features: impl IntoIterator<Item = Feature>,
        modules: impl IntoIterator<Item = Module>,
        module_views: impl IntoIterator<Item = (ModuleId, ViewId)>,
        module_features: impl IntoIterator<Item = (ModuleId, FeatureId)>,
    ) -> Self {
        let mut catalog = Self {
            views: views.into_iter().map(|view| (view.id, view)).collect(),
            features: features.into_iter().map(|feature| (feature.id, feature)).collect(),
            modules: modules.into_iter().map(|module| (module.id, module)).collect(),
            ..Self::default()
        };
        for (module, view) in module_views {
            catalog.view_modules.entry(view).or_default().insert(module);
        }
        for (module, feature) in module_features {
            catalog.feature_modules.entry(feature).or_default().insert(module);
        }
        catalog
    }

    /// Returns all views in ascending order of id.
    pub fn views(&self) -> impl Iterator<Item = &View> {
        self.views.values()
    }

    /// Returns all features in ascending order of id.
    pub fn features(&self) -> impl Iterator<Item = &Feature> {
        self.features.values()
    }

    /// Returns all modules in ascending order of id.
    pub fn modules(&self) -> impl Iterator<Item = &Module> {
        self.modules.values()
    }

    /// Returns the view with this id.
    #[must_use]
    pub fn view(&self, id: ViewId) -> Option<&View> {
        self.views.get(&id)
    }

    /// Returns the feature with this id.
    #[must_use]
    pub fn feature(&self, id: FeatureId) -> Option<&Feature> {
        self.features.get(&id)
    }

    /// Returns the module with this id.
    #[must_use]
    pub fn module(&self, id: ModuleId) -> Option<&Module> {
        self.modules.get(&id)
    }

    /// Returns the view whose URL is exactly `url`: `/companies/123` does not match `/companies/:id`.
    #[must_use]
    pub fn view_by_url(&self, url: &str) -> Option<&View> {
        self.views.values().find(|view| view.url.as_str() == url)
    }

    /// Returns the feature whose key is exactly `key`.
    #[must_use]
    pub fn feature_by_key(&self, key: &str) -> Option<&Feature> {
        self.features.values().find(|feature| feature.key.as_ref().is_some_and(|own| own.as_str() == key))
    }

    /// Returns the modules that gate a view, including disabled modules.
    pub fn modules_of_view(&self, id: ViewId) -> impl Iterator<Item = ModuleId> + '_ {
        self.view_modules.get(&id).into_iter().flatten().copied()
    }

    /// Returns the modules that gate a feature, including disabled modules.
    pub fn modules_of_feature(&self, id: FeatureId) -> impl Iterator<Item = ModuleId> + '_ {
        self.feature_modules.get(&id).into_iter().flatten().copied()
    }

    /// Returns `true` if the module is enabled for all companies.
    #[must_use]
    pub fn is_module_enabled(&self, id: ModuleId) -> bool {
        self.modules.get(&id).is_some_and(|module| module.enabled)
    }

    /// Returns `true` if the module gate of a view is open for a company that has the modules `company_modules`. The
    /// gate is open if the view belongs to no module. It is also open if the company has one of the view's modules and
    /// this module is enabled for all companies. This function checks neither whether the view exists nor whether it is
    /// public.
    #[must_use]
    pub fn is_view_open(&self, id: ViewId, company_modules: &BTreeSet<ModuleId>) -> bool {
        self.is_open(self.view_modules.get(&id), company_modules)
    }

    /// Returns `true` if the module gate of a feature is open, as [`Self::is_view_open`] does for a view.
    #[must_use]
    pub fn is_feature_open(&self, id: FeatureId, company_modules: &BTreeSet<ModuleId>) -> bool {
        self.is_open(self.feature_modules.get(&id), company_modules)
    }

    fn is_open(&self, gate: Option<&BTreeSet<ModuleId>>, company_modules: &BTreeSet<ModuleId>) -> bool {
        gate.is_none_or(|gate| {
            gate.iter().any(|module| self.is_module_enabled(*module) && company_modules.contains(module))
        })
    }
}

/// A consistent snapshot of all inputs to the decisions about one user in one company.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The catalog.
    pub catalog: Arc<Catalog>,
    /// The status of the company.
    pub status: CompanyStatus,
    /// The modules that the company has and that are enabled for it.
    pub modules: BTreeSet<ModuleId>,
    /// The ceilings of the company.
    pub ceilings: Arc<Ceilings>,
    /// The permissions of the levels that the user holds in this company. Empty for a non-member.
    pub levels: Vec<LevelPermissions>,
}

impl Snapshot {
    /// Decides whether the user may see a view.
    #[must_use]
    pub fn view(&self, id: ViewId) -> Decision {
        if let Some(reason) = self.suspended() {
            return Decision::of_view(false, reason);
        }
        let Some(view) = self.catalog.view(id) else {
            return Decision::of_view(false, Reason::UnknownView);
        };
        if !view.requires_auth {
            return Decision::of_view(true, Reason::PublicView);
        }
        if !self.catalog.is_view_open(id, &self.modules) {
            return Decision::of_view(false, Reason::ViewModuleMissing);
        }
        if self.ceilings.hides(id) {
            return Decision::of_view(false, Reason::CompanyCeiling);
        }
        if self.levels.is_empty() {
            return Decision::of_view(false, Reason::NoUserLevels);
        }
        let saying = |state| self.levels_where(|level| level.views.get(&id) == Some(&state));
        let denying = saying(ViewState::Deny);
        if !denying.is_empty() {
            return Decision { decided_by: denying, ..Decision::of_view(false, Reason::ExplicitDeny) };
        }
        let allowing = saying(ViewState::Allow);
        if !allowing.is_empty() {
            return Decision { decided_by: allowing, ..Decision::of_view(true, Reason::ExplicitAllow) };
        }
        Decision::of_view(false, Reason::NoExplicitAllow)
    }

    /// Decides whether the user may perform an action of a feature. The scope is the widest scope that one of the user's
    /// levels allows, limited by the ceiling. The decision lists the levels that allow the action with this scope.
    #[must_use]
    pub fn feature(&self, id: FeatureId, action: &Action) -> Decision {
        self.suspended().map_or_else(|| self.feature_if_active(id, action), Decision::denied_action)
    }

    /// Returns the reason for which a suspended company denies everything, or `None` if the company is active. A
    /// non-member receives the same reason as in an active company.
    fn suspended(&self) -> Option<Reason> {
        match self.status {
            CompanyStatus::Active => None,
            CompanyStatus::Suspended if self.levels.is_empty() => Some(Reason::NoUserLevels),
            CompanyStatus::Suspended => Some(Reason::CompanySuspended),
        }
    }

    /// Makes the decision of [`Self::feature`] as if the company was active.
    pub(crate) fn feature_if_active(&self, id: FeatureId, action: &Action) -> Decision {
        let Some(feature) = self.catalog.feature(id) else {
            return Decision::denied_action(Reason::UnknownFeature);
        };
        if !feature.knows(action) {
            return Decision::denied_action(Reason::UnknownAction);
        }
        if !feature.enabled {
            return Decision::denied_action(Reason::FeatureDisabled);
        }
        if !self.catalog.is_feature_open(id, &self.modules) {
            return Decision::denied_action(Reason::FeatureModuleMissing);
        }
        let Some(max) = self.ceilings.max_scope(id, action) else {
            return Decision::denied_action(Reason::CompanyCeiling);
        };
        if self.levels.is_empty() {
            return Decision::denied_action(Reason::NoUserLevels);
        }
        let denying = self.levels_where(|level| level.rule(id, action).is_some_and(|rule| !rule.value));
        if !denying.is_empty() {
            return Decision { decided_by: denying, ..Decision::denied_action(Reason::ExplicitDeny) };
        }
        let scope_of = |level: &LevelPermissions| level.rule(id, action).map(|rule| rule.scope.min(max));
        let widest = self.levels.iter().filter_map(scope_of).max();
        match widest {
            None => Decision::denied_action(Reason::NoExplicitAllow),
            Some(scope) => Decision {
                allowed: true,
                scope: Some(scope),
                reason: Reason::ExplicitAllow,
                decided_by: self.levels_where(|level| scope_of(level) == Some(scope)),
            },
        }
    }

    /// Decides whether the user may perform an action of a feature with at least the scope `least`. If the ceiling of
    /// the company is narrower than `least`, the decision does not depend on the user's levels.
    #[must_use]
    pub fn feature_reaching(&self, id: FeatureId, action: &Action, least: Scope) -> Decision {
        let decision = self.feature(id, action);
        let depends_on_levels = matches!(
            decision.reason,
            Reason::ExplicitAllow | Reason::ExplicitDeny | Reason::NoExplicitAllow | Reason::NoUserLevels
        );
        if depends_on_levels && self.ceilings.max_scope(id, action) < Some(least) {
            return Decision::denied_action(Reason::CompanyCeiling);
        }
        decision.reaching(least)
    }

    /// Returns the actions of a feature that are listed in the user's effective permissions. These are the actions of
    /// [`Action::LISTED`], the feature's custom actions, and all standard actions for which the user's levels have
    /// rules.
    #[must_use]
    pub fn actions(&self, feature: &Feature) -> BTreeSet<Action> {
        let rows = self.levels.iter().filter_map(|level| level.features.get(&feature.id)).flat_map(BTreeMap::keys);
        let standard = rows.filter(|action| action.is_standard()).cloned();
        Action::listed().chain(feature.actions.iter().flatten().cloned()).chain(standard).collect()
    }

    fn levels_where(&self, says: impl Fn(&LevelPermissions) -> bool) -> Vec<UserLevelId> {
        let mut levels: Vec<_> = self.levels.iter().filter(|level| says(level)).map(|level| level.level).collect();
        levels.sort_unstable();
        levels
    }
}
