//! The parameters that take ids, as read from the OpenAPI document, and requests in which the value of one of these
//! parameters is replaced.

use std::fmt::Write as _;

use iam_domain::CompanyId;
use serde_json::{Value, json};

use crate::http::operation::{Entity, Operation, TestCaller};
use crate::http::world::World;
use crate::support::api::Answer;

/// A parameter of an operation that takes an id or another value that belongs to a company.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parameter {
    Path(String),
    Query(String),
    /// A field of the body, as a JSON pointer. For a list, the pointer refers to the first element.
    Body(String),
    Header(&'static str),
}

impl Parameter {
    /// Returns the name of the parameter. For a field of the body, this is the name of the field.
    pub fn name(&self) -> &str {
        match self {
            Self::Path(name) | Self::Query(name) => name,
            Self::Body(pointer) => {
                let is_name = |part: &&str| part.parse::<usize>().is_err();
                pointer.rsplit('/').find(is_name).unwrap()
            }
            Self::Header(name) => name,
        }
    }
}

pub fn document() -> Value {
    iam_http::document().unwrap()
}

/// Returns `true` if the parameter takes ids, according to its name or the format in its schema.
fn is_id(name: &str, schema: &Value) -> bool {
    let may_be = ["id", "view", "feature", "cursor"].contains(&name);
    schema["format"] == "uuid" || may_be || name.ends_with("Id") || name.ends_with("Ids")
}

/// Collects the fields of a body's schema that take ids.
fn ids_of_body(document: &Value, schema: &Value, pointer: &str, found: &mut Vec<Parameter>) {
    if let Some(reference) = schema["$ref"].as_str() {
        return ids_of_body(document, document.pointer(&reference[1..]).unwrap(), pointer, found);
    }
    for choices in ["oneOf", "anyOf", "allOf"] {
        for choice in schema[choices].as_array().into_iter().flatten() {
            ids_of_body(document, choice, pointer, found);
        }
    }
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        ids_of_body(document, member, &format!("{pointer}/{name}"), found);
    }
    if schema.get("items").is_some() {
        ids_of_body(document, &schema["items"], &format!("{pointer}/0"), found);
    }
    let parameter = Parameter::Body(pointer.to_owned());
    let is_leaf = schema.get("properties").is_none() && schema.get("items").is_none();
    // Parameters that specify the company are tested separately.
    let is_asked = is_leaf && !pointer.is_empty() && is_id(parameter.name(), schema) && parameter.name() != "companyId";
    if is_asked && !found.contains(&parameter) {
        found.push(parameter);
    }
}

/// Returns the parameters of an operation that take ids. Parameters that specify the company are omitted.
pub fn parameters(document: &Value, operation: &Operation) -> Vec<Parameter> {
    let described = &document["paths"][operation.path()][operation.method().to_lowercase()];
    let mut found = Vec::new();
    for parameter in described["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap();
        match parameter["in"].as_str().unwrap() {
            _ if name == "companyId" => {}
            "path" => found.push(Parameter::Path(name.to_owned())),
            "query" if is_id(name, &parameter["schema"]) => found.push(Parameter::Query(name.to_owned())),
            _ => {}
        }
    }
    let body = &described["requestBody"]["content"]["application/json"]["schema"];
    ids_of_body(document, body, "", &mut found);
    found
}

/// Returns the string in percent-encoded form, for use in a path or a query.
pub fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").unwrap();
        }
    }
    encoded
}

/// A valid request of an operation in which the value of at most one parameter is replaced.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    pub operation: Operation,
    pub who: TestCaller,
    pub company: Option<CompanyId>,
    pub filled: Option<(&'a Parameter, &'a Value)>,
}

/// Sends the request of the attempt and returns the response.
pub async fn ask(world: &World, what: &str, attempt: Attempt<'_>) -> Answer {
    let Attempt { operation, who, company, filled } = attempt;
    if operation.method() == "DELETE" || operation.path().ends_with("/assignments") {
        // An earlier request may have deleted the entities, or made the changes that the response counts. So new
        // entities are created.
        world.renew();
    }
    let mut ids = operation.ids.iter();
    let mut query: Vec<_> = operation.query.split('&').filter(|pair| !pair.is_empty()).map(str::to_owned).collect();
    let mut parts = Vec::new();
    for part in operation.path().split('/') {
        let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) else {
            parts.push(part.to_owned());
            continue;
        };
        let own = ids.next().unwrap();
        parts.push(match filled {
            Some((Parameter::Path(filled), id)) if filled == name => encoded(id.as_str().unwrap()),
            _ => world.entity(*own).await,
        });
    }
    if let Some((Parameter::Query(name), id)) = filled {
        query.retain(|pair| !pair.starts_with(&format!("{name}=")));
        query.push(format!("{name}={}", encoded(id.as_str().unwrap())));
    }
    let path = world.fill(&format!("{}?{}", parts.join("/"), query.join("&"))).await;
    let mut request = world.request(operation.method(), &path, who, company);
    if let Some((Parameter::Header(name), value)) = filled {
        request = request.header(name, value.as_str().unwrap());
    }
    let in_body = match filled {
        Some((Parameter::Body(pointer), id)) => Some((pointer, id)),
        _ => None,
    };
    let mut body = (operation.body)();
    if !body.is_null() || in_body.is_some() {
        // Each step of a navigation trail is sent in a new session, so that it is the first step of the trail of its
        // session.
        if let Some(session) = body.get_mut("sessionId") {
            *session = json!(Entity::Fresh);
        }
        let text = if body.is_null() { "{}".to_owned() } else { world.fill(&body.to_string()).await };
        let mut body: Value = serde_json::from_str(&text).unwrap();
        if let Some((pointer, id)) = in_body {
            put(&mut body, pointer, id);
        }
        request = request.json(&body);
    }
    world.send(what, request).await
}

/// Sets the value at a JSON pointer in a body. Replaces the existing value, or adds the field if it is missing.
fn put(body: &mut Value, pointer: &str, id: &Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    if let Some(object) = body.pointer_mut(parent).and_then(Value::as_object_mut) {
        if name == "feature" {
            // A check must specify either a view, or a feature and an action.
            object.remove("view");
            object.insert("action".to_owned(), json!("Read"));
        }
        object.insert(name.to_owned(), id.clone());
    } else {
        *body.pointer_mut(pointer).unwrap_or_else(|| panic!("the valid body must contain {pointer}")) = id.clone();
    }
}
