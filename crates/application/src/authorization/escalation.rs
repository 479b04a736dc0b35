//! Checks against privilege escalation and lockout: callers can grant only the permissions that they hold, and a change
//! must not remove the last administrator of a company.
//!
//! Both checks compare the company's permissions before and after the change. The unit of work reads both while it
//! holds the lock on the company.

use iam_domain::escalation::{Grant, administrator_permissions, not_held};
use iam_domain::{
    Caller, Catalog, CompanyId, CompanySnapshot, FeatureId, IamAction, IamPermission, Snapshot, UserLevelId,
};
use iam_storage::UnitOfWork;

use crate::failure::list_names;
use crate::{Affects, Change, Failure, FieldCode, FieldError};

impl Affects {
    /// Returns the name of the request field that contains the granted permissions.
    const fn field(self) -> &'static str {
        match self {
            Self::None => "body",
            Self::Views(_) => "views",
            Self::Features(_) => "features",
            Self::LevelsOf(_) => "userLevelIds",
        }
    }

    /// Returns `true` if the change can cause users to lose their administrator permissions.
    const fn may_demote(self) -> bool {
        matches!(self, Self::Features(_) | Self::LevelsOf(_))
    }

    /// Returns `true` if the change affects the permissions of the caller.
    fn includes(self, caller: Caller, own: &Snapshot) -> bool {
        match self {
            Self::None => false,
            Self::Views(level) | Self::Features(level) => own.levels.iter().any(|held| held.level == level),
            Self::LevelsOf(user) => caller.user_id() == Some(user),
        }
    }

    /// Returns `true` if the company has administrators and the change could demote all of them.
    fn includes_all_administrators(self, before: &CompanySnapshot) -> bool {
        let mut sets = before.administrator_level_sets().peekable();
        sets.peek().is_some()
            && match self {
                Self::None => false,
                Self::Views(level) | Self::Features(level) => sets.all(|set| set.contains(&level)),
                Self::LevelsOf(_) => true,
            }
    }

    /// Creates the failure for a change that grants permissions that the caller does not hold. It lists these
    /// permissions.
    fn forbidden_grants(self, catalog: &Catalog, missing: &[Grant]) -> Failure {
        let names: Vec<_> = missing.iter().map(|grant| grant_name(catalog, grant)).collect();
        let findings = names.iter().map(|name| {
            FieldError::new(
                self.field(),
                FieldCode::NotHeld,
                format_args!("would grant a permission you do not hold: {name}"),
            )
        });
        Failure::ForbiddenChange {
            errors: FieldError::bounded(findings),
            message: format!("You cannot grant what you do not hold: {}", list_names(&names)),
        }
    }

    /// Returns the same result as [`Self::includes_all_administrators`], but loads less data. If the change affects a
    /// feature matrix, the whole company is loaded only if [`has_administrator`] finds no administrator. If the change
    /// affects the levels of a user, the user is loaded only if the user may be an administrator.
    async fn could_demote_all_administrators(self, tx: &dyn UnitOfWork, company: CompanyId) -> Result<bool, Failure> {
        if let Self::LevelsOf(user) = self
            && !tx.assignments().is_holder(company, user, &administrator_permissions().collect::<Vec<_>>()).await?
        {
            return Ok(false);
        }
        if let Self::Features(level) = self {
            if has_administrator(tx, company, Some(level)).await? {
                return Ok(false);
            }
            if has_administrator(tx, company, None).await? {
                return Ok(true);
            }
        }
        Ok(self.includes_all_administrators(&self.load(tx, company).await?))
    }

    /// Loads the part of the company that the change can affect. If the change affects the levels of one user, loads
    /// only this user. The result then does not contain other administrators of the company.
    async fn load(self, tx: &dyn UnitOfWork, company: CompanyId) -> Result<CompanySnapshot, Failure> {
        let loaded = match self {
            Self::LevelsOf(user) => tx.snapshots().load_users(company, &[user]).await?,
            Self::None | Self::Views(_) | Self::Features(_) => tx.snapshots().load_company(company).await?,
        };
        Ok(loaded.value)
    }
}

