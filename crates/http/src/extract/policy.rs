//! The policies of endpoints: the permission that the caller needs, and whether the request must name a company.

use iam_application::Requirement;

/// Whether the requests of an endpoint must name a company.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CompanyRule {
    /// The request must name a company.
    Required,
    /// Super admins may omit the company; the request is then about the platform.
    OptionalForSuperAdmins,
    /// All callers that meet the requirement may omit the company.
    Optional,
}

/// The policy of an endpoint, as a type parameter of its handler's extractor.
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
    /// All authenticated callers; non-members get answers in which everything is denied.
    Anyone: Authenticated, Required;
    /// Members of the company.
    Member: Member, Required;
    /// Readers of a company's IAM data.
    ReadIam: ReadIam, Required;
    /// Readers of the catalog: of any company's IAM data, or super admins without a company.
    ReadCatalog: ReadIam, OptionalForSuperAdmins;
    /// Callers that manage levels.
    ManageLevels: ManageLevels, Required;
    /// Callers that assign and unassign levels.
    AssignLevels: AssignLevels, Required;
    /// Callers that manage permissions.
    ManagePermissions: ManagePermissions, Required;
    /// Callers that read the audit trail; super admins also that of the platform.
    ReadAudit: ReadAudit, OptionalForSuperAdmins;
    /// Super admins, about the platform.
    Platform: SuperAdmin, Optional;
    /// Super admins, about a company.
    PlatformCompany: SuperAdmin, Required;
    /// Super admins in person, about credentials.
    ManageCredentials: ManageCredentials, Optional;
}
