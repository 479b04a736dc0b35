//! Measures the cost of the index with which polls find changed rows of `company_states`, compared with a table to
//! which changes are appended.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use sea_orm::sqlx::{self, AssertSqlSafe, Connection as _, PgConnection, Row as _};
use tokio::time::sleep;

use crate::cluster::Postgres;
use crate::measure::median;
use crate::postgres::Database;
use crate::report::Row;
use crate::{Failure, Result, progress};

const STATES: &str = "How polls find what changed: 200,000 updates of 2,000 states";
const COMPANIES: usize = 2_000;
const SESSIONS: usize = 2;
const ROUNDS: usize = 10;
/// Number of updates per session and round.
const UPDATES: usize = 10_000;
/// Approximate number of changes that remain in the table of changes after each deletion.
const KEPT: usize = 10_000;
/// Number of updates of a session between two deletions from the table of changes.
const TRIM_EVERY: usize = 1_000;
/// Minimum interval between two polls of a replica.
const POLL_EVERY: Duration = Duration::from_millis(5);
const MIB: f64 = 1024.0 * 1024.0;

/// A way in which polls find changed rows of the state table.
struct Way {
    /// The name of this way in the report.
    name: &'static str,
    /// The name of the state table: a copy of `company_states` with other indexes.
    table: &'static str,
    /// The SQL that creates the other tables and indexes of this way.
    beside: &'static str,
    /// The name of the table from which polls read.
    read: &'static str,
    /// The SQL statement for one change. `{update}` is a placeholder for the update of the state table.
    change: &'static str,
}

const WAYS: [Way; 3] = [
    Way {
        name: "an index on changed_by",
        table: "indexed",
        beside: "CREATE INDEX ON indexed (changed_by)",
        read: "indexed",
        change: "{update}",
    },
    Way {
        name: "a table of changes",
        table: "appended",
        beside: "CREATE TABLE changes (changed_by xid8, company_id uuid, version bigint, stamp bigint);
            CREATE INDEX ON changes (changed_by)",
        read: "changes",
        change: "WITH changed AS ({update} RETURNING changed_by, company_id, version, stamp)
            INSERT INTO changes SELECT * FROM changed",
    },
    Way { name: "neither", table: "bare", beside: "SELECT", read: "bare", change: "{update}" },
];

impl Way {
    /// Returns the SQL that creates the tables, and the procedure that updates random rows of the state table, one row
    /// per transaction.
    fn make(&self) -> String {
        let Self { table, beside, read, .. } = self;
        let update = format!(
            "UPDATE {table} SET version = version + 1, updated_at = clock_timestamp()
             WHERE company_id = target"
        );
        let change = self.change.replace("{update}", &update);
        let trim = if read == table {
            String::new()
        } else {
            format!(
                "IF n % {TRIM_EVERY} = 0 THEN
                    DELETE FROM {read}
                    WHERE changed_by < greatest(pg_current_xact_id()::text::bigint - {KEPT}, 0)::text::xid8;
                END IF;"
            )
        };
        format!(
            "CREATE TABLE {table} (LIKE company_states INCLUDING DEFAULTS, PRIMARY KEY (company_id)) WITH (fillfactor = 50);
            CREATE TRIGGER mark BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION iam_mark_state();
            {beside};
            INSERT INTO {table} (company_id) SELECT gen_random_uuid() FROM generate_series(1, {COMPANIES});
            CREATE PROCEDURE change_{table}(times int) LANGUAGE plpgsql AS $$
            DECLARE
                targets uuid[] := (SELECT array_agg(company_id) FROM {table});
                target uuid;
            BEGIN
                FOR n IN 1..times LOOP
                    target := targets[1 + floor(random() * {COMPANIES})];
                    {change};
                    {trim}
                    COMMIT;
                END LOOP;
            END $$;"
        )
    }

    /// Returns the query of a poll: the current snapshot, and the changes since the previous snapshot.
    fn poll(&self) -> String {
        format!(
            "SELECT pg_current_snapshot()::text, (
                SELECT coalesce(json_agg(json_build_array(company_id, version, stamp)), '[]') FROM {}
                WHERE changed_by >= pg_snapshot_xmin($1::text::pg_snapshot)
                    AND NOT pg_visible_in_snapshot(changed_by, $1::text::pg_snapshot))::text",
            self.read
        )
    }

    /// Returns the number of HOT (heap-only tuple) updates, and the sizes of tables and indexes in MiB, as text.
    async fn cost(&self, url: &str) -> Result<String> {
        let sql = format!(
            "SELECT n_tup_hot_upd, n_tup_upd, pg_table_size('{table}') AS heap, pg_indexes_size('{table}') AS indexes,
                CASE WHEN '{table}' = '{read}' THEN 0 ELSE pg_total_relation_size('{read}') END AS beside
             FROM pg_stat_user_tables WHERE relname = '{table}'",
            table = self.table,
            read = self.read
        );
        let mut connection = PgConnection::connect(url).await?;
        let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut connection).await?;
        let (hot, all): (i64, i64) = (row.try_get("n_tup_hot_upd")?, row.try_get("n_tup_upd")?);
        let mib = |column| -> Result<f64> { Ok(row.try_get::<i64, _>(column)? as f64 / MIB) };
        let (heap, indexes, beside) = (mib("heap")?, mib("indexes")?, mib("beside")?);
        let changes = if beside > 0.0 { format!(", changes {beside:.1}") } else { String::new() };
        Ok(format!("HOT {hot} of {all}; MiB: table {heap:.1}, indexes {indexes:.1}{changes}"))
    }
}

