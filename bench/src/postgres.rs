//! Measures the costs of PostgreSQL: a first decision, the replacement of a matrix, and the propagation delay of a
//! revocation to a second replica.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use iam_application::{ChangeFeaturePermissions, IfMatch, NewFeaturePermission, RequestContext, RequestedCells};
use iam_domain::{Action, Caller, CompanyId, FeatureId, FeaturePermission, FeatureRule, Scope, UserId, UserLevelId};
use iam_storage::{ChangeContext, Storage, StorageError, Target as Locked, UnitOfWork, Work, transact};
use iam_storage_postgres::{PostgresOptions, PostgresStorage};
use sea_orm::sqlx::{self, PgPool, Row as _};
use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection};
use serde_json::json;
use tokio::time::sleep;

use crate::api::{Api, USER, request};
use crate::data::{Cell, Company, Data, LEVELS, feature_row};
use crate::load::Connection;
use crate::measure::{median, quantile};
use crate::ours::{self, Ours};
use crate::report::{Row, Target};
use crate::tokens::Signer;
use crate::{Failure, Result, progress};

const COLD: &str = "First decision on PostgreSQL";
const REPLACE: &str = "133 permissions replaced on PostgreSQL";
const REVOCATION: &str = "Revocation on a second replica";

/// A database for one run, with the seeded catalog. [`Self::drop`] removes the database.
pub struct Database {
    server: String,
    name: String,
    /// The URL of the database.
    pub url: String,
}

pub(crate) async fn connect(url: &str) -> Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Ok(sea_orm::Database::connect(options).await?)
}

impl Database {
    /// Creates, migrates and seeds a new database on this server.
    ///
    /// # Errors
    ///
    /// Returns an error if the server cannot be reached, or rejects the statement.
    pub async fn create(server: &str) -> Result<Self> {
        let name = format!("iam_bench_{}", uuid::Uuid::new_v4().simple());
        let (before, query) = server.split_once('?').map_or((server, ""), |(before, query)| (before, query));
        let (host, _) = before.rsplit_once('/').ok_or("the database URL contains no database name")?;
        let url = if query.is_empty() { format!("{host}/{name}") } else { format!("{host}/{name}?{query}") };
        connect(server).await?.execute_unprepared(&format!("CREATE DATABASE \"{name}\"")).await?;
        let database = Self { server: server.to_owned(), name, url };
        let connection = connect(&database.url).await?;
        migration::up(&connection).await?;
        migration::seed(&connection).await?;
        connection.close().await?;
        Ok(database)
    }

    /// Returns a storage adapter for this database.
    ///
    /// # Errors
    ///
    /// Returns an error if the URL cannot be parsed.
    pub fn storage(&self) -> Result<Arc<PostgresStorage>> {
        Ok(Arc::new(PostgresStorage::connect(&PostgresOptions::new(self.url.clone()))?))
    }

    /// Executes SQL, which may consist of several statements.
    ///
    /// # Errors
    ///
    /// Returns an error if the server cannot be reached, or rejects a statement.
    pub async fn execute(&self, sql: &str) -> Result<()> {
        connect(&self.url).await?.execute_unprepared(sql).await?;
        Ok(())
    }

    /// Drops the database and terminates its open sessions.
    ///
    /// # Errors
    ///
    /// Returns an error if the server cannot be reached.
    pub async fn drop(self) -> Result<()> {
        let sql = format!("DROP DATABASE \"{}\" WITH (FORCE)", self.name);
        connect(&self.server).await?.execute_unprepared(&sql).await?;
        Ok(())
    }

    /// Runs a measurement on a new database, which is dropped afterwards even if the measurement fails.
    ///
    /// # Errors
    ///
    /// Returns an error if the measurement or the server fails.
    pub async fn with<T>(server: &str, measure: impl AsyncFnOnce(&Self) -> Result<T>) -> Result<T> {
        let database = Self::create(server).await?;
        let measured = measure(&database).await;
        database.drop().await?;
        measured
    }
}

fn microseconds(elapsed: Duration) -> f64 {
    elapsed.as_secs_f64() * 1e6
}

/// One decision in hand-written SQL: levels joined with their feature permissions, and the module gate.
const ONE_DECISION: &str = "
    SELECT f.enabled, p.value, p.scope, (
        NOT EXISTS (SELECT FROM module2features g WHERE g.feature_id = f.id) OR EXISTS (
            SELECT FROM module2features g JOIN modules m ON m.id = g.module_id AND m.enabled
            JOIN company2modules c ON c.module_id = m.id AND c.company_id = $1 AND c.enabled
            WHERE g.feature_id = f.id)) AS open
    FROM user_user_levels u
    JOIN user_level_feature_permissions p ON p.company_id = u.company_id AND p.user_level_id = u.user_level_id
    JOIN features f ON f.id = p.feature_id
    WHERE u.company_id = $1 AND u.user_id = $2 AND p.feature_id = $3 AND p.action = $4";

