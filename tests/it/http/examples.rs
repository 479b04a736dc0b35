//! Records the examples of the OpenAPI document: one request and response for each operation, and one value for each
//! field. The committed examples must equal the recorded ones, so they show actual responses.

mod companies;
mod decisions;
mod levels;

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;

use actix_web::http::Method;
use iam_application::BudgetOptions;
use iam_storage::StorageError;
use serde_json::{Map, Value, json};

use super::logs::Failing;
use crate::support::api::{Answer, Company, Request, TestApi, new_user, one_a_second};
use crate::support::contract::{self, DOCUMENT};

/// The file that the service embeds.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/http/src/routes/openapi/examples.json");

/// The times in requests.
const NOT_BEFORE: &str = "2026-01-01T00:00:00.000Z";
const EXPIRES_AT: &str = "2036-01-01T00:00:00.000Z";

const CURSOR: &str = "AfbFNh2XR6hxMhj8rOxQtbKJdrZ7tbUhC7lQBX1UTGdfIjAxYTIx";

/// Replaces the values that differ between two runs: generated ids, times, signed cursors and API keys. Equal ids are replaced by equal
/// placeholders.
#[derive(Default)]
struct Normalizer {
    ids: BTreeMap<String, String>,
}

impl Normalizer {
    fn json(&mut self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            // Lists and maps in examples have at most two elements.
            Value::Array(elements) => elements.iter().take(2).map(|element| self.json(element)).collect(),
            Value::Object(members) => {
                let is_map = members.len() > 2 && members.keys().all(|name| uuid::Uuid::try_parse(name).is_ok());
                let most = if is_map { 2 } else { usize::MAX };
                let normal = |(name, value): (&String, &Value)| match name.as_str() {
                    // The public part of an API key.
                    "prefix" => (name.clone(), json!("V1ZCg3WG4e3M")),
                    // A version, which begins with the epoch of the storage.
                    "version" if value.as_str().is_some_and(|version| version.len() > 16) => {
                        (name.clone(), json!("5f3c9b1d20e8a467.1.3"))
                    }
                    // A signed cursor.
                    "nextCursor" if value.as_str().is_some_and(|cursor| cursor.len() > 60) => {
                        (name.clone(), json!(CURSOR))
                    }
                    _ => (self.text(name), self.json(value)),
                };
                members.iter().take(most).map(normal).collect()
            }
            _ => value.clone(),
        }
    }

    fn text(&mut self, text: &str) -> String {
        if text.starts_with("iam_") && text.len() > 40 {
            return "iam_V1ZCg3WG4e3M_…".to_owned();
        }
        if text.len() == 24 && text.ends_with('Z') && text.as_bytes()[10] == b'T' {
            let is_requested = [NOT_BEFORE, EXPIRES_AT].contains(&text);
            return if is_requested { text } else { "2026-01-15T09:00:00.000Z" }.to_owned();
        }
        text.split_inclusive(['/', '|']).map(|part| self.part(part)).collect()
    }

    fn part(&mut self, part: &str) -> String {
        let id = part.trim_end_matches(['/', '|']);
        match uuid::Uuid::try_parse(id) {
            // The ids of the seeded catalog have version 5. They are the same in every installation.
            Ok(uuid) if uuid.get_version_num() != 5 => {
                let next = self.ids.len() + 1;
                let version = uuid.get_version_num();
                let stable = format!("0194{:04x}-0000-{version}000-8000-{next:012x}", next);
                part.replace(id, self.ids.entry(id.to_owned()).or_insert(stable))
            }
            _ => part.to_owned(),
        }
    }
}

/// The recorded examples.
#[derive(Default)]
struct Examples {
    normalizer: Normalizer,
    operations: BTreeMap<String, Map<String, Value>>,
    errors: BTreeMap<String, Value>,
    fields: BTreeMap<String, BTreeMap<String, Value>>,
}