/// The results of one way to find changed rows.
#[derive(Default)]
struct Measured {
    /// Updates per second, one value per round.
    rates: Vec<f64>,
    /// Duration of each concurrent poll, in microseconds.
    polls: Vec<f64>,
}

impl Measured {
    async fn round(&mut self, way: &Way, url: &str) -> Result<()> {
        let mut polling = PgConnection::connect(url).await?;
        let sql = way.poll();
        let mut polls = async || -> Result<()> {
            let mut since: String =
                sqlx::query_scalar("SELECT pg_current_snapshot()::text").fetch_one(&mut polling).await?;
            loop {
                let asked = Instant::now();
                let row = sqlx::query(AssertSqlSafe(sql.as_str())).bind(&since).fetch_one(&mut polling).await?;
                self.polls.push(asked.elapsed().as_secs_f64() * 1e6);
                since = row.try_get(0)?;
                sleep(POLL_EVERY).await;
            }
        };
        let sessions = (0..SESSIONS).map(async |_| {
            let mut session = PgConnection::connect(url).await?;
            let call = format!("CALL change_{}({UPDATES})", way.table);
            sqlx::raw_sql(AssertSqlSafe(call)).execute(&mut session).await?;
            session.close().await?;
            Ok::<_, Failure>(())
        });
        let begun = Instant::now();
        tokio::select! {
            outcome = try_join_all(sessions) => outcome.map(drop)?,
            outcome = polls() => outcome?,
        }
        self.rates.push((SESSIONS * UPDATES) as f64 / begun.elapsed().as_secs_f64());
        Ok(())
    }

    fn rate_beside(&self, other: &Self) -> f64 {
        median(self.rates.iter().zip(&other.rates).map(|(own, other)| own / other).collect())
    }
}

/// Measures updates and polls in three ways: with the index, with a table of changes, and with neither of them.
///
/// # Errors
///
/// Returns an error if the server cannot be started, or rejects a statement.
pub async fn states() -> Result<Vec<Row>> {
    // With this interval, tens of thousands of updates occur between two autovacuum runs. This is as many as with
    // hundreds of changes per second and the default interval of one minute.
    let postgres = Postgres::start(&["shared_buffers=128MB", "autovacuum_naptime=1s"]).await?;
    Database::with(&postgres.url, async |database| {
        let url = &database.url;
        let mut connection = PgConnection::connect(url).await?;
        for way in &WAYS {
            sqlx::raw_sql(AssertSqlSafe(way.make())).execute(&mut connection).await?;
        }
        progress(format_args!("updating states in {} ways", WAYS.len()));
        let mut measured: [Measured; WAYS.len()] = Default::default();
        let mut order: Vec<_> = (0..WAYS.len()).collect();
        for _ in 0..ROUNDS {
            for place in &order {
                measured[*place].round(&WAYS[*place], url).await?;
            }
            order.reverse();
        }
        let [own, appended, bare] = &measured;
        let mut notes = Vec::new();
        for way in &WAYS {
            notes.push(format!("{}: {}", way.name, way.cost(url).await?));
        }
        let [note, appended_note, bare_note] =
            <[String; WAYS.len()]>::try_from(notes).map_err(|_| "a way has no cost")?;
        let rate = |measured: &Measured| median(measured.rates.clone());
        let poll = |measured: &Measured| median(measured.polls.clone());
        let updates = || Row::new(STATES, "updates with an index on changed_by", "1/s", rate(own));
        let polls = || Row::new(STATES, "a poll meanwhile, with the index", "µs", poll(own));
        Ok(vec![
            updates().beside(WAYS[1].name, rate(appended), own.rate_beside(appended)).note(note),
            updates().beside(WAYS[2].name, rate(bare), own.rate_beside(bare)).note(bare_note),
            polls().beside(WAYS[1].name, poll(appended), poll(own) / poll(appended)).note(appended_note),
            polls().beside(WAYS[2].name, poll(bare), poll(own) / poll(bare)),
        ])
    })
    .await
}
