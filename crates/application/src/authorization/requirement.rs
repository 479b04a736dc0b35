//! The requirements of use cases, and the checks that determine which callers meet them.

use iam_domain::{Caller, CompanyId, IamAction, IamPermission, Service, ServiceRole, Snapshot, UserId};
use iam_permissions_cache::Access;

/// The permission that a use case requires its caller to hold. Super admins meet every requirement. A service meets the
/// requirements that the role of its API key includes, in the companies that the key is valid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Requirement {
    /// The caller must be authenticated, but need not be a member of the company. Non-members have no permissions in
    /// the company.
    Authenticated,
    /// The caller must hold a level in the company.
    Member,
    /// The caller must hold `Read` on `iam.manage_levels` or `iam.assign_permissions`, to read IAM data.
    ReadIam,
    /// The caller must hold `Update` on `iam.manage_levels`, to change levels.
    ManageLevels,
    /// The caller must hold `Update` on `iam.manage_levels`, to assign and unassign levels.
    AssignLevels,
    /// The caller must hold `Update` on `iam.assign_permissions`, to change permission matrices.
    ManagePermissions,
    /// The caller must hold `Update` on `iam.manage_levels` or `iam.assign_permissions`, to request decisions about
    /// other users.
    CheckOthers,
    /// The caller must hold `Update` on `iam.manage_levels` or `iam.assign_permissions`, to find the users whom a check
    /// allows.
    FindAllowed,
    /// The caller must hold `Update` on `iam.manage_levels` or `iam.assign_permissions`, to read the audit log.
    ReadAudit,
    /// The caller must hold `Update` on `iam.manage_levels` or `iam.assign_permissions`, to read the profiles of users.
    ReadProfiles,
    /// The caller must be a super admin, or a service with the role `administer` and a key that is valid for all
    /// companies.
    SuperAdmin,
    /// The caller must be a super admin who authenticates with a token, to manage API keys and the cut-offs of users.
    /// Services are excluded. Otherwise, a leaked API key could be used to invalidate the tokens of the super admins
    /// who must revoke the key.
    ManageCredentials,
}

impl Requirement {
    /// Returns `true` if both requirements are the same. Unlike `==`, this function can be used in constant
    /// expressions.
    #[must_use]
    pub const fn is(self, other: Self) -> bool {
        self as u8 == other as u8
    }

    /// Returns the message for callers that do not meet the requirement. For a company that does not exist, the message
    /// is the same as for a company that the caller does not belong to.
    #[must_use]
    pub const fn denial_message(self) -> &'static str {
        match self {
            Self::Authenticated | Self::Member => "You do not belong to this company",
            Self::ReadIam => "You do not have permission to view IAM data",
            Self::ManageLevels => "You do not have permission to manage user levels",
            Self::AssignLevels => "You do not have permission to assign user levels",
            Self::ManagePermissions => "You do not have permission to manage permissions",
            Self::CheckOthers | Self::FindAllowed => "You do not have permission to check other users",
            Self::ReadAudit => "You do not have permission to view audit logs",
            Self::ReadProfiles => "You do not have permission to view user profiles",
            Self::SuperAdmin | Self::ManageCredentials => "Superadmin access required",
        }
    }

    /// Checks the requirement without loading levels. Returns [`RequirementCheck::LevelsOf`] if the result depends on
    /// the levels of the caller.
    pub(super) fn basis(self, caller: Caller, company: Option<CompanyId>) -> RequirementCheck {
        match (caller, self, company) {
            (_, Self::Authenticated, _) | (Caller::User { is_super_admin: true, .. }, ..) => {
                RequirementCheck::Decided(true)
            }
            (Caller::Service(service), ..) if !self.is_met_by_service(service, company) => {
                RequirementCheck::Decided(false)
            }
            // Services of all companies administer suspended companies, as super admins do.
            (Caller::Service(Service { company: Some(company), .. }), ..) if !matches!(self, Self::CheckOthers) => {
                RequirementCheck::IsActive(company)
            }
            (Caller::Service(_), ..) => RequirementCheck::Decided(true),
            (Caller::User { .. }, Self::SuperAdmin | Self::ManageCredentials, _) | (Caller::User { .. }, _, None) => {
                RequirementCheck::Decided(false)
            }
            (Caller::User { id, .. }, _, Some(company)) => RequirementCheck::LevelsOf(id, company),
        }
    }

    /// Returns `true` if the caller meets the requirement in a request that specifies no company.
    #[must_use]
    pub fn is_met_without_company(self, caller: Caller) -> bool {
        self.basis(caller, None) == RequirementCheck::Decided(true)
    }

    /// Returns `true` if the role of the service's key suffices and the key is valid for the company.
    fn is_met_by_service(self, service: Service, company: Option<CompanyId>) -> bool {
        let role = match self {
            Self::Authenticated => return true,
            // A service holds no levels, and only users may manage credentials.
            Self::Member | Self::ManageCredentials => return false,
            Self::CheckOthers => ServiceRole::Check,
            // The audit log of the platform is not scoped to a company, so it requires the highest role.
            Self::ReadAudit if company.is_none() => ServiceRole::Administer,
            Self::ReadIam | Self::FindAllowed | Self::ReadAudit | Self::ReadProfiles => ServiceRole::Read,
            Self::ManageLevels | Self::AssignLevels | Self::ManagePermissions => ServiceRole::Administer,
            // Super admin rights apply to all companies, so the key must be valid for all companies.
            Self::SuperAdmin => return service.has_platform_key(),
        };
        service.role >= role && company.map_or(service.company.is_none(), |company| service.is_valid_for(company))
    }

    /// Returns `true` if a user who has these rights, and who is not a super admin, meets the requirement.
    pub(super) fn is_met_by(self, rights: &impl Rights) -> bool {
        let holds = |permission, action| rights.holds(permission, action);
        let either =
            |action| holds(IamPermission::ManageLevels, action) || holds(IamPermission::AssignPermissions, action);
        match self {
            Self::Authenticated => true,
            Self::Member => rights.is_member(),
            Self::ReadIam => either(IamAction::Read),
            Self::ManageLevels | Self::AssignLevels => holds(IamPermission::ManageLevels, IamAction::Update),
            Self::ManagePermissions => holds(IamPermission::AssignPermissions, IamAction::Update),
            Self::CheckOthers | Self::FindAllowed | Self::ReadAudit | Self::ReadProfiles => either(IamAction::Update),
            Self::SuperAdmin | Self::ManageCredentials => false,
        }
    }
}

/// The result of checking a requirement without loading levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequirementCheck {
    /// The result of the check does not depend on levels. The value is `true` if the caller meets the requirement.
    Decided(bool),
    /// The caller meets the requirement if this company is not suspended.
    IsActive(CompanyId),
    /// The result of the check depends on the levels that this user holds in this company.
    LevelsOf(UserId, CompanyId),
}

/// The administrative permissions that a user's levels grant in a company.
pub(super) trait Rights {
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
