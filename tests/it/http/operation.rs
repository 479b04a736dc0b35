//! The types of the table of operations: operations, callers, and the entities to which requests refer.

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
    FindAllowed,
    ReadAudit,
    ReadProfiles,
    SuperAdmin,
    /// The super admin claim of a user's token. API keys do not have this right, regardless of their role.
    ManageCredentials,
}

/// The way in which requests of an operation specify the company.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompanyParameter {
    Required,
    OptionalForSuperAdmins,
    Optional,
    InPath,
}

/// The caller of a request. The callers belong to the first company, with these exceptions: the anonymous caller, the
/// non-member, the super admin and two of the services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestCaller {
    Anonymous,
    NonMember,
    Visitor,
    Member,
    Admin,
    /// A user who holds only Read on `iam.manage_levels`, with the scope `company`.
    Reader,
    /// A user who holds only Read and Update on `iam.manage_levels`, with the scope `team`.
    TeamManager,
    SuperAdmin,
    /// A service whose key has the role `check` and is restricted to the first company.
    CheckKey,
    ReadKey,
    AdministerKey,
    /// A service whose key has the role `administer` and is restricted to the second company.
    TheirKey,
    /// A service whose key has the role `administer` and is valid for all companies and for the platform.
    PlatformKey,
}

/// The callers that are services, each with the role of its API key.
pub const SERVICES: [(TestCaller, &str); 5] = [
    (TestCaller::CheckKey, "check"),
    (TestCaller::ReadKey, "read"),
    (TestCaller::AdministerKey, "administer"),
    (TestCaller::TheirKey, "administer"),
    (TestCaller::PlatformKey, "administer"),
];

impl TestCaller {
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

/// An entity to which the table of operations refers by a placeholder. `World::fill` replaces the placeholder in a
/// string with the id of the entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entity {
    /// A unique string, which is different at each use.
    Fresh,
    /// A UUID that is not the id of any entity.
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
    /// A user of the first company who holds only the level Member.
    Leaver,
    /// A suspended company.
    Doomed,
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

impl Entity {
    pub const ALL: [Self; 23] = {
        use Entity::*;
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
            Leaver,
            Doomed,
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

/// Writes the placeholder of the entity.
impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{self:?}>")
    }
}

impl Serialize for Entity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An operation of the API: a row of the table of operations.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// The method and the path, as in the OpenAPI document.
    pub name: &'static str,
    pub needs: Needs,
    pub company: CompanyParameter,
    /// The entities whose ids are the values of the path parameters, in order.
    pub ids: &'static [Entity],
    pub query: &'static str,
    /// Returns a valid body with every field. Returns `null` if the operation has no body.
    pub body: fn() -> Value,
    /// The status of a successful response.
    pub status: u16,
    pub foreign: &'static [Foreign],
}

/// A request in the first company that contains ids of the second company's entities.
#[derive(Debug, Clone, Copy)]
pub struct Foreign {
    pub ids: &'static [Entity],
    /// Query parameters, which replace or complement the operation's own.
    pub query: &'static [(&'static str, Entity)],
    /// Returns the body of the request. If this field is `None`, the request has the operation's own valid body.
    pub body: Option<fn() -> Value>,
    pub answer: ForeignAnswer,
}

/// The expected response to a request with ids of the second company's entities.
#[derive(Debug, Clone, Copy)]
pub enum ForeignAnswer {
    /// An error with status 404 and this message.
    NotFound(&'static str),
    /// An error with status 400. Its message consists of this string and the id of the entity.
    Unknown(&'static str, Entity),
    /// A successful response with this data.
    Data(fn() -> Value),
    /// A successful response (2xx) whose body grants no permission.
    NothingAllowed,
    Success,
}

impl Operation {
    pub fn method(&self) -> &'static str {
        self.name.split_once(' ').unwrap().0
    }

    /// Returns the path with its parameters in braces, as in the OpenAPI document.
    pub fn path(&self) -> &'static str {
        self.name.split_once(' ').unwrap().1
    }

