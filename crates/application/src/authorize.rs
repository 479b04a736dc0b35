//! What a caller must be allowed to do, and whether he is.

use iam_domain::{Caller, CompanyId, IamAction, IamPermission, Snapshot};
use iam_permissions_cache::{Access, Consistency, Subject};

use crate::{Application, Failure};

/// What a caller must be allowed to do. Super admins meet every requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Requirement {
    /// Be known. Strangers to a company get answers in which everything is denied.
    Known,
    /// Hold a level in the company.
    Member,
    /// Read on `iam.manage_levels` or `iam.assign_permissions`.
    ReadIam,
    /// Update on `iam.manage_levels`, to change levels.
    ManageLevels,
    /// Update on `iam.manage_levels`, to give and take levels.
    AssignLevels,
    /// Update on `iam.assign_permissions`.
    ManagePermissions,
    /// Update on either, to ask about others.
    CheckOthers,
    /// Update on either, to read the audit trail.
    ReadAudit,
    /// Be a super admin.
    SuperAdmin,
}

impl Requirement {
    /// What a caller who does not meet it is told; the same for unknown and for foreign companies.
    #[must_use]
    pub const fn refusal(self) -> &'static str {
        match self {
            Self::Known | Self::Member => "You do not belong to this company",
            Self::ReadIam => "You do not have permission to view IAM data",
            Self::ManageLevels => "You do not have permission to manage user levels",
            Self::AssignLevels => "You do not have permission to assign user levels",
            Self::ManagePermissions => "You do not have permission to manage permissions",
            Self::CheckOthers => "You do not have permission to check other users",
            Self::ReadAudit => "You do not have permission to view audit logs",
            Self::SuperAdmin => "Superadmin access required",
        }
    }

    /// Whether the storage must be asked. It need not for super admins, and for what only they may do.
    const fn depends_on_levels(self, caller: Caller) -> bool {
        !caller.is_super_admin && !matches!(self, Self::Known | Self::SuperAdmin)
    }

    /// Whether somebody with these rights, who is no super admin, meets it.
    fn is_met_by(self, rights: &impl Rights) -> bool {
        let holds = |permission, action| rights.holds(permission, action);
        let either =
            |action| holds(IamPermission::ManageLevels, action) || holds(IamPermission::AssignPermissions, action);
        match self {
            Self::Known => true,
            Self::Member => rights.is_member(),
            Self::ReadIam => either(IamAction::Read),
            Self::ManageLevels | Self::AssignLevels => holds(IamPermission::ManageLevels, IamAction::Update),
            Self::ManagePermissions => holds(IamPermission::AssignPermissions, IamAction::Update),
            Self::CheckOthers | Self::ReadAudit => either(IamAction::Update),
            Self::SuperAdmin => false,
        }
    }
}

/// What somebody's levels in a company let him administer.
trait Rights {
    fn is_member(&self) -> bool;
    fn holds(&self, permission: IamPermission, action: IamAction) -> bool;
}

impl Rights for Access {
    fn is_member(&self) -> bool {
        Self::is_member(self)
    }

    fn holds(&self, permission: IamPermission, action: IamAction) -> bool {
        Self::holds(self, permission, action)
    }
}

impl Rights for Snapshot {
    fn is_member(&self) -> bool {
        !self.levels.is_empty()
    }

    fn holds(&self, permission: IamPermission, action: IamAction) -> bool {
        permission.is_held(action, self)
    }
}

impl Application {
    /// Whether the caller meets the requirement in the company, by a state as new as is asked for. Without a company only
    /// super admins do, and whoever is known meets [`Requirement::Known`].
    ///
    /// # Errors
    ///
    /// `Forbidden`; `Unavailable` when the storage cannot tell.
    pub async fn authorize(
        &self,
        caller: Caller,
        company: Option<CompanyId>,
        requirement: Requirement,
        consistency: Consistency,
    ) -> Result<(), Failure> {
        let is_met = if requirement.depends_on_levels(caller) {
            match company {
                None => false,
                Some(company) => {
                    let access = self.permissions().access(company, Subject::from(caller), consistency).await?;
                    requirement.is_met_by(&access)
                }
            }
        } else {
            caller.is_super_admin || requirement == Requirement::Known
        };
        admit(caller, company, requirement, is_met)
    }

    /// The same from inside a unit of work, where no one's rights can change any more until it ends.
    pub(crate) async fn authorize_within(
        tx: &mut dyn iam_storage::UnitOfWork,
        caller: Caller,
        company: Option<CompanyId>,
        requirement: Requirement,
    ) -> Result<(), Failure> {
        let is_met = match company {
            Some(company) if requirement.depends_on_levels(caller) => {
                requirement.is_met_by(&tx.snapshots().load_user(company, caller.user_id).await?.value)
            }
            _ => caller.is_super_admin || requirement == Requirement::Known,
        };
        admit(caller, company, requirement, is_met)
    }
}

fn admit(caller: Caller, company: Option<CompanyId>, requirement: Requirement, is_met: bool) -> Result<(), Failure> {
    if is_met {
        return Ok(());
    }
    metrics::counter!("iam_refused_total").increment(1);
    tracing::info!(user = %caller.user_id, company = ?company, ?requirement, "refused");
    Err(Failure::Forbidden(requirement))
}
