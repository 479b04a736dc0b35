//! Measures changes, reads, the start of a replica and a catalog change on a large database: 10,000 companies with 20 users
//! each, five million audit records, and effective-permission rows of all users.

pub(crate) mod fill;
mod hot;
mod rate;

use std::path::Path;
use std::time::Instant;

use sea_orm::sqlx::{self, AssertSqlSafe, Connection as _, PgConnection};
use serde_json::{Value, json};

use crate::api::{Api, request_in};
use crate::cluster::Postgres;
use crate::load::Connection;
use crate::measure::{median, quantile};
use crate::postgres::Database;
use crate::report::{Row, Target};
use crate::tokens::Signer;
use crate::{Result, progress};
use fill::{COMPANIES, Kind, MEMBER, USERS, VISITOR, id, level, user};

const SECTION: &str = "10,000 companies × 20 users, 5 million audit records";
/// The number of sequential changes, and of reads of the audit log.
const TURNS: usize = 1_000;
/// The number of starts of a replica.
const STARTS: usize = 5;
/// The number of measured insertions of an audit record.
const INSERTIONS: usize = 21;

/// The costs that may depend on the size of the database.
struct Costs {
    /// Durations of changes, in milliseconds.
    changes: Vec<f64>,
    /// Durations of reads of the first page of the audit log, in milliseconds.
    pages: Vec<f64>,
    /// Times from the start of a process until it is ready, in seconds.
    starts: Vec<f64>,
    /// The pages of PostgreSQL's buffer cache that the insertion of one audit record uses.
    buffers: f64,
}

/// Measures the section.
///
/// # Errors
///
/// Returns an error if a server cannot be started, or a request fails.
pub async fn scale(program: &Path) -> Result<Vec<Row>> {
    let postgres = Postgres::start(&["shared_buffers=1GB", "max_wal_size=8GB", "maintenance_work_mem=256MB"]).await?;
    Database::with(&postgres.url, async |database| measure(database, program).await).await
}

/// Starts a replica whose cache can contain all users.
fn start(program: &Path, database: &Database, workers: usize) -> Result<Api> {
    let settings = [("DATABASE_URL", database.url.as_str()), ("IAM__CACHE__MAX_ENTRIES", "300000")];
    Api::start_with(program, Signer::hs256(), workers, &settings)
}

async fn measure(database: &Database, program: &Path) -> Result<Vec<Row>> {
    let api = start(program, database, 1)?;
    api.ready().await?;
    fill::companies(&api, database, COMPANIES, USERS).await?;
    let small = costs(&api, database, program, VISITOR).await?;
    fill::records_and_rows(database).await?;
    let before = scans(database).await?;
    let large = costs(&api, database, program, MEMBER).await?;
    drop(api);

    let row = |name: &str, unit, ours| Row::new(SECTION, name, unit, ours);
    let beside = |name: &str, unit, pick: &dyn Fn(&Costs) -> f64| {
        let (own, other) = (pick(&large), pick(&small));
        row(name, unit, own).beside("0 records", other, own / other)
    };
    let at = |share| move |costs: &Costs| quantile(costs.changes.clone(), share);
    let page = |share| quantile(large.pages.clone(), share);
    let mut rows = vec![
        beside("a change, p50", "ms", &at(0.5)).target(Target::AtMost(1.5)),
        beside("a change, p99", "ms", &at(0.99)),
        beside("buffers that an audit record uses", "", &|costs| costs.buffers).target(Target::AtMost(1.5)),
        row("first 50 audit records of a company, p99", "ms", page(0.99))
            .target(Target::AtMost(50.0))
            .note(format!("p50 {:.1} ms", page(0.5))),
        row("start of a replica until it is ready", "s", quantile(large.starts.clone(), 1.0))
            .target(Target::AtMost(2.0))
            .note(format!("the slowest of {STARTS} starts; the median is {:.2} s", median(large.starts.clone()))),
    ];
    rows.extend(hot::catalog_change(program, database).await?);
    rows.extend(rate::changes(program, database).await?);
    let scanned = scans(database).await? - before;
    rows.push(row("sequential scans of tables with over 10,000 rows", "", scanned).target(Target::AtMost(0.0)));
    Ok(rows)
}