    /// Returns the names of the path parameters.
    pub fn parameters(&self) -> impl Iterator<Item = &'static str> {
        self.path().split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }

    /// Returns the path with these ids as the values of its parameters, and with this query string.
    pub fn path_with(&self, ids: &[impl fmt::Display], query: &str) -> String {
        let mut path = self.path().to_owned();
        for (parameter, id) in self.parameters().zip(ids) {
            path = path.replace(&format!("{{{parameter}}}"), &id.to_string());
        }
        if query.is_empty() { path } else { format!("{path}?{query}") }
    }

    /// Returns the path and the query string of the operation's valid request, with placeholders.
    pub fn valid_path(&self) -> String {
        self.path_with(self.ids, self.query)
    }

    /// Returns the body of the operation's valid request, with placeholders. Returns an empty string if the operation
    /// has no body.
    pub fn valid_body(&self) -> String {
        match (self.body)() {
            Value::Null => String::new(),
            body => body.to_string(),
        }
    }

    /// Returns `true` if the path has a parameter other than the company id.
    pub fn has_ids(&self) -> bool {
        self.parameters().any(|parameter| parameter != "companyId")
    }

    /// Returns the caller of the operation's valid request. This is the super admin if the operation requires one, and
    /// otherwise the first company's administrator.
    pub fn user(&self) -> TestCaller {
        let is_for_super_admins = matches!(self.needs, Needs::SuperAdmin | Needs::ManageCredentials);
        if is_for_super_admins { TestCaller::SuperAdmin } else { TestCaller::Admin }
    }

    /// Returns those callers who lack the right that the operation requires. The callers are non-members and users of
    /// the first company.
    pub fn refused(&self) -> &'static [TestCaller] {
        match self.needs {
            Needs::Token => &[],
            Needs::Membership => &[TestCaller::NonMember],
            Needs::ReadIam => {
                &[TestCaller::NonMember, TestCaller::Visitor, TestCaller::Member, TestCaller::TeamManager]
            }
            Needs::SuperAdmin | Needs::ManageCredentials => &[
                TestCaller::NonMember,
                TestCaller::Visitor,
                TestCaller::Member,
                TestCaller::Reader,
                TestCaller::TeamManager,
                TestCaller::Admin,
            ],
            _ => &[
                TestCaller::NonMember,
                TestCaller::Visitor,
                TestCaller::Member,
                TestCaller::Reader,
                TestCaller::TeamManager,
            ],
        }
    }

    /// Returns the status, code and message of the denial for callers who lack the right that the operation requires.
    pub fn refusal(&self) -> (u16, &'static str, &'static str) {
        let text = match self.needs {
            Needs::Token => panic!("every caller with a token must have this right"),
            Needs::Membership => "You do not belong to this company",
            Needs::ReadIam => "You do not have permission to view IAM data",
            Needs::ManageLevels => "You do not have permission to manage user levels",
            Needs::AssignLevels => "You do not have permission to assign user levels",
            Needs::ManagePermissions => "You do not have permission to manage permissions",
            Needs::FindAllowed => "You do not have permission to check other users",
            Needs::ReadAudit => "You do not have permission to view audit logs",
            Needs::ReadProfiles => "You do not have permission to view user profiles",
            Needs::SuperAdmin | Needs::ManageCredentials => return (403, "ERR_AUTH_007", "Superadmin access required"),
        };
        (403, "ERR_AUTH_003", text)
    }

    /// Returns `true` if the operation describes the caller, regardless of the company.
    pub fn describes_the_caller(&self) -> bool {
        ["/me", "/me/companies"].iter().any(|end| self.path().ends_with(end))
    }

    /// Returns `true` if the response has the header `X-IAM-Version`. This applies to decisions and to changes that can
    /// affect decisions.
    pub fn is_stamped(&self) -> bool {
        let decisions = [
            "/navigation",
            "/permissions/current",
            "/check",
            "/permissions",
            "/me/catalog",
            "/what-can",
            "/who-can",
            "/matrix",
        ];
        let is_decision = decisions.iter().any(|end| self.path().ends_with(end));
        let is_beside_decisions = ["/nav-trail", "/not-before"].iter().any(|end| self.path().ends_with(end))
            || self.path().contains("/api-keys");
        is_decision || (self.method() != "GET" && !is_beside_decisions)
    }
}
