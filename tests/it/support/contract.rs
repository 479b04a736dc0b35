//! Validates the requests and responses of the tests against the OpenAPI document, which is the contract of the API.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use actix_web::http::Method;
use jsonschema::Validator;
use serde_json::{Map, Value, json};

use super::answer::Answer;

/// The document that the service serves.
pub static DOCUMENT: LazyLock<Value> = LazyLock::new(|| iam_http::document().unwrap());

/// Response headers that are not part of the contract of individual operations: framing, caching, CORS and security.
const GENERIC_HEADERS: [&str; 15] = [
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "cache-control",
    "connection",
    "content-length",
    "content-security-policy",
    "content-type",
    "date",
    "referrer-policy",
    "vary",
    "x-content-type-options",
];

/// Asserts that a committed file has this content. If the environment variable `UPDATE_OPENAPI` is set, writes the
/// content to the file first.
#[track_caller]
pub fn assert_committed(path: &str, content: &str) {
    #[expect(clippy::disallowed_methods, reason = "the variable is an option of the tests")]
    let is_update = std::env::var_os("UPDATE_OPENAPI").is_some();
    if is_update {
        std::fs::write(path, content).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == content,
        "{path} is outdated: run the tests http::examples and http::contract with UPDATE_OPENAPI=1"
    );
}

/// Asserts that the status, headers and body of the response conform to the OpenAPI document. If the request was
/// accepted, asserts the same of the request body.
#[track_caller]
pub fn check(method: &Method, uri: &str, body: &[u8], answer: &Answer) {
    let path = uri.split('?').next().unwrap();
    let is_head = *method == Method::HEAD;
    assert!(!is_head || answer.body.is_empty(), "a response to HEAD must have no body: {uri}");
    let context = || format!("{method} {uri}: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
    let Some((pattern, item)) = paths().find(|(pattern, _)| matches(pattern, path)) else {
        if answer.status.as_u16() >= 400 && !is_head {
            assert_valid("Error", || reference("Error"), &answer.json(), &context());
        }
        return;
    };
    let name = if is_head { "get".to_owned() } else { method.as_str().to_lowercase() };
    let Some(operation) = item.get(&name) else {
        if *method != Method::OPTIONS && !is_head {
            assert!(matches!(answer.status.as_u16(), 404 | 405), "{}", context());
            assert_valid("Error", || reference("Error"), &answer.json(), &context());
        }
        return;
    };
    let status = answer.status.as_str();
    let response = resolved(&operation["responses"][status]);
    assert!(response.is_object(), "the status is not documented: {}", context());
    check_headers(&response["headers"], answer, &context());
    let content = &response["content"];
    if content.is_null() {
        assert!(answer.body.is_empty(), "the body is not documented: {}", context());
    } else if !is_head {
        let media_type = answer.header("content-type").unwrap_or_default();
        let schema = &content[media_type]["schema"];
        assert!(schema.is_object(), "the content type {media_type} is not documented: {}", context());
        let key = format!("{name} {pattern} {status}");
        assert_valid(&key, || schema.clone(), &answer.json(), &context());
    }
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    if !body.is_empty() && schema.is_object() && is_accepted(answer) {
        let body: Value = serde_json::from_slice(body).unwrap();
        let errors = errors(&validator(&format!("{name} {pattern}"), || expanded(schema, Members::Open)), &body);
        assert!(errors.is_empty(), "the accepted body is not documented: {errors:#?} {body} {}", context());
    }
}

/// Returns `true` if the service accepted the whole body of the request: the response is successful and contains no
/// error for an individual check.
fn is_accepted(answer: &Answer) -> bool {
    let refuses_check = || {
        answer.json()["data"]["results"]
            .as_array()
            .is_some_and(|results| results.iter().any(|result| result["error"].is_object()))
    };
    answer.status.is_success() && !refuses_check()
}

fn paths() -> impl Iterator<Item = (&'static String, &'static Value)> {
    DOCUMENT["paths"].as_object().unwrap().iter()
}

fn matches(pattern: &str, path: &str) -> bool {
    pattern.split('/').count() == path.split('/').count()
        && pattern
            .split('/')
            .zip(path.split('/'))
            .all(|(expected, part)| expected == part || (expected.starts_with('{') && !part.is_empty()))
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

/// Returns the value that a reference points to, or the value itself.
pub fn resolved(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(reference) => DOCUMENT.pointer(reference.strip_prefix('#').unwrap()).expect(reference),
        None => value,
    }
}

#[track_caller]
fn check_headers(documented: &'static Value, answer: &Answer, context: &str) {
    let documented: Vec<_> = documented.as_object().into_iter().flatten().collect();
    for (name, header) in &documented {
        let header = resolved(header);
        match answer.header(name) {
            None => assert_ne!(header["required"], true, "the header {name} is missing: {context}"),
            Some(value) => {
                let key = format!("header {name} {}", header["schema"]);
                assert_valid(&key, || header["schema"].clone(), &json!(value), context);
            }
        }
    }
    for (name, _) in &answer.headers {
        let is_known = GENERIC_HEADERS.contains(&name.as_str())
            || documented.iter().any(|(documented, _)| documented.eq_ignore_ascii_case(name.as_str()));
        assert!(is_known, "the header {name} is not documented: {context}");
    }
}

/// Asserts that a value in a response conforms to the schema and has only documented members. `key` identifies the
/// schema.
#[track_caller]
fn assert_valid(key: &str, schema: impl FnOnce() -> Value, value: &Value, context: &str) {
    let errors = response_errors(key, schema, value);
    assert!(errors.is_empty(), "the response is not documented: {errors:#?} {context}");
}

/// Returns the schema of the body of a response. `path` is the path in the document.
pub fn response_schema(path: &str, method: &str, status: &str) -> Value {
    let response = resolved(&DOCUMENT["paths"][path][method]["responses"][status]);
    response["content"]["application/json"]["schema"].clone()
}

/// Returns the errors from the validation of a value in a response against the schema.
pub fn response_errors(key: &str, schema: impl FnOnce() -> Value, value: &Value) -> Vec<String> {
    errors(&validator(key, || expanded(&schema(), Members::Documented)), value)
}

fn errors(validator: &Validator, value: &Value) -> Vec<String> {
    validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// Returns the validator for a schema. Each schema is compiled only once.
fn validator(key: &str, schema: impl FnOnce() -> Value) -> Arc<Validator> {
    static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);
    if let Some(validator) = VALIDATORS.lock().unwrap_or_else(PoisonError::into_inner).get(key) {
        return Arc::clone(validator);
    }
    let mut schema = schema();
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    let validator = Arc::new(jsonschema::options().should_validate_formats(true).build(&schema).unwrap());
    let mut validators = VALIDATORS.lock().unwrap_or_else(PoisonError::into_inner);
    validators.insert(key.to_owned(), Arc::clone(&validator));
    validator
}

/// Specifies whether objects may have members that the schema does not document.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Members {
    Documented,
    Open,
}

