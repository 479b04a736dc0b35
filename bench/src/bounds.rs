//! Measures how long requests wait for a replica that hangs inside a change, and for a half-open connection.

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use iam_storage_postgres::{PostgresOptions, PostgresStorage};
use rustix::process::Signal;
use sea_orm::sqlx::{self, AssertSqlSafe, Connection as _, PgConnection};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use uuid::Uuid;

use crate::api::{Api, request_in};
use crate::cluster::Postgres;
use crate::load::Connection;
use crate::measure::{median, quantile};
use crate::postgres::Database;
use crate::proxy::Proxy;
use crate::report::{Row, Target};
use crate::tokens::Signer;
use crate::{Result, progress};

const BOUNDS: &str = "Bounds when replicas and connections hang";
const TURNS: usize = 5;
/// Interval between two evaluations of a condition that is awaited.
const PAUSE: Duration = Duration::from_millis(5);
/// Timeout for a condition that is awaited.
const PATIENCE: Duration = Duration::from_secs(30);
/// The guarantee of docs/consistency.md for changes: maximum time until a company can be changed again, in seconds.
const CHANGE_LIMIT: f64 = 5.0;
/// The guarantee of docs/consistency.md for revocations and cut-offs: maximum response time, in seconds.
const REVOCATION_LIMIT: f64 = 1.5;

/// The way in which a replica becomes unresponsive.
#[derive(Debug, Clone, Copy)]
enum Outage {
    /// The process of the replica is stopped (`SIGSTOP`), like a paused container.
    Stopped,
    /// The database connections of the replica are half-open: they transfer no data.
    Disconnected,
}

/// Two replicas: one that hangs and connects to the database through a proxy, and a healthy one.
struct Scene {
    url: String,
    proxy: Proxy,
    hanging: Api,
    sound: Api,
}

/// A replica that hangs inside a change.
struct Hung {
    silence: Outage,
    company: String,
    request: JoinHandle<()>,
    since: Instant,
}

/// Adds a level to a company. Returns `true` if the response is 201.
async fn change(api: &Api, company: &str) -> Result<bool> {
    let body = json!({ "name": Uuid::new_v4() });
    Ok(api.attempt(company, "POST", "/api/iam/user-levels", Some(&body)).await?.status == 201)
}

/// Waits until the condition is true.
async fn until(mut is_so: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !is_so().await? {
        if begun.elapsed() > PATIENCE {
            return Err("the awaited condition is still false after 30 s".into());
        }
        sleep(PAUSE).await;
    }
    Ok(())
}

impl Scene {
    async fn set(postgres: &Postgres, database: &Database, program: &Path) -> Result<Self> {
        let proxy = Proxy::start(postgres.port, Duration::ZERO).await?;
        let behind = postgres.by(proxy.port, &database.url);
        let start = |url: &str| Api::start(program, Signer::hs256(), 1, Some(url));
        let scene = Self { url: database.url.clone(), hanging: start(&behind)?, sound: start(&database.url)?, proxy };
        scene.hanging.ready().await?;
        scene.sound.ready().await?;
        Ok(scene)
    }

    async fn connect(&self) -> Result<PgConnection> {
        Ok(PgConnection::connect(&self.url).await?)
    }

    /// Waits until a session of the service satisfies a condition.
    async fn until_session(&self, condition: &str) -> Result<()> {
        let mut watch = self.connect().await?;
        let sql = format!(
            "SELECT EXISTS (SELECT FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'iam' AND {condition})"
        );
        until(async || Ok(sqlx::query_scalar(AssertSqlSafe(sql.as_str())).fetch_one(&mut watch).await?)).await
    }

    /// Makes one replica hang inside a change, while the change holds the global lock and the company's row lock.
    async fn hang(&self, silence: Outage) -> Result<Hung> {
        let mut blocker = self.connect().await?;
        sqlx::raw_sql("BEGIN; LOCK TABLE user_levels IN SHARE MODE").execute(&mut blocker).await?;
        let company = Uuid::new_v4().to_string();
        let (body, headers) = (json!({ "name": "Lost" }), self.hanging.super_admin()?);
        let request = request_in(&company, "POST", "/api/iam/user-levels", &headers, Some(&body));
        let mut connection = Connection::open(self.hanging.server.address).await?;
        let request = tokio::spawn(async move {
            // The replica sends no response, or a response with an error.
            let _ = connection.send(&request).await;
        });
        self.until_session("wait_event_type = 'Lock'").await?;
        match silence {
            Outage::Stopped => self.hanging.server.signal(Signal::STOP)?,
            Outage::Disconnected => self.proxy.forget(),
        }
        sqlx::raw_sql("COMMIT").execute(&mut blocker).await?;
        blocker.close().await?;
        Ok(Hung { silence, company, request, since: Instant::now() })
    }

    /// Resumes the replica and waits until it can make changes again.
    async fn resume(&self, hung: Hung) -> Result<()> {
        if let Outage::Stopped = hung.silence {
            self.hanging.server.signal(Signal::CONT)?;
        }
        hung.request.abort();
        until(async || change(&self.hanging, &Uuid::new_v4().to_string()).await).await
    }

