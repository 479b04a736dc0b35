//! What a caller must be allowed to do, and whether he is.

use iam_domain::{Caller, CompanyId, IamAction, IamPermission, Service, ServiceRole, Snapshot};
use iam_permissions_cache::{Access, Consistency, Subject};

use crate::{Application, Failure};

/// What a caller must be allowed to do. Super admins meet every requirement; a
/// service meets those that its key's role stands for, in the companies that its key is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Requirement {
    /// Be known. Non-members to a company get answers in which everything is denied.
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
    /// Be a super admin in person, to manage the API keys of services, and since when users' tokens count. A key that leaked could
    /// else keep those out who would revoke it.
    ManageCredentials,
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
            Self::SuperAdmin | Self::ManageCredentials => "Superadmin access required",
        }
    }

    /// Whether the caller meets it whatever levels anybody holds; `None`: his levels say so.
    fn is_met_without_levels(self, caller: Caller, company: Option<CompanyId>) -> Option<bool> {
        match (caller, self) {
            (_, Self::Known) | (Caller::User { is_super_admin: true, .. }, _) => Some(true),
            (Caller::User { .. }, Self::SuperAdmin | Self::ManageCredentials) => Some(false),
            (Caller::User { .. }, _) => company.is_none().then_some(false),
            (Caller::Service(service), _) => Some(self.is_met_by_service(service, company)),
        }
    }

    /// Whether the caller meets it where no company is named.
    #[must_use]
    pub fn is_met_without_company(self, caller: Caller) -> bool {
        self.is_met_without_levels(caller, None) == Some(true)
    }

    /// Whether a service meets it: by its key's role, and for no other company than its key's.
    fn is_met_by_service(self, service: Service, company: Option<CompanyId>) -> bool {
        let role = match self {
            Self::Known => return true,
            // A service holds no level, and decides about no credentials.
            Self::Member | Self::ManageCredentials => return false,
            Self::CheckOthers => ServiceRole::Check,
            // What was done to the platform is not a company's data.
            Self::ReadAudit if company.is_none() => ServiceRole::Administer,
            Self::ReadIam | Self::ReadAudit => ServiceRole::Read,
            Self::ManageLevels | Self::AssignLevels | Self::ManagePermissions => ServiceRole::Administer,
            // The platform is every company's.
            Self::SuperAdmin => return service.role == ServiceRole::Administer && service.company.is_none(),
        };
        service.role >= role && (service.company.is_none() || service.company == company)
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
            Self::SuperAdmin | Self::ManageCredentials => false,
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
    /// super admins do, and services that are good for every company; whoever is known meets [`Requirement::Known`].
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
        let is_met = match (requirement.is_met_without_levels(caller, company), company) {
            (Some(is_met), _) => is_met,
            (None, None) => false,
            (None, Some(company)) => {
                let access = self.permissions().access(company, Subject::from(caller), consistency).await?;
                requirement.is_met_by(&access)
            }
        };
        admit(requirement, is_met).inspect_err(|failure| note_refusal(caller, company, failure))
    }

    /// The same from inside a unit of work, where no one's rights can change any more until it ends. Answers what the
    /// caller's levels say, if that was asked for.
    pub(crate) async fn authorize_within(
        tx: &mut dyn iam_storage::UnitOfWork,
        caller: Caller,
        company: Option<CompanyId>,
        requirement: Requirement,
    ) -> Result<Option<Snapshot>, Failure> {
        let (is_met, own) = match (requirement.is_met_without_levels(caller, company), company) {
            (Some(is_met), _) => (is_met, None),
            (None, None) => (false, None),
            (None, Some(company)) => {
                let own = tx.snapshots().load_user(company, caller.id()).await?.value;
                (requirement.is_met_by(&own), Some(own))
            }
        };
        admit(requirement, is_met)?;
        Ok(own)
    }
}

fn admit(requirement: Requirement, is_met: bool) -> Result<(), Failure> {
    if is_met { Ok(()) } else { Err(Failure::Forbidden(requirement)) }
}

/// Counts and logs it if it is because the caller may not that something failed: somebody may be trying doors.
pub(crate) fn note_refusal(caller: Caller, company: Option<CompanyId>, failure: &Failure) {
    if matches!(failure, Failure::Forbidden(_) | Failure::Refused { .. }) {
        metrics::counter!("iam_refused_total").increment(1);
        tracing::info!(user = %caller.id(), kind = %caller.kind(), ?company, %failure, "refused");
    }
}