impl Examples {
    /// Sends a request and records its body and its response as the examples of the operation. Returns the data of the
    /// response.
    async fn record(&mut self, name: &str, request: Request, body: Option<Value>) -> Value {
        let request = match &body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer = request.send().await;
        assert!(answer.status.is_success(), "{name}: {}", String::from_utf8_lossy(&answer.body));
        let (method, path) = name.split_once(' ').unwrap();
        let operation = &DOCUMENT["paths"][path][method.to_lowercase()];
        let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{name} is not documented"));
        let example = self.operations.entry(id.to_owned()).or_default();
        if let Some(body) = body {
            let normal = self.normalizer.json(&body);
            self.learn(&operation["requestBody"]["content"]["application/json"]["schema"], None, &normal);
            self.operations.get_mut(id).unwrap().insert("request".to_owned(), normal);
        } else {
            example.remove("request");
        }
        let json = answer.json();
        let normal = self.normalizer.json(&json);
        let schema = contract::response_schema(path, &method.to_lowercase(), answer.status.as_str());
        self.learn(&schema, None, &normal);
        let example = self.operations.get_mut(id).unwrap();
        example.insert("status".to_owned(), json!(answer.status.as_str()));
        example.insert("response".to_owned(), normal);
        json["data"].clone()
    }

    /// Records an error response.
    async fn record_error(&mut self, status: &str, request: Request) -> Answer {
        let answer = request.send().await;
        assert_eq!(answer.status.as_str(), status, "{}", String::from_utf8_lossy(&answer.body));
        let normal = self.normalizer.json(&answer.json());
        self.learn(&json!({ "$ref": "#/components/schemas/Error" }), None, &normal);
        self.errors.insert(status.to_owned(), normal);
        answer
    }

    /// Adds examples of fields that no recorded request or response contains: the value of a constant, or the value of
    /// a field with the same name in another schema. Afterwards every field has an example, except fields that contain
    /// objects and the fields in [`WITHOUT_EXAMPLE`].
    fn fill(&mut self) {
        for (name, schema) in DOCUMENT["components"]["schemas"].as_object().unwrap() {
            for (field, property) in schema["properties"].as_object().into_iter().flatten() {
                let is_known = self.fields.get(name).is_some_and(|fields| fields.contains_key(field));
                if is_known || contains_objects(property) {
                    continue;
                }
                let is_valid = |value: &&Value| {
                    contract::response_errors(&format!("field {property}"), || property.clone(), value).is_empty()
                };
                let constant = property.get("const").or_else(|| property["enum"].get(0));
                let mut others = self.fields.values().filter_map(|fields| fields.get(field));
                match constant.or_else(|| others.find(|value| !value.is_null() && is_valid(value))).cloned() {
                    Some(example) => {
                        self.fields.entry(name.clone()).or_default().insert(field.clone(), example);
                    }
                    None => assert!(WITHOUT_EXAMPLE.contains(&format!("{name}.{field}").as_str()), "{name}.{field}"),
                }
            }
        }
    }

    /// Records the values of the fields of named schemas as examples.
    fn learn(&mut self, schema: &Value, name: Option<&str>, value: &Value) {
        if let Some(reference) = schema["$ref"].as_str() {
            let target = DOCUMENT.pointer(reference.strip_prefix('#').unwrap()).unwrap();
            return self.learn(target, reference.rsplit('/').next(), value);
        }
        for variant in schema["oneOf"].as_array().into_iter().flatten() {
            let key = format!("example {variant}");
            if contract::response_errors(&key, || variant.clone(), value).is_empty() {
                self.learn(variant, None, value);
            }
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.learn(part, None, value);
        }
        for element in value.as_array().into_iter().flatten() {
            self.learn(&schema["items"], None, element);
        }
        for (field, value) in value.as_object().into_iter().flatten() {
            let property = &schema["properties"][field];
            if property.is_object() {
                if let Some(name) = name.filter(|_| is_leaf(value)) {
                    let fields = self.fields.entry(name.to_owned()).or_default();
                    let known = fields.entry(field.clone()).or_insert_with(|| value.clone());
                    if known.is_null() {
                        *known = value.clone();
                    }
                }
                self.learn(property, None, value);
            } else if schema["additionalProperties"].is_object() {
                self.learn(&schema["additionalProperties"], None, value);
            }
        }
    }
}

