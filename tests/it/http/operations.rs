//! The table of all operations of the OpenAPI document. Each row has the required right, a valid request, and the
//! expected responses to requests with ids of another company.

mod bases;
mod bodies;
mod catalog;
mod levels;

use std::collections::BTreeSet;

use serde_json::Value;

use super::operation::Operation;

/// Operations that require no token.
pub const HEALTH: [&str; 4] = ["GET /health", "GET /health/db", "GET /livez", "GET /readyz"];

/// Returns all rows of the table of operations.
pub fn operations() -> impl Iterator<Item = Operation> {
    levels::TABLE.iter().chain(catalog::TABLE).copied()
}

/// Returns the row of the operation with this method and path.
pub fn operation(name: &str) -> Operation {
    operations().find(|operation| operation.name == name).unwrap_or_else(|| panic!("the table has no row for {name}"))
}

/// Returns the method and path of every operation in the OpenAPI document.
pub fn documented() -> BTreeSet<String> {
    let document = iam_http::document().unwrap();
    let paths = document["paths"].as_object().unwrap();
    let methods = |item: &Value| -> Vec<String> {
        let methods = ["get", "post", "put", "patch", "delete", "head", "options", "trace"];
        methods.into_iter().filter(|method| item.get(method).is_some()).map(str::to_uppercase).collect()
    };
    paths.iter().flat_map(|(path, item)| methods(item).into_iter().map(move |m| format!("{m} {path}"))).collect()
}
