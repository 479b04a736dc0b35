//! Checks against privilege escalation and lockout, for a change that has been applied but not committed.
//!
//! Callers can grant only the permissions that they hold. Callers without Approve cannot revoke the administrative
//! permissions of other users. A change must not remove the last user who holds an essential right.
//!
//! The unit of work holds the lock on the company, so the change is the only difference between the permissions before
//! and after it. The checks read only the levels that the change touches, and only if the result depends on them.

use std::collections::BTreeSet;

use iam_domain::escalation::{Cell, Grant, LevelChange, OtherReaches};
use iam_domain::{
    Caller, Catalog, CompanyId, EssentialRight, FeatureId, IamAction, IamPermission, LevelPermissions, Snapshot, UserId,
};
use iam_storage::UnitOfWork;

use super::lasting::OwnPermissions;
use crate::failure::list_names;
use crate::levels_change::{distinct, load_levels, restricted};
use crate::{Change, Effect, Failure, FieldCode, FieldError, LevelsChange};

/// Returns `true` if the caller forces the change. A forced change may leave the company without a user who holds an
/// essential right. Only super admins can force a change.
pub(crate) fn is_forced_by<C: Change>(caller: Caller, change: &C) -> bool {
    caller.is_super_admin() && change.is_forced()
}

/// The escalation checks for one change.
pub(crate) struct EscalationGuard {
    company: CompanyId,
    caller: Caller,
    /// The caller's lasting permissions before the change. Empty if the authorization of the caller does not depend on
    /// levels.
    own: Snapshot,
    /// `true` if no assignment of the company starts or ends later.
    are_constant: bool,
    /// `true` if the caller can grant only the permissions that the caller holds, and cannot revoke the administrative
    /// permissions of other users.
    is_limited: bool,
    is_forced: bool,
}

impl EscalationGuard {
    /// Creates the guard for a change by this caller. `own` contains the caller's permissions before the change. It is
    /// `None` if the authorization of the caller did not depend on levels.
    pub(crate) fn new(company: CompanyId, caller: Caller, own: Option<OwnPermissions>, is_forced: bool) -> Self {
        let (own, are_constant) = own.map(|own| (own.lasting, own.are_constant)).unwrap_or_default();
        // A service is authorized by the role of its key. It holds no levels that could limit its grants.
        let is_limited = matches!(caller, Caller::User { is_super_admin: false, .. })
            && !IamPermission::AssignPermissions.is_held(IamAction::Approve, &own);
        Self { company, caller, own, are_constant, is_limited, is_forced }
    }

    /// Checks a change that has been applied.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::ForbiddenChange`] with the granted permissions that the caller does not hold, or with the
    /// permissions of other users that the caller may not revoke. Returns [`Failure::Conflict`] if the company would
    /// have no user left who holds an essential right.
    pub(crate) async fn check(&self, tx: &dyn UnitOfWork, effect: Effect<'_>) -> Result<(), Failure> {
        match effect {
            Effect::None => Ok(()),
            Effect::Matrix { field, change } => self.check_matrix(tx, field, change).await,
            Effect::Levels(changes) => self.check_levels(tx, changes).await,
        }
    }

    async fn check_matrix(
        &self,
        tx: &dyn UnitOfWork,
        field: &'static str,
        change: &LevelChange,
    ) -> Result<(), Failure> {
        let catalog = &self.own.catalog;
        // The catalog of callers without levels is empty. All features then count as reserved.
        let mut reduced = change.reduced();
        reduced.retain(|cell| cell.is_reserved(catalog));
        if self.is_limited {
            let others = self.other_reaches(tx, change, &change.denies_removed(), None).await?;
            let granted = change.granted_beyond(&others, catalog, &self.own.levels);
            refuse_grants(catalog, granted.into_iter().map(|grant| (field, grant)))?;
            let others = self.other_reaches(tx, change, &reduced, self.caller.user_id()).await?;
            let revoked = change.revoked(&others);
            refuse_revocations(catalog, revoked.into_iter().map(|grant| (field, grant)))?;
        }
        let is_own = self.own.levels.iter().any(|held| held.level == change.level());
        if reduced.is_empty() || self.retains_rights(is_own) {
            return Ok(());
        }
        for right in self.rights_without_holder(tx).await? {
            if self.has_holder(tx, &[right], Some(&change.before)).await? {
                return Err(lost(right));
            }
        }
        Ok(())
    }