    /// Makes the database connections of a replica half-open, and returns the time until the replica can change a
    /// company again.
    async fn half_open(&self) -> Result<Duration> {
        let company = Uuid::new_v4().to_string();
        until(async || change(&self.hanging, &company).await).await?;
        // Opens further connections of the pool by concurrent reads, so that all connections were used recently.
        let read = async |_| self.hanging.administer_in(&company, "GET", "/api/iam/user-levels", None).await;
        try_join_all((0..8).map(read)).await?;
        self.proxy.forget();
        let since = Instant::now();
        until(async || change(&self.hanging, &company).await).await?;
        Ok(since.elapsed())
    }

    /// Makes one replica hang inside a change, and returns the time until the healthy replica can change the same
    /// company.
    async fn lock_is_lost(&self, silence: Outage) -> Result<Duration> {
        let hung = self.hang(silence).await?;
        until(async || change(&self.sound, &hung.company).await).await?;
        let elapsed = hung.since.elapsed();
        self.resume(hung).await?;
        Ok(elapsed)
    }

    /// Returns the time until the healthy replica can change a company whose row lock is held by a session that does
    /// not read the reply of the database.
    async fn lock_is_lost_unread(&self, behind: &PostgresStorage) -> Result<Duration> {
        let company = Uuid::new_v4();
        until(async || change(&self.sound, &company.to_string()).await).await?;
        let pool = behind.connection().get_postgres_connection_pool().clone();
        let sql = format!(
            "BEGIN; SELECT FROM company_states WHERE company_id = '{company}' FOR UPDATE; SELECT pg_sleep(0.2);
            SELECT repeat('x', 100000000)"
        );
        let asking = tokio::spawn(async move { sqlx::raw_sql(AssertSqlSafe(sql)).execute(&pool).await.map(drop) });
        self.until_session("wait_event = 'PgSleep'").await?;
        self.proxy.forget();
        self.until_session("wait_event = 'ClientWrite'").await?;
        let since = Instant::now();
        until(async || change(&self.sound, &company.to_string()).await).await?;
        let elapsed = since.elapsed();
        asking.abort();
        Ok(elapsed)
    }

    /// Returns the response time of a revocation or a cut-off on the healthy replica, while the other replica hangs.
    async fn revocation(&self, silence: Outage, method: &str, path: &str) -> Result<Duration> {
        let hung = self.hang(silence).await?;
        let sent = Instant::now();
        self.sound.administer(method, path, None).await?;
        let elapsed = sent.elapsed();
        self.resume(hung).await?;
        Ok(elapsed)
    }

    async fn cut_off(&self, silence: Outage) -> Result<Duration> {
        let path = format!("/api/iam/users/{}/not-before", Uuid::new_v4());
        self.revocation(silence, "PUT", &path).await
    }

    async fn revoke(&self, silence: Outage) -> Result<Duration> {
        let body = json!({ "name": Uuid::new_v4(), "role": "check" });
        let key = self.sound.administer("POST", "/api/iam/api-keys", Some(&body)).await?;
        let id = key["apiKey"]["id"].as_str().ok_or("a key without an id")?;
        self.revocation(silence, "DELETE", &format!("/api/iam/api-keys/{id}")).await
    }
}

/// Calls `measure` repeatedly, and returns a row with the longest time. The target of the row is the guarantee `bound`.
async fn row(name: &str, bound: f64, mut measure: impl AsyncFnMut() -> Result<Duration>) -> Result<Row> {
    progress(format_args!("{name}"));
    let mut times = Vec::new();
    for _ in 0..TURNS {
        times.push(measure().await?.as_secs_f64());
    }
    let row = Row::new(BOUNDS, name, "s", quantile(times.clone(), 1.0)).target(Target::AtMost(bound));
    Ok(row.note(format!("the longest of {TURNS}; median {:.2}", median(times))))
}

/// Measures the guarantees of docs/consistency.md for hanging replicas and connections, with the default settings.
///
/// # Errors
///
/// Returns an error if a server cannot be started, or an awaited condition is still false after 30 s.
pub async fn bounds(program: &Path) -> Result<Vec<Row>> {
    let postgres = Postgres::start(&[]).await?;
    Database::with(&postgres.url, async |database| {
        let scene = Scene::set(&postgres, database, program).await?;
        let behind = PostgresStorage::connect(&PostgresOptions::new(postgres.by(scene.proxy.port, &database.url)))?;
        use Outage::{Disconnected, Stopped};
        let rows = vec![
            row("change a company after a half-open connection", CHANGE_LIMIT, async || scene.half_open().await)
                .await?,
            row("change a company whose lock a stopped replica holds", CHANGE_LIMIT, async || {
                scene.lock_is_lost(Stopped).await
            })
            .await?,
            row("change a company whose lock a disconnected replica holds", CHANGE_LIMIT, async || {
                scene.lock_is_lost(Disconnected).await
            })
            .await?,
            row("change a company whose holder takes no answer", CHANGE_LIMIT, async || {
                scene.lock_is_lost_unread(&behind).await
            })
            .await?,
            row("cut a user off beside a stopped replica", REVOCATION_LIMIT, async || scene.cut_off(Stopped).await)
                .await?,
            row("cut a user off beside a disconnected replica", REVOCATION_LIMIT, async || {
                scene.cut_off(Disconnected).await
            })
            .await?,
            row("revoke a key beside a stopped replica", REVOCATION_LIMIT, async || scene.revoke(Stopped).await)
                .await?,
            row("revoke a key beside a disconnected replica", REVOCATION_LIMIT, async || {
                scene.revoke(Disconnected).await
            })
            .await?,
        ];
        behind.close().await;
        Ok(rows)
    })
    .await
}
