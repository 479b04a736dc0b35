//! Adds examples of requests, responses and fields to the OpenAPI document. The tests record the examples from real
//! responses, and check that the committed file is up to date.

use serde_json::{Value, json};

use super::shared::ERRORS;

/// The recorded examples: requests and responses by operation id, error responses by status, and values of fields by
/// schema.
const RECORDED: &str = include_str!("examples.json");

/// The schema of error responses. The error responses of the probes have other schemas.
const ERROR: &str = "#/components/schemas/Error";

/// Adds the recorded examples to the document.
///
/// # Errors
///
/// Returns an error if the recorded examples are not valid JSON.
pub(super) fn add(document: &mut Value) -> Result<(), serde_json::Error> {
    let recorded: Value = serde_json::from_str(RECORDED)?;
    for item in values(&mut document["paths"]) {
        for operation in values(item) {
            let example = &recorded["operations"][operation["operationId"].as_str().unwrap_or_default()];
            if let Some(body) = operation.get_mut("requestBody") {
                set(body, &example["request"]);
            }
            let status = example["status"].as_str().unwrap_or_default().to_owned();
            for (other, response) in operation["responses"].as_object_mut().into_iter().flatten() {
                if *other == status {
                    set(response, &example["response"]);
                } else if response["content"]["application/json"]["schema"]["$ref"] == ERROR {
                    set(response, &recorded["errors"][other]);
                }
            }
        }
    }
    for (status, name, _) in ERRORS {
        set(&mut document["components"]["responses"][name], &recorded["errors"][status]);
    }
    for (name, schema) in document["components"]["schemas"].as_object_mut().into_iter().flatten() {
        for (field, property) in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
            if let Some(example) = recorded["fields"][name].get(field) {
                property["examples"] = json!([example]);
            }
        }
    }
    Ok(())
}

/// Sets the example of a JSON body, if the body is documented and the example was recorded.
fn set(part: &mut Value, example: &Value) {
    if let Some(content) = part.pointer_mut("/content/application~1json").filter(|_| !example.is_null()) {
        content["example"] = example.clone();
    }
}

fn values(value: &mut Value) -> impl Iterator<Item = &mut Value> {
    value.as_object_mut().into_iter().flat_map(|members| members.values_mut())
}
