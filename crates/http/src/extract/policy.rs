//! The policies of endpoints: which requirement the caller must meet, and whether the request must name a company.

use iam_application::Requirement;

/// The rule whether requests to an endpoint must name a company.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CompanyRule {
    /// The request must name a company.
    Required,
    /// Super admins may omit the company, and so may services whose role suffices and whose key is valid for all
    /// companies. The request then concerns the platform.
    OptionalForSuperAdmins,
    /// All callers who meet the requirement may omit the company.
    Optional,
}

/// The policy of an endpoint. It is a type parameter of the handler's extractor.
pub(crate) trait Policy: 'static {
    const REQUIREMENT: Requirement;
    const COMPANY: CompanyRule;
}

macro_rules! policies {
    ($($(#[doc = $doc:literal])+ $name:ident: $requirement:ident, $company:ident;)+) => {$(
        $(#[doc = $doc])+
        pub(crate) struct $name;

        impl Policy for $name {
            const REQUIREMENT: Requirement = Requirement::$requirement;
            const COMPANY: CompanyRule = CompanyRule::$company;
        }
    )+};
}

policies! {
    /// Any authenticated caller. Decisions about non-members are all denials.
    Anyone: Authenticated, Required;
    /// Any member of the company.
    Member: Member, Required;
    /// Callers who may read the company's IAM data.
    ReadIam: ReadIam, Required;
    /// Callers who may read the catalog: readers of any company's IAM data. Super admins need not name a company.
    ReadCatalog: ReadIam, OptionalForSuperAdmins;
    /// Callers who may manage levels.
    ManageLevels: ManageLevels, Required;
    /// Callers who may assign and unassign levels.
    AssignLevels: AssignLevels, Required;
    /// Callers who may manage permissions.
    ManagePermissions: ManagePermissions, Required;
    /// Callers who may read the company's audit log. Super admins may also read that of the platform.
    ReadAudit: ReadAudit, OptionalForSuperAdmins;
    /// Super admins. The request may concern the platform.
    Platform: SuperAdmin, Optional;
    /// Super admins. The request must concern a company.
    PlatformCompany: SuperAdmin, Required;
    /// Super admins who call as users, not through an API key. The request concerns credentials.
    ManageCredentials: ManageCredentials, Optional;
}
