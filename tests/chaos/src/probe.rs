//! Probes, which measure the time until a replica completes a decision and two changes.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::http::{Call, Client};
use crate::world::{World, new_id};

/// Maximum time from the end of a fault until every replica must have recovered.
pub(crate) const RECOVERY: Duration = Duration::from_secs(5);

/// A test user of one replica. Decisions for this user and changes to the user's levels verify that the replica works.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    pub(crate) replica: usize,
    pub(crate) user: String,
    pub(crate) token: String,
}

/// A request that a healthy replica must complete: a decision, a change to a company (which acquires the global lock in
/// shared mode), or a cut-off (which acquires the global lock in exclusive mode).
#[derive(Debug, Clone, Copy)]
enum Step {
    Decision,
    Change,
    CutOff,
}

/// Returns the time until the replica has completed a decision and both changes, or `None` if it has not completed them
/// within `patience`.
pub(crate) async fn probe_one(world: &World, probe: &Probe, patience: Duration) -> Option<Duration> {
    let company = world.companies.first()?;
    let begin = Instant::now();
    let mut client = Client::default();
    let check = format!("/api/iam/check?companyId={}", company.id);
    let check = Call::new("POST", check, &probe.token).json(json!({ "view": "/dashboard" }));
    let mut turn = 0;
    let mut steps = [Step::Decision, Step::Change, Step::CutOff].into_iter().peekable();
    while begin.elapsed() < patience {
        let Some(step) = steps.peek() else { return Some(begin.elapsed()) };
        let call = match step {
            Step::Decision => check.clone(),
            Step::Change => {
                turn += 1;
                world.put_levels(&company.id, &probe.user, &[company.levels.get(turn % company.levels.len())?])
            }
            Step::CutOff => world.by_super_admin("PUT", &format!("/api/iam/users/{}/not-before", new_id())),
        };
        let left = patience.saturating_sub(begin.elapsed()).min(RECOVERY);
        let answer = world.send(&mut client, probe.replica, &call, left).await;
        if answer.is_some_and(|answer| answer.status == 200) {
            steps.next();
            continue;
        }
        sleep(Duration::from_millis(30)).await;
    }
    None
}
