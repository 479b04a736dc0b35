//! Validates manifests against the schemas of their kinds.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::manifests::{text, title};

const KUBERNETES: &str = include_str!("schemas/kubernetes.json");
const CUSTOM: &str = include_str!("schemas/custom.json");

/// The validators, by `apiVersion/kind`.
static VALIDATORS: LazyLock<BTreeMap<String, Validator>> = LazyLock::new(|| {
    let mut validators = BTreeMap::new();
    for file in [KUBERNETES, CUSTOM] {
        let file: Value = serde_json::from_str(file).unwrap();
        for (kind, schema) in file["kinds"].as_object().unwrap() {
            let mut schema = schema.clone();
            schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
            schema["$defs"] = file["$defs"].clone();
            validators.insert(kind.clone(), jsonschema::validator_for(&schema).unwrap());
        }
    }
    validators
});

/// Returns what the schemas do not allow. A kind without a schema is not allowed either.
pub fn conform_to_their_schemas(manifests: &[Value]) -> Vec<String> {
    manifests.iter().flat_map(errors).collect()
}

fn errors(manifest: &Value) -> Vec<String> {
    let kind = format!("{}/{}", text(manifest, "/apiVersion"), text(manifest, "/kind"));
    let Some(validator) = VALIDATORS.get(&kind) else { return vec![format!("there is no schema for {kind}")] };
    let errors = validator.iter_errors(manifest);
    errors.map(|error| format!("{}{}: {error}", title(manifest), error.instance_path())).collect()
}
