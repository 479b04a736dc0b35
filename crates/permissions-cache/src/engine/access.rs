//! The access of a subject: its resolved permissions in a company, from one consistent snapshot. Checks, explanations,
//! effective permissions and navigation are all derived from it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use iam_domain::{
    Action, Catalog, CompanyStatus, Decision, Explanation, FeatureId, IamAction, IamPermission, Reason, Scope,
    UserLevelId, Versions, ViewId,
};

use crate::engine::compiled::{CellRef, CompiledSet};
use crate::engine::entitlements::Entitlements;
use crate::engine::index::FeatureColumns;
use crate::engine::outcome::Outcome;
use crate::{ActionPermission, AvailableCatalog, Check, EffectivePermissions, EffectivePermissionsByKey, Subject};

/// The access of a subject: its resolved permissions in a company. It comes from one consistent snapshot of the
/// database, is immutable, and is cheap to clone.
#[derive(Debug, Clone)]
pub struct Access {
    set: Arc<CompiledSet>,
    subject: Subject,
    age: Option<Duration>,
}

/// Identifies the decisions of an access, for use as a cache key. Two accesses with equal ids make the same decision
/// for every check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AccessId {
    set: u64,
    is_super_admin: bool,
}

impl Access {
    pub(crate) const fn new(set: Arc<CompiledSet>, subject: Subject, age: Option<Duration>) -> Self {
        Self { set, subject, age }
    }

    /// Returns the subject whose permissions this access contains.
    #[must_use]
    pub const fn subject(&self) -> Subject {
        self.subject
    }

    /// Returns the versions at which the access was resolved. For non-members, the company version is 0.
    #[must_use]
    pub fn versions(&self) -> Versions {
        let versions = self.set.versions;
        // The response to a non-member must not depend on the data or the version of the company.
        if self.is_non_member() { Versions { company: 0, boundary: 0, ..versions } } else { versions }
    }

    /// Returns the time since the access was last confirmed to be up to date, if the access was served from the cache
    /// during an outage of the database. Otherwise returns `None`.
    #[must_use]
    pub const fn age(&self) -> Option<Duration> {
        self.age
    }

    /// Returns the id of the decisions that this access makes. Within a process, an id is never reused for other
    /// decisions.
    #[must_use]
    pub fn id(&self) -> AccessId {
        AccessId { set: self.set.id, is_super_admin: matches!(self.subject, Subject::SuperAdmin(_)) }
    }

    /// Returns `true` if the subject is neither a member of the company nor a super admin.
    #[must_use]
    pub fn is_non_member(&self) -> bool {
        is_non_member(&self.set, self.subject)
    }

    /// Returns `true` if the subject holds a level in the company.
    #[must_use]
    pub fn is_member(&self) -> bool {
        self.set.has_levels()
    }

    /// Returns the status of the company.
    #[must_use]
    pub fn company_status(&self) -> CompanyStatus {
        self.set.status()
    }

    /// Returns `true` if the subject is a user whose company is suspended. Every decision about this user is a denial.
    pub(crate) fn is_suspended(&self) -> bool {
        matches!(self.subject, Subject::User(_)) && self.set.is_suspended()
    }

    /// Decides whether the subject may see the view or perform the action. Allocates no memory.
    #[must_use]
    pub fn decide<'a>(&'a self, check: &'a Check) -> Verdict<'a> {
        decide(&self.set, self.subject, check)
    }

    /// Decides a check, and returns the decision in the type of the reference implementation (`iam-domain`).
    #[must_use]
    pub fn check(&self, check: &Check) -> Decision {
        let verdict = self.decide(check);
        let Outcome { allowed, scope, reason } = verdict.outcome;
        Decision { allowed, scope, reason, decided_by: verdict.decided_by().collect() }
    }

    /// Returns `true` if the levels of the subject allow this action on one of the service's own permissions (`iam.*`)
    /// with scope `company` or `any`.
    #[must_use]
    pub fn holds(&self, permission: IamPermission, action: IamAction) -> bool {
        let action = action.action();
        let column =
            self.set.index.feature_by_key(permission.key()).and_then(|feature| feature.column(action.as_str()));
        column.is_some_and(|column| {
            let outcome = self.set.outcome(CellRef::Action(column));
            IamPermission::suffices(outcome.allowed, outcome.scope)
        })
    }

