//! The compiled rules of one level: one byte for each view and each action.

use std::sync::Arc;

use iam_domain::{Action, FeatureRule, LevelPermissions, Scope, UserLevelId, ViewState};

use crate::engine::index::{CatalogIndex, Column};
use crate::engine::memory_usage::{MemoryUsage, Reservation};
use crate::engine::outcome::scope;

/// The rule of a level for one column, in one byte: none, inherit, deny, or allow with a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule(u8);

impl Rule {
    pub(crate) const NONE: Self = Self(0);
    const INHERIT: Self = Self(1);
    const DENY: Self = Self(2);
    /// The bit flag of an allow rule. The two lowest bits of the rule contain the allowed scope. For views, the scope
    /// is always `any`, the widest scope.
    const ALLOW: u8 = 4;

    const fn view(state: ViewState) -> Self {
        match state {
            ViewState::Allow => Self(Self::ALLOW | Scope::Any as u8),
            ViewState::Deny => Self::DENY,
            ViewState::Inherit => Self::INHERIT,
        }
    }

    const fn feature(rule: FeatureRule) -> Self {
        if rule.value { Self(Self::ALLOW | rule.scope as u8) } else { Self::DENY }
    }

    pub(crate) fn is_deny(self) -> bool {
        self == Self::DENY
    }

    const fn allows(self) -> Option<Scope> {
        if self.0 & Self::ALLOW == 0 { None } else { Some(scope(self.0)) }
    }

    /// Returns the allowed scope, limited to `max`.
    pub(crate) fn allows_within(self, max: Scope) -> Option<Scope> {
        self.allows().map(|scope| scope.min(max))
    }

    fn as_view_state(self) -> Option<ViewState> {
        match self {
            Self::NONE => None,
            Self::INHERIT => Some(ViewState::Inherit),
            Self::DENY => Some(ViewState::Deny),
            _ => Some(ViewState::Allow),
        }
    }

    fn as_feature_rule(self) -> Option<FeatureRule> {
        match self {
            Self::NONE | Self::INHERIT => None,
            // A deny rule applies regardless of its scope, so any scope may be returned.
            Self::DENY => Some(FeatureRule { value: false, scope: Scope::Own }),
            allow => allow.allows().map(|scope| FeatureRule { value: true, scope }),
        }
    }
}

/// The rules of one level, one for each view and each action of the catalog. All compiled sets that include the level
/// share them.
#[derive(Debug)]
pub(crate) struct LevelRules {
    level: UserLevelId,
    index: Arc<CatalogIndex>,
    rules: Box<[Rule]>,
    /// `true` if the level has rules for actions that the catalog does not list. Such rules do not affect decisions.
    has_unlisted: bool,
    _reservation: Reservation,
}

impl LevelRules {
    pub(crate) fn new(index: &Arc<CatalogIndex>, level: &LevelPermissions, memory: &MemoryUsage) -> Self {
        let mut rules = vec![Rule::NONE; index.columns()];
        let mut put = |column: Column, rule| {
            if let Some(slot) = rules.get_mut(column.get()) {
                *slot = rule;
            }
        };
        for (view, state) in &level.views {
            if let Some(column) = index.view_by_id(*view) {
                put(column, Rule::view(*state));
            }
        }
        let mut has_unlisted = false;
        for (feature, rules) in &level.features {
            let Some(columns) = index.feature_by_id(*feature) else { continue };
            for (action, rule) in rules {
                match columns.column(action.as_str()) {
                    Some(column) => put(column, Rule::feature(*rule)),
                    None => has_unlisted = true,
                }
            }
        }
        Self::reserved(level.level, Arc::clone(index), rules, has_unlisted, memory)
    }

    fn reserved(
        level: UserLevelId,
        index: Arc<CatalogIndex>,
        rules: Vec<Rule>,
        has_unlisted: bool,
        memory: &MemoryUsage,
    ) -> Self {
        let bytes = size_of::<Self>() + rules.len();
        Self { level, index, rules: rules.into(), has_unlisted, _reservation: memory.reserve(bytes) }
    }

    pub(crate) const fn level(&self) -> UserLevelId {
        self.level
    }

    pub(crate) fn is_of(&self, index: &Arc<CatalogIndex>) -> bool {
        Arc::ptr_eq(&self.index, index)
    }

    /// Maps the rules to the columns of a newer catalog index. Returns `None` if the rules must be loaded again:
    ///
    /// * A view or feature was deleted and recreated with the same id, so its rules may have been deleted.
    /// * A feature was changed, and the level has rules for one of its custom actions, which may have been deleted.
    /// * The level has rules for actions that the old catalog did not list, and that the new catalog may list.
    pub(crate) fn translated(&self, index: &Arc<CatalogIndex>, memory: &MemoryUsage) -> Option<Self> {
        if self.has_unlisted {
            return None;
        }
        let mut rules = vec![Rule::NONE; index.columns()];
        let mut carry = |from: Column, to: Column| {
            let rule = self.rule(from);
            if let Some(slot) = rules.get_mut(to.get()) {
                *slot = rule;
            }
        };
        for (column, view) in index.views() {
            let Some(old) = self.index.view_by_id(view.id) else { continue };
            if self.index.catalog.view(view.id)?.created_at != view.created_at {
                return None;
            }
            carry(old, column);
        }
        for (columns, feature) in index.features() {
            let Some(old_columns) = self.index.feature_by_id(feature.id) else { continue };
            let old = self.index.catalog.feature(feature.id)?;
            if old.created_at != feature.created_at {
                return None;
            }
            for (action, column) in old_columns.columns() {
                let is_standard = Action::STANDARD.contains(&action);
                if !is_standard && self.rule(column) != Rule::NONE && old.updated_at != feature.updated_at {
                    return None;
                }
                if let Some(new) = columns.column(action) {
                    carry(column, new);
                }
            }
        }
        Some(Self::reserved(self.level, Arc::clone(index), rules, false, memory))
    }

    pub(crate) fn rule(&self, column: Column) -> Rule {
        self.rules.get(column.get()).copied().unwrap_or(Rule::NONE)
    }

    /// Converts the rules into the type of the reference implementation (`iam-domain`). Rules for actions that the
    /// catalog does not list are omitted.
    pub(crate) fn to_snapshot(&self) -> LevelPermissions {
        let views = self.index.views().filter_map(|(column, view)| Some((view.id, self.rule(column).as_view_state()?)));
        let listed = self.index.features().flat_map(|(columns, feature)| {
            columns.columns().filter_map(|(action, column)| {
                Some((feature.id, Action::stored(action).ok()?, self.rule(column).as_feature_rule()?))
            })
        });
        LevelPermissions::new(self.level, views, listed)
    }
}