    async fn check_levels(&self, tx: &dyn UnitOfWork, changes: &[LevelsChange]) -> Result<(), Failure> {
        if self.is_limited {
            self.check_limited(tx, changes).await?;
        }
        let reductions: Vec<_> = changes.iter().filter(|change| change.is_reduction()).collect();
        if reductions.is_empty() || self.retains_rights(reductions.iter().any(|change| self.is_own(change))) {
            return Ok(());
        }
        let without_holder = self.rights_without_holder(tx).await?;
        if !without_holder.is_empty() {
            let loaded = load_levels(tx, self.company, &reductions).await?;
            let before: BTreeSet<_> = reductions.iter().map(|change| &change.before).collect();
            let held: Vec<_> = before.into_iter().map(|held| restricted(&loaded, held)).collect();
            let is_lost = |right: &EssentialRight| held.iter().any(|before| right.is_held(before));
            if let Some(right) = without_holder.into_iter().find(is_lost) {
                return Err(lost(right));
            }
        }
        Ok(())
    }

    /// Checks the grants and the revocations of a limited caller.
    async fn check_limited(&self, tx: &dyn UnitOfWork, changes: &[LevelsChange]) -> Result<(), Failure> {
        let changes: Vec<_> = changes.iter().filter(|change| change.before != change.after).collect();
        if changes.is_empty() {
            return Ok(());
        }
        let loaded = load_levels(tx, self.company, &changes).await?;
        let catalog = &loaded.catalog;
        let (mut granted, mut revoked) = (BTreeSet::new(), BTreeSet::new());
        for (permissions, changes) in distinct(&loaded, &changes) {
            for grant in permissions.granted_beyond(catalog, &self.own.levels) {
                granted.extend(changes.iter().map(|change| (change.granting_field(), grant.clone())));
            }
            let others: Vec<_> = changes.into_iter().filter(|change| !self.is_own(change)).collect();
            if !others.is_empty() {
                for grant in permissions.reserved_revoked(catalog) {
                    revoked.extend(others.iter().map(|change| (change.revoking_field(), grant.clone())));
                }
            }
        }
        refuse_grants(catalog, granted)?;
        refuse_revocations(catalog, revoked)
    }

    /// Returns `true` if the change affects the levels of the caller.
    fn is_own(&self, change: &LevelsChange) -> bool {
        self.caller.user_id() == Some(change.user)
    }

    /// Returns what the other levels of the users who hold the changed level say about these cells. Reads nothing if
    /// there are no cells.
    async fn other_reaches(
        &self,
        tx: &dyn UnitOfWork,
        change: &LevelChange,
        cells: &BTreeSet<Cell>,
        without: Option<UserId>,
    ) -> Result<OtherReaches, Failure> {
        if cells.is_empty() {
            return Ok(OtherReaches::new());
        }
        Ok(tx.snapshots().load_other_rules(self.company, change.level(), cells, without).await?.value.reaches)
    }

    /// Returns `true` if the change cannot remove the last holder of an essential right, or if it is forced. If the
    /// change does not affect the caller's own permissions (`is_own`), the rights that the caller holds remain held.
    /// Limited callers have not revoked such a right from another user either. Neither is certain if assignments start
    /// or end later: a deny may be assigned to the caller from a later time on.
    fn retains_rights(&self, is_own: bool) -> bool {
        let holds_all = || EssentialRight::ALL.into_iter().all(|right| right.is_held(&self.own));
        self.is_forced || (self.are_constant && !is_own && (self.is_limited || holds_all()))
    }