    /// Explains the decision for a check. The explanation comes from the same snapshot as the decision.
    #[must_use]
    pub fn explain(&self, check: &Check) -> Explanation {
        let bare = |view, feature| Explanation {
            decision: self.check(check),
            view,
            feature,
            gate: Vec::new(),
            ceiling: None,
            levels: Vec::new(),
            suggestion: Vec::new(),
        };
        // An explanation must not disclose to a non-member which views and features exist.
        if self.is_non_member() {
            return bare(None, None);
        }
        // No rule of the company applies to a super admin.
        let has_rules = !matches!(self.subject, Subject::SuperAdmin(_));
        let index = &self.set.index;
        match check {
            Check::View(view) => match index.view(view).and_then(|column| index.view_in(column)) {
                Some(id) if has_rules => self.set.to_snapshot().explain_view(id),
                view => bare(view, None),
            },
            Check::Feature { feature, action, least_scope } => match index.feature(feature).map(|columns| columns.id) {
                Some(id) if has_rules => {
                    self.set.to_snapshot().explain_feature(id, action, least_scope.unwrap_or(Scope::Own))
                }
                feature => bare(None, feature),
            },
        }
    }

    /// Returns the effective permissions of the subject: a decision for every view and for every listed action of every
    /// feature.
    #[must_use]
    pub fn effective(&self) -> EffectivePermissions {
        let index = &self.set.index;
        let views = index.views().map(|(_, view)| (view.id, self.sees(view.id))).collect();
        let features = index.features().map(|(columns, feature)| {
            let actions = self.set.listed_actions(columns, feature).into_iter().filter_map(|(name, cell)| {
                let outcome = self.act(cell);
                let scope = outcome.scope.unwrap_or(Scope::Own);
                Some((Action::stored(name).ok()?, ActionPermission { allowed: outcome.allowed, scope }))
            });
            (feature.id, actions.collect::<BTreeMap<_, _>>())
        });
        EffectivePermissions { views, features: features.collect() }
    }

    /// Returns the effective permissions of the subject, keyed by view URL and feature key.
    #[must_use]
    pub fn effective_by_key(&self) -> EffectivePermissionsByKey {
        let catalog = &self.set.index.catalog;
        let EffectivePermissions { views, features } = self.effective();
        let url = |id| catalog.view(id).map_or_else(|| id.to_string(), |view| view.url.to_string());
        let key = |id| {
            let key = catalog.feature(id).and_then(|feature| feature.key.as_ref());
            key.map_or_else(|| id.to_string(), ToString::to_string)
        };
        EffectivePermissionsByKey {
            views: views.into_iter().map(|(id, is_allowed)| (url(id), is_allowed)).collect(),
            features: features.into_iter().map(|(id, actions)| (key(id), actions)).collect(),
        }
    }

    /// Returns the catalog from which the access was resolved.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.set.index.catalog
    }

    /// Returns the part of the catalog that is available in the company. Empty if the subject is a user and the company
    /// is suspended.
    #[must_use]
    pub fn available_catalog(&self) -> AvailableCatalog {
        if self.is_suspended() {
            return AvailableCatalog { views: Vec::new(), features: Vec::new() };
        }
        let catalog = &self.set.index.catalog;
        let Entitlements { modules, ceilings, .. } = &**self.set.entitlements();
        let views = catalog.views().filter(|view| catalog.is_view_open(view.id, modules));
        let views = views.filter(|view| !view.requires_auth || !ceilings.hides(view.id));
        let features =
            catalog.features().filter(|feature| feature.enabled && catalog.is_feature_open(feature.id, modules));
        let mut available = AvailableCatalog::of(views, features);
        for feature in &mut available.features {
            feature.actions.retain(|action| ceilings.max_scope(feature.id, action).is_some());
        }
        available.features.retain(|feature| !feature.actions.is_empty());
        available
    }

    /// Returns `true` if the view exists and the subject may see it.
    pub(crate) fn sees(&self, view: ViewId) -> bool {
        match self.subject {
            Subject::SuperAdmin(_) => self.set.index.view_by_id(view).is_some(),
            Subject::Service => false,
            Subject::User(_) if !self.set.has_levels() => false,
            Subject::User(_) => self.set.index.view_by_id(view).is_some_and(|column| self.set.sees(column)),
        }
    }

    /// Returns `true` if the feature exists and the subject may `Read` it.
    pub(crate) fn reads(&self, feature: FeatureId) -> bool {
        self.set.index.feature_by_id(feature).is_some_and(|columns| self.reads_in(columns))
    }

    /// Returns `true` if a feature with this key exists and the subject may `Read` it. An unknown key is denied, even
    /// to a super admin.
    pub(crate) fn reads_key(&self, key: &str) -> bool {
        self.set.index.feature_by_key(key).is_some_and(|columns| self.reads_in(columns))
    }

    fn reads_in(&self, columns: &FeatureColumns) -> bool {
        columns.column("Read").is_some_and(|column| self.act(CellRef::Action(column)).allowed)
    }

    fn act(&self, cell: CellRef) -> Outcome {
        match self.subject {
            Subject::SuperAdmin(_) => Outcome { allowed: true, scope: Some(Scope::Any), reason: Reason::SuperAdmin },
            Subject::Service => Outcome::denied_action(Reason::NoUserLevels),
            Subject::User(_) if !self.set.has_levels() => Outcome::denied_action(Reason::NoUserLevels),
            Subject::User(_) => self.set.outcome(cell),
        }
    }

    pub(crate) const fn set(&self) -> &Arc<CompiledSet> {
        &self.set
    }
}

