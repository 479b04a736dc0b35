//! The policies of endpoints. A policy defines which requirement the caller must satisfy, and whether the request must
//! specify a company.

use iam_application::Requirement;

/// The rule that defines whether requests to an endpoint must specify a company.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CompanyRule {
    /// The request must specify a company.
    Required,
    /// Super admins may omit the company. Services may omit it if their role suffices and their key is valid for all
    /// companies. The request then applies to the platform, which is the data that does not belong to a single company.
    OptionalForSuperAdmins,
    /// All callers who satisfy the requirement may omit the company.
    Optional,
}

/// The policy of an endpoint, used as a type parameter of the handler's extractor.
pub(crate) trait Policy: 'static {
    /// The requirement that the caller must satisfy.
    const REQUIREMENT: Requirement;
    /// The rule that defines whether the request must specify a company.
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
    /// Any authenticated caller, including non-members of the company. For a non-member, every decision is a denial.
    Anyone: Authenticated, Required;
    /// Any authenticated caller. The request need not specify a company.
    Myself: Authenticated, Optional;
    /// Any member of the company.
    Member: Member, Required;
    /// Callers who may read the company's IAM data.
    ReadIam: ReadIam, Required;
    /// Callers who may read the catalog: all callers who may read a company's IAM data. Super admins, and services
    /// whose key is valid for all companies, may omit the company.
    ReadCatalog: ReadIam, OptionalForSuperAdmins;
    /// Callers who may manage levels.
    ManageLevels: ManageLevels, Required;
    /// Callers who may assign and unassign levels.
    AssignLevels: AssignLevels, Required;
    /// Callers who may manage permissions.
    ManagePermissions: ManagePermissions, Required;
    /// Callers who may find the users whom a check allows.
    FindAllowed: FindAllowed, Required;
    /// Callers who may read the company's audit log. Super admins, and services that may administer all companies, may
    /// also read the audit log of the platform.
    ReadAudit: ReadAudit, OptionalForSuperAdmins;
    /// Callers who may read the profiles of the company's users.
    ReadProfiles: ReadProfiles, Required;
    /// Super admins, and services that may administer all companies. If the request specifies no company, it applies to
    /// the platform.
    Platform: SuperAdmin, Optional;
    /// Super admins, and services that may administer all companies. The request must specify a company.
    PlatformCompany: SuperAdmin, Required;
    /// Super admins who authenticate with a token, not with an API key. Endpoints that manage credentials have this
    /// policy.
    ManageCredentials: ManageCredentials, Optional;
}
