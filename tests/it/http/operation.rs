//! The types of the table of operations: an operation, its callers, and the entities that its requests name.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::Value;

/// The right that an operation requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    Token,
    Membership,
    ReadIam,
    ManageLevels,
    AssignLevels,
    ManagePermissions,
    ReadAudit,
    SuperAdmin,
    /// Super admin, as a user and not through an API key.
    ManageCredentials,
}

/// How a request names the company of the operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompanyParameter {
    Required,
    OptionalForSuperAdmins,
    Optional,
    InPath,
}

/// A caller. All but the non-member, the super admin and two of the services belong to the first company.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Anonymous,
    NonMember,
    Visitor,
    Member,
    Admin,
    /// A user who holds only Read on `iam.manage_levels`, with scope company.
    Reader,
    /// A user who holds Read and Update on `iam.manage_levels`, with scope team.
    TeamManager,
    SuperAdmin,
    /// Services with a key for the first company.
    CheckKey,
    ReadKey,
    AdministerKey,
    /// A service that administers the second company.
    TheirKey,
    /// A service that administers every company and the platform.
    PlatformKey,
}

/// The services and the roles of their keys.
pub const SERVICES: [(Who, &str); 5] = [
    (Who::CheckKey, "check"),
    (Who::ReadKey, "read"),
    (Who::AdministerKey, "administer"),
    (Who::TheirKey, "administer"),
    (Who::PlatformKey, "administer"),
];

impl Who {
    pub fn name(self) -> &'static str {
        match self {
            Self::CheckKey => "check",
            Self::ReadKey => "read",
            Self::AdministerKey => "administer",
            Self::TheirKey => "theirs",
            Self::PlatformKey => "platform",
            _ => "a person",
        }
    }
}

/// An entity that a request names before it exists. Texts contain its placeholder, which `World::fill` replaces with
/// the id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// A text that is used nowhere else, different at each use.
    Fresh,
    /// A UUID of no existing entity.
    Gone,
    /// A user without levels.
    User,
    /// The administrator of the first company.
    Caller,
    Member,
    Company,
    Level,
    Item,
    Sub,
    Key,
    View,
    Feature,
    Module,
    /// The seeded view `/dashboard`.
    Dashboard,
    /// The seeded module `core`.
    Core,
    TheirCompany,
    TheirAdmin,
    TheirMember,
    TheirLevel,
    TheirItem,
    TheirSub,
}

impl Thing {
    pub const ALL: [Self; 21] = {
        use Thing::*;
        [
            Fresh,
            Gone,
            User,
            Caller,
            Member,
            Company,
            Level,
            Item,
            Sub,
            Key,
            View,
            Feature,
            Module,
            Dashboard,
            Core,
            TheirCompany,
            TheirAdmin,
            TheirMember,
            TheirLevel,
            TheirItem,
            TheirSub,
        ]
    };
}

/// Writes the placeholder.
impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{self:?}>")
    }
}

impl Serialize for Thing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// Method and path, as in the OpenAPI document.
    pub name: &'static str,
    pub needs: Needs,
    pub company: CompanyParameter,
    /// The entities that the path parameters name, in order.
    pub ids: &'static [Thing],
    pub query: &'static str,
    /// A valid body with every known field. `null` if the operation has no body.
    pub body: fn() -> Value,
    /// The status of a success.
    pub status: u16,
    pub foreign: &'static [Foreign],
}

/// A request by a caller of the first company about entities of the second.
#[derive(Debug, Clone, Copy)]
pub struct Foreign {
    pub ids: &'static [Thing],
    /// Query parameters in addition to the operation's own.
    pub query: &'static [(&'static str, Thing)],
    /// Default: the operation's own valid body.
    pub body: Option<fn() -> Value>,
    pub answer: ForeignAnswer,
}

