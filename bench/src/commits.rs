//! Measures concurrent changes to many companies, compared with hand-written SQL that writes the same rows, with and
//! without a synchronous standby.

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use sea_orm::sqlx::postgres::PgPoolOptions;
use sea_orm::sqlx::{self, PgPool};
use serde_json::json;
use uuid::Uuid;

use crate::api::{Api, request_in};
use crate::cluster::Postgres;
use crate::load::Connection;
use crate::measure::{median, quantile};
use crate::postgres::Database;
use crate::proxy::Proxy;
use crate::report::{Row, Target};
use crate::tokens::Signer;
use crate::{Failure, Result, progress};

const COMMITS: &str = "Changes of 32 companies at once";
const COMPANIES: usize = 32;
/// The number of connections for the hand-written SQL: the default pool size of a replica when the target was set.
const CONNECTIONS: u32 = 10;
const ROUNDS: usize = 5;
/// Length of the warm-up of a round.
const WARM_UP: Duration = Duration::from_millis(300);
/// Length of the measured part of a round.
const ROUND: Duration = Duration::from_secs(2);
/// Delay of each chunk of data between primary and standby, in each direction.
const DELAY: Duration = Duration::from_millis(4);
/// The result of the previous design with this delay, in changes per second. In that design each commit sent a
/// notification.
const BEFORE: f64 = 78.0;
/// The ratio of the previous design (commit d23355d) to the hand-written SQL of this section, without the delay.
const SHARE_BEFORE: f64 = 0.26;
/// The required factor of improvement over [`SHARE_BEFORE`]: the target 0.6 divided by 0.38, the ratio of the previous
/// design. Both ratios are relative to other hand-written SQL, for which the target was originally set.
const GROWTH: f64 = 1.58;

/// Consecutive changes to one company. Each change assigns one of two levels to a user and removes the other level.
trait Changes {
    async fn change(&mut self, given: usize) -> Result<()>;
}

/// Changes that are requests to the service.
struct ByService {
    connection: Connection,
    requests: [Vec<u8>; 2],
}

impl Changes for ByService {
    async fn change(&mut self, given: usize) -> Result<()> {
        let answer = self.connection.send(&self.requests[given]).await?;
        match answer.status {
            200 => Ok(()),
            status => Err(format!("status {status}: {}", String::from_utf8_lossy(&answer.body)).into()),
        }
    }
}

/// Changes in hand-written SQL. Each change is one transaction with the company's row lock, the two assignments, and
/// the audit record.
struct ByHand {
    pool: PgPool,
    company: Uuid,
    user: Uuid,
    levels: [Uuid; 2],
}

impl Changes for ByHand {
    async fn change(&mut self, given: usize) -> Result<()> {
        let (given, taken) = (self.levels[given], self.levels[1 - given]);
        let mut tx = self.pool.begin().await?;
        let lock =
            "UPDATE company_states SET version = version + 1, updated_at = clock_timestamp() WHERE company_id = $1";
        sqlx::query(lock).bind(self.company).execute(&mut *tx).await?;
        let take = "DELETE FROM user_user_levels WHERE company_id = $1 AND user_id = $2 AND user_level_id = $3";
        sqlx::query(take).bind(self.company).bind(self.user).bind(taken).execute(&mut *tx).await?;
        let give = "INSERT INTO user_user_levels (company_id, user_id, user_level_id, assigned_by, created_at)
            VALUES ($1, $2, $3, $2, now())";
        sqlx::query(give).bind(self.company).bind(self.user).bind(given).execute(&mut *tx).await?;
        let record = r#"INSERT INTO iam_audit_logs (id, company_id, user_id, actor_kind, action, entity_type, entity_id,
                changes, metadata, "timestamp")
            VALUES ($1, $2, $3, 'user', 'assignment.user_levels_updated', 'assignment', $3, $4::text::jsonb, $5::text::jsonb,
                now())"#;
        let changes = json!({ "added": [given], "after": [given], "before": [taken], "removed": [taken] });
        let metadata = json!({ "requestId": self.user, "superAdmin": true });
        let record = sqlx::query(record).bind(Uuid::new_v4()).bind(self.company).bind(self.user);
        record.bind(changes.to_string()).bind(metadata.to_string()).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// One of the two compared programs: the changes to all companies through the service, or in hand-written SQL.
struct Side<C> {
    /// The changes to each company, and the index of the level that the next change assigns.
    lines: Vec<(C, usize)>,
    /// Changes per second, one value per round.
    rates: Vec<f64>,
    /// Duration of each change, in milliseconds.
    times: Vec<f64>,
}

impl<C: Changes> Side<C> {
    async fn new(lines: Vec<C>) -> Result<Self> {
        let mut side = Self { lines: lines.into_iter().map(|line| (line, 0)).collect(), rates: vec![], times: vec![] };
        // The first change removes no level.
        for (line, next) in &mut side.lines {
            line.change(*next).await?;
            *next = 1;
        }
        Ok(side)
    }