/// The fields without an example. They occur only in responses for users of external issuers, in counts of more than
/// 10,000 records, and while the process is not ready.
const WITHOUT_EXAMPLE: [&str; 11] = [
    "AuditData.totalIsLowerBound",
    "AuditEntryBase.entityPathId",
    "AuditEntryBase.externalEntityId",
    "AuditEntryBase.externalUserId",
    "AuditEntryBase.userPathId",
    "CheckBody.ok",
    "CheckBody.problem",
    "SchemaBody.found",
    "SchemaBody.max",
    "SchemaBody.min",
    "TotalData.totalIsLowerBound",
];

/// Returns `true` for values that contain no object.
fn is_leaf(value: &Value) -> bool {
    match value {
        Value::Object(_) => false,
        Value::Array(elements) => elements.iter().all(is_leaf),
        _ => true,
    }
}

/// Returns `true` if values of the schema contain objects.
fn contains_objects(schema: &Value) -> bool {
    if let Some(reference) = schema["$ref"].as_str() {
        return contains_objects(DOCUMENT.pointer(reference.strip_prefix('#').unwrap()).unwrap());
    }
    let parts = ["oneOf", "allOf"].into_iter().flat_map(|keyword| schema[keyword].as_array().into_iter().flatten());
    schema["type"] == "object"
        || schema["type"].as_array().is_some_and(|types| types.contains(&json!("object")))
        || parts.chain(schema.get("items")).any(contains_objects)
}

/// Creates requests of the company's administrator and of a super admin.
struct Callers {
    api: TestApi,
    company: Company,
}

impl Callers {
    fn request(&self, method: &str, path: &str) -> Request {
        self.api.request(Method::from_bytes(method.as_bytes()).unwrap(), path)
    }

    /// Creates a request of the company's administrator, within the company.
    fn admin(&self, method: &str, path: &str) -> Request {
        self.request(method, path).by(self.company.admin).within(self.company.id)
    }

    /// Creates a request of a super admin, without a company.
    fn platform(&self, method: &str, path: &str) -> Request {
        self.request(method, path).by_super_admin()
    }
}

fn id(data: &Value, name: &str) -> String {
    data[name]["id"].as_str().unwrap().to_owned()
}

async fn catalog(examples: &mut Examples, callers: &Callers) {
    let body = json!({
        "name": "Suppliers", "url": "/suppliers", "category": "procurement", "description": "All suppliers",
        "icon": "truck", "requiresAuth": true,
    });
    let made = examples.record("POST /api/iam/views", callers.platform("POST", "/api/iam/views"), Some(body)).await;
    let view = id(&made, "view");
    let body = json!({
        "key": "suppliers.approve", "name": "Approve suppliers", "description": "Approval of new suppliers",
        "resourceType": "supplier", "actions": ["Escalate"], "category": "procurement", "enabled": true,
    });
    let request = callers.platform("POST", "/api/iam/features");
    let feature = id(&examples.record("POST /api/iam/features", request, Some(body)).await, "feature");
    let body = json!({
        "code": "procurement", "name": "Procurement", "description": "Everything about suppliers", "icon": "truck",
        "enabled": true, "priority": "optional",
    });
    let request = callers.platform("POST", "/api/iam/modules");
    let module = id(&examples.record("POST /api/iam/modules", request, Some(body)).await, "module");
    for (kind, id, body) in [
        ("views", &view, json!({ "name": "Vendors", "category": null })),
        ("features", &feature, json!({ "name": "Approve vendors", "actions": ["Escalate", "Reject"] })),
        ("modules", &module, json!({ "name": "Vendors", "icon": "store" })),
    ] {
        let (list, one) = (format!("/api/iam/{kind}"), format!("/api/iam/{kind}/{id}"));
        examples.record(&format!("GET {list}"), callers.platform("GET", &list), None).await;
        examples.record(&format!("GET {list}/{{id}}"), callers.platform("GET", &one), None).await;
        examples.record(&format!("PATCH {list}/{{id}}"), callers.platform("PATCH", &one), Some(body)).await;
    }
    for (owner, owner_id, of, body) in [
        ("features", &feature, "views", json!({ "viewIds": [view] })),
        ("modules", &module, "views", json!({ "viewIds": [view] })),
        ("modules", &module, "features", json!({ "featureIds": [feature], "ungate": false })),
    ] {
        let path = format!("/api/iam/{owner}/{owner_id}/{of}");
        let name = format!("/api/iam/{owner}/{{id}}/{of}");
        examples.record(&format!("PUT {name}"), callers.platform("PUT", &path), Some(body)).await;
        examples.record(&format!("GET {name}"), callers.platform("GET", &path), None).await;
    }
    menu(examples, callers, &view, &feature).await;
    companies::record(examples, callers, &module).await;
    let path = format!("/api/iam/modules/{module}");
    let body = Some(json!({ "ungate": true }));
    examples.record("DELETE /api/iam/modules/{id}", callers.platform("DELETE", &path), body).await;
    for (kind, id) in [("features", &feature), ("views", &view)] {
        let path = format!("/api/iam/{kind}/{id}");
        examples.record(&format!("DELETE /api/iam/{kind}/{{id}}"), callers.platform("DELETE", &path), None).await;
    }
}

