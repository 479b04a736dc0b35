//! A test of which callers may use which operations. The resulting table is compared with a snapshot, which is the same
//! for both storage adapters.

use std::fmt::Write as _;

use super::operation::{CompanyParameter, TestCaller};
use super::operations::{HEALTH, operations};
use super::world::World;
use crate::support::api::TestApi;

const COLUMNS: [(&str, TestCaller); 13] = [
    ("no token", TestCaller::Anonymous),
    ("nonmember", TestCaller::NonMember),
    ("Visitor", TestCaller::Visitor),
    ("Member", TestCaller::Member),
    ("Admin", TestCaller::Admin),
    ("reader", TestCaller::Reader),
    ("team", TestCaller::TeamManager),
    ("super", TestCaller::SuperAdmin),
    ("check", TestCaller::CheckKey),
    ("read", TestCaller::ReadKey),
    ("write", TestCaller::AdministerKey),
    ("theirs", TestCaller::TheirKey),
    ("platform", TestCaller::PlatformKey),
];

/// Returns a table with one row for each operation and one column for each caller. It contains the status of the
/// operation's valid request in the first company.
pub async fn table(world: &World) -> String {
    let mut text = format!("{:<62}", "operation");
    for (title, _) in COLUMNS {
        write!(text, "{title:>10}").unwrap();
    }
    text.push('\n');
    for operation in operations() {
        write!(text, "{:<62}", operation.name).unwrap();
        for (_, who) in COLUMNS {
            world.renew();
            let company = (operation.company != CompanyParameter::InPath).then_some(world.ours.id);
            let request = world.valid(operation, who, company).await;
            let what = format!("{} as {who:?}", operation.name);
            write!(text, "{:>10}", world.send(&what, request).await.status.as_u16()).unwrap();
        }
        text.push('\n');
    }
    for name in HEALTH {
        write!(text, "{name:<62}").unwrap();
        for (_, who) in COLUMNS {
            let request = world.request("GET", name.strip_prefix("GET ").unwrap(), who, None);
            write!(text, "{:>10}", world.send(name, request).await.status.as_u16()).unwrap();
        }
        text.push('\n');
    }
    text
}

/// Every operation returns the expected status to every caller. The columns of the table are the callers. `reader` holds
/// Read on `iam.manage_levels` with the scope `company`. `team` holds Read and Update on `iam.manage_levels` with the scope
/// `team`, which must not suffice. The last five columns are API keys: one of each role for the first company, one with the
/// role `administer` for the second company, and one with the role `administer` for all companies. The tests of parity
/// compare the responses of both adapters.
#[actix_web::test]
async fn permissions_by_role_and_endpoint() {
    let table = table(&World::new(TestApi::memory().await).await).await;
    insta::assert_snapshot!("permissions_by_role_and_endpoint", table);
}