/// All feature permissions of the user's levels in hand-written SQL.
const ALL_ROWS: &str = "
    SELECT p.feature_id, p.action, p.value, p.scope
    FROM user_user_levels u
    JOIN user_level_feature_permissions p ON p.company_id = u.company_id AND p.user_level_id = u.user_level_id
    WHERE u.company_id = $1 AND u.user_id = $2";

async fn one_decision(pool: &PgPool, company: CompanyId, user: UserId, cell: &(FeatureId, Action)) -> Result<bool> {
    let query = sqlx::query(ONE_DECISION).bind(company.as_uuid()).bind(user.as_uuid());
    let rows = query.bind(cell.0.as_uuid()).bind(cell.1.as_str()).fetch_all(pool).await?;
    let mut allowed = !rows.is_empty();
    for row in rows {
        let _scope: String = row.try_get("scope")?;
        allowed &= row.try_get("enabled")? && row.try_get("open")? && row.try_get("value")?;
    }
    Ok(allowed)
}

async fn all_rows(pool: &PgPool, company: CompanyId, user: UserId) -> Result<usize> {
    let query = sqlx::query(ALL_ROWS).bind(company.as_uuid()).bind(user.as_uuid());
    let rows = query.fetch_all(pool).await?;
    for row in &rows {
        let _cell: (uuid::Uuid, String, bool, String) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
    }
    Ok(rows.len())
}

/// Measures first decisions (cache misses) for users in a cached company, and for users in companies that are not
/// cached.
///
/// # Errors
///
/// Returns an error if the database rejects a statement, or our decision differs from the query's result.
pub async fn cold(server: &str) -> Result<Vec<Row>> {
    const WARM_UP: usize = 20;
    Database::with(server, async |database| {
        let storage = database.storage()?;
        let pool = storage.connection().get_postgres_connection_pool().clone();
        progress(format_args!("filling PostgreSQL"));
        let (one, many) = (Data::generate(1, 420)?, Data::generate(121, 1)?);
        one.fill(storage.as_ref()).await?;
        // Both data sets use the same random seed, so the first company of `many` exists already.
        let others = Data { companies: many.companies[1..].to_vec(), ..many };
        others.fill(storage.as_ref()).await?;
        sqlx::raw_sql("VACUUM ANALYZE").execute(&pool).await?;

        let mut rows = Vec::new();
        for (name, data) in [("in a company that is known", &one), ("in a company that is not", &others)] {
            progress(format_args!("first decisions {name}"));
            let own = Ours::over(Arc::clone(&storage)).await;
            let actions: Vec<_> = data.cells.iter().filter(|cell| matches!(cell, Cell::Action(_))).collect();
            let users =
                data.companies.iter().flat_map(|company| company.users.iter().map(|user| (company.id, user.id)));
            let (mut ours_times, mut one_times, mut all_times) = (Vec::new(), Vec::new(), Vec::new());
            for (turn, (company, user)) in users.enumerate() {
                let cell = actions[turn * 7 % actions.len()];
                let Cell::Action(pair) = cell else { continue };
                let question = ours::question(cell);
                let start = Instant::now();
                let decided = own.load(company, user, &question).await?;
                let after_ours = Instant::now();
                let expected = one_decision(&pool, company, user, pair).await?;
                let after_one = Instant::now();
                all_rows(&pool, company, user).await?;
                let after_all = Instant::now();
                if decided != expected {
                    return Err(
                        format!("{user} in {company}, {pair:?}: wrong decision, the query returns {expected}").into()
                    );
                }
                if turn >= WARM_UP {
                    ours_times.push(microseconds(after_ours - start));
                    one_times.push(microseconds(after_one - after_ours));
                    all_times.push(microseconds(after_all - after_one));
                }
            }
            let own = median(ours_times);
            let row = || Row::new(COLD, format!("first decision of a user {name}"), "µs", own);
            let (one, all) = (median(one_times), median(all_times));
            rows.push(row().beside("one join, all rows", all, own / all).target(Target::AtMost(2.5)));
            // The query computes a single decision; our engine loads the data for all decisions of the user.
            rows.push(row().beside("one join, one decision", one, own / one));
        }
        storage.close().await;
        Ok(rows)
    })
    .await
}

/// Returns a matrix of 19 features × the seven standard actions, in one of two variants that differ in every cell.
fn matrix(data: &Data, way: bool) -> Result<Vec<NewFeaturePermission>> {
    let mut cells = Vec::new();
    for feature in data.catalog.features() {
        for action in Action::STANDARD {
            let scope = if way { Scope::Any } else { Scope::Team };
            let (feature_id, action) = (feature.id, Action::parse(action)?);
            cells.push(NewFeaturePermission { feature_id, action, value: way, scope, modifiable: Some(true) });
        }
    }
    Ok(cells)
}