async fn menu(examples: &mut Examples, callers: &Callers, view: &str, feature: &str) {
    let items = "/api/iam/menu-items";
    let body = json!({
        "label": "Suppliers", "icon": "truck", "priority": "optional", "requiredPermissions": ["general.read"],
        "sortOrder": 70, "viewId": view, "featureId": feature, "isEntrypoint": false,
    });
    let item =
        id(&examples.record("POST /api/iam/menu-items", callers.platform("POST", items), Some(body)).await, "menuItem");
    let subs = "/api/iam/sub-menu-items";
    let body = json!({
        "menuItemId": item, "label": "New suppliers", "viewId": view, "featureId": feature, "icon": "plus",
        "sortOrder": 10, "enabled": true,
    });
    let made = examples.record("POST /api/iam/sub-menu-items", callers.platform("POST", subs), Some(body)).await;
    let sub = id(&made, "subMenuItem");
    for (list, id, body) in [
        (items, &item, json!({ "label": "Vendors", "sortOrder": 71 })),
        (subs, &sub, json!({ "label": "New vendors", "icon": null })),
    ] {
        let one = format!("{list}/{id}");
        examples.record(&format!("GET {list}"), callers.platform("GET", list), None).await;
        examples.record(&format!("GET {list}/{{id}}"), callers.platform("GET", &one), None).await;
        examples.record(&format!("PATCH {list}/{{id}}"), callers.platform("PATCH", &one), Some(body)).await;
    }
    for (list, id) in [(subs, &sub), (items, &item)] {
        let name = format!("DELETE {list}/{{id}}");
        examples.record(&name, callers.platform("DELETE", &format!("{list}/{id}")), None).await;
    }
}

async fn credentials(examples: &mut Examples, callers: &Callers) {
    let list = "/api/iam/api-keys";
    let body = json!({ "name": "Billing", "role": "check", "requestsPerSecond": 500, "expiresAt": EXPIRES_AT });
    let request = callers.platform("POST", list).within(callers.company.id);
    let key = id(&examples.record("POST /api/iam/api-keys", request, Some(body)).await, "apiKey");
    let body = json!({ "name": "Reports", "role": "read" });
    let again = || callers.platform("POST", list).header("idempotency-key", "reports").json(&body);
    again().send().await.expect(201);
    let answer = again().send().await.expect(200).json();
    let normal = examples.normalizer.json(&answer);
    examples.learn(&contract::response_schema(list, "post", "200"), None, &normal);
    let path = format!("{list}/{key}");
    examples.record("GET /api/iam/api-keys", callers.platform("GET", list), None).await;
    examples.record("DELETE /api/iam/api-keys/{id}", callers.platform("DELETE", &path), None).await;
    examples.record("GET /api/iam/api-keys/{id}", callers.platform("GET", &path), None).await;
    let user = callers.company.visitor;
    let body = json!({ "notBefore": NOT_BEFORE });
    let path = format!("/api/iam/users/{user}/not-before");
    examples.record("PUT /api/iam/users/{userId}/not-before", callers.platform("PUT", &path), Some(body)).await;
    let path = format!("/api/iam/users/{user}");
    examples.record("GET /api/iam/users/{userId}", callers.platform("GET", &path), None).await;
}

