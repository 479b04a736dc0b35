//! Tests of the OpenAPI document: it equals the committed copy, and its schemas reject modified responses. All other
//! tests of the API validate their requests and responses against the document.

use serde_json::{Value, json};

use super::operation::{CompanyParameter, TestCaller};
use super::operations::operations;
use super::world::World;
use crate::support::api::TestApi;
use crate::support::contract::{self, DOCUMENT};

/// The served document equals the committed copy, which makes changes to the contract visible in reviews.
#[test]
fn the_committed_document_is_the_served_document() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
    contract::assert_committed(path, &format!("{}\n", serde_json::to_string_pretty(&*DOCUMENT).unwrap()));
}

/// Every operation, parameter, response, schema and field has a description.
#[test]
fn every_part_of_the_document_has_a_description() {
    fn is_described(part: &Value) -> bool {
        part["description"].as_str().is_some_and(|text| !text.is_empty())
            || part["oneOf"].as_array().is_some_and(|variants| variants.iter().any(is_described))
    }
    let mut missing = Vec::new();
    let mut check = |place: String, part: &Value| {
        if !is_described(part) {
            missing.push(place);
        }
    };
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            check(format!("{method} {path}"), operation);
            for parameter in operation["parameters"].as_array().unwrap() {
                check(format!("{method} {path} {}", parameter["name"]), parameter);
            }
            for (status, response) in operation["responses"].as_object().unwrap() {
                check(format!("{method} {path} {status}"), contract::resolved(response));
            }
        }
    }
    for (name, schema) in DOCUMENT["components"]["schemas"].as_object().unwrap() {
        check(name.clone(), schema);
        for (field, property) in schema["properties"].as_object().into_iter().flatten() {
            check(format!("{name}.{field}"), property);
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

/// The schemas of requests limit the length of descriptions. The schemas of responses do not, because earlier versions
/// of the service stored longer descriptions.
#[test]
fn only_requests_limit_the_length_of_descriptions() {
    let schemas = &DOCUMENT["components"]["schemas"];
    assert_eq!(schemas["Description"]["maxLength"], 2000);
    for entity in ["Feature", "Module", "UserLevel", "View"] {
        let description = &schemas[entity]["properties"]["description"];
        assert_eq!(description["type"], "string", "{entity}: {description}");
        assert_eq!(description["maxLength"], Value::Null, "{entity}: {description}");
    }
}

/// Every example of a request or response conforms to its schema.
#[test]
fn every_example_conforms_to_its_schema() {
    let mut examples = 0;
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let responses = operation["responses"].as_object().unwrap().values().map(contract::resolved);
            let parts = responses.chain(operation.get("requestBody"));
            for content in parts.map(|part| &part["content"]["application/json"]).filter(|content| !content.is_null()) {
                let Some(example) = content.get("example") else { continue };
                let key = format!("example {}", content["schema"]);
                let errors = contract::response_errors(&key, || content["schema"].clone(), example);
                assert_eq!(errors, Vec::<String>::new(), "{method} {path} {example}");
                examples += 1;
            }
        }
    }
    assert!(examples > 500, "{examples}");
}

/// Returns the paths of all values that are neither objects nor arrays.
fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                leaves(value, &format!("{path}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(elements) => {
            for (index, value) in elements.iter().enumerate() {
                leaves(value, &format!("{path}/{index}"), found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}

/// Returns replacements for the value. They have other types, so the schema must reject them.
fn mutants(value: &Value) -> Vec<Value> {
    let mut mutants = vec![json!({ "unexpected": 1 }), json!([])];
    mutants.extend(match value {
        Value::String(_) => vec![json!(7), json!(true)],
        Value::Number(_) => vec![json!("7"), json!(true)],
        Value::Bool(_) => vec![json!("true"), json!(1)],
        _ => vec![json!(7), json!(true)],
    });
    mutants
}

/// Changes values and renames members in responses of every operation, one at a time. The schemas must reject at least
/// 99 % of these mutants, which shows that no schema accepts arbitrary data.
#[actix_web::test]
async fn the_schemas_reject_changed_responses() {
    let world = World::new(TestApi::memory().await).await;
    let (mut tried, mut accepted) = (0_usize, Vec::new());
    for operation in operations() {
        for caller in [TestCaller::SuperAdmin, TestCaller::Admin, TestCaller::Anonymous] {
            world.renew();
            let company = (operation.company != CompanyParameter::InPath).then_some(world.ours.id);
            let request = world.valid(operation, caller, company).await;
            let answer = world.send(operation.name, request).await;
            if answer.body.is_empty() {
                continue;
            }
            let original = answer.json();
            let method = operation.method().to_lowercase();
            let status = answer.status.as_str();
            let schema = contract::response_schema(operation.path(), &method, status);
            let is_rejected = |mutant: &Value| {
                let key = format!("mutants {method} {} {status}", operation.path());
                !contract::response_errors(&key, || schema.clone(), mutant).is_empty()
            };
            assert!(!is_rejected(&original), "{} {original}", operation.name);
            let mut paths = Vec::new();
            leaves(&original, "", &mut paths);
            for path in paths.iter().take(300) {
                for mutant in mutants(original.pointer(path).unwrap()) {
                    let mut changed = original.clone();
                    *changed.pointer_mut(path).unwrap() = mutant;
                    tried += 1;
                    if !is_rejected(&changed) {
                        accepted.push(format!("{} {path}", operation.name));
                    }
                }
                let (parent, name) = path.rsplit_once('/').unwrap();
                let mut changed = original.clone();
                if let Some(Value::Object(members)) = changed.pointer_mut(parent) {
                    let value = members.remove(&name.replace("~1", "/").replace("~0", "~")).unwrap();
                    members.insert("unexpected".to_owned(), value);
                    tried += 1;
                    if !is_rejected(&changed) {
                        accepted.push(format!("{} {path} renamed", operation.name));
                    }
                }
            }
        }
    }
    assert!(tried > 5_000, "{tried}");
    assert!(accepted.len() * 100 <= tried, "{} of {tried} mutants are accepted: {accepted:#?}", accepted.len());
}
