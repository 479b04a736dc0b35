//! Invalid input is refused by name, and nothing of it is stored: every member of every body, every parameter.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::operation::{CompanyParameter, Needs, Operation, Thing, Who};
use super::operations::{operation, operations};
use super::world::{Dump, World};
use crate::support::api::{Answer, Request, both_adapters};

/// The most bytes of a body.
const BODY_LIMIT: usize = 1024 * 1024;

/// What a member holds.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Not blank, at most so many characters.
    Text(usize),
    /// The same, and no UUID.
    Key(usize),
    /// At most 50 characters, and known to the feature.
    KnownAction,
    /// Any text: of unlimited length, perhaps empty.
    Prose,
    /// Any text of at most so many characters, or an id. It may name nothing.
    Question(usize),
    Flag,
    Integer,
    /// One of these words.
    Word(&'static str),
    /// An id; if it must exist, the word for what it names.
    Id(Option<&'static str>),
    /// A user: an id, or `issuer|subject`.
    User,
    /// A time.
    Time,
    /// Ids that must exist.
    Ids(&'static str),
    /// Each at most so many characters; whether each must be a feature's key.
    Texts(usize, bool),
    /// Objects, and the member that must not be the same twice.
    Objects(&'static [Field], &'static str),
    /// Objects that are answered one by one, at most so many.
    Apart(&'static [Field], usize),
}

/// A member of a body.
#[derive(Debug, Clone, Copy)]
struct Field {
    name: &'static str,
    kind: Kind,
    presence: Presence,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Required,
    /// It may be left out, but not be `null`.
    Optional,
    /// `null` empties it.
    Clears,
}
use Presence::{Clears, Optional, Required};

const fn field(name: &'static str, kind: Kind, presence: Presence) -> Field {
    Field { name, kind, presence }
}

/// The message for a text that names no user.
const NO_USER: &str = "must be a valid UUID, or issuer|subject";

const SCOPES: &str = "own, team, company, any";
const STATES: &str = "allow, deny, inherit";
const ROLES: &str = "check, read, administer";
const PRIORITIES: &str = "standard, optional, premium";

/// The members of a question about a view.
const VIEW: &[Field] = &[field("view", Kind::Question(500), Required), field("userId", Kind::User, Optional)];
/// The members of a question about an action.
const ACTION: &[Field] = &[
    field("feature", Kind::Question(255), Required),
    field("action", Kind::Text(50), Required),
    field("scope", Kind::Word(SCOPES), Optional),
    field("userId", Kind::User, Optional),
];

/// The body of an operation, which may take several forms.
#[derive(Debug, Clone, Copy)]
struct Form {
    operation: &'static str,
    /// A valid body; the operation's own if there is none.
    body: Option<fn() -> Value>,
    fields: &'static [Field],
}

impl Form {
    fn valid(&self) -> Value {
        self.body.unwrap_or(operation(self.operation).body)()
    }
}

fn view_question() -> Value {
    json!({ "view": "/dashboard", "userId": Thing::Caller })
}

fn action_question() -> Value {
    json!({ "feature": "general.read", "action": "Read", "scope": "own", "userId": Thing::Caller })
}

/// Every form of every body.
#[rustfmt::skip]
const FORMS: &[Form] = {
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
    Form { operation: "POST /api/iam/user-levels", body: None, fields: &[
        field("name", Text(255), Required), field("description", Prose, Optional),
    ] },
    Form { operation: "PATCH /api/iam/user-levels/{id}", body: None, fields: &[
        field("name", Text(255), Optional), field("description", Prose, Clears),
    ] },
    Form { operation: "PUT /api/iam/users/{userId}/user-levels", body: None, fields: &[
        field("userLevelIds", Ids("user-level"), Required),
    ] },
    Form { operation: "PUT /api/iam/user-levels/{id}/permissions/views", body: None, fields: &[
        field("views", Objects(&[
            field("viewId", Id(Some("view")), Required), field("state", Word(STATES), Optional),
            field("modifiable", Flag, Optional),
        ], "viewId"), Required),
    ] },
    Form { operation: "PUT /api/iam/user-levels/{id}/permissions/features", body: None, fields: &[
        field("features", Objects(&[
            field("featureId", Id(Some("feature")), Required), field("action", KnownAction, Required),
            field("value", Flag, Optional), field("scope", Word(SCOPES), Optional), field("modifiable", Flag, Optional),
        ], "action"), Required),
    ] },
    Form { operation: "POST /api/iam/views", body: None, fields: &[
        field("name", Text(255), Required), field("url", Key(500), Required), field("category", Text(100), Optional),
        field("description", Prose, Optional), field("icon", Text(100), Optional), field("requiresAuth", Flag, Optional),
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
        field("icon", Text(100), Optional), field("enabled", Flag, Optional), field("priority", Word(PRIORITIES), Optional),
    ] },
    Form { operation: "PATCH /api/iam/modules/{id}", body: None, fields: &[
        field("code", Text(100), Optional), field("name", Text(255), Optional), field("description", Prose, Clears),
        field("icon", Text(100), Clears), field("enabled", Flag, Optional), field("priority", Word(PRIORITIES), Optional),
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
    Form { operation: "PUT /api/iam/companies/{companyId}/modules", body: None, fields: &[
        field("moduleIds", Ids("module"), Required),
    ] },
    Form { operation: "PATCH /api/iam/companies/{companyId}/modules/{moduleId}", body: None, fields: &[
        field("enabled", Flag, Required),
    ] },
    Form { operation: "POST /api/iam/companies/{companyId}/provision", body: None, fields: &[
        field("adminUserId", User, Optional),
    ] },
    Form { operation: "PUT /api/iam/users/{userId}/not-before", body: None, fields: &[
        field("notBefore", Time, Optional),
    ] },
    Form { operation: "POST /api/iam/api-keys", body: None, fields: &[
        field("name", Text(255), Required), field("role", Word(ROLES), Required), field("expiresAt", Time, Optional),
    ] },
    Form { operation: "POST /api/iam/nav-trail", body: None, fields: &[
        field("viewId", Id(Some("view")), Optional), field("url", Text(500), Required), field("label", Text(255), Required),
        field("sessionId", Text(255), Required),
    ] },
    ]
};

/// Operations whose body may be left out.
const NEEDS_NO_BODY: [&str; 3] = [
    "DELETE /api/iam/modules/{id}",
    "POST /api/iam/companies/{companyId}/provision",
    "PUT /api/iam/users/{userId}/not-before",
];

/// Stands in a body for bytes that no JSON value has.
const SPLICE: &str = "\"@@\"";

/// One thing to send: a body with placeholders, and what stands in it for [`SPLICE`].
struct Case {
    what: String,
    body: String,
    splice: Option<Vec<u8>>,
    expected: Expected,
}

/// The expected answer.
#[derive(Debug, Clone)]
enum Expected {
    /// 400 with exactly this message.
    Invalid(String),
    /// 400 with a message that begins so and contains that.
    Begins(String, &'static str),
    /// 400 with findings about exactly these fields.
    Findings(Vec<String>),
    /// Any error.
    Error(u16, &'static str, String),
    /// 200, but the first of two checks gets exactly this error in its place; the other one is answered.
    InPlace(String),
    /// The same with findings about exactly these fields.
    InPlaceFindings(Vec<String>),
    /// The operation's success.
    Accepted,
    /// The operation's success, and there is nothing to store.
    NothingToDo,
}

impl Expected {
    fn invalid(field: &str, what: &str) -> Self {
        Self::Invalid(format!("{field} {what}"))
    }

    /// The label that clients of the original system know: "Name is required".
    fn required(field: &str) -> Self {
        let (first, rest) = field.split_at(1);
        Self::Invalid(format!("{}{rest} is required", first.to_uppercase()))
    }

    fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted)
    }

    fn is_success(&self) -> bool {
        matches!(self, Self::Accepted | Self::NothingToDo)
    }

    fn check(&self, about: &str, status: u16, answer: &Answer) {
        let code = |answer: &Answer| answer.error().1;
        if matches!(self, Self::InPlace(_) | Self::InPlaceFindings(_)) {
            return self.check_in_place(about, answer);
        }
        if !self.is_success() && answer.status.is_success() {
            panic!(
                "{about}: {} {}",
                answer.status,
                String::from_utf8_lossy(&answer.body[..200.min(answer.body.len())])
            );
        }
        match self {
            Self::Accepted | Self::NothingToDo => {
                assert_eq!(answer.status.as_u16(), status, "{about}: {}", String::from_utf8_lossy(&answer.body));
            }
            Self::Invalid(message) => {
                let expected = (400, "ERR_VALIDATION_001".to_owned(), message.clone());
                assert_eq!(answer.error(), expected, "{about}");
                assert!(answer.json().get("errors").is_none(), "{about}");
            }
            Self::Begins(start, part) => {
                let (status, code, message) = answer.error();
                assert_eq!((status, code.as_str()), (400, "ERR_VALIDATION_001"), "{about}: {message}");
                assert!(message.starts_with(start.as_str()) && message.contains(part), "{about}: {message}");
            }
            Self::InPlace(_) | Self::InPlaceFindings(_) => {}
            Self::Findings(fields) => {
                assert_eq!(code(answer), "ERR_VALIDATION_003", "{about}: {}", answer.json());
                assert_eq!(answer.error().2, "Validation failed", "{about}");
                let errors = answer.json()["errors"].as_array().unwrap().clone();
                let found: BTreeSet<_> = errors.iter().map(|error| error["field"].as_str().unwrap()).collect();
                assert_eq!(found, fields.iter().map(String::as_str).collect(), "{about}");
                for error in &errors {
                    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{about}: {error}");
                    assert!(error["code"].as_str().is_some_and(|code| !code.is_empty()), "{about}: {error}");
                }
            }
            Self::Error(status, code, message) => {
                assert_eq!(answer.error(), (*status, (*code).to_owned(), message.clone()), "{about}");
            }
        }
    }
}

impl Expected {
    fn check_in_place(&self, about: &str, answer: &Answer) {
        assert_eq!(answer.status, 200, "{about}: {}", String::from_utf8_lossy(&answer.body));
        let results = answer.data()["results"].as_array().unwrap().clone();
        let [told, other] = <[Value; 2]>::try_from(results).unwrap();
        assert_eq!(other["allowed"], true, "{about}: {other}");
        assert_eq!(told["allowed"], false, "{about}: {told}");
        let error = &told["error"];
        match self {
            Self::InPlace(message) => {
                assert_eq!(error, &json!({ "code": "ERR_VALIDATION_001", "message": message }), "{about}");
            }
            Self::InPlaceFindings(fields) => {
                assert_eq!(error["code"], "ERR_VALIDATION_003", "{about}: {told}");
                let found: BTreeSet<_> =
                    error["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect();
                assert_eq!(found, fields.iter().map(String::as_str).collect(), "{about}");
            }
            other => panic!("{other:?} is not in a place"),
        }
    }

    /// The same of an object that is answered by itself.
    fn in_place(self, list: &str) -> Self {
        match self {
            Self::Invalid(message) => Self::InPlace(message),
            Self::Findings(fields) => Self::InPlaceFindings(fields),
            // Invalid JSON is refused as a whole.
            Self::Begins(at, part) if at == "body" => Self::Begins(format!("{list}[0]"), part),
            Self::Begins(at, part) => Self::Begins(format!("{list}[0].{at}"), part),
            other => other,
        }
    }
}

/// The valid body with something else at one place; `None` takes the member away.
fn with(body: &Value, pointer: &str, value: Option<Value>) -> String {
    let mut body = body.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = body.pointer_mut(parent).unwrap_or_else(|| panic!("no {pointer} in the valid body"));
    match (parent, value) {
        (Value::Object(members), Some(value)) => {
            members.insert(name.to_owned(), value);
        }
        (Value::Object(members), None) => {
            members.remove(name);
        }
        (Value::Array(elements), Some(value)) => elements[name.parse::<usize>().unwrap()] = value,
        (parent, _) => panic!("{pointer} is in {parent}"),
    }
    body.to_string()
}

/// The cases of one member, at a place of the valid body.
struct Cases<'a> {
    valid: &'a Value,
    /// Four bytes, and another one for each form, so that texts at the limit never meet.
    letter: char,
    all: Vec<Case>,
}

impl Cases<'_> {
    fn add(&mut self, pointer: &str, what: impl std::fmt::Display, value: Option<Value>, expected: Expected) {
        let what = format!("{pointer} {what}");
        self.all.push(Case { what, body: with(self.valid, pointer, value), splice: None, expected });
    }

    fn set(&mut self, pointer: &str, value: Value, expected: Expected) {
        let what: String = value.to_string().chars().take(60).collect();
        self.add(pointer, what, Some(value), expected);
    }

    /// Everything that is wrong with a member, and its limits.
    fn field(&mut self, parent: &str, prefix: &str, field: Field) {
        let (pointer, name) = (format!("{parent}/{}", field.name), format!("{prefix}{}", field.name));
        self.raw(parent, prefix, &pointer, &name, field.name);
        self.presence(&pointer, &name, field);
        self.values(&pointer, &name, field.kind);
    }

    /// What no JSON value is.
    fn raw(&mut self, parent: &str, prefix: &str, pointer: &str, name: &str, member: &str) {
        let within = if parent.is_empty() { "body".to_owned() } else { prefix.trim_end_matches('.').to_owned() };
        let twice = format!("null,\"{member}\":null");
        let nested = [b"[".repeat(1000), b"]".repeat(1000)].concat();
        for (what, bytes, at, part) in [
            ("lone surrogate", br#""\ud800""#.to_vec(), name, "is not valid JSON"),
            ("lone trailing surrogate", br#""\udc00x""#.to_vec(), name, "is not valid JSON"),
            ("invalid UTF-8", b"\"\xff\xfe\"".to_vec(), name, "is not valid JSON"),
            ("control character", b"\"a\nb\"".to_vec(), name, "is not valid JSON"),
            ("deep", nested, name, "is not valid JSON"),
            ("not a value", b"nope".to_vec(), name, "is not valid JSON"),
            ("not a number", b"NaN".to_vec(), name, "is not valid JSON"),
            ("beyond all numbers", b"1e999".to_vec(), name, "is not valid JSON"),
            ("twice", twice.into_bytes(), within.as_str(), "occurs twice"),
        ] {
            let body = with(self.valid, pointer, Some(json!("@@")));
            let expected = Expected::Begins(at.to_owned(), part);
            self.all.push(Case { what: format!("{pointer} {what}"), body, splice: Some(bytes), expected });
        }
    }

    fn presence(&mut self, pointer: &str, name: &str, field: Field) {
        let is_list = matches!(field.kind, Kind::Ids(_) | Kind::Texts(..) | Kind::Objects(..) | Kind::Apart(..));
        let missing = match (field.presence, field.kind) {
            (Optional | Clears, _) => Expected::Accepted,
            (Required, Kind::Question(_)) => Expected::Invalid("View or feature is required".to_owned()),
            (Required, _) if is_list => Expected::invalid(name, "must be an array"),
            (Required, _) => Expected::required(name),
        };
        self.add(pointer, "is missing", None, missing);
        if field.presence == Clears {
            self.set(pointer, Value::Null, Expected::Accepted);
        } else {
            self.set(pointer, Value::Null, wrong_type(name, field.kind));
        }
    }

    fn values(&mut self, pointer: &str, name: &str, kind: Kind) {
        for value in [json!(true), json!(0), json!(1.5), json!("false"), json!([]), json!({})] {
            let fits = match kind {
                Kind::Flag => value.is_boolean(),
                Kind::Integer => value.is_u64(),
                Kind::Ids(_) | Kind::Texts(..) | Kind::Objects(..) | Kind::Apart(..) => value.is_array(),
                _ => value.is_string(),
            };
            if !fits {
                self.set(pointer, value, wrong_type(name, kind));
            }
        }
        match kind {
            Kind::Text(most) => self.text(pointer, name, most, true),
            Kind::KnownAction => {
                self.text(pointer, name, 50, false);
                for action in ["Fly".to_owned(), "read".to_owned(), self.letters(50)] {
                    self.set(
                        pointer,
                        json!(action),
                        Expected::invalid(name, &format!("names an unknown action: {action}")),
                    );
                }
            }
            Kind::Key(most) => {
                self.text(pointer, name, most, true);
                for id in [
                    "018f3c1e-0000-7000-8000-000000000001",
                    "018f3c1e000070008000000000000001",
                    "{018f3c1e-0000-7000-8000-000000000001}",
                    "urn:uuid:018f3c1e-0000-7000-8000-000000000001",
                ] {
                    self.set(pointer, json!(id), Expected::invalid(name, "must not be a UUID"));
                }
            }
            Kind::Prose => {
                self.set(pointer, json!("a\0b"), Expected::invalid(name, "must not contain NUL characters"));
                for text in [String::new(), "  ".to_owned(), self.letters(10_000)] {
                    self.set(pointer, json!(text), Expected::Accepted);
                }
            }
            Kind::Question(most) => {
                for blank in ["", " "] {
                    self.set(pointer, json!(blank), Expected::required(name));
                }
                self.set(pointer, json!("a\0b"), Expected::invalid(name, "must not contain NUL characters"));
                let too_long = format!("must be at most {most} characters");
                self.set(pointer, json!(self.letters(most + 1)), Expected::invalid(name, &too_long));
                let bare = "018f3c1e000070008000000000000001";
                self.set(pointer, json!(bare), Expected::invalid(name, "must not be a UUID"));
                let unknown = ["018f3c1e-0000-7000-8000-000000000001".to_owned(), self.letters(most)];
                for text in unknown {
                    self.set(pointer, json!(text), Expected::NothingToDo);
                }
            }
            Kind::Flag => {}
            Kind::Integer => {
                for number in [i64::from(i32::MAX) + 1, i64::from(i32::MIN) - 1, i64::MAX, i64::MIN] {
                    let range = "must be between -2147483648 and 2147483647";
                    self.set(pointer, json!(number), Expected::invalid(name, range));
                }
                self.set(pointer, json!(u64::MAX), Expected::invalid(name, "must be an integer"));
                self.set(pointer, json!(7.0), Expected::invalid(name, "must be an integer"));
                for number in [i32::MAX, i32::MIN, 0] {
                    self.set(pointer, json!(number), Expected::Accepted);
                }
            }
            Kind::Word(words) => {
                let first = words.split(", ").next().unwrap();
                let spellings =
                    [String::new(), " ".to_owned(), "banana".to_owned(), first.to_uppercase(), format!("{first}\0")];
                for word in spellings {
                    self.set(pointer, json!(word), Expected::invalid(name, &format!("must be one of: {words}")));
                }
                for word in words.split(", ") {
                    self.set(pointer, json!(word), Expected::Accepted);
                }
            }
            Kind::Id(names) => {
                self.id(pointer, name, names);
                if names.is_none() {
                    self.set(pointer, json!(Thing::Gone), Expected::Accepted);
                }
            }
            Kind::User => {
                self.id(pointer, name, None);
                self.set(pointer, json!(Thing::Gone), Expected::Accepted);
                for unknown in ["issuer|subject", "https://a.example|auth0|1"] {
                    self.set(pointer, json!(unknown), Expected::invalid(name, "names an issuer that is not known"));
                }
            }
            Kind::Time => {
                for text in ["", "x", "0", "2026-11-22", "2026-11-22T12:00:00", "2026-13-01T00:00:00Z", "a\0b"] {
                    self.set(pointer, json!(text), Expected::invalid(name, "must be an RFC 3339 time"));
                }
                for text in ["1969-12-31T23:59:59Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59"] {
                    self.set(pointer, json!(text), Expected::invalid(name, "must be in the years 1970 to 9999"));
                }
                for text in ["2998-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999999Z"] {
                    self.set(pointer, json!(text), Expected::Accepted);
                }
            }
            Kind::Ids(what) => self.ids(pointer, name, what),
            Kind::Texts(most, are_keys) => self.texts(pointer, name, most, are_keys),
            Kind::Objects(fields, key) => self.objects(pointer, name, fields, key),
            Kind::Apart(fields, most) => self.apart(pointer, name, fields, most),
        }
    }

    fn letters(&self, count: usize) -> String {
        self.letter.to_string().repeat(count)
    }

    fn text(&mut self, pointer: &str, name: &str, most: usize, is_any: bool) {
        for blank in ["", " ", "\t\u{a0}\n"] {
            self.set(pointer, json!(blank), Expected::required(name));
        }
        let too_long = Expected::invalid(name, &format!("must be at most {most} characters"));
        self.set(pointer, json!(self.letters(most + 1)), too_long.clone());
        self.set(pointer, json!("x".repeat(most + 1)), too_long);
        for text in ["\0", "a\0b", "ab\0"] {
            self.set(pointer, json!(text), Expected::invalid(name, "must not contain NUL characters"));
        }
        let invisible = "must not begin or end with an invisible character, nor have one between letters of ASCII";
        let direction = "must not contain characters that override or isolate the direction of text";
        for (text, what) in [("a\u{200b}", invisible), ("a\u{200d}b", invisible), ("a\u{202e}b", direction)] {
            self.set(pointer, json!(text), Expected::invalid(name, what));
        }
        if is_any {
            self.set(pointer, json!(self.letters(most)), Expected::Accepted);
        }
    }

    fn id(&mut self, pointer: &str, name: &str, names: Option<&str>) {
        let no_id = if name.ends_with("serId") { NO_USER } else { "must be a valid UUID" };
        for text in [
            "",
            " ",
            "x",
            "1",
            "a\0b",
            "00000000-0000-0000-0000-000000000000",
            "018f3c1e000070008000000000000001",
            "{018f3c1e-0000-7000-8000-000000000001}",
            "018f3c1e-0000-7000-8000-00000000000g",
            &format!("{} ", Thing::Gone),
        ] {
            self.set(pointer, json!(text), Expected::invalid(name, no_id));
        }
        self.set(pointer, json!(self.letters(36)), Expected::invalid(name, no_id));
        if let Some(what) = names {
            let unknown = |id: Thing| Expected::invalid(name, &format!("names an unknown {what}: {id}"));
            self.set(pointer, json!(Thing::Gone), unknown(Thing::Gone));
            let theirs = match what {
                "menu" => Thing::TheirItem,
                "user-level" => Thing::TheirLevel,
                _ => Thing::Company,
            };
            self.set(pointer, json!(theirs), unknown(theirs));
        }
    }

    fn ids(&mut self, pointer: &str, name: &str, what: &'static str) {
        let valid = self.valid.pointer(pointer).unwrap()[0].as_str().unwrap().to_owned();
        let (first, place) = (format!("{pointer}/0"), format!("{name}[0]"));
        self.id(&first, &place, Some(what));
        self.elements(pointer, name, &[&first, &place], "must be a string");
        let second = format!("{name}[1]");
        self.set(pointer, json!([valid, valid]), Expected::invalid(&second, "occurs twice"));
        let capitals = valid.to_uppercase();
        self.set(pointer, json!([valid, capitals]), Expected::invalid(&second, "occurs twice"));
        let unknown = Expected::invalid(&second, &format!("names an unknown {what}: {}", Thing::Gone));
        self.set(pointer, json!([valid, Thing::Gone]), unknown);
        self.set(pointer, json!([]), Expected::Accepted);
        self.set(pointer, json!([capitals]), Expected::Accepted);
    }

    fn texts(&mut self, pointer: &str, name: &str, most: usize, are_keys: bool) {
        let (first, place) = (format!("{pointer}/0"), format!("{name}[0]"));
        self.text(&first, &place, most, !are_keys);
        self.elements(pointer, name, &[&first, &place], "must be a string");
        let valid = self.valid.pointer(&first).unwrap().clone();
        self.set(pointer, json!([valid, valid]), Expected::invalid(&format!("{name}[1]"), "occurs twice"));
        if are_keys {
            for key in ["nope".to_owned(), "GENERAL.READ".to_owned(), self.letters(most)] {
                self.set(&first, json!(key), Expected::invalid(&place, &format!("names an unknown feature: {key}")));
            }
            let id = json!("018f3c1e-0000-7000-8000-000000000001");
            self.set(&first, id, Expected::invalid(&place, "must not be a UUID"));
        }
        self.set(pointer, json!([]), Expected::Accepted);
    }

    fn objects(&mut self, pointer: &str, name: &str, fields: &[Field], key: &str) {
        let place = format!("{name}[0]");
        for field in fields {
            self.field(&format!("{pointer}/0"), &format!("{place}."), *field);
        }
        self.elements(pointer, name, &[&format!("{pointer}/0"), &place], "must be an object");
        let valid = self.valid.pointer(&format!("{pointer}/0")).unwrap().clone();
        self.set(pointer, json!([valid, valid]), Expected::invalid(&format!("{name}[1].{key}"), "occurs twice"));
        self.set(pointer, json!([]), Expected::Accepted);
    }

    fn apart(&mut self, pointer: &str, name: &str, fields: &[Field], most: usize) {
        let valid = self.valid.pointer(&format!("{pointer}/0")).unwrap().clone();
        for case in cases_of(&valid, self.letter, fields) {
            let body = format!(r#"{{"{name}":[{},{valid}]}}"#, case.body);
            let expected = case.expected.in_place(name);
            self.all.push(Case { what: format!("{pointer}/0{}", case.what), body, splice: case.splice, expected });
        }
        for value in [json!(null), json!(true), json!(0), json!(1.5), json!([]), json!("x")] {
            self.set(pointer, json!([value, valid]), Expected::InPlace("check must be an object".to_owned()));
        }
        let length = Expected::invalid(name, &format!("must hold 1 to {most} elements"));
        self.set(pointer, json!([]), length.clone());
        self.set(pointer, json!(vec![valid.clone(); most + 1]), length);
        self.set(pointer, json!(vec![valid; most]), Expected::Accepted);
    }

    /// Elements of other types, one and several.
    fn elements(&mut self, pointer: &str, name: &str, [first, place]: &[&str; 2], what: &str) {
        for value in [json!(null), json!(true), json!(0), json!(1.5), json!([])] {
            self.set(first, value, Expected::invalid(place, what));
        }
        self.set(first, if what.contains("object") { json!("x") } else { json!({}) }, Expected::invalid(place, what));
        let both = vec![(*place).to_owned(), format!("{name}[1]")];
        self.set(pointer, json!([null, true]), Expected::Findings(both));
    }
}

/// The error for a value of another JSON type.
fn wrong_type(name: &str, kind: Kind) -> Expected {
    let what = match kind {
        Kind::Flag => "must be a boolean",
        Kind::Integer => "must be an integer",
        Kind::Ids(_) | Kind::Texts(..) | Kind::Objects(..) | Kind::Apart(..) => "must be an array",
        _ => "must be a string",
    };
    Expected::invalid(name, what)
}

/// All cases of a form: its members, several wrong at once, and more members than there are.
fn cases_of(valid: &Value, letter: char, fields: &[Field]) -> Vec<Case> {
    let mut cases = Cases { valid, letter, all: Vec::new() };
    for field in fields {
        cases.field("", "", *field);
    }
    let mut all = cases.all;
    if fields.len() > 1 {
        let names: Vec<_> = fields.iter().map(|field| field.name.to_owned()).collect();
        let wrong: Map<_, _> = names.iter().map(|name| (name.clone(), json!({}))).collect();
        let body = Value::Object(wrong).to_string();
        all.push(Case { what: "all wrong".to_owned(), body, splice: None, expected: Expected::Findings(names) });
    }
    let mut more = valid.clone();
    more["id"] = json!(Thing::Gone);
    more["nobody asked for this"] = json!({ "isDefault": [null] });
    all.push(Case {
        what: "more members".to_owned(),
        body: more.to_string(),
        splice: None,
        expected: Expected::Accepted,
    });
    all
}

/// A whole body: what it is, its headers, and what comes.
type Whole = (&'static str, Vec<(&'static str, &'static str)>, Vec<u8>, Expected);

/// What does not fit as a whole, by content type and coding; and what does.
fn whole_bodies(operation: Operation, valid: &str) -> Vec<Whole> {
    let plain = || vec![("content-type", "application/json")];
    let not_json = || Expected::Begins("body".to_owned(), "is not valid JSON");
    let no_object = || Expected::Invalid("body must be a JSON object".to_owned());
    let declared = "body must be JSON: Content-Type: application/json, not encoded";
    let other_type = || Expected::Error(415, "ERR_VALIDATION_005", declared.to_owned());
    let padded = |length: usize| format!("{valid}{}", " ".repeat(length - valid.len())).into_bytes();
    let too_large = || Expected::Error(413, "ERR_VALIDATION_004", format!("body must be at most {BODY_LIMIT} bytes"));
    let nested = |open: &str, close: &str| format!("{}{}", open.repeat(1000), close.repeat(1000)).into_bytes();
    let empty = if NEEDS_NO_BODY.contains(&operation.name) {
        Expected::Accepted
    } else {
        Expected::Invalid("body is required: a JSON object".to_owned())
    };
    let gzip = vec![("content-type", "application/json"), ("content-encoding", "gzip")];
    vec![
        ("empty", plain(), vec![], empty),
        ("one space", plain(), b" ".to_vec(), not_json()),
        ("no JSON", plain(), b"nonsense".to_vec(), not_json()),
        ("cut off", plain(), b"{".to_vec(), not_json()),
        ("two documents", plain(), b"{} {}".to_vec(), not_json()),
        ("trailing comma", plain(), b"{\"a\":1,}".to_vec(), not_json()),
        ("byte order mark", plain(), [b"\xef\xbb\xbf".as_slice(), valid.as_bytes()].concat(), not_json()),
        ("invalid UTF-8", plain(), b"\xff\xfe".to_vec(), not_json()),
        ("invalid UTF-8 in a name", plain(), b"{\"\xff\":1}".to_vec(), not_json()),
        ("lone surrogate", plain(), br#""\ud800""#.to_vec(), not_json()),
        ("NUL bytes", plain(), b"\0\0".to_vec(), not_json()),
        ("deep lists", plain(), nested("[", "]"), not_json()),
        ("deep objects", plain(), nested("{\"a\":", "}"), Expected::Begins("a.a.a".to_owned(), "is not valid JSON")),
        ("list", plain(), b"[]".to_vec(), no_object()),
        ("list of it", plain(), format!("[{valid}]").into_bytes(), no_object()),
        ("text", plain(), b"\"{}\"".to_vec(), no_object()),
        ("number", plain(), b"0".to_vec(), no_object()),
        ("null", plain(), b"null".to_vec(), no_object()),
        ("one byte too many", plain(), padded(BODY_LIMIT + 1), too_large()),
        ("all that fits", plain(), padded(BODY_LIMIT), Expected::Accepted),
        ("plain text", vec![("content-type", "text/plain")], valid.into(), other_type()),
        ("a form", vec![("content-type", "application/x-www-form-urlencoded")], valid.into(), other_type()),
        ("no type", vec![], valid.into(), other_type()),
        ("a type that is none", vec![("content-type", "json")], valid.into(), other_type()),
        ("compressed", gzip, valid.into(), other_type()),
        ("with a charset", vec![("content-type", "application/json; charset=utf-8")], valid.into(), Expected::Accepted),
    ]
}

/// A number that changes with every write except to trails.
async fn changes(world: &World) -> Value {
    let last = "/api/iam/audit-logs?limit=1&includeTotal=true";
    json!([world.look(&world.platform_trail(1), None).await, world.look(last, Some(world.ours.id)).await])
}

/// A company that an operation of the table works in, if it is named by header.
fn by_header(world: &World, operation: Operation) -> Option<iam_domain::CompanyId> {
    (operation.company != CompanyParameter::InPath).then_some(world.ours.id)
}

/// Everything that an operation could change.
async fn dump(world: &World) -> (Dump, Dump) {
    (world.dump(world.ours).await, world.dump_catalog().await)
}

/// Sends a request and looks at the answer.
async fn send(world: &World, operation: Operation, about: &str, request: Request, expected: &Expected) {
    let about = format!("{}: {about}", operation.name);
    expected.check(&about, operation.status, &world.send(&about, request).await);
    if expected.is_accepted() {
        // Others may find what was made changed or gone.
        world.renew();
    }
}

/// A case of a body.
async fn send_case(world: &World, operation: Operation, case: &Case) {
    let path = world.fill(&operation.valid_path()).await;
    let body = world.fill(&case.body).await;
    let body = match &case.splice {
        None => body.into_bytes(),
        Some(bytes) => {
            let (start, end) = body.split_once(SPLICE).expect("a place for the splice");
            [start.as_bytes(), bytes, end.as_bytes()].concat()
        }
    };
    let expected = match &case.expected {
        Expected::Invalid(message) => Expected::Invalid(world.fill(message).await),
        Expected::InPlace(message) => Expected::InPlace(world.fill(message).await),
        other => other.clone(),
    };
    let request = world.request(operation.method(), &path, operation.user(), by_header(world, operation));
    send(world, operation, &case.what, request.bytes("application/json", body), &expected).await;
}

/// Everything that must be refused. Answers how many requests that were.
pub async fn everything(world: &World) -> usize {
    bodies(world).await + wholes(world).await + paths(world).await + queries(world).await
}

/// Makes all that the table needs, so that no later request makes anything.
async fn make_everything(world: &World) {
    world.renew();
    for form in FORMS {
        world.fill(&form.valid().to_string()).await;
    }
    for thing in operations().flat_map(|operation| operation.ids).chain(&[Thing::TheirItem, Thing::TheirLevel]) {
        world.thing(*thing).await;
    }
}

/// Every member of every body.
async fn bodies(world: &World) -> usize {
    let mut accepted = Vec::new();
    let mut sent = 0;
    make_everything(world).await;
    let before = dump(world).await;
    for (index, form) in FORMS.iter().enumerate() {
        let (operation, valid) = (operation(form.operation), form.valid());
        let letter = char::from_u32(0x1f400 + u32::try_from(index).unwrap()).unwrap();
        let changes_before = changes(world).await;
        for case in cases_of(&valid, letter, form.fields) {
            sent += 1;
            if case.expected.is_accepted() {
                accepted.push((operation, case));
            } else {
                send_case(world, operation, &case).await;
            }
        }
        assert_eq!(changes(world).await, changes_before, "{} stored something that it refused", operation.name);
    }
    assert_eq!(dump(world).await, before, "something was stored that was refused");
    for (operation, case) in accepted {
        send_case(world, operation, &case).await;
    }
    sent
}

/// Bodies that do not fit as a whole.
async fn wholes(world: &World) -> usize {
    let mut sent = 0;
    let mut seen = BTreeSet::new();
    let mut accepted = Vec::new();
    make_everything(world).await;
    let before = dump(world).await;
    for operation in FORMS.iter().map(|form| operation(form.operation)).filter(|operation| seen.insert(operation.name))
    {
        let valid = world.fill(&operation.valid_body()).await;
        let changes_before = changes(world).await;
        for (index, whole) in whole_bodies(operation, &valid).into_iter().enumerate() {
            sent += 1;
            if whole.3.is_accepted() {
                accepted.push((operation, index));
            } else {
                send_whole(world, operation, whole).await;
            }
        }
        assert_eq!(changes(world).await, changes_before, "{} stored something that it refused", operation.name);
    }
    assert_eq!(dump(world).await, before, "something was stored that was refused");
    for (operation, index) in accepted {
        let valid = world.fill(&operation.valid_body()).await;
        send_whole(world, operation, whole_bodies(operation, &valid).swap_remove(index)).await;
    }
    sent
}

async fn send_whole(world: &World, operation: Operation, (what, headers, body, expected): Whole) {
    let path = world.fill(&operation.valid_path()).await;
    let request = world.request(operation.method(), &path, operation.user(), by_header(world, operation)).payload(body);
    let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
    send(world, operation, &format!("body {what}"), request, &expected).await;
}

/// Invalid ids in paths.
async fn paths(world: &World) -> usize {
    let over_long = "a".repeat(5000);
    let no_ids = [
        "x",
        "0",
        "null",
        "00000000-0000-0000-0000-000000000000",
        "018f3c1e000070008000000000000001",
        "%7B018f3c1e-0000-7000-8000-000000000001%7D",
        "018f3c1e-0000-7000-8000-000000000001%00",
        "018f3c1e-0000-7000-8000-000000000001%20",
        "%00",
        "%ff%fe",
        "%F0%9F%90%84",
        "%2e%2e",
        "%2F",
        "%25",
        "%",
        "%zz",
        "..;",
        "'%20OR%201=1--",
        over_long.as_str(),
    ];
    let mut sent = 0;
    make_everything(world).await;
    let before = changes(world).await;
    for operation in operations() {
        for (index, parameter) in operation.parameters().enumerate() {
            for no_id in no_ids {
                let mut ids: Vec<_> = operation.ids.iter().map(Thing::to_string).collect();
                ids[index] = no_id.to_owned();
                let path = world.fill(&operation.path_with(&ids, operation.query)).await;
                let body = world.fill(&operation.valid_body()).await;
                let company = by_header(world, operation);
                let mut request = world.request(operation.method(), &path, operation.user(), company);
                if !body.is_empty() {
                    request = request.bytes("application/json", body);
                }
                let about = format!("{parameter} {}", no_id.chars().take(60).collect::<String>());
                let no_id = if parameter == "userId" { NO_USER } else { "must be a valid UUID" };
                let expected = Expected::invalid(parameter, no_id);
                send(world, operation, &about, request, &expected).await;
                sent += 1;
            }
        }
    }
    assert_eq!(changes(world).await, before);
    sent
}

/// Base64 for urls, without padding: what cursors are written in.
fn base64(plain: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digits = |chunk: &[u8]| {
        let bits = chunk.iter().chain([&0; 2]).take(3).fold(0, |bits, byte| (bits << 8) | usize::from(*byte));
        (0..=chunk.len()).map(move |place| char::from(DIGITS[(bits >> (18 - 6 * place)) & 63]))
    };
    plain.as_bytes().chunks(3).flat_map(digits).collect()
}

/// Parameters of the query.
async fn queries(world: &World) -> usize {
    let long = |count: usize| "%F0%9F%90%84".repeat(count);
    let cursor = base64;
    let id = "018f3c1e-0000-7000-8000-000000000001";
    let entity_types = "is not valid: must be one of: user-level, permission, assignment, view, feature, module, menu, company, api-key, user";
    let mut cases: Vec<(&str, String, Expected)> = Vec::new();
    let mut wrong = |name: &'static str, value: &str, what: &str| {
        cases.push(("GET /api/iam/audit-logs", format!("{name}={value}"), Expected::invalid(name, what)));
    };
    for value in ["x", "User-Level", "%00", "user-level%20", "%ff"] {
        wrong("entityType", value, entity_types);
    }
    for name in ["entityId", "userId"] {
        for value in ["x", "%00", "00000000-0000-0000-0000-000000000000", "%ff", "018f3c1e000070008000000000000001"] {
            wrong(name, value, if name == "userId" { NO_USER } else { "must be a valid UUID" });
        }
    }
    wrong("action", "%00", "must not contain NUL characters");
    for name in ["from", "to"] {
        for value in [
            "x",
            "0",
            "2026-11-22",
            "2026-11-22T12:00:00",
            "2026-13-01T00:00:00Z",
            "2026-11-22T25:00:00Z",
            "%00",
            "%ff",
            "99999-01-01T00:00:00Z",
        ] {
            wrong(name, value, "must be an RFC 3339 time");
        }
    }
    for value in ["0", "201", "18446744073709551615"] {
        wrong("limit", value, "must be between 1 and 200");
    }
    let not_ours = "is not one that this service gave";
    for value in ["x", "%00", "%ff", "====", "null"] {
        wrong("cursor", value, not_ours);
    }
    for plain in [
        "/",
        "1",
        &format!("/{id}"),
        &format!("x/{id}"),
        "1/x",
        &format!("{}/{id}", i64::MAX),
        &format!("{}0/{id}", i64::MAX),
        &format!("1/{id}/1"),
        &format!("1.5/{id}"),
        &format!("-1/{id}"),
        &format!("{}/{id}", -8_000_000_000_000_000_000_i64),
    ] {
        wrong("cursor", &cursor(plain), not_ours);
    }
    for (name, values) in [
        ("limit", ["x", "1.5", "-1", "%00", "18446744073709551616"].as_slice()),
        ("includeTotal", &["1", "TRUE", "yes", "%00"]),
    ] {
        for value in values {
            let expected = Expected::Begins(name.to_owned(), "is not valid");
            cases.push(("GET /api/iam/audit-logs", format!("{name}={value}"), expected));
        }
    }
    let valid_values = [
        ("entityType", "view"),
        ("entityId", id),
        ("action", "view.created"),
        ("userId", id),
        ("from", "2026-11-22T12:00:00Z"),
        ("to", "2026-11-22T12:00:00Z"),
        ("limit", "5"),
        ("includeTotal", "true"),
        ("cursor", &cursor(&format!("1/{id}"))),
    ];
    for (name, value) in valid_values {
        let twice = format!("{name}={value}&{name}={value}");
        cases.push(("GET /api/iam/audit-logs", twice, Expected::invalid(name, "is given twice")));
        cases.push(("GET /api/iam/audit-logs", format!("{name}={value}"), Expected::NothingToDo));
        cases.push(("GET /api/iam/audit-logs", format!("{name}="), Expected::NothingToDo));
    }
    let all = vec!["entityType", "entityId", "action", "userId", "from", "to", "limit", "cursor", "includeTotal"];
    let all_wrong = all.iter().map(|name| format!("{name}=%00")).collect::<Vec<_>>().join("&");
    let findings = Expected::Findings(all.iter().map(|name| (*name).to_owned()).collect());
    cases.push(("GET /api/iam/audit-logs", all_wrong, findings));
    for fine in [
        "limit=1",
        "limit=200",
        "includeTotal=false",
        "from=0000-01-01T00:00:00Z",
        "to=9999-12-31T23:59:59.999999Z",
        "from=0000-01-01T00:00:00%2B23:59",
        "from=2026-11-22T12:00:00%2B01:00",
        "action=%F0%9F%90%84",
        "nobody=knows",
        "limit",
        &format!("action={}", "x".repeat(3000)),
        &format!("cursor={}", cursor(&format!("8000000000000000000/{id}"))),
    ] {
        cases.push(("GET /api/iam/audit-logs", fine.to_owned(), Expected::NothingToDo));
    }
    for name in ["GET /api/iam/nav-trail", "DELETE /api/iam/nav-trail"] {
        let mut add = |query: String, expected| cases.push((name, query, expected));
        let required = || Expected::Invalid("sessionId is required".to_owned());
        for missing in ["", "sessionid=s", "sessionId", "sessionId=", "sessionId=%20", "sessionId=+%09"] {
            add(missing.to_owned(), required());
        }
        let nul = || Expected::invalid("sessionId", "must not contain NUL characters");
        add("sessionId=%00".to_owned(), nul());
        add("sessionId=a%00".to_owned(), nul());
        add("sessionId=s&sessionId=s".to_owned(), Expected::invalid("sessionId", "is given twice"));
        add(format!("sessionId={}", long(256)), Expected::invalid("sessionId", "must be at most 255 characters"));
        add(format!("sessionId={}", long(255)), Expected::NothingToDo);
        add("sessionId=%ff".to_owned(), Expected::NothingToDo);
    }
    let sent = cases.len();
    for (name, query, expected) in cases {
        let operation = operation(name);
        let path = format!("{}?{query}", operation.path());
        let request = world.request(operation.method(), &path, operation.user(), by_header(world, operation));
        let about: String = query.chars().take(60).collect();
        send(world, operation, &about, request, &expected).await;
    }
    sent
}

/// The members of a schema of the document, also those in lists of objects.
fn members(document: &Value, schema: &Value, prefix: &str, found: &mut BTreeSet<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        return members(document, document.pointer(name.trim_start_matches('#')).unwrap(), prefix, found);
    }
    for one in schema["oneOf"].as_array().into_iter().flatten() {
        members(document, one, prefix, found);
    }
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        found.insert(format!("{prefix}{name}"));
        members(document, &member["items"], &format!("{prefix}{name}[]."), found);
    }
}

/// Every member of every body of the document is in the table, and no other.
#[test]
fn the_table_has_every_member() {
    fn names(fields: &[Field], prefix: &str, found: &mut BTreeSet<String>) {
        for field in fields {
            found.insert(format!("{prefix}{}", field.name));
            if let Kind::Objects(fields, _) | Kind::Apart(fields, _) = field.kind {
                names(fields, &format!("{prefix}{}[].", field.name), found);
            }
        }
    }
    let document = serde_json::to_value(iam_http::document()).unwrap();
    for operation in operations() {
        let described = &document["paths"][operation.path()][operation.method().to_lowercase()]["requestBody"];
        let mut expected = BTreeSet::new();
        members(&document, &described["content"]["application/json"]["schema"], "", &mut expected);
        let mut known = BTreeSet::new();
        for form in FORMS.iter().filter(|form| form.operation == operation.name) {
            names(form.fields, "", &mut known);
        }
        assert_eq!(known, expected, "{}", operation.name);
        assert_eq!(described.is_null(), expected.is_empty(), "{}", operation.name);
        assert!(
            (operation.body)().is_null() == expected.is_empty() || operation.needs == Needs::Token,
            "{}",
            operation.name
        );
    }
}

both_adapters! {
    /// Every member of every body, with all that may be wrong with it, and at its limits.
    async fn members_that_do_not_fit_are_named(api: TestApi) {
        let world = World::new(api).await;
        let sent = bodies(&world).await;
        assert!(sent > 2_000, "{sent}");
    }

    /// Bodies that are no JSON object, too large, or declared as something else.
    async fn bodies_that_do_not_fit_are_refused(api: TestApi) {
        let world = World::new(api).await;
        let sent = wholes(&world).await;
        assert!(sent > 500, "{sent}");
    }

    /// Ids in paths.
    async fn paths_that_do_not_fit_are_refused(api: TestApi) {
        let world = World::new(api).await;
        let sent = paths(&world).await;
        assert!(sent > 500, "{sent}");
    }

    /// Parameters of queries.
    async fn parameters_that_do_not_fit_are_named(api: TestApi) {
        let world = World::new(api).await;
        let before = dump(&world).await;
        let sent = queries(&world).await;
        assert!(sent > 100, "{sent}");
        assert_eq!(dump(&world).await, before);
    }

    /// Checks that are refused.
    async fn a_check_asks_one_thing(api: TestApi) {
        let world = World::new(api).await;
        for (body, message) in [
            (json!({}), "View or feature is required"),
            (json!({ "action": "Read" }), "View or feature is required"),
            (json!({ "view": "/home", "feature": "general.read" }), "view cannot be asked together with feature"),
            (json!({ "view": "/home", "action": "Read" }), "view takes neither action nor scope"),
            (json!({ "view": "/home", "scope": "own" }), "view takes neither action nor scope"),
            (json!({ "feature": "general.read" }), "Action is required"),
            (json!({ "feature": "general.read", "scope": "own" }), "Action is required"),
        ] {
            let request = world.request("POST", "/api/iam/check", Who::Admin, Some(world.ours.id)).json(&body);
            Expected::Invalid(message.to_owned()).check(&body.to_string(), 200, &world.send("check", request).await);
        }
    }

    /// The messages that clients of the original system know.
    async fn the_sentences_of_the_original_stay(api: TestApi) {
        let world = World::new(api).await;
        let level = format!("/api/iam/user-levels/{}", world.thing(Thing::Level).await);
        let user = format!("/api/iam/users/{}/user-levels", world.thing(Thing::User).await);
        let (views, features) = (format!("{level}/permissions/views"), format!("{level}/permissions/features"));
        for (method, path, body, message) in [
            ("POST", "/api/iam/user-levels", json!({}), "Name is required"),
            ("POST", "/api/iam/user-levels", json!({ "name": " " }), "Name is required"),
            ("PUT", &views, json!({}), "views must be an array"),
            ("PUT", &features, json!({ "features": null }), "features must be an array"),
            ("PUT", &user, json!({ "userLevelIds": "x" }), "userLevelIds must be an array"),
        ] {
            let request = world.request(method, path, Who::Admin, Some(world.ours.id)).json(&body);
            Expected::Invalid(message.to_owned()).check(path, 200, &world.send(path, request).await);
        }
        let both = json!({ "name": 1, "description": null });
        let request = world.request("POST", "/api/iam/user-levels", Who::Admin, Some(world.ours.id)).json(&both);
        let answer = world.send("/api/iam/user-levels", request).await.expect(400).json();
        assert_eq!(
            answer,
            json!({
                "status": "error", "code": "ERR_VALIDATION_003", "message": "Validation failed",
                "errors": [
                    { "field": "name", "message": "name must be a string", "code": "type" },
                    { "field": "description", "message": "description must be a string", "code": "type" },
                ],
            })
        );
    }

    /// A value that is not a boolean never grants: the user's permissions stay as before.
    async fn what_is_no_boolean_grants_nothing(api: TestApi) {
        let world = World::new(api).await;
        let user = world.thing(Thing::User).await;
        let level = world.thing(Thing::Level).await;
        let feature = world.thing(Thing::Feature).await;
        let path = format!("/api/iam/users/{user}/user-levels");
        let request = world.request("PUT", &path, Who::Admin, Some(world.ours.id)).json(&json!({ "userLevelIds": [level] }));
        world.send(&path, request).await.expect(200);
        let path = format!("/api/iam/user-levels/{level}/permissions/features");
        for value in [json!("false"), json!("true"), json!(0), json!(1), json!(null), json!([true]), json!({})] {
            let cell = json!({ "featureId": feature, "action": "Read", "value": value });
            let request = world.request("PUT", &path, Who::Admin, Some(world.ours.id)).json(&json!({ "features": [cell] }));
            let answer = world.send(&path, request).await;
            Expected::invalid("features[0].value", "must be a boolean").check(&value.to_string(), 200, &answer);
            let question = json!({ "feature": feature, "action": "Read", "userId": user });
            let request = world.request("POST", "/api/iam/check", Who::Admin, Some(world.ours.id)).json(&question);
            let decision = world.send("/api/iam/check", request).await.expect(200).data();
            assert_eq!((&decision["allowed"], &decision["reasonCode"]), (&json!(false), &json!("no_explicit_allow")), "{value}");
        }
    }
}
