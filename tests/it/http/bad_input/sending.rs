//! Sends a request of a case and compares the answer with the expected one.

use super::expected::Expected;
use crate::http::operation::{CompanyParameter, Operation};
use crate::http::world::World;
use crate::support::api::Request;

/// A company that an operation of the table works in, if it is named by header.
pub fn by_header(world: &World, operation: Operation) -> Option<iam_domain::CompanyId> {
    (operation.company != CompanyParameter::InPath).then_some(world.ours.id)
}

/// Sends a request and looks at the answer.
pub async fn send(world: &World, operation: Operation, about: &str, request: Request, expected: &Expected) {
    let about = format!("{}: {about}", operation.name);
    expected.check(&about, operation.status, &world.send(&about, request).await);
    if expected.is_accepted() {
        // Others may find what was made changed or gone.
        world.renew();
    }
}