async fn trails(examples: &mut Examples, callers: &Callers) {
    let view = callers.api.view_id("/dashboard").await;
    let body = json!({ "viewId": view, "url": "/dashboard", "label": "Dashboard", "sessionId": "tab-1" });
    let path = "/api/iam/nav-trail";
    examples.record("POST /api/iam/nav-trail", callers.admin("POST", path), Some(body)).await;
    let query = format!("{path}?sessionId=tab-1");
    examples.record("GET /api/iam/nav-trail", callers.admin("GET", &query), None).await;
    examples.record("DELETE /api/iam/nav-trail", callers.admin("DELETE", &query), None).await;
    let page = "/api/iam/audit-logs?limit=200&includeTotal=true";
    examples.record("GET /api/iam/audit-logs", callers.platform("GET", page), None).await;
    let own = callers.admin("GET", "/api/iam/audit-logs?includeTotal=true");
    examples.record("GET /api/iam/audit-logs", own, None).await;
    for path in ["/health", "/health/db", "/livez", "/readyz"] {
        examples.record(&format!("GET {path}"), callers.request("GET", path), None).await;
    }
}

async fn errors(examples: &mut Examples, callers: &Callers) {
    let levels = "/api/iam/user-levels";
    let post = || callers.admin("POST", levels);
    examples.record_error("400", post().json(&json!({ "name": "", "description": 7 }))).await;
    examples.record_error("401", callers.request("GET", levels)).await;
    examples.record_error("403", callers.request("GET", levels).by(new_user()).within(callers.company.id)).await;
    examples.record_error("404", callers.admin("GET", &format!("{levels}/{}", new_user()))).await;
    examples.record_error("405", callers.admin("PUT", levels)).await;
    examples.record_error("409", post().json(&json!({ "name": "Admin" }))).await;
    let admin = format!("{levels}/{}", callers.api.level_id(callers.company, "Admin").await);
    let change = callers.admin("PATCH", &admin).header("if-match", "\"outdated\"");
    let impatient = callers.api.with_body_timeout(1).await;
    let slow = impatient.post(levels).by(callers.company.admin).within(callers.company.id);
    examples.record_error("408", slow.json_after(&json!({ "name": "New" }), pending())).await;
    examples.record_error("412", change.json(&json!({ "name": "Owner" }))).await;
    examples.record_error("413", post().bytes("application/json", vec![b' '; 1024 * 1024 + 1])).await;
    examples.record_error("415", post().bytes("text/plain", "name")).await;
    let once = |name: &str| post().header("idempotency-key", "once").json(&json!({ "name": name }));
    once("Once").send().await.expect(201);
    examples.record_error("422", once("Twice")).await;
    let limited = callers.api.with_options(BudgetOptions { user: one_a_second(1), ..Default::default() }).await;
    let user = new_user();
    let ask = || limited.get("/api/iam/navigation").by(user);
    while ask().send().await.status != 429 {}
    examples.record_error("429", ask()).await;
    for (status, error) in [
        ("500", (|| StorageError::Corrupt { what: "a level".to_owned(), source: None }) as fn() -> StorageError),
        ("503", || StorageError::Unavailable { retryable: false, source: None }),
    ] {
        let failing = callers.api.behind(Arc::new(Failing { inner: Arc::clone(&callers.api.storage), error })).await;
        let request = failing.post(levels).by(callers.company.admin).within(callers.company.id);
        examples.record_error(status, request.json(&json!({ "name": "New" }))).await;
    }
}

/// Every operation, error and field has an example, and the committed examples equal the recorded ones.
#[actix_web::test]
async fn the_committed_examples_are_the_recorded_examples() {
    let api = TestApi::memory().await;
    let company = api.company().await;
    let callers = Callers { api, company };
    let mut examples = Examples::default();
    decisions::record(&mut examples, &callers).await;
    levels::record(&mut examples, &callers).await;
    catalog(&mut examples, &callers).await;
    credentials(&mut examples, &callers).await;
    trails(&mut examples, &callers).await;
    errors(&mut examples, &callers).await;
    examples.fill();
    let recorded = json!({
        "operations": examples.operations, "errors": examples.errors, "fields": examples.fields,
    });
    contract::assert_committed(FILE, &format!("{}\n", serde_json::to_string_pretty(&recorded).unwrap()));
}
