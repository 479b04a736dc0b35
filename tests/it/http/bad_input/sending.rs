//! Sends the request of a test case and compares the response with the expected response.

use super::expected::Expected;
use crate::http::operation::{CompanyParameter, Operation};
use crate::http::world::World;
use crate::support::api::Request;

/// Returns the company for the `X-Company-Id` header of the operation's request. Returns `None` if the path contains
/// the company.
pub fn by_header(world: &World, operation: Operation) -> Option<iam_domain::CompanyId> {
    (operation.company != CompanyParameter::InPath).then_some(world.ours.id)
}

/// Sends a request and asserts that the response is the expected response.
pub async fn send(world: &World, operation: Operation, about: &str, request: Request, expected: &Expected) {
    let about = format!("{}: {about}", operation.name);
    expected.check(&about, operation.status, &world.send(&about, request).await);
    if expected.is_accepted() {
        // An accepted request may have changed or deleted entities. Later test cases therefore create new entities.
        world.renew();
    }
}
