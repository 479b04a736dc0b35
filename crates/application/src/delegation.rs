//! Nobody hands on what he does not hold, and no change leaves a company behind that nobody manages.
//!
//! Both are judged from what the unit of work reads before and after the change, when nobody else can change the company.

use iam_domain::escalation::{Grant, not_held, to_manage};
use iam_domain::{
    Caller, Catalog, CompanyId, CompanySnapshot, FeatureId, IamAction, IamPermission, Snapshot, UserId, UserLevelId,
};
use iam_storage::UnitOfWork;

use crate::failure::first_of;
use crate::{Change, Failure, FieldError};

/// Whose permissions a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Affects {
    /// Nobody's.
    None,
    /// A level's view matrix, and so those of whoever holds it.
    Views(UserLevelId),
    /// A level's feature matrix, and so those of whoever holds it.
    Features(UserLevelId),
    /// A user's levels.
    LevelsOf(UserId),
}

impl Affects {
    /// The field of the request that says what is handed on.
    const fn field(self) -> &'static str {
        match self {
            Self::None => "body",
            Self::Views(_) => "views",
            Self::Features(_) => "features",
            Self::LevelsOf(_) => "userLevelIds",
        }
    }

    /// Whether it can change who manages the company.
    const fn may_demote(self) -> bool {
        matches!(self, Self::Features(_) | Self::LevelsOf(_))
    }

    /// Whether it is about the caller too.
    fn includes(self, caller: Caller, own: &Snapshot) -> bool {
        match self {
            Self::None => false,
            Self::Views(level) | Self::Features(level) => own.levels.iter().any(|held| held.level == level),
            Self::LevelsOf(user) => user == caller.id(),
        }
    }

    /// Whether everybody who manages the company, and at least one does, could be demoted.
    fn includes_all_managers(self, before: &CompanySnapshot) -> bool {
        let mut sets = before.managing().peekable();
        sets.peek().is_some()
            && match self {
                Self::None => false,
                Self::Views(level) | Self::Features(level) => sets.all(|set| set.contains(&level)),
                Self::LevelsOf(_) => true,
            }
    }

    /// What was handed on, and is not held.
    fn refuse(self, catalog: &Catalog, missing: &[Grant]) -> Failure {
        let names: Vec<_> = missing.iter().map(|grant| name(catalog, grant)).collect();
        let findings = names.iter().map(|name| {
            FieldError::new(self.field(), "not_held", format_args!("hand on what you do not hold: {name}"))
        });
        Failure::Refused {
            errors: FieldError::bounded(findings),
            message: format!("You cannot hand on what you do not hold: {}", first_of(&names)),
        }
    }

    /// The same as [`Self::includes_all_managers`], without reading the holders of all levels if a manager of the company is
    /// found, and without reading the matrices of a user who is none. What is found is resolved; only then it counts.
    async fn could_demote_all_managers(self, tx: &dyn UnitOfWork, company: CompanyId) -> Result<bool, Failure> {
        if let Self::LevelsOf(user) = self
            && !tx.assignments().is_holder(company, user, &to_manage().collect::<Vec<_>>()).await?
        {
            return Ok(false);
        }
        if let Self::Features(level) = self {
            if has_manager(tx, company, Some(level)).await? {
                return Ok(false);
            }
            if has_manager(tx, company, None).await? {
                return Ok(true);
            }
        }
        Ok(self.includes_all_managers(&self.load(tx, company).await?))
    }

    /// All that it can change of the company: of a user's levels only those, whose holder may or may not be the only one
    /// who manages.
    async fn load(self, tx: &dyn UnitOfWork, company: CompanyId) -> Result<CompanySnapshot, Failure> {
        let loaded = match self {
            Self::LevelsOf(user) => tx.snapshots().load_users(company, &[user]).await?,
            Self::None | Self::Views(_) | Self::Features(_) => tx.snapshots().load_company(company).await?,
        };
        Ok(loaded.value)
    }
}