/// Measures the costs. The changes assign this level to one user of each company.
async fn costs(api: &Api, database: &Database, program: &Path, given: usize) -> Result<Costs> {
    progress(format_args!("changes, reads and starts"));
    let headers = api.super_admin()?;
    let company = |turn: usize| (turn * 7_919) % COMPANIES;
    let changes = (0..TURNS).map(|turn| assign(company(turn), 1, given, &headers)).collect();
    let page =
        |turn| request_in(&id(Kind::Company, company(turn)), "GET", "/api/iam/audit-logs?limit=50", &headers, None);
    let pages = (0..TURNS).map(page).collect();
    let (changes, pages) = (times(api, changes).await?, times(api, pages).await?);
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let begun = Instant::now();
        start(program, database, 1)?.ready().await?;
        starts.push(begun.elapsed().as_secs_f64());
    }
    Ok(Costs { changes, pages, starts, buffers: buffers(database).await? })
}

/// Returns the request that assigns a level to a user, instead of the levels that the user holds.
fn assign(company: usize, user_of_company: usize, given: usize, headers: &str) -> Vec<u8> {
    let path = format!("/api/iam/users/{}/user-levels", user(company, user_of_company));
    let body = json!({ "userLevelIds": [level(company, given)] });
    request_in(&id(Kind::Company, company), "PUT", &path, headers, Some(&body))
}

/// Sends requests one after the other, and returns the durations in milliseconds, without those of the first tenth.
async fn times(api: &Api, requests: Vec<Vec<u8>>) -> Result<Vec<f64>> {
    let mut connection = Connection::open(api.server.address).await?;
    let mut times = Vec::new();
    for request in &requests {
        let sent = Instant::now();
        let answer = connection.send(request).await?;
        if answer.status != 200 {
            return Err(format!("status {}: {}", answer.status, String::from_utf8_lossy(&answer.body)).into());
        }
        times.push(sent.elapsed().as_secs_f64() * 1e3);
    }
    Ok(times.split_off(times.len() / 10))
}

/// Returns the number of sequential scans of tables that have over 10,000 rows.
async fn scans(database: &Database) -> Result<f64> {
    let sql = "SELECT coalesce(sum(seq_scan), 0)::bigint FROM pg_stat_user_tables WHERE n_live_tup > 10000";
    let mut connection = PgConnection::connect(&database.url).await?;
    // The sessions report their counts within a second after their last statement.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let scans: i64 = sqlx::query_scalar(sql).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(scans as f64)
}

/// Returns the pages of PostgreSQL's buffer cache that the insertion of one audit record uses: the median.
async fn buffers(database: &Database) -> Result<f64> {
    let mut connection = PgConnection::connect(&database.url).await?;
    let mut buffers = Vec::new();
    for turn in 0..INSERTIONS {
        let sql = format!(
            r#"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) INSERT INTO iam_audit_logs
                (id, company_id, user_id, actor_kind, action, entity_type, entity_id, changes, metadata, "timestamp")
            VALUES (gen_random_uuid(), '{}', '{user}', 'user', 'assignment.user_levels_updated', 'assignment', '{user}',
                '{{}}', '{{}}', now())"#,
            id(Kind::Company, turn * 331),
            user = user(turn * 331, 1),
        );
        let mut tx = connection.begin().await?;
        let plan: Value = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *tx).await?;
        tx.rollback().await?;
        let count = |name: &str| plan[0]["Plan"][name].as_f64().ok_or("the plan states no buffers");
        buffers.push(count("Shared Hit Blocks")? + count("Shared Read Blocks")?);
    }
    connection.close().await?;
    Ok(median(buffers))
}
