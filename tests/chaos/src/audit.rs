//! Compares the audit log with the acknowledged changes and with the stored levels of the users.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use crate::common::Result;
use crate::http::{Call, Client};
use crate::report::Broken;
use crate::world::{Company, PATIENCE, World};

/// Maximum number of users per company for whom the stored levels are compared with the audit records.
const COMPARED: usize = 40;

/// Sends a `GET` to one replica after the other until one responds with 200. Returns the `data` of that response.
async fn get(world: &World, client: &mut Client, call: &Call) -> Result<Value> {
    for replica in (0..world.addresses.len()).cycle().take(20) {
        let answer = world.send(client, replica, call, PATIENCE).await;
        if let Some(answer) = answer.filter(|answer| answer.status == 200) {
            return Ok(answer.data());
        }
        sleep(Duration::from_millis(200)).await;
    }
    Err(format!("no replica responded with 200 to {}", call.line()).into())
}

fn list<'a>(value: &'a Value, pointer: &str) -> Vec<&'a Value> {
    value.pointer(pointer).and_then(Value::as_array).map(|list| list.iter().collect()).unwrap_or_default()
}

/// Returns the strings in ascending order, joined with spaces.
fn sorted<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut texts: Vec<_> = texts.into_iter().collect();
    texts.sort_unstable();
    texts.join(" ")
}

fn ids(record: &Value, pointer: &str) -> String {
    sorted(list(record, pointer).into_iter().filter_map(Value::as_str))
}

/// Checks the audit log of every company and of the platform. Each acknowledged change must have exactly one audit
/// record. The records of a user's assignments must form a chain from no levels to the stored levels.
pub(crate) async fn check_audit(world: &World) -> Result<()> {
    let mut client = Client::default();
    for company in world.companies.iter().map(Some).chain([None]) {
        let of = company.map_or(String::new(), |company| format!("&companyId={}", company.id));
        let mut records: Vec<Value> = Vec::new();
        let mut cursor = String::new();
        loop {
            let call = world.by_super_admin("GET", &format!("/api/iam/audit-logs?limit=200{of}{cursor}"));
            let page = get(world, &mut client, &call).await?;
            records.extend(list(&page, "/logs").into_iter().cloned());
            match page.get("nextCursor").and_then(Value::as_str) {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let mut counts = HashMap::<&str, usize>::new();
        for request in records.iter().filter_map(|record| record.pointer("/metadata/requestId")?.as_str()) {
            *counts.entry(request).or_default() += 1;
        }
        let recorded = |request: &str| counts.get(request).copied().unwrap_or_default();
        world.check_audit(company.map(|company| company.id.as_str()), &recorded);
        if let Some(company) = company {
            check_assignments(world, &mut client, company, &records).await?;
        }
    }
    Ok(())
}

/// Checks that the assignment records of each user form a chain. Each record contains the levels before and after a
/// change. In some order, the records must form one path from no levels to the stored levels. Therefore each set of
/// levels must occur as often before a change as after a change. The exceptions are the first and the last set.
async fn check_assignments(world: &World, client: &mut Client, company: &Company, records: &[Value]) -> Result<()> {
    let mut of_user: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for record in records.iter().filter(|record| record.get("entityType").and_then(Value::as_str) == Some("assignment"))
    {
        if let Some(user) = record.get("entityId").and_then(Value::as_str) {
            of_user.entry(user).or_default().push(record);
        }
    }
    for (user, records) in of_user.into_iter().take(COMPARED) {
        let path = format!("/api/iam/users/{user}/user-levels?companyId={}", company.id);
        let stored = get(world, client, &world.by_super_admin("GET", &path)).await?;
        let held = list(&stored, "/userLevels");
        let held = sorted(held.into_iter().filter_map(|level| level.get("id").and_then(Value::as_str)));
        let mut balance: BTreeMap<String, i64> = BTreeMap::new();
        *balance.entry(String::new()).or_default() += 1;
        for record in &records {
            *balance.entry(ids(record, "/changes/before")).or_default() -= 1;
            *balance.entry(ids(record, "/changes/after")).or_default() += 1;
        }
        *balance.entry(held.clone()).or_default() -= 1;
        world.report.count("users whose levels were compared with their audit records");
        if balance.values().any(|count| *count != 0) {
            let listed: Vec<_> = records.iter().map(ToString::to_string).collect();
            world.report.violation(
                Broken::Audit,
                format!(
                    "the audit records of user {user} in company {} form no chain to the stored levels {held:?}; the records, newest first:\n    {}",
                    company.id,
                    listed.join("\n    ")
                ),
            );
        }
    }
    Ok(())
}