/// Returns the schema with all references replaced by the schemas that they refer to. For [`Members::Documented`],
/// objects may have only documented members.
fn expanded(schema: &Value, members: Members) -> Value {
    let Value::Object(keywords) = schema else { return schema.clone() };
    if let Some(reference) = keywords.get("$ref").and_then(Value::as_str) {
        let target = DOCUMENT.pointer(reference.strip_prefix('#').unwrap()).expect(reference);
        return expanded(target, members);
    }
    let mut result = Map::new();
    for (keyword, value) in keywords {
        let value = match (keyword.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                properties.iter().map(|(name, schema)| (name.clone(), expanded(schema, members))).collect()
            }
            ("items" | "additionalProperties" | "propertyNames", _) => expanded(value, members),
            ("oneOf" | "anyOf", Value::Array(schemas)) => {
                schemas.iter().map(|schema| expanded(schema, members)).collect()
            }
            // Each subschema of `allOf` documents only some of the members.
            ("allOf", Value::Array(schemas)) => schemas.iter().map(|schema| expanded(schema, Members::Open)).collect(),
            _ => value.clone(),
        };
        result.insert(keyword.clone(), value);
    }
    let has_members = ["properties", "allOf"].iter().any(|keyword| result.contains_key(*keyword));
    if members == Members::Documented && has_members && !result.contains_key("additionalProperties") {
        result.insert("unevaluatedProperties".to_owned(), json!(false));
    }
    Value::Object(result)
}