/// The replacement of a level's feature matrix in a unit of work.
struct Replace {
    company: CompanyId,
    level: UserLevelId,
    cells: Vec<NewFeaturePermission>,
}

#[async_trait]
impl Work for Replace {
    type Output = ();
    type Error = StorageError;

    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<(), StorageError> {
        let now = tx.now();
        let row = |cell: &NewFeaturePermission| -> FeaturePermission {
            let rule = FeatureRule { value: cell.value, scope: cell.scope };
            feature_row(self.company, self.level, cell.feature_id, &cell.action, rule, now)
        };
        let rows: Vec<_> = self.cells.iter().map(row).collect();
        tx.feature_permissions_mut().replace_for_user_level(self.company, self.level, &rows).await
    }
}

/// Replaces the same matrix with hand-written SQL: deletes the old rows and inserts the new rows in one transaction.
async fn by_hand(pool: &PgPool, Replace { company, level, cells }: &Replace) -> Result<()> {
    let mut tx = pool.begin().await?;
    sqlx::query("DELETE FROM user_level_feature_permissions WHERE company_id = $1 AND user_level_id = $2")
        .bind(company.as_uuid())
        .bind(level.as_uuid())
        .execute(&mut *tx)
        .await?;
    let ids: Vec<_> = cells.iter().map(|_| uuid::Uuid::new_v4()).collect();
    let features: Vec<_> = cells.iter().map(|cell| cell.feature_id.as_uuid()).collect();
    let actions: Vec<_> = cells.iter().map(|cell| cell.action.as_str().to_owned()).collect();
    let values: Vec<_> = cells.iter().map(|cell| cell.value).collect();
    let scopes: Vec<_> = cells.iter().map(|cell| cell.scope.as_str().to_owned()).collect();
    sqlx::query(
        "INSERT INTO user_level_feature_permissions
            (id, company_id, user_level_id, feature_id, action, value, scope, modifiable)
         SELECT id, $1, $2, feature_id, action, value, scope, true
         FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::boolean[], $7::text[])
            AS cell (id, feature_id, action, value, scope)",
    )
    .bind(company.as_uuid())
    .bind(level.as_uuid())
    .bind(ids)
    .bind(features)
    .bind(actions)
    .bind(values)
    .bind(scopes)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// Returns the number of cells of the level's feature matrix that have this value.
async fn count_rows(pool: &PgPool, company: CompanyId, level: UserLevelId, value: bool) -> Result<usize> {
    let rows: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM user_level_feature_permissions
         WHERE company_id = $1 AND user_level_id = $2 AND value = $3",
    )
    .bind(company.as_uuid())
    .bind(level.as_uuid())
    .bind(value)
    .fetch_one(pool)
    .await?;
    Ok(usize::try_from(rows)?)
}

/// Makes the user an administrator of the company, because changes that leave a company without an administrator are
/// rejected.
async fn make_administrator(storage: &dyn Storage, company: &Company, user: UserId) -> Result<()> {
    let mut tx = storage.begin(Locked::Company(company.id), ChangeContext::command_line()).await?;
    tx.assignments_mut().replace_for_user(company.id, user, &[company.levels[0].id], None).await?;
    tx.commit().await?;
    Ok(())
}

/// Returns the request context of a super admin.
#[must_use]
pub fn super_admin(user_id: UserId) -> RequestContext {
    RequestContext::from(Caller::super_admin(user_id))
}