pub(crate) const fn is_non_member(set: &CompiledSet, subject: Subject) -> bool {
    match subject {
        Subject::User(_) => !set.has_levels(),
        Subject::SuperAdmin(_) => false,
        Subject::Service => true,
    }
}

/// Returns the cell of the compiled set that determines the decision for a check. If the view, the feature or the
/// action does not exist, returns the outcome as the error.
fn find(set: &CompiledSet, check: &Check) -> Result<CellRef, Outcome> {
    match check {
        Check::View(view) => {
            set.index.view(view).map(CellRef::View).ok_or(Outcome::of_view(false, Reason::UnknownView))
        }
        Check::Feature { feature, action, .. } => {
            let feature = set.index.feature(feature).ok_or(Outcome::denied_action(Reason::UnknownFeature))?;
            let column = feature.column(action.as_str()).ok_or(Outcome::denied_action(Reason::UnknownAction))?;
            Ok(CellRef::Action(column))
        }
    }
}

/// Decides a check from a compiled set.
#[inline]
pub(crate) fn decide<'a>(set: &'a CompiledSet, subject: Subject, check: &'a Check) -> Verdict<'a> {
    let is_view = matches!(check, Check::View(_));
    let by_no_level = |outcome| Verdict { outcome, deciders: Deciders::Listed(&[]) };
    if is_non_member(set, subject) {
        return by_no_level(if is_view {
            Outcome::of_view(false, Reason::NoUserLevels)
        } else {
            Outcome::denied_action(Reason::NoUserLevels)
        });
    }
    let cell = match find(set, check) {
        Ok(cell) => cell,
        // A suspended company denies everything for the same reason, even what does not exist.
        Err(unknown) => match subject {
            Subject::User(_) if set.is_suspended() => {
                return by_no_level(Outcome { reason: Reason::CompanySuspended, ..unknown });
            }
            _ => return by_no_level(unknown),
        },
    };
    let outcome = match (subject, check) {
        (Subject::SuperAdmin(_), _) => {
            let scope = (!is_view).then_some(Scope::Any);
            return by_no_level(Outcome { allowed: true, scope, reason: Reason::SuperAdmin });
        }
        (_, Check::Feature { least_scope: Some(least), .. }) if set.is_limited_below(cell, *least) => {
            return by_no_level(Outcome::denied_action(Reason::CompanyCeiling));
        }
        (_, Check::Feature { least_scope: Some(least), .. }) => set.outcome(cell).reaching(*least),
        _ => set.outcome(cell),
    };
    Verdict { outcome, deciders: Deciders::Of(set, cell) }
}

/// The outcome of a decision, with the levels that determined it.
#[derive(Debug, Clone, Copy)]
pub struct Verdict<'a> {
    /// The outcome of the decision.
    pub outcome: Outcome,
    deciders: Deciders<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Deciders<'a> {
    /// The levels that determined the decision for a cell of a compiled set. They are computed on demand.
    Of(&'a CompiledSet, CellRef),
    Listed(&'a [UserLevelId]),
}

impl<'a> Verdict<'a> {
    /// Creates a verdict with this outcome. The levels in `decided_by` determined it. The ids of the levels must be in
    /// ascending order.
    #[must_use]
    pub const fn of(outcome: Outcome, decided_by: &'a [UserLevelId]) -> Self {
        Self { outcome, deciders: Deciders::Listed(decided_by) }
    }

    /// Returns the ids of the levels that determined the outcome, in ascending order.
    pub fn decided_by(&self) -> impl Iterator<Item = UserLevelId> + 'a {
        let (of_cell, listed) = match self.deciders {
            Deciders::Of(set, cell) => (Some(set.decided_by(cell)), None),
            Deciders::Listed(levels) => (None, Some(levels.iter().copied())),
        };
        of_cell.into_iter().flatten().chain(listed.into_iter().flatten())
    }
}
