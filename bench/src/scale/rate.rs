//! Changes that are offered at a fixed rate to two replicas, whether or not earlier changes have ended.

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::{try_join, try_join_all};
use serde_json::json;
use tokio::time::{sleep, sleep_until};

use super::fill::{COMPANIES, Kind, MEMBER, VISITOR, id, user};
use super::{SECTION, assign, start};
use crate::api::{Api, request_in};
use crate::load::Connection;
use crate::measure::{median, quantile};
use crate::postgres::Database;
use crate::process::ProcessorTime;
use crate::report::{Row, Target};
use crate::{Failure, Result, progress};

/// The offered changes per second.
const OFFERED: usize = 1_000;
const PERIOD: Duration = Duration::from_secs(20);
/// The number of connections, half of them to each replica.
const LINES: usize = 128;
/// The company whose user is revoked meanwhile.
const REVOKED: usize = COMPANIES - 1;

/// The changes of one connection.
#[derive(Default)]
struct Line {
    /// The times from the planned start of a change until its response, in milliseconds.
    times: Vec<f64>,
    /// The number of changes that ended within the period.
    in_time: usize,
    /// The number of responses that are no successes.
    failed: usize,
}

/// Measures changes to all companies in rotation.
pub(super) async fn changes(program: &Path, database: &Database) -> Result<Vec<Row>> {
    progress(format_args!("offering {OFFERED} changes per second to two replicas"));
    let replicas = [start(program, database, 1)?, start(program, database, 1)?];
    for replica in &replicas {
        replica.ready().await?;
    }
    let headers = replicas[0].super_admin()?;
    let begun = Instant::now() + Duration::from_secs(1);
    let line = |number: usize| {
        let (address, headers) = (replicas[number % 2].server.address, &headers);
        async move {
            let (mut connection, mut line) = (Connection::open(address).await?, Line::default());
            for change in (number..OFFERED * PERIOD.as_secs() as usize).step_by(LINES) {
                let planned = begun + Duration::from_secs_f64(change as f64 / OFFERED as f64);
                // Each company is changed once in a round, by turns of two levels. The last company is not changed.
                let (round, company) = (change / REVOKED, change % REVOKED);
                let request = assign(company, 2, if round % 2 == 0 { VISITOR } else { MEMBER }, headers);
                sleep_until(planned.into()).await;
                let answer = connection.send(&request).await?;
                let now = Instant::now();
                if now > begun + PERIOD * 2 {
                    break;
                }
                line.failed += usize::from(answer.status != 200);
                line.in_time += usize::from(answer.status == 200 && now <= begun + PERIOD);
                line.times.push((now - planned).as_secs_f64() * 1e3);
            }
            Ok::<_, Failure>(line)
        }
    };
    let watch = async {
        let times = || -> Result<Vec<ProcessorTime>> {
            let mut times = vec![ProcessorTime::of_this_thread()?];
            for replica in &replicas {
                times.push(ProcessorTime::of_process(replica.server.id())?);
            }
            Ok(times)
        };
        sleep_until(begun.into()).await;
        let before = times()?;
        let delays = revoke(&replicas, begun + PERIOD).await?;
        let used = times()?.into_iter().zip(before).map(|(now, before)| now.since(before).ran.as_secs_f64());
        let elapsed = begun.elapsed().as_secs_f64();
        Ok((delays, used.map(|used| used / elapsed).collect::<Vec<_>>()))
    };
    let (lines, (delays, used)) = try_join(try_join_all((0..LINES).map(line)), watch).await?;
    let in_time: usize = lines.iter().map(|line| line.in_time).sum();
    let failed: usize = lines.iter().map(|line| line.failed).sum();
    let times: Vec<f64> = lines.into_iter().flat_map(|line| line.times).collect();
    let processors = |place: usize| used.get(place).copied().unwrap_or_default();
    let row = |name: &str, unit, ours| Row::new(SECTION, name, unit, ours);
    Ok(vec![
        row("changes per second, of 1,000 offered to two replicas", "1/s", in_time as f64 / PERIOD.as_secs_f64())
            .target(Target::AtLeast(950.0))
            .note(format!(
                "{failed} failed; processors: replicas {:.2} and {:.2}, load generator {:.2}",
                processors(1),
                processors(2),
                processors(0)
            )),
        row("the same, a change from its planned start, p99", "ms", quantile(times.clone(), 0.99))
            .note(format!("p50 {:.1} ms", median(times))),
        row("the same, a revocation reaches the other replica, p99", "ms", quantile(delays.clone(), 0.99)).note(
            format!(
                "{} revocations, p50 {:.1} ms; from the response of one replica to the first denial of the other",
                delays.len(),
                median(delays)
            ),
        ),
    ])
}

/// Revokes a user through one replica, repeatedly until `end`. Returns the times until the other replica denies, in
/// milliseconds.
async fn revoke([changing, asking]: &[Api; 2], end: Instant) -> Result<Vec<f64>> {
    let holder = user(REVOKED, 3);
    let company = id(Kind::Company, REVOKED);
    let question = json!({ "feature": "general.read", "action": "Read" });
    let question = request_in(&company, "POST", "/api/iam/check", &asking.authorization_of(&holder)?, Some(&question));
    let headers = changing.super_admin()?;
    let path = format!("/api/iam/users/{holder}/user-levels");
    let take = request_in(&company, "PUT", &path, &headers, Some(&json!({ "userLevelIds": [] })));
    let give = assign(REVOKED, 3, MEMBER, &headers);
    let mut change = Connection::open(changing.server.address).await?;
    let mut ask = Connection::open(asking.server.address).await?;
    let mut is_allowed = async || -> Result<bool> {
        let answer = ask.send(&question).await?;
        Ok(answer.status == 200 && String::from_utf8_lossy(&answer.body).contains("\"allowed\":true"))
    };
    let mut delays = Vec::new();
    while Instant::now() < end {
        if change.send(&give).await?.status != 200 {
            continue;
        }
        let waiting = Instant::now();
        while !is_allowed().await? && waiting.elapsed() < Duration::from_secs(5) {
            sleep(Duration::from_millis(1)).await;
        }
        if change.send(&take).await?.status != 200 {
            continue;
        }
        let since = Instant::now();
        while is_allowed().await? {
            sleep(Duration::from_millis(1)).await;
        }
        delays.push(since.elapsed().as_secs_f64() * 1e3);
        sleep(Duration::from_millis(50)).await;
    }
    Ok(delays)
}
