//! Explanations of decisions: how the decision was derived, and the smallest change that would allow access.
//!
//! An explanation uses the same snapshot as its decision, so the two are always consistent.

use serde::Serialize;

use crate::{
    Action, CompanyStatus, Decision, FeatureId, FeatureRule, LevelPermissions, ModuleId, Scope, Snapshot, UserLevelId,
    ViewId, ViewState,
};

/// A module that gates the view or the feature. The gate is open if at least one such module is both enabled and
/// granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct GatingModule {
    /// The module.
    pub module_id: ModuleId,
    /// `true` if the module is enabled for all companies.
    pub enabled: bool,
    /// `true` if the company has the module, and the module is enabled for the company.
    pub granted: bool,
}

/// The ceiling of a company for a view or an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct AppliedCeiling {
    /// The widest scope with which users of the company may perform the action. `null` if no user may perform the
    /// action or see the view.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub max_scope: Option<Scope>,
}

/// A level's rule for a view or an action. The variants are in ascending order of preference: if a suggestion has to
/// change a level so that it allows access, it chooses a level with the greatest rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "says", rename_all = "camelCase")]
pub enum LevelRule {
    /// The level has no rule for the view or action.
    Nothing,
    /// The level has the rule `inherit`, which leaves the decision to the user's other levels. Only views can have this
    /// rule.
    Inherit,
    /// The level allows access.
    Allow {
        /// The scope of the allowed action. Absent for a view, which has no scope.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(nullable = false))]
        scope: Option<Scope>,
    },
    /// The level denies access. A deny overrides every allow.
    Deny,
}

impl LevelRule {
    fn allows(self, least: Option<Scope>) -> bool {
        matches!(self, Self::Allow { scope } if scope >= least)
    }
}

impl From<Option<ViewState>> for LevelRule {
    fn from(row: Option<ViewState>) -> Self {
        match row {
            None => Self::Nothing,
            Some(ViewState::Inherit) => Self::Inherit,
            Some(ViewState::Allow) => Self::Allow { scope: None },
            Some(ViewState::Deny) => Self::Deny,
        }
    }
}

impl From<Option<FeatureRule>> for LevelRule {
    fn from(row: Option<FeatureRule>) -> Self {
        match row {
            None => Self::Nothing,
            Some(FeatureRule { value: true, scope }) => Self::Allow { scope: Some(scope) },
            Some(FeatureRule { value: false, .. }) => Self::Deny,
        }
    }
}

/// One of the user's levels, with its rule for the view or the action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct LevelContribution {
    /// The level.
    pub user_level_id: UserLevelId,
    /// The rule of the level.
    #[serde(flatten)]
    pub says: LevelRule,
}

/// One step of a suggestion. A suggestion is the smallest change that would allow access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = SuggestedStep))]
#[serde(tag = "step", content = "id", rename_all = "camelCase")]
pub enum Step {
    /// End the suspension of the company.
    ActivateCompany,
    /// Enable the feature for all companies.
    EnableFeature(FeatureId),
    /// Enable the module for all companies.
    EnableModule(ModuleId),
    /// Grant the module to the company. If the company already has the module, enable it for the company.
    GrantModule(ModuleId),
    /// Remove the ceiling of the company that hides the view.
    ShowView(ViewId),
    /// Raise the ceiling of the company for the action of this feature, so that it permits the required scope.
    RaiseCeiling(FeatureId),
    /// Assign a level to the user, who holds no level yet. The level must allow access with the required scope.
    AssignLevel,
    /// Remove the deny from this level.
    Undeny(UserLevelId),
    /// Change this level so that it allows access with the required scope.
    Allow(UserLevelId),
}

/// A decision, how it was derived, and the smallest change that would allow access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The decision that is explained.
    pub decision: Decision,
    /// The view to which the decision applies. `None` if the decision applies to an action, or if the view does not
    /// exist.
    pub view: Option<ViewId>,
    /// The feature to which the decision applies. `None` if the decision applies to a view, or if the feature does not
    /// exist.
    pub feature: Option<FeatureId>,
    /// The modules that gate the view or feature, in ascending order of id. Empty if no module gates the view or
    /// feature.
    pub gate: Vec<GatingModule>,
    /// The ceiling of the company for the view or action. `None` if it has no ceiling.
    pub ceiling: Option<AppliedCeiling>,
    /// The rule of each of the user's levels, in ascending order of level id.
    pub levels: Vec<LevelContribution>,
    /// The suggestion: the smallest set of steps that together would allow access. It is empty if access is already
    /// allowed. It is also empty if the view, the feature, or the action of the feature does not exist, because no step
    /// can then allow access.
    ///
    /// Steps change only levels, assignments, modules, ceilings and the status of the company, and `enabled` flags. They
    /// never make a view public and never remove a view or feature from a module. Changing a pinned cell counts as one
    /// step, although only super admins can change it.
    pub suggestion: Vec<Step>,
}