/// Measures the replacement of a matrix of 133 cells in which every cell changes, compared with hand-written SQL.
///
/// # Errors
///
/// Returns an error if the database rejects a statement.
pub async fn replace(server: &str) -> Result<Vec<Row>> {
    const WARM_UP: usize = 20;
    const TURNS: usize = 170;
    Database::with(server, async |database| {
        let storage = database.storage()?;
        let pool = storage.connection().get_postgres_connection_pool().clone();
        let data = Data::generate(3, 2)?;
        data.fill(storage.as_ref()).await?;
        let application = Ours::over(Arc::clone(&storage)).await.application();
        let [unit, by_use_case, hand] = data.companies.as_slice() else { return Err("three companies".into()) };
        let user = unit.users[0].id;
        let (by, context) = (super_admin(user), ChangeContext::user(user));
        for company in &data.companies {
            make_administrator(storage.as_ref(), company, user).await?;
        }
        let level = |company: &Company| company.levels[LEVELS - 1].id;
        let (mut unit_times, mut use_case_times, mut hand_times) = (Vec::new(), Vec::new(), Vec::new());
        progress(format_args!("replacing"));
        for turn in 0..TURNS {
            let cells = matrix(&data, turn % 2 == 0)?;
            let work = |company: &Company| Replace { company: company.id, level: level(company), cells: cells.clone() };
            let (in_unit, in_hand) = (work(unit), work(hand));
            let change = ChangeFeaturePermissions {
                company: by_use_case.id,
                level: level(by_use_case),
                permissions: RequestedCells::All(cells.clone()),
                force: false,
                if_match: IfMatch::default(),
            };
            let start = Instant::now();
            transact(storage.as_ref(), Locked::Company(unit.id), &context, &in_unit).await?;
            let after_unit = Instant::now();
            by_hand(&pool, &in_hand).await?;
            let after_hand = Instant::now();
            application.execute(by.clone(), change).await?;
            let after_use_case = Instant::now();
            if turn >= WARM_UP {
                unit_times.push(microseconds(after_unit - start));
                hand_times.push(microseconds(after_hand - after_unit));
                use_case_times.push(microseconds(after_use_case - after_hand));
            }
        }
        application.finish().await;
        for company in &data.companies {
            let rows = count_rows(&pool, company.id, level(company), TURNS % 2 == 1).await?;
            if rows != matrix(&data, true)?.len() {
                return Err(
                    format!("only {rows} rows of {} have the values of the last replacement", company.id).into()
                );
            }
        }
        storage.close().await;
        let hand = median(hand_times);
        let row = |name: &str, times| {
            let own = median(times);
            Row::new(REPLACE, name, "µs", own).beside("SQL by hand", hand, own / hand).target(Target::AtMost(1.5))
        };
        Ok(vec![
            row("a unit of work: lock, version, audit record", unit_times),
            row("the use case: authorized as well", use_case_times),
        ])
    })
    .await
}

/// Measures how long a second replica still allows a permission that was revoked through the first replica.
///
/// # Errors
///
/// Returns an error if a server cannot be started or fails.
pub async fn revocation(server: &str, program: &Path) -> Result<Vec<Row>> {
    const CHANGES: usize = 300;
    Database::with(server, async |database| {
        let start = || Api::start(program, Signer::hs256(), 1, Some(&database.url));
        let (a, b) = (start()?, start()?);
        a.ready().await?;
        b.ready().await?;
        let levels = a.prepare().await?;
        let question = json!({ "feature": "general.read", "action": "Read" });
        let question = request("POST", "/api/iam/check", &b.authorization()?, Some(&question));
        let mut asking = Connection::open(b.server.address).await?;
        let mut is_allowed = async || -> Result<bool> {
            let answer = asking.send(&question).await?;
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            match (answer.status, text.contains("\"allowed\":true")) {
                (200, allowed) => Ok(allowed),
                (status, _) => Err(format!("status {status}: {text}").into()),
            }
        };
        let path = format!("/api/iam/users/{USER}/user-levels");
        let headers = a.super_admin()?;
        let put = |levels: &[String]| request("PUT", &path, &headers, Some(&json!({ "userLevelIds": levels })));
        let (give, take) = (put(&levels), put(&[]));
        let mut changing = Connection::open(a.server.address).await?;

        progress(format_args!("revoking {CHANGES} times"));
        let (mut since_answer, mut since_request) = (Vec::new(), Vec::new());
        for change in 0..CHANGES {
            succeed(&mut changing, &give).await?;
            while !is_allowed().await? {
                sleep(Duration::from_millis(1)).await;
            }
            // The revocations start after varying pauses, so that they do not synchronize with the polls of the
            // servers.
            sleep(Duration::from_micros((change as u64 * 7_919) % 20_000)).await;
            let revoke = async {
                let sent = Instant::now();
                succeed(&mut changing, &take).await?;
                Ok((sent, Instant::now()))
            };
            let denied = async {
                while is_allowed().await? {}
                Ok::<_, Failure>(Instant::now())
            };
            let ((sent, answered), denied) = futures_util::future::try_join(revoke, denied).await?;
            since_answer.push(denied.saturating_duration_since(answered).as_secs_f64() * 1e3);
            since_request.push(denied.saturating_duration_since(sent).as_secs_f64() * 1e3);
        }
        let mut rows = Vec::new();
        for (name, times) in [("since the answer", since_answer), ("since the request was sent", since_request)] {
            for (called, share) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
                let row = Row::new(REVOCATION, format!("{name}, {called}"), "ms", quantile(times.clone(), share));
                let is_promised = called == "p99" && name == "since the request was sent";
                rows.push(if is_promised { row.target(Target::AtMost(25.0)) } else { row });
            }
        }
        Ok(rows)
    })
    .await
}

async fn succeed(connection: &mut Connection, request: &[u8]) -> Result<()> {
    let answer = connection.send(request).await?;
    match answer.status {
        200 => Ok(()),
        status => Err(format!("status {status}: {}", String::from_utf8_lossy(&answer.body)).into()),
    }
}
