//! Sends a request of a case and compares the response with the expected one.

use super::expected::Expected;
use crate::http::operation::{CompanyParameter, Operation};
use crate::http::world::World;
use crate::support::api::Request;

/// Returns the company that the operation works in, if the request names it in the header.
pub fn by_header(world: &World, operation: Operation) -> Option<iam_domain::CompanyId> {
    (operation.company != CompanyParameter::InPath).then_some(world.ours.id)
}

/// Sends a request and checks the response.
pub async fn send(world: &World, operation: Operation, about: &str, request: Request, expected: &Expected) {
    let about = format!("{}: {about}", operation.name);
    expected.check(&about, operation.status, &world.send(&about, request).await);
    if expected.is_accepted() {
        // Later cases may find the created entities changed or deleted.
        world.renew();
    }
}