    async fn round(&mut self) -> Result<()> {
        let start = Instant::now() + WARM_UP;
        let end = start + ROUND;
        let lines = self.lines.iter_mut().map(async |(line, next)| {
            let mut times = Vec::new();
            loop {
                let sent = Instant::now();
                line.change(*next).await?;
                *next = 1 - *next;
                let now = Instant::now();
                if now > end {
                    return Ok::<_, Failure>(times);
                }
                if now > start {
                    times.push((now - sent).as_secs_f64() * 1e3);
                }
            }
        });
        let times = try_join_all(lines).await?.concat();
        self.rates.push(times.len() as f64 / ROUND.as_secs_f64());
        self.times.extend(times);
        Ok(())
    }

    fn rate(&self) -> f64 {
        median(self.rates.clone())
    }
}

/// Returns the ratio of our rate to the rate of the hand-written SQL: the median over the rounds.
fn share(own: &Side<ByService>, hand: &Side<ByHand>) -> f64 {
    median(own.rates.iter().zip(&hand.rates).map(|(own, hand)| own / hand).collect())
}

/// Runs rounds of both programs alternately, and returns a row with both rates.
async fn compare(name: &str, own: &mut Side<ByService>, hand: &mut Side<ByHand>) -> Result<Row> {
    progress(format_args!("changing {COMPANIES} companies at once: {name}"));
    for round in 0..ROUNDS {
        if round % 2 == 0 {
            own.round().await?;
            hand.round().await?;
        } else {
            hand.round().await?;
            own.round().await?;
        }
    }
    let ratio = share(own, hand);
    let (p50, p99) = (quantile(own.times.clone(), 0.5), quantile(own.times.clone(), 0.99));
    let row = Row::new(COMMITS, name, "1/s", own.rate()).beside("SQL by hand", hand.rate(), ratio);
    Ok(row.note(format!("a change takes {p50:.1} ms, p99 {p99:.1}")))
}

/// Measures the throughput of changes to 32 companies at once, in changes per second.
///
/// # Errors
///
/// Returns an error if a server cannot be started, or a change fails.
pub async fn commits(program: &Path) -> Result<Vec<Row>> {
    let postgres = Postgres::start(&["shared_buffers=128MB"]).await?;
    Database::with(&postgres.url, async |database| {
        let workers = std::thread::available_parallelism()?.get();
        let api = Api::start(program, Signer::hs256(), workers, Some(&database.url))?;
        api.ready().await?;
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect(&database.url).await?;
        let (mut service, mut hand) = (Vec::new(), Vec::new());
        for _ in 0..COMPANIES {
            let company = Uuid::new_v4();
            let (name, admin) = (company.to_string(), json!({ "adminUserId": Uuid::new_v4() }));
            let provision = format!("/api/iam/companies/{company}/provision");
            api.administer_in(&name, "POST", &provision, Some(&admin)).await?;
            let data = api.administer_in(&name, "GET", "/api/iam/user-levels", None).await?;
            let listed = data["userLevels"].as_array().ok_or("no levels")?;
            let level = |name: &str| -> Result<Uuid> {
                let level = listed.iter().find(|level| level["name"] == name).ok_or("a level is missing")?;
                Ok(level["id"].as_str().ok_or("a level without an id")?.parse()?)
            };
            let levels = [level("Member")?, level("Visitor")?];
            let path = format!("/api/iam/users/{}/user-levels", Uuid::new_v4());
            let headers = api.super_admin()?;
            let put = |level| request_in(&name, "PUT", &path, &headers, Some(&json!({ "userLevelIds": [level] })));
            let connection = Connection::open(api.server.address).await?;
            service.push(ByService { connection, requests: levels.map(put) });
            hand.push(ByHand { pool: pool.clone(), company, user: Uuid::new_v4(), levels });
        }
        let (mut own, mut hand) = (Side::new(service).await?, Side::new(hand).await?);
        sqlx::raw_sql("VACUUM ANALYZE").execute(&pool).await?;

        let local = compare("commits wait for nothing", &mut own, &mut hand).await?.target(Target::AtLeast(0.6));
        let share = share(&own, &hand);
        let grown = Row::new(COMMITS, "the same, as a share of SQL by hand", "", share);
        let grown = grown.beside("before", SHARE_BEFORE, share / SHARE_BEFORE).target(Target::AtLeast(GROWTH));
        let proxy = Proxy::start(postgres.port, DELAY).await?;
        let _standby = postgres.standby(proxy.port).await?;
        for (rates, times) in [(&mut own.rates, &mut own.times), (&mut hand.rates, &mut hand.times)] {
            rates.clear();
            times.clear();
        }
        let beside = compare("commits wait for a standby, 4 ms each way", &mut own, &mut hand).await?;
        let before = Row::new(COMMITS, "the same, beside a notice in each commit", "1/s", own.rate());
        let before = before.beside("before", BEFORE, own.rate() / BEFORE).target(Target::AtLeast(5.0));
        pool.close().await;
        // Disables synchronous replication. `DROP DATABASE` would otherwise wait for the standby, which is stopped
        // first.
        postgres.sql("ALTER SYSTEM RESET synchronous_standby_names".to_owned()).await?;
        postgres.sql("SELECT pg_reload_conf()".to_owned()).await?;
        let of_another_run = "the figure before is of another run (ADR 13)";
        Ok(vec![local, grown.note(of_another_run), beside, before.note(of_another_run)])
    })
    .await
}
