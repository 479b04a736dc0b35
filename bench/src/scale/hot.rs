//! A change to the catalog while the decisions of all users are cached: it invalidates all of them.

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::{try_join, try_join_all};
use serde_json::{Value, json};
use tokio::time::sleep_until;

use super::fill::{COMPANIES, Kind, USERS, id, user};
use super::{SECTION, start};
use crate::api::{Api, request_in};
use crate::load::Connection;
use crate::measure::quantile;
use crate::postgres::Database;
use crate::report::{Row, Target};
use crate::{Failure, Result, progress};

/// The number of connections that fill the cache.
const FILLING: usize = 32;
/// The number of connections that send checks while the catalog is changed.
const CHECKING: usize = 8;
/// The number of changes to the catalog.
const CHANGES: u32 = 5;
/// The time between two changes. Checks that are sent in the first half belong to the change.
const INTERVAL: Duration = Duration::from_secs(2);

/// Returns the request of a user for a decision.
fn check(api: &Api, number: usize) -> Result<Vec<u8>> {
    let company = number / USERS;
    let authorization = api.authorization_of(&user(company, number % USERS))?;
    let question = json!({ "feature": "general.read", "action": "Read" });
    Ok(request_in(&id(Kind::Company, company), "POST", "/api/iam/check", &authorization, Some(&question)))
}

async fn send(connection: &mut Connection, request: &[u8]) -> Result<Value> {
    let answer = connection.send(request).await?;
    match answer.status {
        200 => Ok(serde_json::from_slice(&answer.body)?),
        status => Err(format!("status {status}: {}", String::from_utf8_lossy(&answer.body)).into()),
    }
}

/// Measures the checks during and between changes to the catalog.
pub(super) async fn catalog_change(program: &Path, database: &Database) -> Result<Vec<Row>> {
    let api = start(program, database, 1)?;
    api.ready().await?;
    let all = COMPANIES * USERS;
    progress(format_args!("caching the decisions of {all} users"));
    let begun = Instant::now();
    let fill = |line: usize| {
        let api = &api;
        async move {
            let mut connection = Connection::open(api.server.address).await?;
            for number in (line..all).step_by(FILLING) {
                send(&mut connection, &check(api, number)?).await?;
            }
            Ok::<_, Failure>(())
        }
    };
    try_join_all((0..FILLING).map(fill)).await?;
    let filled = begun.elapsed().as_secs_f64();

    progress(format_args!("changing the catalog {CHANGES} times"));
    let views = api.administer("GET", "/api/iam/views", None).await?;
    let view = views["views"][0]["id"].as_str().ok_or("no views")?;
    let begun = Instant::now() + INTERVAL;
    let end = begun + INTERVAL * CHANGES;
    let change = async {
        let mut times = Vec::new();
        for number in 0..CHANGES {
            sleep_until((begun + INTERVAL * number).into()).await;
            let (sent, body) = (Instant::now(), json!({ "description": format!("Change {number}") }));
            api.administer("PATCH", &format!("/api/iam/views/{view}"), Some(&body)).await?;
            times.push(sent.elapsed().as_secs_f64() * 1e3);
        }
        Ok(times)
    };
    let ask = |line: usize| {
        let api = &api;
        async move {
            let mut connection = Connection::open(api.server.address).await?;
            let (mut during, mut between) = (Vec::new(), Vec::new());
            let mut number = line;
            while Instant::now() < end {
                number = (number + 7_919 * CHECKING) % all;
                let request = check(api, number)?;
                let sent = Instant::now();
                send(&mut connection, &request).await?;
                let time = sent.elapsed().as_secs_f64() * 1e3;
                let since =
                    sent.checked_duration_since(begun).map(|since| since.as_secs_f64() % INTERVAL.as_secs_f64());
                match since {
                    Some(since) if since < INTERVAL.as_secs_f64() / 2.0 => during.push(time),
                    _ => between.push(time),
                }
            }
            Ok::<_, Failure>((during, between))
        }
    };
    let (changes, asked) = try_join(change, try_join_all((0..CHECKING).map(ask))).await?;
    let (during, between): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
    let (during, between) = (during.concat(), between.concat());
    let note = format!(
        "{} checks, p50 {:.2} ms, longest {:.1}; between the changes p99 {:.2} ms; the changes take at most {:.1} ms; \
        caching took {filled:.0} s",
        during.len(),
        quantile(during.clone(), 0.5),
        quantile(during.clone(), 1.0),
        quantile(between, 0.99),
        quantile(changes, 1.0),
    );
    let row = Row::new(SECTION, "a check within 1 s of a catalog change, p99", "ms", quantile(during, 0.99));
    Ok(vec![row.target(Target::AtMost(50.0)).note(note)])
}