    /// Returns the essential rights that no user of the company holds after the change.
    async fn rights_without_holder(&self, tx: &dyn UnitOfWork) -> Result<Vec<EssentialRight>, Failure> {
        let mut without_holder = Vec::new();
        // Usually one user holds all essential rights. Fewer users hold Approve, so the search begins with it.
        if !self.has_holder(tx, &[EssentialRight::Approve, EssentialRight::Administer], None).await? {
            for right in EssentialRight::ALL {
                if !self.has_holder(tx, &[right], None).await? {
                    without_holder.push(right);
                }
            }
        }
        Ok(without_holder)
    }

    /// Returns `true` if a user of the company holds all these rights. The level of `assumed` is evaluated with these
    /// rules. The service's own features are always enabled, and no module gates them.
    async fn has_holder(
        &self,
        tx: &dyn UnitOfWork,
        rights: &[EssentialRight],
        assumed: Option<&LevelPermissions>,
    ) -> Result<bool, Failure> {
        let actions: Vec<_> = rights.iter().flat_map(|right| right.actions()).collect();
        Ok(tx.assignments().find_holder(self.company, &actions, assumed).await?.is_some())
    }
}

/// Refuses a change that grants these permissions, which the caller does not hold. Each permission is given with the
/// field of the request that grants it.
fn refuse_grants(catalog: &Catalog, missing: impl IntoIterator<Item = (&'static str, Grant)>) -> Result<(), Failure> {
    let reason = "would grant a permission you do not hold";
    refuse(catalog, missing, "You cannot grant what you do not hold", |field, name| {
        FieldError::new(field, FieldCode::NotHeld, format_args!("{reason}: {name}"))
    })
}

/// Refuses a change that revokes these permissions of other users, which the caller may not revoke. Each permission is
/// given with the field of the request that revokes it.
fn refuse_revocations(
    catalog: &Catalog,
    revoked: impl IntoIterator<Item = (&'static str, Grant)>,
) -> Result<(), Failure> {
    let reason = "would revoke an administrative permission of another user";
    refuse(catalog, revoked, "You cannot revoke administrative permissions of other users", |field, name| {
        FieldError::new(field, FieldCode::Protected, format_args!("{reason}: {name}"))
    })
}

fn refuse(
    catalog: &Catalog,
    grants: impl IntoIterator<Item = (&'static str, Grant)>,
    message: &str,
    finding: impl Fn(&'static str, &str) -> FieldError,
) -> Result<(), Failure> {
    let named: Vec<_> = grants.into_iter().map(|(field, grant)| (field, grant_name(catalog, &grant))).collect();
    if named.is_empty() {
        return Ok(());
    }
    let errors = FieldError::bounded(named.iter().map(|(field, name)| finding(field, name)));
    let names: Vec<_> = named.into_iter().map(|(_, name)| name).collect();
    Err(Failure::ForbiddenChange { errors, message: format!("{message}: {}", list_names(&names)) })
}

/// Creates the failure for a change after which no user of the company holds the right.
fn lost(right: EssentialRight) -> Failure {
    Failure::Conflict(match right {
        EssentialRight::Administer => "The company would be left without an administrator".to_owned(),
        EssentialRight::Approve => {
            let key = IamPermission::AssignPermissions.key();
            format!("The company would be left without a user who holds {key}/{}", IamAction::Approve.action())
        }
    })
}

/// Returns the human-readable name of a permission: the URL of a view, or the key of a feature with the action and the
/// scope.
fn grant_name(catalog: &Catalog, grant: &Grant) -> String {
    match grant {
        Grant::View(view) => catalog.view(*view).map_or_else(|| view.to_string(), |view| view.url.to_string()),
        Grant::Action { feature, action, scope } => {
            format!("{}/{action} ({scope})", feature_name(catalog, *feature))
        }
    }
}

fn feature_name(catalog: &Catalog, feature: FeatureId) -> String {
    let key = catalog.feature(feature).and_then(|feature| feature.key.as_ref());
    key.map_or_else(|| feature.to_string(), ToString::to_string)
}