/// Whether the change may leave a company that nobody manages: a super admin says so.
pub(crate) fn forces<C: Change>(caller: Caller, change: &C) -> bool {
    caller.is_super_admin() && change.is_forced()
}

/// What must hold when a change is made.
pub(crate) struct EscalationGuard {
    company: CompanyId,
    caller: Caller,
    affects: Affects,
    /// What the caller holds, and what was so before: there if he may hand on that only.
    limits: Option<(Snapshot, CompanySnapshot)>,
    /// Whether the change could take the last one who manages.
    is_at_risk: bool,
}

impl EscalationGuard {
    /// Looks at what is so before the change. `own` is what the caller's levels say, if he was admitted because of them.
    pub(crate) async fn before<C: Change>(
        tx: &dyn UnitOfWork,
        company: CompanyId,
        caller: Caller,
        own: Option<Snapshot>,
        change: &C,
    ) -> Result<Self, Failure> {
        let affects = change.affects();
        let own = own.unwrap_or_default();
        // What a service may do is said by its key's role, which met the requirement: it holds no levels to be limited to.
        let is_limited = matches!(caller, Caller::User { is_super_admin: false, .. })
            && !IamPermission::AssignPermissions.is_held(IamAction::Approve, &own);
        let mut before = None;
        if is_limited {
            before = Some(affects.load(tx, company).await?);
        }
        let is_at_risk = if !affects.may_demote() || forces(caller, change) {
            false
        } else if own.manages() {
            affects.includes(caller, &own)
        } else if let Some(before) = &before {
            affects.includes_all_managers(before)
        } else {
            affects.could_demote_all_managers(tx, company).await?
        };
        let limits = before.filter(|_| is_limited).map(|before| (own, before));
        Ok(Self { company, caller, affects, limits, is_at_risk })
    }

    /// Judges what is so after the change.
    ///
    /// # Errors
    ///
    /// `Refused`, with what was handed on and is not held; `Conflict` if nobody manages the company any more.
    pub(crate) async fn after(&self, tx: &dyn UnitOfWork) -> Result<(), Failure> {
        if let Some((own, before)) = &self.limits {
            let after = self.affects.load(tx, self.company).await?;
            let missing = not_held(before, &after, &own.levels);
            if !missing.is_empty() {
                return Err(self.affects.refuse(&after.catalog, &missing));
            }
        }
        if self.is_at_risk && !self.is_managed(tx).await? {
            return Err(Failure::Conflict(
                "Nobody could manage the user levels and permissions of this company any more".to_owned(),
            ));
        }
        Ok(())
    }

    async fn is_managed(&self, tx: &dyn UnitOfWork) -> Result<bool, Failure> {
        // Mostly whoever could be the last one keeps it.
        let likely = match (self.affects, self.caller) {
            (Affects::LevelsOf(user), _) => Some(user),
            (_, Caller::User { id, is_super_admin: false }) => Some(id),
            _ => None,
        };
        if let Some(user) = likely
            && tx.snapshots().load_user(self.company, user).await?.value.manages()
        {
            return Ok(true);
        }
        if has_manager(tx, self.company, None).await? {
            return Ok(true);
        }
        Ok(tx.snapshots().load_company(self.company).await?.value.managing().next().is_some())
    }
}

/// Whether the search finds a manager of the company who does not hold the level `without`. A manager that it misses may exist
/// all the same.
async fn has_manager(tx: &dyn UnitOfWork, company: CompanyId, without: Option<UserLevelId>) -> Result<bool, Failure> {
    let actions: Vec<_> = to_manage().collect();
    let Some(user) = tx.assignments().find_holder(company, &actions, without).await? else { return Ok(false) };
    Ok(tx.snapshots().load_user(company, user).await?.value.manages())
}

/// A permission as people know it: a view's url, or a feature's key with the action and how far.
fn name(catalog: &Catalog, grant: &Grant) -> String {
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
