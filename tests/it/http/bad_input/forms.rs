//! The table of all fields of all request bodies, with the type of each field and whether the field is optional.

use serde_json::{Value, json};

use crate::http::operation::Entity;
use crate::http::operations::operation;

/// The type of a field.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A string that must not be blank, with its maximum length in characters.
    Text(usize),
    /// A string that must be neither blank nor a UUID, with its maximum length in characters.
    Key(usize),
    /// The name of an action, with at most 50 characters. It must be a standard action or one of the feature's own
    /// actions.
    KnownAction,
    /// An arbitrary string of at most 2,000 characters, which may be empty.
    Prose,
    /// A reference to a view or feature in a check: an id, or a url or key with this maximum length in characters. The
    /// entity need not exist.
    Reference(usize),
    /// An e-mail address of at most 254 characters.
    Email,
    Flag,
    Integer,
    /// A non-negative integer of 32 bits.
    Limit,
    /// The rate of an API key: an integer between 1 and 1,000,000.
    Rate,
    /// A string that must be one of several values. This string lists the values, separated by commas.
    Word(&'static str),
    /// A UUID. If a kind is specified, an entity of this kind with this id must exist.
    Id(Option<&'static str>),
    /// A reference to a user: an id, or `issuer|subject`.
    User,
    /// An RFC 3339 time.
    Time,
    /// The method of a change.
    Method,
    /// The path of a change, with an optional query.
    Path,
    /// The value of a header.
    Header,
    /// A JSON object with arbitrary members.
    Inner,
    /// A list of ids of existing entities of this kind.
    Ids(&'static str),
    /// A list of strings. The number is the maximum length of each string in characters. The flag is `true` if each
    /// string must be the key of a feature.
    Texts(usize, bool),
    /// A list of objects with these fields. The string is the name of the field whose value must be unique within the
    /// list.
    Objects(&'static [Field], &'static str),
    /// A list of objects that are evaluated separately. The number is the maximum number of objects.
    Apart(&'static [Field], usize),
}

/// A field of a request body.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    pub name: &'static str,
    pub kind: Kind,
    pub presence: Presence,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Required,
    /// The field may be omitted but must not be `null`.
    Optional,
    /// The field may be omitted, and `null` clears it.
    Clears,
    /// The field must not be omitted, but may be `null`.
    Nullable,
}
pub use Presence::{Clears, Nullable, Optional, Required};

const fn field(name: &'static str, kind: Kind, presence: Presence) -> Field {
    Field { name, kind, presence }
}

/// The error message for a string that is not the method of a change.
pub const METHODS: &str = "must be one of: POST, PUT, PATCH, DELETE";

/// The error message for a string that is not a path.
pub const PATH: &str = "must be a path of this service with an optional query, such as /api/iam/user-levels";

/// The error message for a string that is not a valid user id.
pub const NO_USER: &str = "must be a valid UUID, or issuer|subject";

const SCOPES: &str = "own, team, company, any";
const STATES: &str = "allow, deny, inherit";
const ROLES: &str = "check, read, administer";
const STATUSES: &str = "active, suspended";
const PRIORITIES: &str = "standard, optional, premium";

/// The fields of a check of a view.
const VIEW: &[Field] = &[field("view", Kind::Reference(500), Required), field("userId", Kind::User, Optional)];
/// The fields of a check of an action.
const ACTION: &[Field] = &[
    field("feature", Kind::Reference(255), Required),
    field("action", Kind::Text(50), Required),
    field("scope", Kind::Word(SCOPES), Optional),
    field("userId", Kind::User, Optional),
];

/// The fields of the ceilings of a company.
const CEILINGS: &[Field] = &[
    field("hiddenViews", Kind::Ids("view"), Required),
    field(
        "actions",
        Kind::Objects(
            &[
                field("featureId", Kind::Id(Some("feature")), Required),
                field("action", Kind::KnownAction, Required),
                field("maxScope", Kind::Word(SCOPES), Nullable),
            ],
            "action",
        ),
        Required,
    ),
];
/// The fields of a cell of a view matrix.
const VIEW_CELL: &[Field] = &[
    field("viewId", Kind::Id(Some("view")), Required),
    field("state", Kind::Word(STATES), Optional),
    field("modifiable", Kind::Flag, Optional),
];
/// The fields of a cell of a feature matrix.
const FEATURE_CELL: &[Field] = &[
    field("featureId", Kind::Id(Some("feature")), Required),
    field("action", Kind::KnownAction, Required),
    field("value", Kind::Flag, Optional),
    field("scope", Kind::Word(SCOPES), Optional),
    field("modifiable", Kind::Flag, Optional),
];
/// The fields of a pair of a user and a level.
const PAIR: &[Field] =
    &[field("userId", Kind::User, Required), field("userLevelId", Kind::Id(Some("user-level")), Required)];

/// The fields of a pair of a user and a level, and the end of the assignment.
const LIMITED_PAIR: &[Field] = &[
    field("userId", Kind::User, Required),
    field("userLevelId", Kind::Id(Some("user-level")), Required),
    field("expiresAt", Kind::Time, Clears),
];

/// The fields of a pair of a user and a level, and the start of the assignment.
const LATER_PAIR: &[Field] = &[
    field("userId", Kind::User, Required),
    field("userLevelId", Kind::Id(Some("user-level")), Required),
    field("startsAt", Kind::Time, Clears),
];

/// One form of the request body of an operation. An operation can accept several forms.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    pub operation: &'static str,
    /// Returns a valid body of this form. If this field is `None`, the operation's own valid body is used.
    body: Option<fn() -> Value>,
    pub fields: &'static [Field],
}

impl Form {
    pub fn valid(&self) -> Value {
        self.body.unwrap_or(operation(self.operation).body)()
    }

    /// Returns `true` if unknown fields are errors. The operations of the original system ignore them.
    pub fn is_strict(&self) -> bool {
        ![
            "POST /api/iam/user-levels",
            "PATCH /api/iam/user-levels/{id}",
            "PUT /api/iam/user-levels/{id}/permissions/views",
            "PUT /api/iam/user-levels/{id}/permissions/features",
            "PUT /api/iam/users/{userId}/user-levels",
        ]
        .contains(&self.operation)
    }
}

fn view_question() -> Value {
    json!({ "view": "/dashboard", "userId": Entity::Caller })
}

fn action_question() -> Value {
    json!({ "feature": "general.read", "action": "Read", "scope": "own", "userId": Entity::Caller })
}

/// The table of all forms of the request bodies of all operations.
#[rustfmt::skip]
pub const FORMS: &[Form] = {
    use Kind::*;
    &[
    Form { operation: "POST /api/iam/check", body: None, fields: VIEW },
    Form { operation: "POST /api/iam/check", body: Some(action_question), fields: ACTION },
    Form { operation: "POST /api/iam/explain", body: None, fields: VIEW },
    Form { operation: "POST /api/iam/explain", body: Some(action_question), fields: ACTION },
    Form { operation: "POST /api/iam/checks", body: Some(|| json!({ "checks": [view_question()] })), fields: &[
        field("checks", Apart(VIEW, 1000), Required),
    ] },
    Form { operation: "POST /api/iam/checks", body: Some(|| json!({ "checks": [action_question()] })), fields: &[
        field("checks", Apart(ACTION, 1000), Required),
    ] },
    Form { operation: "POST /api/iam/explanations", body: Some(|| json!({ "checks": [view_question()] })), fields: &[
        field("checks", Apart(VIEW, 100), Required),
    ] },
    Form { operation: "POST /api/iam/explanations", body: Some(|| json!({ "checks": [action_question()] })), fields: &[
        field("checks", Apart(ACTION, 100), Required),
    ] },
    Form { operation: "POST /api/iam/user-levels", body: None, fields: &[
        field("name", Text(255), Required), field("description", Prose, Optional),
        field("copyFrom", Id(Some("user-level")), Optional),
    ] },
    Form { operation: "PATCH /api/iam/user-levels/{id}", body: None, fields: &[
        field("name", Text(255), Optional), field("description", Prose, Clears),
    ] },
    Form { operation: "PUT /api/iam/users/{userId}/user-levels", body: None, fields: &[
        field("userLevelIds", Ids("user-level"), Required),
    ] },
    Form {
        operation: "PUT /api/iam/users/{userId}/user-levels/{levelId}",
        body: Some(|| json!({ "startsAt": "2026-01-01T00:00:00Z" })),
        fields: &[field("startsAt", Time, Clears)],
    },
    Form { operation: "PUT /api/iam/users/{userId}/user-levels/{levelId}", body: None, fields: &[
        field("expiresAt", Time, Clears),
    ] },
    Form { operation: "POST /api/iam/assignments", body: None, fields: &[
        field("add", Objects(PAIR, "userLevelId"), Optional), field("remove", Objects(PAIR, "userLevelId"), Optional),
    ] },
    Form {
        operation: "POST /api/iam/assignments",
        body: Some(|| {
            json!({ "add": [{ "userId": Entity::User, "userLevelId": Entity::Level, "expiresAt": "2998-01-01T00:00:00Z" }] })
        }),
        fields: &[field("add", Objects(LIMITED_PAIR, "userLevelId"), Optional)],
    },
    Form {
        operation: "POST /api/iam/assignments",
        body: Some(|| {
            json!({ "add": [{ "userId": Entity::User, "userLevelId": Entity::Level, "startsAt": "2026-01-01T00:00:00Z" }] })
        }),
        fields: &[field("add", Objects(LATER_PAIR, "userLevelId"), Optional)],
    },
    Form { operation: "PATCH /api/iam/user-levels/{id}/permissions/views", body: None, fields: &[
        field("set", Objects(VIEW_CELL, "viewId"), Optional),
        field("unset", Objects(&[field("viewId", Id(Some("view")), Required)], "viewId"), Optional),
    ] },
    Form { operation: "PATCH /api/iam/user-levels/{id}/permissions/features", body: None, fields: &[
        field("set", Objects(FEATURE_CELL, "action"), Optional),
        field("unset", Objects(&[
            field("featureId", Id(Some("feature")), Required), field("action", KnownAction, Required),
        ], "action"), Optional),
    ] },
    Form { operation: "PUT /api/iam/user-levels/{id}/permissions/views", body: None, fields: &[
        field("views", Objects(VIEW_CELL, "viewId"), Required),
    ] },
    Form { operation: "PUT /api/iam/user-levels/{id}/permissions/features", body: None, fields: &[
        field("features", Objects(FEATURE_CELL, "action"), Required),
    ] },
    Form { operation: "POST /api/iam/views", body: None, fields: &[
        field("name", Text(255), Required), field("url", Key(500), Required), field("category", Text(100), Optional),
        field("description", Prose, Optional), field("icon", Text(100), Optional),
        field("requiresAuth", Flag, Optional),
    ] },
    Form { operation: "PATCH /api/iam/views/{id}", body: None, fields: &[
        field("name", Text(255), Optional), field("url", Key(500), Optional), field("category", Text(100), Clears),
        field("description", Prose, Clears), field("icon", Text(100), Clears), field("requiresAuth", Flag, Optional),
    ] },
    Form { operation: "POST /api/iam/features", body: None, fields: &[
        field("key", Key(255), Optional), field("name", Text(255), Required), field("description", Prose, Optional),
        field("resourceType", Text(100), Optional), field("actions", Texts(50, false), Optional),
        field("category", Text(100), Optional), field("enabled", Flag, Optional),
    ] },
    Form { operation: "PATCH /api/iam/features/{id}", body: None, fields: &[
        field("key", Key(255), Clears), field("name", Text(255), Optional), field("description", Prose, Clears),
        field("resourceType", Text(100), Clears), field("actions", Texts(50, false), Clears),
        field("category", Text(100), Clears), field("enabled", Flag, Optional),
    ] },
    Form { operation: "PUT /api/iam/features/{id}/views", body: None, fields: &[
        field("viewIds", Ids("view"), Required),
    ] },
    Form { operation: "POST /api/iam/modules", body: None, fields: &[
        field("code", Text(100), Required), field("name", Text(255), Required), field("description", Prose, Optional),
        field("icon", Text(100), Optional), field("enabled", Flag, Optional),
        field("priority", Word(PRIORITIES), Optional),
    ] },
    Form { operation: "PATCH /api/iam/modules/{id}", body: None, fields: &[
        field("code", Text(100), Optional), field("name", Text(255), Optional), field("description", Prose, Clears),
        field("icon", Text(100), Clears), field("enabled", Flag, Optional),
        field("priority", Word(PRIORITIES), Optional),
    ] },
    Form { operation: "DELETE /api/iam/modules/{id}", body: None, fields: &[field("ungate", Flag, Optional)] },
    Form { operation: "PUT /api/iam/modules/{id}/views", body: None, fields: &[
        field("viewIds", Ids("view"), Required), field("ungate", Flag, Optional),
    ] },
    Form { operation: "PUT /api/iam/modules/{id}/features", body: None, fields: &[
        field("featureIds", Ids("feature"), Required), field("ungate", Flag, Optional),
    ] },
    Form { operation: "POST /api/iam/menu-items", body: None, fields: &[
        field("label", Text(255), Required), field("icon", Text(100), Optional),
        field("priority", Word(PRIORITIES), Optional), field("requiredPermissions", Texts(255, true), Optional),
        field("sortOrder", Integer, Optional), field("viewId", Id(Some("view")), Optional),
        field("featureId", Id(Some("feature")), Optional), field("isEntrypoint", Flag, Optional),
    ] },
    Form { operation: "PATCH /api/iam/menu-items/{id}", body: None, fields: &[
        field("label", Text(255), Optional), field("icon", Text(100), Clears),
        field("priority", Word(PRIORITIES), Optional), field("requiredPermissions", Texts(255, true), Clears),
        field("sortOrder", Integer, Optional), field("viewId", Id(Some("view")), Clears),
        field("featureId", Id(Some("feature")), Clears), field("isEntrypoint", Flag, Optional),
    ] },
    Form { operation: "POST /api/iam/sub-menu-items", body: None, fields: &[
        field("menuItemId", Id(Some("menu")), Required), field("label", Text(255), Required),
        field("viewId", Id(Some("view")), Optional), field("featureId", Id(Some("feature")), Optional),
        field("icon", Text(100), Optional), field("sortOrder", Integer, Optional), field("enabled", Flag, Optional),
    ] },
    Form { operation: "PATCH /api/iam/sub-menu-items/{id}", body: None, fields: &[
        field("menuItemId", Id(Some("menu")), Optional), field("label", Text(255), Optional),
        field("viewId", Id(Some("view")), Clears), field("featureId", Id(Some("feature")), Clears),
        field("icon", Text(100), Clears), field("sortOrder", Integer, Optional), field("enabled", Flag, Optional),
    ] },
    Form { operation: "POST /api/iam/companies", body: None, fields: &[
        field("id", Id(None), Optional), field("name", Text(255), Required),
        field("moduleIds", Ids("module"), Optional), field("adminUserId", User, Optional),
    ] },
    Form { operation: "PATCH /api/iam/companies/{companyId}", body: None, fields: &[
        field("name", Text(255), Optional), field("status", Word(STATUSES), Optional),
    ] },
    Form { operation: "PUT /api/iam/users/{userId}/profile", body: None, fields: &[
        field("displayName", Text(255), Clears), field("email", Email, Clears),
    ] },
    Form { operation: "POST /api/iam/previews", body: None, fields: &[
        field("method", Method, Required), field("path", Path, Required), field("body", Inner, Optional),
        field("ifMatch", Header, Optional),
    ] },
    Form { operation: "PUT /api/iam/companies/{companyId}/modules", body: None, fields: &[
        field("moduleIds", Ids("module"), Required),
    ] },
    Form { operation: "PATCH /api/iam/companies/{companyId}/modules/{moduleId}", body: None, fields: &[
        field("enabled", Flag, Required),
    ] },
    Form { operation: "PUT /api/iam/companies/{companyId}/quotas", body: None, fields: &[
        field("levels", Limit, Clears), field("levelSets", Limit, Clears), field("menuItems", Limit, Clears),
        field("permissionCells", Limit, Clears), field("apiKeys", Limit, Clears), field("textBytes", Limit, Clears),
        field("levelsPerUser", Limit, Clears),
    ] },
    Form { operation: "PUT /api/iam/companies/{companyId}/ceilings", body: None, fields: CEILINGS },
    Form { operation: "POST /api/iam/companies/{companyId}/ceilings/preview", body: None, fields: CEILINGS },
    Form { operation: "POST /api/iam/companies/{companyId}/provision", body: None, fields: &[
        field("adminUserId", User, Optional), field("restoreAdmin", Flag, Optional),
    ] },
    Form { operation: "PUT /api/iam/users/{userId}/not-before", body: None, fields: &[
        field("notBefore", Time, Optional),
    ] },
    Form { operation: "POST /api/iam/api-keys", body: None, fields: &[
        field("name", Text(255), Required), field("role", Word(ROLES), Required),
        field("requestsPerSecond", Rate, Clears), field("expiresAt", Time, Optional),
    ] },
    Form { operation: "POST /api/iam/nav-trail", body: None, fields: &[
        field("viewId", Id(Some("view")), Optional), field("url", Text(500), Required),
        field("label", Text(255), Required), field("sessionId", Text(255), Required),
    ] },
    ]
};

/// The operations whose request body may be omitted.
pub const NEEDS_NO_BODY: [&str; 4] = [
    "DELETE /api/iam/modules/{id}",
    "POST /api/iam/companies/{companyId}/provision",
    "PUT /api/iam/users/{userId}/not-before",
    "PUT /api/iam/users/{userId}/user-levels/{levelId}",
];
