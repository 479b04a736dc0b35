//! What the table of all operations is made of: an operation, its callers, and the things that its requests name.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::Value;

/// The callers that an operation admits.
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
    /// A super admin in person.
    ManageCredentials,
}

/// How a request to an operation names its company.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompanyParameter {
    Required,
    OptionalForSuperAdmins,
    Optional,
    InPath,
}

/// The caller. All but the non-member and the super admin belong to the first company.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Anonymous,
    NonMember,
    Visitor,
    Member,
    Admin,
    /// Holds Read on `iam.manage_levels`, scope company, and nothing else.
    Reader,
    /// Holds Read and Update on `iam.manage_levels`, but scope team.
    TeamManager,
    SuperAdmin,
    /// Services, with a key for the first company.
    CheckKey,
    ReadKey,
    AdministerKey,
    /// A service that administers the second company.
    TheirKey,
    /// A service that administers every company, and the platform.
    PlatformKey,
}

/// The services, with the roles of their keys.
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

/// A thing that a request names before it exists. A text has its placeholder, which `World::fill` replaces by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// A text that is used nowhere else: another one each time.
    Fresh,
    /// A UUID that names nothing.
    Gone,
    /// A user without levels.
    User,
    /// The first company's administrator.
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

/// The placeholder.
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
    /// Method and path, as in the document.
    pub name: &'static str,
    pub needs: Needs,
    pub company: CompanyParameter,
    /// What the parameters of the path name, in their order.
    pub ids: &'static [Thing],
    pub query: &'static str,
    /// A valid body with every field that exists; `null` if there is none.
    pub body: fn() -> Value,
    /// The status of success.
    pub status: u16,
    pub foreign: &'static [Foreign],
}

/// A request by the first company about things of the second.
#[derive(Debug, Clone, Copy)]
pub struct Foreign {
    pub ids: &'static [Thing],
    /// Parameters of the query, besides the operation's own.
    pub query: &'static [(&'static str, Thing)],
    /// The operation's own body if there is none.
    pub body: Option<fn() -> Value>,
    pub answer: ForeignAnswer,
}

/// The answer to such a request.
#[derive(Debug, Clone, Copy)]
pub enum ForeignAnswer {
    /// 404 with this message.
    NotFound(&'static str),
    /// 400 with this message, which ends with the id.
    Unknown(&'static str, Thing),
    /// Success with this data.
    Data(fn() -> Value),
    /// Success with any data that allows nothing.
    NothingAllowed,
    Success,
}

impl Operation {
    pub fn method(&self) -> &'static str {
        self.name.split_once(' ').unwrap().0
    }

    /// The path, as in the document.
    pub fn path(&self) -> &'static str {
        self.name.split_once(' ').unwrap().1
    }

    /// The names of the path's parameters.
    pub fn parameters(&self) -> impl Iterator<Item = &'static str> {
        self.path().split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }

    /// The path with these ids for its parameters, and with this query.
    pub fn path_with(&self, ids: &[impl fmt::Display], query: &str) -> String {
        let mut path = self.path().to_owned();
        for (parameter, id) in self.parameters().zip(ids) {
            path = path.replace(&format!("{{{parameter}}}"), &id.to_string());
        }
        if query.is_empty() { path } else { format!("{path}?{query}") }
    }

    /// The path and the query of the valid request, with placeholders.
    pub fn valid_path(&self) -> String {
        self.path_with(self.ids, self.query)
    }

    /// The valid body, with placeholders; empty if there is none.
    pub fn valid_body(&self) -> String {
        match (self.body)() {
            Value::Null => String::new(),
            body => body.to_string(),
        }
    }

    /// Whether the path has ids other than a company's.
    pub fn has_ids(&self) -> bool {
        self.parameters().any(|parameter| parameter != "companyId")
    }

    /// The callers that may use it with the least rights.
    pub fn user(&self) -> Who {
        let is_for_super_admins = matches!(self.needs, Needs::SuperAdmin | Needs::ManageCredentials);
        if is_for_super_admins { Who::SuperAdmin } else { Who::Admin }
    }

    /// The callers, of the first company or a non-member, that it refuses.
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

    /// The refusal that the others get.
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

    /// Whether its answer says which state it saw or made: decisions, and changes that can change them.
    pub fn is_stamped(&self) -> bool {
        let decisions = ["/navigation", "/permissions/current", "/check", "/permissions"];
        let is_decision = decisions.iter().any(|end| self.path().ends_with(end));
        let is_beside_decisions = ["/nav-trail", "/not-before"].iter().any(|end| self.path().ends_with(end))
            || self.path().contains("/api-keys");
        is_decision || (self.method() != "GET" && !is_beside_decisions)
    }
}