/// Returns `true` if the caller forces the change. A forced change may leave the company without an administrator. Only
/// super admins can force a change.
pub(crate) fn is_forced_by<C: Change>(caller: Caller, change: &C) -> bool {
    caller.is_super_admin() && change.is_forced()
}

/// The escalation checks for one change.
pub(crate) struct EscalationGuard {
    company: CompanyId,
    caller: Caller,
    affects: Affects,
    /// The snapshots of the caller and of the company before the change. `None` if the caller may grant any permission.
    limits: Option<(Snapshot, CompanySnapshot)>,
    /// `true` if the change could remove the last administrator of the company.
    is_at_risk: bool,
}

impl EscalationGuard {
    /// Creates the guard, and loads the company's permissions as they are before the change. `own` is the caller's
    /// snapshot. It is `None` if the authorization of the caller did not depend on levels.
    pub(crate) async fn before(
        tx: &dyn UnitOfWork,
        company: CompanyId,
        caller: Caller,
        own: Option<Snapshot>,
        affects: Affects,
        is_forced: bool,
    ) -> Result<Self, Failure> {
        let own = own.unwrap_or_default();
        // A service is authorized by the role of its key. It holds no levels that could limit its grants.
        let is_limited = matches!(caller, Caller::User { is_super_admin: false, .. })
            && !IamPermission::AssignPermissions.is_held(IamAction::Approve, &own);
        let mut before = None;
        if is_limited {
            before = Some(affects.load(tx, company).await?);
        }
        let is_at_risk = if !affects.may_demote() || is_forced {
            false
        } else if own.is_administrator() {
            affects.includes(caller, &own)
        } else if let Some(before) = &before {
            affects.includes_all_administrators(before)
        } else {
            affects.could_demote_all_administrators(tx, company).await?
        };
        let limits = before.filter(|_| is_limited).map(|before| (own, before));
        Ok(Self { company, caller, affects, limits, is_at_risk })
    }

    /// Checks the company's permissions after the change.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::ForbiddenChange`] with the granted permissions that the caller does not hold. Returns
    /// [`Failure::Conflict`] if the company would have no administrator left.
    pub(crate) async fn after(&self, tx: &dyn UnitOfWork) -> Result<(), Failure> {
        if let Some((own, before)) = &self.limits {
            let after = self.affects.load(tx, self.company).await?;
            let missing = not_held(before, &after, &own.levels);
            if !missing.is_empty() {
                return Err(self.affects.forbidden_grants(&after.catalog, &missing));
            }
        }
        if self.is_at_risk && !self.is_administered(tx).await? {
            return Err(Failure::Conflict("The company would be left without an administrator".to_owned()));
        }
        Ok(())
    }

    /// Returns `true` if the company has an administrator after the change.
    async fn is_administered(&self, tx: &dyn UnitOfWork) -> Result<bool, Failure> {
        // Check the most likely administrator first: usually the affected user or the caller is still an administrator.
        let likely = match (self.affects, self.caller) {
            (Affects::LevelsOf(user), _) => Some(user),
            (_, Caller::User { id, is_super_admin: false }) => Some(id),
            _ => None,
        };
        if let Some(user) = likely
            && tx.snapshots().load_user(self.company, user).await?.value.is_administrator()
        {
            return Ok(true);
        }
        if has_administrator(tx, self.company, None).await? {
            return Ok(true);
        }
        Ok(tx.snapshots().load_company(self.company).await?.value.administrator_level_sets().next().is_some())
    }
}

/// Searches for an administrator of the company who does not hold the level `without`. The search resolves the
/// permissions of only one candidate. If the result is `true`, an administrator exists. If it is `false`, an
/// administrator may still exist.
async fn has_administrator(
    tx: &dyn UnitOfWork,
    company: CompanyId,
    without: Option<UserLevelId>,
) -> Result<bool, Failure> {
    let actions: Vec<_> = administrator_permissions().collect();
    let Some(user) = tx.assignments().find_holder(company, &actions, without).await? else { return Ok(false) };
    Ok(tx.snapshots().load_user(company, user).await?.value.is_administrator())
}

/// Returns the human-readable name of a granted permission: the URL of a view, or the key of a feature with the action
/// and the scope.
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
