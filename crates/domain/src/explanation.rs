//! Explanations of decisions: the derivation, and the smallest change that would allow access.
//!
//! An explanation uses the same snapshot as the decision that it contains, so the two cannot differ.

use serde::Serialize;

use crate::{
    Action, Decision, FeatureId, FeatureRule, LevelPermissions, ModuleId, Scope, Snapshot, UserLevelId, ViewId,
    ViewState,
};

/// A module that gates the view or feature. It opens the gate when it is both enabled and granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct GatingModule {
    /// The module.
    pub module_id: ModuleId,
    /// Whether it is switched on for all companies.
    pub enabled: bool,
    /// Whether the company has it, switched on.
    pub granted: bool,
}

/// A level's rule for a view or an action, ordered by how close it is to allowing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "says", rename_all = "camelCase")]
pub enum Says {
    /// It has no row.
    Nothing,
    /// It has a row that leaves the decision to the other levels; for views only.
    Inherit,
    /// It allows.
    Allow {
        /// The scope of an action; missing for views, which have none.
        #[serde(skip_serializing_if = "Option::is_none")]
        scope: Option<Scope>,
    },
    /// It denies; a deny wins over every allow.
    Deny,
}

impl Says {
    fn allows(self, least: Option<Scope>) -> bool {
        matches!(self, Self::Allow { scope } if scope >= least)
    }
}

impl From<Option<ViewState>> for Says {
    fn from(row: Option<ViewState>) -> Self {
        match row {
            None => Self::Nothing,
            Some(ViewState::Inherit) => Self::Inherit,
            Some(ViewState::Allow) => Self::Allow { scope: None },
            Some(ViewState::Deny) => Self::Deny,
        }
    }
}

impl From<Option<FeatureRule>> for Says {
    fn from(row: Option<FeatureRule>) -> Self {
        match row {
            None => Self::Nothing,
            Some(FeatureRule { value: true, scope }) => Self::Allow { scope: Some(scope) },
            Some(FeatureRule { value: false, .. }) => Self::Deny,
        }
    }
}

/// One of the user's levels and its rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct LevelSays {
    /// The level.
    pub user_level_id: UserLevelId,
    /// Its rule.
    #[serde(flatten)]
    pub says: Says,
}

/// A step of the smallest change that would allow access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "step", content = "id", rename_all = "camelCase")]
pub enum Step {
    /// Switch the feature on for all companies.
    EnableFeature(FeatureId),
    /// Switch the module on for all companies.
    EnableModule(ModuleId),
    /// Give the company the module, or switch it on there.
    GrantModule(ModuleId),
    /// Assign the user, who holds no level, any level of the company that allows it with the required scope.
    AssignLevel,
    /// Remove the deny from this level.
    Undeny(UserLevelId),
    /// Make this level allow it with the required scope.
    Allow(UserLevelId),
}

/// A decision with its derivation. The reason of the decision is the rule that decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The decision.
    pub decision: Decision,
    /// The modules that gate it, ascending. Empty if it is open to all companies.
    pub gate: Vec<GatingModule>,
    /// The rule of each of the user's levels, ascending by level.
    pub levels: Vec<LevelSays>,
    /// The fewest steps that together would allow it. Empty if it is allowed, or if no step can allow it because the
    /// view, the feature, or the action of the feature does not exist.
    ///
    /// No step weakens the protection of others by making a view public or removing it or a feature from modules. A
    /// pinned row counts as one step like any other, although only super admins can change it.
    pub suggestion: Vec<Step>,
}

impl Snapshot {
    /// Explains whether the user may see a view.
    #[must_use]
    pub fn explain_view(&self, id: ViewId) -> Explanation {
        let decision = self.view(id);
        let gate = self.gate(self.catalog.modules_of_view(id));
        let levels = self.says(|level| level.views.get(&id).copied().into());
        let suggestion = match self.catalog.view(id) {
            Some(_) if !decision.allowed => [opening(&gate), speaking(&levels, None)].concat(),
            _ => Vec::new(),
        };
        Explanation { decision, gate, levels, suggestion }
    }

    /// Explains whether the user may do an action of a feature with at least the required scope.
    #[must_use]
    pub fn explain_feature(&self, id: FeatureId, action: &Action, least: Scope) -> Explanation {
        let decision = self.feature(id, action).reaching(least);
        let gate = self.gate(self.catalog.modules_of_feature(id));
        let levels = self.says(|level| level.rule(id, action).into());
        let suggestion = match self.catalog.feature(id) {
            Some(feature) if !decision.allowed && feature.knows(action) => {
                let enabling = (!feature.enabled).then_some(Step::EnableFeature(id));
                [enabling.into_iter().collect(), opening(&gate), speaking(&levels, Some(least))].concat()
            }
            _ => Vec::new(),
        };
        Explanation { decision, gate, levels, suggestion }
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

    fn says(&self, says: impl Fn(&LevelPermissions) -> Says) -> Vec<LevelSays> {
        let mut levels: Vec<_> =
            self.levels.iter().map(|level| LevelSays { user_level_id: level.level, says: says(level) }).collect();
        levels.sort_unstable_by_key(|level| level.user_level_id);
        levels
    }
}

/// The fewest steps that open a gate: those of the module that needs the fewest. An open gate needs none.
fn opening(gate: &[GatingModule]) -> Vec<Step> {
    let steps = |module: &GatingModule| {
        let enable = (!module.enabled).then_some(Step::EnableModule(module.module_id));
        let grant = (!module.granted).then_some(Step::GrantModule(module.module_id));
        enable.into_iter().chain(grant).collect::<Vec<_>>()
    };
    gate.iter().map(steps).min_by_key(Vec::len).unwrap_or_default()
}

/// The fewest steps after which no level denies and one allows.
fn speaking(levels: &[LevelSays], least: Option<Scope>) -> Vec<Step> {
    // A level that denies must change anyway, so making it allow costs no extra step. The next best is a level that
    // allows with a narrower scope. Among equals the first is taken, so that the suggestion is stable.
    let Some(nearest) = levels.iter().rev().max_by_key(|level| level.says) else {
        return vec![Step::AssignLevel];
    };
    let is_allowed = levels.iter().any(|level| level.says.allows(least));
    let allowing = (!is_allowed).then_some(nearest.user_level_id);
    let denying = levels.iter().filter(|level| level.says == Says::Deny).map(|level| level.user_level_id);
    denying.filter(|level| Some(*level) != allowing).map(Step::Undeny).chain(allowing.map(Step::Allow)).collect()
}