/// The response to such a request.
#[derive(Debug, Clone, Copy)]
pub enum ForeignAnswer {
    /// 404 with this message.
    NotFound(&'static str),
    /// 400 with this message, followed by the id.
    Unknown(&'static str, Thing),
    /// Success with this data.
    Data(fn() -> Value),
    /// Success with data that allows nothing.
    NothingAllowed,
    Success,
}

impl Operation {
    pub fn method(&self) -> &'static str {
        self.name.split_once(' ').unwrap().0
    }

    /// Returns the path, as in the OpenAPI document.
    pub fn path(&self) -> &'static str {
        self.name.split_once(' ').unwrap().1
    }

    /// Returns the names of the path parameters.
    pub fn parameters(&self) -> impl Iterator<Item = &'static str> {
        self.path().split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }

    /// Returns the path with these ids for its parameters, and with this query.
    pub fn path_with(&self, ids: &[impl fmt::Display], query: &str) -> String {
        let mut path = self.path().to_owned();
        for (parameter, id) in self.parameters().zip(ids) {
            path = path.replace(&format!("{{{parameter}}}"), &id.to_string());
        }
        if query.is_empty() { path } else { format!("{path}?{query}") }
    }

    /// Returns the path and the query of the valid request, with placeholders.
    pub fn valid_path(&self) -> String {
        self.path_with(self.ids, self.query)
    }

    /// Returns the valid body, with placeholders. Empty if the operation has no body.
    pub fn valid_body(&self) -> String {
        match (self.body)() {
            Value::Null => String::new(),
            body => body.to_string(),
        }
    }

    /// Returns `true` if the path has ids other than the company's.
    pub fn has_ids(&self) -> bool {
        self.parameters().any(|parameter| parameter != "companyId")
    }

    /// Returns the caller of the valid request: a super admin if the operation requires one, otherwise the first
    /// company's administrator.
    pub fn user(&self) -> Who {
        let is_for_super_admins = matches!(self.needs, Needs::SuperAdmin | Needs::ManageCredentials);
        if is_for_super_admins { Who::SuperAdmin } else { Who::Admin }
    }

    /// Returns the callers without the required right, among non-members and users of the first company.
    pub fn refused(&self) -> &'static [Who] {
        match self.needs {
            Needs::Token => &[],
            Needs::Membership => &[Who::NonMember],
            Needs::ReadIam => &[Who::NonMember, Who::Visitor, Who::Member, Who::TeamManager],
            Needs::SuperAdmin | Needs::ManageCredentials => {
                &[Who::NonMember, Who::Visitor, Who::Member, Who::Reader, Who::TeamManager, Who::Admin]
            }
            _ => &[Who::NonMember, Who::Visitor, Who::Member, Who::Reader, Who::TeamManager],
        }
    }

    /// Returns the status, code and message of the denial that these callers get.
    pub fn refusal(&self) -> (u16, &'static str, &'static str) {
        let text = match self.needs {
            Needs::Token => panic!("every caller with a token may"),
            Needs::Membership => "You do not belong to this company",
            Needs::ReadIam => "You do not have permission to view IAM data",
            Needs::ManageLevels => "You do not have permission to manage user levels",
            Needs::AssignLevels => "You do not have permission to assign user levels",
            Needs::ManagePermissions => "You do not have permission to manage permissions",
            Needs::ReadAudit => "You do not have permission to view audit logs",
            Needs::SuperAdmin | Needs::ManageCredentials => return (403, "ERR_AUTH_007", "Superadmin access required"),
        };
        (403, "ERR_AUTH_003", text)
    }

    /// Returns `true` if the response states a version: decisions, and changes that can affect them.
    pub fn is_stamped(&self) -> bool {
        let decisions = ["/navigation", "/permissions/current", "/check", "/permissions"];
        let is_decision = decisions.iter().any(|end| self.path().ends_with(end));
        let is_beside_decisions = ["/nav-trail", "/not-before"].iter().any(|end| self.path().ends_with(end))
            || self.path().contains("/api-keys");
        is_decision || (self.method() != "GET" && !is_beside_decisions)
    }
}