impl Snapshot {
    /// Explains the decision on whether the user may see a view.
    #[must_use]
    pub fn explain_view(&self, id: ViewId) -> Explanation {
        let decision = self.view(id);
        let gate = self.gate(self.catalog.modules_of_view(id));
        let ceiling = self.ceilings.hides(id).then_some(AppliedCeiling { max_scope: None });
        let levels = self.says(|level| level.views.get(&id).copied().into());
        let suggestion = match self.catalog.view(id) {
            Some(view) if !decision.allowed && !view.requires_auth => self.steps_to_activate(),
            Some(_) if !decision.allowed => {
                let showing = ceiling.map(|_| Step::ShowView(id)).into_iter().collect();
                [self.steps_to_activate(), steps_to_open_gate(&gate), showing, steps_to_allow(&levels, None)].concat()
            }
            _ => Vec::new(),
        };
        let view = self.catalog.view(id).map(|view| view.id);
        Explanation { decision, view, feature: None, gate, ceiling, levels, suggestion }
    }

    /// Explains the decision on whether the user may perform an action of a feature with at least the required scope.
    #[must_use]
    pub fn explain_feature(&self, id: FeatureId, action: &Action, least: Scope) -> Explanation {
        let decision = self.feature_reaching(id, action, least);
        let gate = self.gate(self.catalog.modules_of_feature(id));
        let max_scope = self.ceilings.max_scope(id, action);
        let ceiling = (max_scope < Some(Scope::Any)).then_some(AppliedCeiling { max_scope });
        let levels = self.says(|level| level.rule(id, action).into());
        let suggestion = match self.catalog.feature(id) {
            Some(feature) if !decision.allowed && feature.knows(action) => {
                let enabling = (!feature.enabled).then_some(Step::EnableFeature(id));
                let raising = (max_scope < Some(least)).then_some(Step::RaiseCeiling(id));
                [
                    self.steps_to_activate(),
                    enabling.into_iter().collect(),
                    steps_to_open_gate(&gate),
                    raising.into_iter().collect(),
                    steps_to_allow(&levels, Some(least)),
                ]
                .concat()
            }
            _ => Vec::new(),
        };
        let feature = self.catalog.feature(id).map(|feature| feature.id);
        Explanation { decision, view: None, feature, gate, ceiling, levels, suggestion }
    }

    /// Returns the step that ends the suspension of the company. Empty if the company is active.
    fn steps_to_activate(&self) -> Vec<Step> {
        (self.status == CompanyStatus::Suspended).then_some(Step::ActivateCompany).into_iter().collect()
    }

    fn gate(&self, modules: impl Iterator<Item = ModuleId>) -> Vec<GatingModule> {
        modules
            .map(|module_id| GatingModule {
                module_id,
                enabled: self.catalog.is_module_enabled(module_id),
                granted: self.modules.contains(&module_id),
            })
            .collect()
    }

    fn says(&self, says: impl Fn(&LevelPermissions) -> LevelRule) -> Vec<LevelContribution> {
        let mut levels: Vec<_> = self
            .levels
            .iter()
            .map(|level| LevelContribution { user_level_id: level.level, says: says(level) })
            .collect();
        levels.sort_unstable_by_key(|level| level.user_level_id);
        levels
    }
}

/// Returns the smallest set of steps that opens a module gate. These are the steps for the module that requires the
/// fewest steps. The set is empty if the gate is already open.
fn steps_to_open_gate(gate: &[GatingModule]) -> Vec<Step> {
    let steps = |module: &GatingModule| {
        let enable = (!module.enabled).then_some(Step::EnableModule(module.module_id));
        let grant = (!module.granted).then_some(Step::GrantModule(module.module_id));
        enable.into_iter().chain(grant).collect::<Vec<_>>()
    };
    gate.iter().map(steps).min_by_key(Vec::len).unwrap_or_default()
}

/// Returns the smallest set of steps after which no level denies access and at least one level allows it.
fn steps_to_allow(levels: &[LevelContribution], least: Option<Scope>) -> Vec<Step> {
    // The level to change is the level with the greatest `LevelRule`. The first choice is a level that denies access.
    // This level has to be changed anyway, so changing its deny to an allow costs no extra step. The second choice is a
    // level that allows access with a narrower scope. Among equal levels, the first level in the list is chosen, so
    // that the suggestion is deterministic.
    let Some(nearest) = levels.iter().rev().max_by_key(|level| level.says) else {
        return vec![Step::AssignLevel];
    };
    let is_allowed = levels.iter().any(|level| level.says.allows(least));
    let allowing = (!is_allowed).then_some(nearest.user_level_id);
    let denying = levels.iter().filter(|level| level.says == LevelRule::Deny).map(|level| level.user_level_id);
    denying.filter(|level| Some(*level) != allowing).map(Step::Undeny).chain(allowing.map(Step::Allow)).collect()
}
